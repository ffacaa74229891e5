"""Writes a group in one transaction: outcomes, new tasks, then claims."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from json import loads

from pipeline.core.model import State, Task
from pipeline.store.encoding import Move, QueueEntry, Row, parse_task, to_json
from pipeline.store.requeue import ExistingTask, Identity, Requeue
from pipeline.store.sqlite import queries
from pipeline.store.sqlite.packing import pack
from pipeline.store.write_group import (
    Claim,
    WriteReply,
    WriteRequest,
    count_changes,
    entries_of,
    hold,
    moves_of,
)

_BATCH_ROWS = 64  #: rows of one statement


def write(connection: sqlite3.Connection, group: Sequence[WriteRequest]) -> list[WriteReply]:
    """Write a group inside an open transaction; return one reply per request.

    Claims come last, so that what the outcomes have just made due is given out by the same commit, and nothing of a lane
    that is parked in it.
    """
    changed = _change(connection, group)
    _many(connection, queries.PARK, [request.park for request in group if request.park is not None])
    claimed = [_claim(connection, request.claim) if request.claim is not None else () for request in group]
    return [WriteReply(number, tasks) for number, tasks in zip(changed, claimed, strict=True)]


def _claim(connection: sqlite3.Connection, claim: Claim) -> Sequence[Task]:
    """Find due tasks and take them."""
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


def _change(connection: sqlite3.Connection, group: Sequence[WriteRequest]) -> list[int]:
    """Write outcomes and new tasks; return each request's number of changes."""
    moves = moves_of(group)
    holding = _move(connection, moves)
    entries = entries_of(group, holding)
    effective = _put(connection, [entry for _, entry in entries])
    refused = [(member, move) for member, move in moves if member not in holding]
    return count_changes(group, holding | _ended_by_holder(connection, refused), entries, effective)


def _move(connection: sqlite3.Connection, moves: Sequence[tuple[int, Move]]) -> set[int]:
    """Write the outcomes whose lease holds; return which members these are."""
    if not moves:
        return set()
    fences = to_json([move.fence for _, move in moves])
    found = loads(connection.execute(queries.FENCE, (fences,)).fetchone()[0])
    held = hold(moves, {(row[0], row[1], row[2]): row[3] for row in found})
    bulk(connection, queries.MOVE, [_move_row(move) for move in held.moves])
    _many(connection, queries.RESTART_ENDED, held.restarts)
    bulk(connection, queries.KEEP_RESULT, [pack(row) for move in held.moves for row in move.results])
    bulk(connection, queries.ENTER_SPEND, [row for move in held.moves for row in move.spends])
    return held.members


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
