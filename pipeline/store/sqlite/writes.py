"""How a group goes into one transaction: outcomes under their leases, new tasks, then claims. Runs in the thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from json import loads

from pipeline.core.model import Lane, State, Task
from pipeline.store.encoding import Move, QueueEntry, Row, parse_task, to_json
from pipeline.store.requeue import Effect, effect, merged
from pipeline.store.sqlite import queries

_AT_ONCE = 64  #: rows of one statement


@dataclass(frozen=True, slots=True)
class Claim:
    """What a pool has room for, and the lease it wants. Times in epoch seconds."""

    free_slots: Mapping[Lane, int]
    owner: str
    now: float
    until: float


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One caller's share of a group: a worker's outcome, tasks to be put, or tasks to be claimed."""

    move: Move | None = None
    entries: Sequence[QueueEntry] = ()
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class WriteReply:
    """What one caller learns: 1 or 0 for a move, the number changed for tasks; what was claimed."""

    changed: int = 0
    claimed: Sequence[Task] = ()


def write(connection: sqlite3.Connection, group: Sequence[WriteRequest]) -> list[WriteReply]:
    """Write a group inside an open transaction and tell each member what came of its share.

    Claims come last: what the outcomes beside them have just made due is given out at once, by the same commit.
    """
    changed = _change(connection, group)
    claimed = [_claim(connection, ask.claim) if ask.claim is not None else () for ask in group]
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
    """Write outcomes and new tasks; per member return 1 or 0 for a move, the number changed for tasks."""
    moves = [(member, ask.move) for member, ask in enumerate(group) if ask.move is not None]
    holding = _move(connection, moves)
    answers = [int(member in holding) for member in range(len(group))]
    asked: list[tuple[int, QueueEntry]] = []  # spawned and submitted tasks alike, by member
    for member, ask in enumerate(group):
        spawned = ask.move.entries if ask.move is not None and member in holding else ()
        asked += [(member, entry) for entry in (*spawned, *ask.entries)]
    for (member, _), effective in zip(asked, _put(connection, [entry for _, entry in asked]), strict=True):
        if group[member].move is None:
            answers[member] += effective
    return answers


def _move(connection: sqlite3.Connection, moves: Sequence[tuple[int, Move]]) -> set[int]:
    """Write the outcomes whose lease holds; return whose they are."""
    if not moves:
        return set()
    fences = to_json([move.fence for _, move in moves])
    found = loads(connection.execute(queries.FENCE, (fences,)).fetchone()[0])
    leases = {(row[0], row[1], row[2]): row[3] for row in found}
    kept: list[Move] = []
    again: list[Row] = []
    holding: set[int] = set()
    for member, move in moves:
        wished = leases.pop(move.fence, None)  # of two outcomes under one lease only the first counts
        if wished is None:
            continue
        kept.append(move)
        holding.add(member)
        if wished and move.state is State.DONE:
            again.append((move.fence[0], move.now))
    bulk(connection, queries.MOVE, [_move_row(move) for move in kept])
    _many(connection, queries.GRANT, again)
    bulk(connection, queries.KEEP_RESULT, [row for move in kept for row in move.results])
    bulk(connection, queries.ENTER_SPEND, [row for move in kept for row in move.spends])
    return holding


def _move_row(move: Move) -> Row:
    return (
        move.fence[0], move.state.value, move.stage, move.lane, move.rank, move.attempt, move.claims, move.wake_at,
        move.stage_since, move.data, move.subject, move.trouble, move.forget, move.now,
    )  # fmt: skip


@dataclass(slots=True)
class _Standing:
    """What is in the queue under one identity, as the tasks put before it in this transaction have left it."""

    state: State
    wished: str | None
    data: str | None


class _Batch:
    """Works out what each task to be put does, in order, and collects the rows for one statement of each sort."""

    def __init__(self, standing: dict[tuple[str, str], _Standing]) -> None:
        self._standing = standing
        self._new: dict[tuple[str, str], QueueEntry] = {}
        self._again: dict[tuple[str, str], Row] = {}
        self._wish: dict[tuple[str, str], Row] = {}
        self._merge: dict[tuple[str, str], Row] = {}

    def put(self, entry: QueueEntry) -> bool:
        """Take in one task; return whether it is new or re-arms one."""
        identity = (entry.kind, entry.key)
        found = self._standing.get(identity)
        if found is None:
            self._standing[identity] = _Standing(State.PENDING, None, entry.data)
            self._new[identity] = entry
            return True
        what = effect(entry, found.state, found.wished)
        again = (*identity, entry.restart_at, entry.restart_lane, entry.restart_rank, entry.due, entry.now)
        if what is Effect.WISH:
            found.wished = entry.restart_at
            self._wish[identity] = again
        elif what is not Effect.NONE:
            assert found.data is not None
            before, found.data = found.data, merged(found.data, entry.data)
            if what is Effect.AGAIN:
                found.state = State.PENDING
                self._again[identity] = (*again, found.data)
            elif found.data != before:
                self._merged(identity, found.data, entry.now)
        return what in (Effect.AGAIN, Effect.WISH)

    def _merged(self, identity: tuple[str, str], data: str, now: float) -> None:
        if identity in self._new:
            self._new[identity] = replace(self._new[identity], data=data)
        else:
            self._merge[identity] = (*identity, data, now)

    def write(self, connection: sqlite3.Connection) -> None:
        """Run the statements; a merge comes after the re-arm it follows."""
        bulk(connection, queries.INSERT, [_insert_row(entry) for entry in self._new.values()])
        _many(connection, queries.AGAIN, [*self._again.values()])
        _many(connection, queries.WISH, [*self._wish.values()])
        _many(connection, queries.MERGE, [*self._merge.values()])


def _put(connection: sqlite3.Connection, entries: Sequence[QueueEntry]) -> list[bool]:
    """Put tasks into the queue; return for each whether it is new or re-arms one."""
    if not entries:
        return []
    asked = to_json([(entry.kind, entry.key, entry.restart_at is not None) for entry in entries])
    standing: dict[tuple[str, str], _Standing] = {}
    for kind, key, state, wished, data in connection.execute(queries.STANDING, (asked,)):
        if data is not None or (kind, key) not in standing:
            standing[kind, key] = _Standing(State(state), wished, data)
    batch = _Batch(standing)
    effective = [batch.put(entry) for entry in entries]
    batch.write(connection)
    return effective


def _insert_row(entry: QueueEntry) -> Row:
    return (
        entry.kind, entry.key, entry.stage, State.PENDING.value, entry.lane, entry.rank, entry.due, entry.subject,
        entry.now, entry.now, entry.now, entry.data,
    )  # fmt: skip


def _many(connection: sqlite3.Connection, sql: str, rows: Sequence[Row]) -> None:
    if rows:
        connection.executemany(sql, rows)


def bulk(connection: sqlite3.Connection, sql: str, rows: Sequence[Row]) -> None:
    """Run a statement with ``{rows}`` for all of these, some at a time."""
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        connection.execute(_sized(sql, len(part[0]), len(part)), [value for row in part for value in row])


@lru_cache(maxsize=512)
def _sized(sql: str, width: int, rows: int) -> str:
    """Return the statement for so many rows; the driver keeps each prepared under its text."""
    row = f"({', '.join('?' * width)})"
    return sql.format(rows=", ".join([row] * rows))
