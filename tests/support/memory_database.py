"""The database in dictionaries: the model that SQLite is compared with, and the fast database of virtual time.

The conformance suite runs on both, and its state machine compares them call by call. SQLite in memory would do for
virtual time as well, but doubles the CPU time of the simulation (6.5 s instead of 3.4 s for twelve seeds).

Values are kept as the JSON text that a file would hold, so that nothing is shared with the caller and nothing can be
kept here that could not be kept there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import islice
from json import loads
from typing import Literal

import anyio

from pipeline.core.model import (
    ChangedVideo,
    DiskUse,
    Json,
    Lane,
    Parked,
    Placed,
    RunNote,
    Selection,
    Spend,
    State,
    StoredAnswer,
    Task,
)
from pipeline.ports.budget import BudgetGuard
from pipeline.ports.store import NO_CAPS, Applied, ApplyAnswer, Change, LaneCap, LaneCaps, T, WaitingHere
from pipeline.store.encoding import (
    Move,
    QueueEntry,
    Row,
    encode_entry,
    encode_move,
    encode_name,
    encode_note,
    encode_spend,
    to_json,
)
from pipeline.store.requeue import Effect, decide_effect, merge_json
from pipeline.store.write_group import Claim
from tests.support.memory_records import Line, MemoryRecords

_CANCELLABLE = frozenset((State.PENDING, State.RUNNING, State.HELD))

_RETRYABLE = frozenset((State.FAILED, State.HELD, State.CANCELLED))


def _is_movable(line: Line, verb: str, now: float, *, named: bool) -> bool:
    if verb == "cancel":
        return named or line.state in _CANCELLABLE
    sleeps = line.state is State.PENDING and line.wake_at is not None and line.wake_at > now
    return line.state in _RETRYABLE or (named and sleeps)


class _Queue:
    """Pending tasks by lane and rank, soonest first. Entries are left behind when a task moves and skipped when met."""

    def __init__(self, lines: Mapping[int, Line]) -> None:
        self._lines = lines
        self._heaps: dict[tuple[str, int], list[tuple[float, int]]] = {}

    def add(self, line: Line) -> None:
        """Take in a pending task."""
        assert line.wake_at is not None
        heappush(self._heaps.setdefault((line.lane, line.rank), []), (line.wake_at, line.id))

    def soonest(self, lane: str) -> float | None:
        """Return the smallest due time in a lane."""
        heads = [self._head(spot) for spot in self._ranks(lane)]
        return min((head.wake_at for head in heads if head is not None and head.wake_at is not None), default=None)

    def due(self, lane: str, now: float) -> Iterator[Line]:
        """Yield the due tasks of a lane, highest rank first, then longest due. Each must be moved before the next."""
        for spot in self._ranks(lane):
            while (head := self._head(spot)) is not None and head.wake_at is not None and head.wake_at <= now:
                heappop(self._heaps[spot])
                yield head

    def _ranks(self, lane: str) -> list[tuple[str, int]]:
        return sorted((spot for spot in self._heaps if spot[0] == lane), reverse=True)

    def _head(self, spot: tuple[str, int]) -> Line | None:
        heap = self._heaps[spot]
        while heap:
            due, number = heap[0]
            line = self._lines[number]
            if line.state is State.PENDING and (line.lane, line.rank, line.wake_at) == (*spot, due):
                return line
            heappop(heap)
        return None


class MemoryDatabase(MemoryRecords):
    """``ports.Database`` in dictionaries. Every call is atomic because none of them gives way to another."""

    def __init__(self) -> None:
        super().__init__()
        self._queue = _Queue(self._lines)
        self._running: dict[int, Line] = {}
        self._numbers: dict[tuple[str, str, str], int] = {}  #: of the results, from the first look at the answers
        self._marks = 0
        self._changed: dict[str, int] = {}  #: videos with the mark of their last change, in the order of the marks

    # ----------------------------------------------------------------------------------------------------- store

    async def submit(self, tasks: Sequence[Placed], now: float) -> int:
        self._check()
        entries = [encode_entry(placed, now) for placed in tasks]
        return sum(self._put(entry) for entry in entries)

    async def claim(
        self, free_slots: Mapping[Lane, int], owner: str, now: float, until: float, caps: LaneCaps = NO_CAPS
    ) -> list[Task]:
        self._check()
        encode_name(owner)
        taken: list[Line] = []
        at_work = {lane: self._at_work(lane, cap) for lane, cap in caps.items()}
        for lane, number in sorted(Claim(free_slots, owner, now, until, caps=caps).within(at_work).free_slots.items()):
            if number <= 0 or self._is_parked(lane.value, now):
                continue
            for place, line in enumerate(self._queue.due(lane.value, now), 1):
                line.state, line.owner, line.wake_at, line.updated = State.RUNNING, owner, until, now
                line.claims += 1
                line.token += 1
                self._running[line.id] = line
                taken.append(line)
                if place == number:
                    break
        return [line.task() for line in taken]

    def _at_work(self, lane: Lane, cap: LaneCap) -> int:
        beyond = cap.beyond.value
        lines = (line for line in self._lines.values() if line.state in (State.PENDING, State.RUNNING))
        return sum(line.lane == beyond or (line.lane == lane.value and line.state is State.RUNNING) for line in lines)

    async def renew(self, tasks: Sequence[Task], until: float) -> frozenset[int]:
        self._check()
        leases = [(task.id, task.lease.owner, task.lease.token) for task in tasks if task.lease is not None]
        ours = frozenset(lease[0] for lease in leases if self._holds(lease))
        for number in ours:
            self._lines[number].wake_at = until
        return ours

    async def apply(self, applied: Applied, now: float) -> ApplyAnswer:
        self._check()
        move = encode_move(applied, now)
        line = self._lines.get(move.fence[0])
        if line is None or not self._holds(move.fence):
            stands = line is not None and move.by_holder and line.ended_by_holder(move.fence[2])
            return ApplyAnswer.WRITTEN if stands else ApplyAnswer.LOST
        if applied.budget is not None and move.spends and not self._within(applied.budget, applied.move.spend):
            return ApplyAnswer.OVER
        self._move(line, move)
        if line.state is State.DONE and line.wish is not None:
            self._start(line, line.wish, now)
        for row in move.results:
            self._results.setdefault((row[0], row[1], row[2]), row)
        for row in move.spends:
            self._spends.setdefault(row[0], row)
        for entry in move.entries:
            self._put(entry)
        return ApplyAnswer.WRITTEN

    async def expired(self, now: float | None, family: str = "") -> list[Task]:
        self._check()
        ends = [(line.wake_at, line.id) for line in self._running.values() if line.wake_at is not None]
        late = [self._lines[number] for end, number in sorted(ends) if now is None or end < now]
        return [line.task() for line in late if (line.owner or "").startswith(family)]

    async def next_due(self, lanes: Sequence[Lane]) -> float | None:
        self._check()
        times = [self._queue.soonest(lane.value) for lane in lanes]
        return min((time for time in times if time is not None), default=None)

    async def places(self) -> Mapping[str, WaitingHere]:
        self._check()
        return {}

    async def tasks_of_place(self, place: str, kind: str, after_id: int, limit: int) -> list[Task]:
        self._check()
        return []

    async def news(self) -> None:
        await anyio.sleep_forever()

    async def command(self, verb: Literal["cancel", "retry"], which: Selection, now: float) -> int:
        self._check()
        lines = [line for line in self._selected(which) if _is_movable(line, verb, now, named=bool(which.states))]
        for line in lines:
            self._running.pop(line.id, None)
            line.owner, line.updated = None, now
            if verb == "cancel":
                line.lapsed |= {line.token} if line.state is State.RUNNING else set()
                line.state, line.wake_at = State.CANCELLED, None
                line.data = merge_json(line.data, '{"cancelled":true}')
            else:
                line.state, line.wake_at, line.stage_since, line.attempt = State.PENDING, now, now, 0
                self._queue.add(line)
        return len(lines)

    async def park(self, parked: Parked, now: float) -> None:
        self._check()
        row = (encode_name(parked.scope), parked.until, to_json(parked.trouble.as_json()), now)
        known = self._parked.get(parked.scope)
        if known is None or known[1] < parked.until:
            self._parked[parked.scope] = row

    async def unpark(self, scopes: Sequence[str], classes: Sequence[str], now: float) -> int:
        self._check()
        for scope in scopes:
            self._parked.pop(scope, None)
        late = [
            line
            for line in self._lines.values()
            if line.state is State.PENDING and line.code in classes and line.wake_at is not None and line.wake_at > now
        ]
        for line in late:
            line.wake_at = line.updated = now
            self._queue.add(line)
        return len(late)

    async def bring_forward(self, now: float) -> int:
        self._check()
        late = [
            line
            for line in self._lines.values()
            if line.state is State.PENDING and line.wake_at is not None and line.wake_at > now and line.updated > now
        ]
        for line in late:
            line.wake_at, line.stage_since = (
                now + max(0.0, (line.wake_at or now) - line.updated),
                min(line.stage_since, now),
            )
            line.updated = now
            self._queue.add(line)
        self._parked = {
            scope: row for scope, row in self._parked.items() if row[3] <= now and not (late and row[1] > now)
        }
        return len(late)

    async def aclose(self) -> None:
        self._closed = True

    # --------------------------------------------------------------------------------------------------- journal

    async def note_run(self, note: RunNote) -> None:
        self._check()
        self._runs[note.id] = encode_note(note)

    async def load(self, name: str) -> Json | None:
        self._check()
        return loads(self._notes[name]) if name in self._notes else None

    async def load_all(self, begins: str) -> Mapping[str, Json]:
        self._check()
        return {name: loads(self._notes[name]) for name in sorted(self._notes) if name.startswith(begins)}

    async def save(self, name: str, value: Json) -> None:
        self._check()
        self._notes[name] = to_json(value)

    async def drop(self, name: str) -> None:
        self._check()
        self._notes.pop(name, None)

    async def catch_up(self, marks: Sequence[int], name: str, value: Json, before: Json | None) -> bool:
        if await self.load(name) != before:
            return False
        await self.save(name, value)
        self._changed = {key: mark for key, mark in self._changed.items() if mark not in marks}
        return True

    async def change(self, name: str, change: Change[T]) -> T:
        new, answer = change(await self.load(name))
        if new is not None:
            self._notes[name] = to_json(new)
        return answer

    async def enter(self, spend: Spend, budget: BudgetGuard | None = None) -> bool:
        self._check()
        row = encode_spend(spend)
        if budget is not None and not self._within(budget, [spend]):
            return False
        self._spends.setdefault(row[0], row)
        return True

    def _within(self, budget: BudgetGuard, spends: Sequence[Spend]) -> bool:
        budget.update(self._entered_since(budget.seen))
        return budget.admits(spends)

    async def changed_videos(self, after: int, limit: int) -> list[ChangedVideo]:
        self._check()
        changes = (ChangedVideo(mark, key) for key, mark in self._changed.items() if mark > after)
        return list(islice(changes, limit))

    # ---------------------------------------------------------------------------------------------------- upkeep

    async def answers(self, before: float, after_id: int, limit: int) -> list[StoredAnswer]:
        self._check()
        for key in self._results:
            self._numbers.setdefault(key, len(self._numbers) + 1)
        found = [
            StoredAnswer(self._numbers[key], row[0], row[2], len(row[3].encode()) + len(row[4].encode()))
            for key, row in self._results.items()
            if row[1] == "_answer" and row[5] < before and self._numbers[key] > after_id
        ]
        return found[:limit]

    async def drop_answers(self, ids: Sequence[int]) -> int:
        self._check()
        named = [key for key in self._results if self._numbers.get(key) in ids and key[1] == "_answer"]
        for key in named:
            del self._results[key]
        return len(named)

    async def forget(self, tasks: Sequence[int], subject: str, stamp: str) -> int:
        self._check()
        gone = [number for number in tasks if number in self._lines]
        for number in gone:
            line = self._lines.pop(number)
            del self._ids[line.kind, line.key]
            self._note_change(line)
        if subject:
            self._results = {key: row for key, row in self._results.items() if key[0] != subject}
            self._spends = dict(self._renamed(row, subject, f"forgotten/{stamp}/") for row in self._spends.values())
        return len(gone)

    def _renamed(self, row: Row, subject: str, before: str) -> tuple[str, Row]:
        kept = row[4] != subject or row[0].startswith("forgotten/")
        return (row[0], row) if kept else (before + row[0], (before + row[0], *row[1:]))

    async def surplus_runs(self, keep: int) -> tuple[int, int]:
        self._check()
        return len(self._surplus(keep)), sum(len(row[4].encode()) for row in self._surplus(keep))

    async def drop_runs(self, keep: int) -> int:
        self._check()
        surplus = self._surplus(keep)
        for row in surplus:
            del self._runs[row[0]]
        return len(surplus)

    def _surplus(self, keep: int) -> list[Row]:
        return sorted(self._runs.values(), key=lambda row: row[1])[::-1][keep:]

    async def disk_use(self) -> DiskUse:
        self._check()
        return DiskUse(sum(len(row[3]) for row in self._results.values()), 0)

    async def compact(self) -> None:
        self._check()

    # --------------------------------------------------------------------------------------------------- writing

    def _is_parked(self, scope: str, now: float) -> bool:
        return scope in self._parked and self._parked[scope][1] > now

    def _holds(self, fence: tuple[int, str, int]) -> bool:
        line = self._running.get(fence[0])
        return line is not None and (line.id, line.owner, line.token) == fence

    def _move(self, line: Line, move: Move) -> None:
        del self._running[line.id]
        line.state, line.stage, line.lane, line.rank = move.state, move.stage, move.lane, move.rank
        line.attempt, line.claims, line.wake_at = move.attempt, move.claims, move.wake_at
        line.stage_since, line.owner, line.updated = move.stage_since, None, move.now
        line.data = line.data if move.data is None else move.data
        line.subject = line.subject if move.subject is None else move.subject
        line.trouble = move.trouble if move.trouble is not None or move.clears_trouble else line.trouble
        line.lapsed |= set() if move.by_holder else {line.token}
        if line.state is State.PENDING:
            self._queue.add(line)
        if line.state is State.DONE:
            self._note_change(line)

    def _note_change(self, line: Line) -> None:
        if line.kind == "publish":
            self._marks += 1
            self._changed.pop(line.key, None)
            self._changed[line.key] = self._marks

    def _put(self, entry: QueueEntry) -> bool:
        """Put one task; return whether it is new or restarts one."""
        identity = (entry.kind, entry.key)
        if identity not in self._ids:
            line = Line.of(next(reversed(self._lines), 0) + 1, entry)
            self._ids[identity] = line.id
            self._lines[line.id] = line
            self._queue.add(line)
            return True
        line = self._lines[self._ids[identity]]
        what = decide_effect(entry, line.state, line.wish.restart_at if line.wish else None)
        if what is Effect.RESTART_LATER:
            line.wish, line.updated = entry, entry.now
        elif what is not Effect.NONE:
            before, line.data = line.data, merge_json(line.data, entry.data)
            if what is Effect.RESTART:
                self._start(line, entry, entry.now)
            elif line.data != before:
                line.updated = entry.now
        return what in (Effect.RESTART, Effect.RESTART_LATER)

    def _start(self, line: Line, entry: QueueEntry, now: float) -> None:
        assert entry.restart_at is not None
        assert entry.restart_lane is not None
        line.stage, line.lane, line.rank = entry.restart_at, entry.restart_lane, entry.restart_rank
        line.state, line.wake_at, line.stage_since, line.updated = State.PENDING, entry.due, now, now
        line.attempt = line.claims = 0
        line.wish = None
        self._queue.add(line)
