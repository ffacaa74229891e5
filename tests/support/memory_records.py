"""The reading side of the database in dictionaries."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import nsmallest
from itertools import islice
from json import loads
from pathlib import Path

from pipeline.core.model import (
    About,
    CostGroup,
    CostKey,
    Counts,
    FactPath,
    ItemQuery,
    Json,
    ListedItem,
    Parked,
    PendingGroup,
    Result,
    RunNote,
    Selection,
    Spend,
    Standing,
    State,
    Stopped,
    Task,
)
from pipeline.ports.budget import CountedEntry, LedgerDays
from pipeline.store.encoding import (
    QueueEntry,
    Row,
    parse_note,
    parse_parked,
    parse_result,
    parse_spend,
    parse_task,
    storable_part,
    to_json,
)
from pipeline.store.sqlite.errors import closed

#: Where a task's data has names.
_NAMES = (
    "source", "locator", "place", "line.id", "line.title", "line.tags", "about.title", "title", "folder", "media_id",
    "answer_id", "asset_id", "video_id",
)  # fmt: skip
_LIVE = (State.PENDING, State.RUNNING)
#: How bad the state of one task is for the item whose video it is about.
_WEIGHT = {State.HELD: 3, State.FAILED: 2, State.PENDING: 1, State.RUNNING: 1}

_WORDS = ("done", "working", "failed", "held", "cancelled")  #: the last for -1
_STANDING: Sequence[Standing] = ("done", "working", "failed", "held", "cancelled")


def _in_lower_case(text: str) -> str:
    return "".join(char.lower() if char.isascii() else char for char in text)


@dataclass(slots=True)
class Line:
    """One row of the task table."""

    id: int
    kind: str
    key: str
    stage: str
    data: str
    lane: str
    rank: int
    subject: str
    wake_at: float | None
    stage_since: float
    created: float
    updated: float
    state: State = State.PENDING
    attempt: int = 0
    claims: int = 0
    owner: str | None = None
    token: int = 0
    trouble: str | None = None
    wish: QueueEntry | None = None  #: a restart that arrived while running
    lapsed: set[int] = field(default_factory=set)  #: tokens of leases that others have ended

    @classmethod
    def of(cls, number: int, entry: QueueEntry) -> Line:
        """Return the row of a new task."""
        return cls(
            number, entry.kind, entry.key, entry.stage, entry.data, entry.lane, entry.rank, entry.subject, entry.due,
            entry.now, entry.now, entry.now,
        )  # fmt: skip

    def task(self) -> Task:
        """Return the value, sharing nothing with the row."""
        return parse_task(
            (
                self.id, self.kind, self.key, self.stage, self.data, self.state.value, self.lane, self.rank, self.subject,
                self.attempt, self.claims, self.wake_at, self.stage_since, self.created, self.updated, self.owner,
                self.token, self.trouble,
            )
        )  # fmt: skip

    def ended_by_holder(self, token: int) -> bool:
        """Return True if a lease ended with the outcome of its holder."""
        return 1 <= token <= self.token - (self.state is State.RUNNING) and token not in self.lapsed

    def mentions(self, text: str) -> bool:
        """Return True if a name of the task holds a text, as SQLite's LIKE compares it."""
        if self.kind not in ("item", "listing", "video", "indexing", "publish"):
            return False
        names = _in_lower_case("\n".join(self._names()))
        return any(_in_lower_case(each) in names for each in (storable_part(text), to_json(text)[1:-1]))

    def _names(self) -> Iterator[str]:
        yield "" if self.key.startswith("sha256:") else self.key
        for place in _NAMES:
            value = loads(self.data)
            for name in place.split("."):
                value = value.get(name) if isinstance(value, dict) else None
            text = value if isinstance(value, str) else "" if value is None else to_json(value)
            yield f"file:{text}" if text and place in ("source", "locator") and f"file:{text}" != self.key else text

    @property
    def code(self) -> str | None:
        """The trouble's code."""
        return None if self.trouble is None else loads(self.trouble)["code"]


class MemoryRecords:
    """Records over dictionaries, all in the order of first insertion."""

    def __init__(self) -> None:
        self._lines: dict[int, Line] = {}
        self._ids: dict[tuple[str, str], int] = {}
        self._results: dict[tuple[str, str, str], Row] = {}
        self._spends: dict[str, Row] = {}
        self._parked: dict[str, Row] = {}
        self._runs: dict[str, Row] = {}
        self._notes: dict[str, str] = {}
        self._closed = False

    def _check(self) -> None:
        if self._closed:
            raise closed(Path(":memory:"))

    def _selected(self, which: Selection) -> Iterator[Line]:
        kinds, keys, subjects = frozenset(which.kinds), frozenset(which.keys), frozenset(which.subjects)
        states, classes, stages = frozenset(which.states), frozenset(which.classes), frozenset(which.stages)
        found = (
            line
            for line in self._lines.values()
            if line.id > which.after_id
            and (not kinds or line.kind in kinds)
            and (not keys or line.key in keys)
            and (not subjects or line.subject in subjects)
            and (not states or line.state in states)
            and (not stages or line.stage in stages)
            and (not classes or line.code in classes)
            and line.updated >= which.since
            and line.subject.startswith(which.begins)
            and (not which.mentions or any(line.mentions(text) for text in which.mentions))
        )
        return islice(found, which.limit or None)

    async def tasks(self, which: Selection) -> list[Task]:
        self._check()
        return [line.task() for line in self._selected(which)]

    async def keys(self, which: Selection) -> list[tuple[int, str]]:
        self._check()
        return [(line.id, line.key) for line in self._selected(which)]

    async def results(self, subjects: Sequence[str], without: Sequence[str] = ()) -> list[Result]:
        self._check()
        wanted, left_out = frozenset(subjects), frozenset(without)
        found = [parse_result(row) for row in self._results.values() if row[0] in wanted and row[1] not in left_out]
        return sorted(found, key=lambda result: result.created)

    async def about(self, subject: str) -> About:
        tasks = await self.tasks(Selection(subjects=(subject,)))
        return About(tasks, await self.results([subject]), await self.spends([subject]))

    async def subjects(self, after: str, limit: int) -> list[str]:
        self._check()
        return nsmallest(limit, {row[0] for row in self._results.values() if row[0] > after})

    async def counts(self) -> Counts:
        self._check()
        by: defaultdict[str, Counter[str]] = defaultdict(Counter)
        in_lane: Counter[str] = Counter()
        troubles: Counter[str] = Counter()
        for line in self._lines.values():
            by[line.kind][line.state.value] += 1
            if line.state in _LIVE:
                in_lane[line.lane] += 1
            if line.state in (State.FAILED, State.HELD) and line.code is not None:
                troubles[line.code] += 1
        return Counts({kind: dict(states) for kind, states in by.items()}, dict(in_lane), dict(troubles))

    async def stopped(self, kinds: Sequence[str], ignored: Sequence[int]) -> Stopped:
        self._check()
        members, classes, away = set[str](), Counter[str](), 0
        for line in self._lines.values():
            if line.state not in (State.FAILED, State.HELD) or line.kind not in kinds:
                continue
            if line.id in ignored or not (line.kind in ("item", "listing") or any(self._near(line, "item"))):
                away += 1
                continue
            members.add(line.subject or line.key)
            classes[line.code or "unknown"] += 1
        return Stopped(len(members), classes, away)

    async def pending(self, now: float) -> list[PendingGroup]:
        self._check()
        alike: defaultdict[tuple[str, str, str, str | None, bool], list[Line]] = defaultdict(list)
        for line in self._lines.values():
            if line.state is State.PENDING and line.wake_at is not None:
                alike[line.kind, line.stage, line.lane, line.code, line.wake_at > now].append(line)
        groups = []
        for lines in alike.values():
            dues = [line.wake_at for line in lines if line.wake_at is not None]
            items = {line.subject or line.key for line in lines}
            groups.append(PendingGroup(len(items), min(dues), max(dues), lines[0].task()))
        return sorted(groups, key=lambda group: (group.due, group.example.id))

    async def tally(self, *, by_video: bool = False) -> Mapping[str, int]:
        self._check()
        tally = dict.fromkeys(("done", "failed", "held", "cancelled", "working"), 0)
        for weights in self._weights().values():
            for weight in [max(weights)] if by_video else weights:
                tally[_WORDS[weight]] += 1
        return tally

    def _entered_since(self, number: int) -> list[CountedEntry]:
        spends = islice(self._spends.values(), number, None)
        return [CountedEntry(place, row[0], row[2], row[6], row[9]) for place, row in enumerate(spends, number + 1)]

    async def entered_since(self, number: int) -> list[CountedEntry]:
        self._check()
        return self._entered_since(number)

    async def daily(self) -> LedgerDays:
        self._check()
        days: defaultdict[int, float] = defaultdict(float)
        for spend in map(parse_spend, self._spends.values()):
            days[int(spend.at // 86_400)] += spend.usd
        return LedgerDays(days, len(self._spends))

    async def items(self, which: ItemQuery) -> AsyncGenerator[Sequence[ListedItem], None]:
        self._check()
        found = [(line, self._listed(line, which)) for line in self._lines.values() if line.kind == "item"]
        found = [
            (line, listed) for line, listed in found
            if (not which.standing or listed.standing in which.standing) and line.key.startswith(which.begins)
            and all(any(near.mentions(text) for near in self._written(line)) for text in which.mentions)
        ]  # fmt: skip
        if which.order:
            found.sort(key=lambda pair: (_in_lower_case(self._title(pair[0], which.order)), pair[0].id))
        else:
            found.reverse()
        for start in range(0, len(found), 2):
            yield [listed for _, listed in found[start : start + 2]]

    def _near(self, line: Line, kind: str = "") -> Iterator[Line]:
        if line.subject:
            yield from (
                each for each in self._lines.values() if each.subject == line.subject and kind in ("", each.kind)
            )

    def _written(self, line: Line) -> Iterator[Line]:
        yield from (line, *self._near(line, "publish"))

    def _fact(self, line: Line, path: FactPath) -> Json:
        kind, place = path
        near = line if kind == "item" else next(self._near(line, kind), None)
        value = None if near is None else loads(near.data)
        for name in place.removeprefix("$.").split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def _title(self, line: Line, order: Sequence[FactPath]) -> str:
        return next((text for text in (self._fact(line, path) for path in order) if text), "")

    def _listed(self, line: Line, which: ItemQuery) -> ListedItem:
        written = any(each.state is State.DONE for each in self._near(line, "publish"))
        counting = [
            each for each in self._near(line)
            if not (written and each.id in which.ignored and each.state in (State.HELD, State.FAILED))
        ]  # fmt: skip
        worst = max((_WEIGHT.get(each.state, 0) for each in counting), default=0)
        weight = worst if line.state is State.DONE else _WEIGHT.get(line.state, -1)
        spends = [parse_spend(row) for row in self._spends.values() if row[4] == line.subject != ""]
        facts = tuple(self._fact(line, path) for path in which.facts)
        usd, doubtful = sum((each.usd for each in spends), 0.0), sum(each.doubtful for each in spends)
        return ListedItem(line.task(), _STANDING[weight], facts, usd, doubtful)

    def _weights(self) -> Mapping[str, list[int]]:
        """Return how bad each item is, by video."""
        worst: defaultdict[str, int] = defaultdict(int)
        for line in self._lines.values():
            if line.subject:
                worst[line.subject] = max(worst[line.subject], _WEIGHT.get(line.state, 0))
        videos: defaultdict[str, list[int]] = defaultdict(list)
        for line in self._lines.values():
            if line.kind == "item":
                weight = worst.get(line.subject, 0) if line.state is State.DONE else _WEIGHT.get(line.state, 0)
                videos[line.subject or f"item {line.id}"].append(-1 if line.state is State.CANCELLED else weight)
        return videos

    async def parked(self, now: float) -> list[Parked]:
        self._check()
        return [parse_parked(row) for _, row in sorted(self._parked.items()) if row[1] > now]

    async def spent(self, since: float = 0.0) -> tuple[float, float, int]:
        self._check()
        spends = [parse_spend(row) for row in self._spends.values() if row[6] >= since]
        return (
            sum((spend.usd for spend in spends), 0.0),
            sum((spend.minutes for spend in spends), 0.0),
            sum(spend.doubtful for spend in spends),
        )

    async def spends(self, subjects: Sequence[str]) -> list[Spend]:
        self._check()
        wanted = frozenset(subjects)
        return [parse_spend(row) for row in self._spends.values() if row[4] in wanted]

    async def costs(self, by: CostKey, since: float = 0.0) -> list[CostGroup]:
        self._check()
        items = {line.subject: line.key for line in reversed(self._lines.values()) if line.kind == "item"}
        groups: defaultdict[str, list[Spend]] = defaultdict(list)
        for spend in map(parse_spend, self._spends.values()):
            if spend.at >= since:
                day = datetime.fromtimestamp(spend.at, UTC).strftime("%Y-%m-%d")
                source = items.get(spend.subject, spend.subject) if spend.subject else ""
                named = {"kind": spend.what, "job": spend.jobs or spend.what, "run": spend.run, "day": day}
                groups[{**named, "month": day[:7], "source": source}[by]].append(spend)
        return [_summed(name, spends) for name, spends in sorted(groups.items())]

    async def runs(self, limit: int) -> list[RunNote]:
        self._check()
        oldest_first = sorted(self._runs.values(), key=lambda row: row[1])
        return [parse_note(row) for row in oldest_first[::-1][:limit]]


def _summed(name: str, spends: Sequence[Spend]) -> CostGroup:
    sure = [spend for spend in spends if not spend.doubtful]
    return CostGroup(
        name,
        calls=sum(spend.calls for spend in spends),
        settled=sum(spend.settlement for spend in spends),
        estimate=sum((spend.estimate for spend in sure), 0.0),
        usd=sum((spend.usd for spend in sure), 0.0),
        minutes=sum((spend.minutes for spend in spends), 0.0),
        doubtful=len(spends) - len(sure),
        doubtful_usd=sum((spend.usd for spend in spends if spend.doubtful), 0.0),
        videos=len({spend.subject for spend in spends} - {""}),
        unpriced=sum(spend.calls for spend in spends if spend.what == "ask" and not spend.usd and not spend.estimate),
    )
