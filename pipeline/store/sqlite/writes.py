"""Writes a group in one transaction: outcomes, new tasks, then claims."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from json import loads

from pipeline.core.model import State, Task
from pipeline.ports.budget import BudgetGuard, CountedEntry
from pipeline.store.encoding import Move, QueueEntry, Row, parse_spend, parse_task, to_json
from pipeline.store.requeue import ExistingTask, Identity, Requeue
from pipeline.store.sqlite import queries
from pipeline.store.sqlite.packing import pack
from pipeline.store.sqlite.tallies import ENTERED_SINCE
from pipeline.store.write_group import (
    Claim,
    HeldMoves,
    WriteReply,
    WriteRequest,
    count_changes,
    entries_of,
    guards_of,
    hold,
    moves_of,
)

_BATCH_ROWS = 64  #: rows of one statement


def write(connection: sqlite3.Connection, group: Sequence[WriteRequest]) -> list[WriteReply]:
    """Write a group inside an open transaction; return one reply per request.

    Claims come last, so that what the outcomes have just made due is given out by the same commit, and nothing of a lane
    that is parked in it.
    """
    changed, over = _change(connection, group)
    _many(connection, queries.PARK, [request.park for request in group if request.park is not None])
    claimed = [_claim(connection, request.claim) if request.claim is not None else () for request in group]
    return [
        WriteReply(number, tasks, member in over)
        for member, (number, tasks) in enumerate(zip(changed, claimed, strict=True))
    ]


def _claim(connection: sqlite3.Connection, claim: Claim) -> Sequence[Task]:
    """Find due tasks and take them."""
    for lane, cap in claim.caps.items():
        found = connection.execute(queries.AT_WORK, (lane.value, cap.beyond.value, cap.most)).fetchone()
        claim = claim.within({lane: found[0]})
    asked = {
        "free_slots": to_json({lane.value: number for lane, number in claim.free_slots.items()}),
        "now": claim.now,
        "most": max(claim.free_slots.values()),
    }
    order = {row[0]: place for place, row in enumerate(connection.execute(queries.FIND_DUE, asked).fetchall())}
    if not order:
        return ()
    rows = connection.execute(queries.TAKE, (to_json(list(order)), claim.owner, claim.until, claim.now)).fetchall()
    return sorted((parse_task(row) for row in rows), key=lambda task: order[task.id])


def _change(connection: sqlite3.Connection, group: Sequence[WriteRequest]) -> tuple[list[int], set[int]]:
    """Write outcomes and new tasks.

    Return each request's number of changes, and which a spending limit forbids.
    """
    moves = moves_of(group)
    held = _move(connection, group, moves)
    entries = entries_of(group, held.members)
    effective = _put(connection, [entry for _, entry in entries])
    refused = [(member, move) for member, move in moves if member not in held.members | held.over]
    return count_changes(group, held.members | _ended_by_holder(connection, refused), entries, effective), held.over


def _move(
    connection: sqlite3.Connection, group: Sequence[WriteRequest], moves: Sequence[tuple[int, Move]]
) -> HeldMoves:
    """Write the outcomes whose lease holds, within the spending limits."""
    if not moves:
        return HeldMoves()
    fences = to_json([move.fence for _, move in moves])
    found = loads(connection.execute(queries.FENCE, (fences,)).fetchone()[0])
    for guard in guards_of(group):
        inform(connection, guard)
    held = hold(group, moves, {(row[0], row[1], row[2]): row[3] for row in found})
    bulk(connection, queries.MOVE, [_move_row(move) for move in held.moves])
    _many(connection, queries.RESTART_ENDED, held.restarts)
    bulk(connection, queries.KEEP_RESULT, [pack(row) for move in held.moves for row in move.results])
    bulk(connection, queries.ENTER_SPEND, [row for move in held.moves for row in move.spends])
    return held


def enter(connection: sqlite3.Connection, row: Row, guard: BudgetGuard | None) -> bool:
    """Enter a paid effect of no task; False: a spending limit forbids it."""
    if guard is not None:
        inform(connection, guard)
        if not guard.admits([parse_spend(row)]):
            return False
    bulk(connection, queries.ENTER_SPEND, [row])
    return True


def inform(connection: sqlite3.Connection, guard: BudgetGuard) -> None:
    """Tell spending limits what was entered since they last looked."""
    found = loads(connection.execute(ENTERED_SINCE, (guard.seen,)).fetchone()[0])
    guard.update([CountedEntry(*row) for row in found])


def _ended_by_holder(connection: sqlite3.Connection, refused: Sequence[tuple[int, Move]]) -> set[int]:
    """Return the members whose outcome stands already: only its answer was lost."""
    if not refused:
        return set()
    fences = to_json([move.fence for _, move in refused])
    standing = {
        (number, token) for number, token in loads(connection.execute(queries.ENDED_BY_HOLDER, (fences,)).fetchone()[0])
    }
    return {member for member, move in refused if move.by_holder and (move.fence[0], move.fence[2]) in standing}


def _move_row(move: Move) -> Row:
    return (
        move.fence[0], move.state.value, move.stage, move.lane, move.rank, move.attempt, move.claims, move.wake_at,
        move.stage_since, move.data, move.subject, move.trouble, move.clears_trouble, move.now,
        move.by_holder,
    )  # fmt: skip


def _put(connection: sqlite3.Connection, entries: Sequence[QueueEntry]) -> list[bool]:
    """Queue tasks; return for each whether it is new or restarts."""
    if not entries:
        return []
    asked = to_json([(entry.kind, entry.key, entry.restart_at is not None) for entry in entries])
    existing: dict[Identity, ExistingTask] = {}
    for kind, key, state, restart_later, data in connection.execute(queries.EXISTING, (asked,)):
        if data is not None or (kind, key) not in existing:
            existing[kind, key] = ExistingTask(State(state), restart_later, data)
    requeue = Requeue(existing)
    effective = [requeue.add(entry) for entry in entries]
    bulk(connection, queries.INSERT, [_insert_row(entry) for entry in requeue.inserts.values()])
    _many(connection, queries.RESTART, [(*_restart_row(entry), data) for entry, data in requeue.restarts.values()])
    _many(connection, queries.RESTART_LATER, [_restart_row(entry) for entry in requeue.restarts_later.values()])
    _many(connection, queries.MERGE, [(*identity, *merge) for identity, merge in requeue.merges.items()])
    return effective


def _insert_row(entry: QueueEntry) -> Row:
    return (
        entry.kind, entry.key, entry.stage, State.PENDING.value, entry.lane, entry.rank, entry.due, entry.subject,
        entry.now, entry.now, entry.now, entry.data,
    )  # fmt: skip


def _restart_row(entry: QueueEntry) -> Row:
    return (entry.kind, entry.key, entry.restart_at, entry.restart_lane, entry.restart_rank, entry.due, entry.now)


def _many(connection: sqlite3.Connection, sql: str, rows: Sequence[Row]) -> None:
    if rows:
        connection.executemany(sql, rows)


def bulk(connection: sqlite3.Connection, sql: str, rows: Sequence[Row]) -> None:
    """Run a statement with ``{rows}`` for all of these rows, some at a time."""
    for start in range(0, len(rows), _BATCH_ROWS):
        part = rows[start : start + _BATCH_ROWS]
        connection.execute(_sized(sql, len(part[0]), len(part)), [value for row in part for value in row])


@lru_cache(maxsize=512)
def _sized(sql: str, width: int, rows: int) -> str:
    """Return the statement for so many rows; each stays prepared."""
    row = f"({', '.join('?' * width)})"
    return sql.format(rows=", ".join([row] * rows))
