"""All databases, side by side: any sequence of calls leaves the same to be seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.core.model import Lane, Parked, Placed, Result, RunNote, Selection, Spend, State, Task, Trouble
from pipeline.ports.store import Database
from tests.conformance.store_kit import moved, opened, placed
from tests.support.postgres import Databases

KEYS = st.sampled_from(["a", "b", "c", "d"])
KINDS = st.sampled_from(["item", "video"])
STAGES = st.sampled_from(["one", "two"])
LANES = st.sampled_from([Lane.FETCH, Lane.POLL])
RANKS = st.integers(-1, 2)
SUBJECTS = st.sampled_from(["", "v", "w"])
#: Halves, so that sums are exact in whatever order they are taken.
TIMES = st.integers(0, 10).map(lambda number: number / 2)
DATA = st.dictionaries(
    st.sampled_from(["x", "y"]), st.sampled_from([None, True, 1, 1.5, "ü", [1], {"z": 1}]), max_size=2
)
TROUBLES = st.none() | st.builds(Trouble, st.sampled_from(["p", "q"]), st.just("No."))
ENTRIES = st.builds(
    placed, KEYS, kind=KINDS, stage=STAGES, data=DATA, lane=LANES, rank=RANKS, due=TIMES, subject=SUBJECTS,
    restart_at=st.none() | STAGES, restart_failed=st.booleans(), restart_lane=LANES, restart_rank=RANKS,
)  # fmt: skip
RESULTS = st.builds(Result, st.sampled_from(["v", "w"]), STAGES, st.just("f"), DATA, DATA, TIMES)
SPENDS = st.builds(Spend, KEYS, STAGES, TIMES, TIMES, SUBJECTS, st.booleans(), TIMES)
ENDS = st.fixed_dictionaries({
    "state": st.sampled_from([State.DONE, *(state for state in State if state is not State.RUNNING)]), "stage": STAGES,
    "attempt": st.integers(0, 3), "claims": st.integers(0, 3), "after": TIMES, "data": st.none() | DATA,
    "subject": st.none() | SUBJECTS, "trouble": TROUBLES, "by_holder": st.booleans(), "word": st.sampled_from(["", "advanced"]),
    "lane": LANES, "rank": RANKS, "results": st.lists(RESULTS, max_size=2), "spend": st.lists(SPENDS, max_size=2),
    "spawn": st.lists(ENTRIES, max_size=2),
})  # fmt: skip
OWNERS = st.sampled_from(["me", "you"])
ASIDE = st.sampled_from(["renew", "park", "unpark", "bring_forward", "note_run", "tasks", "reopen"])
FIELDS = st.one_of(
    st.fixed_dictionaries({"kinds": st.tuples(KINDS)}),
    st.fixed_dictionaries({"keys": st.lists(KEYS, min_size=1, max_size=2).map(tuple)}),
    st.fixed_dictionaries({"subjects": st.tuples(SUBJECTS)}),
    st.fixed_dictionaries({"states": st.lists(st.sampled_from(State), min_size=2, max_size=3).map(tuple)}),
    st.fixed_dictionaries({"classes": st.tuples(st.sampled_from(["p", "q"]))}),
    st.fixed_dictionaries({"limit": st.integers(0, 3), "after_id": st.integers(0, 4)}),
)
CHOICES = st.builds(lambda one, two: Selection(**{**one, **two}), FIELDS, st.just({}) | FIELDS)


class SideBySide(RuleBasedStateMachine):
    """Makes every call on all of them and compares the answers, then everything that can be read."""

    sorts: ClassVar[Sequence[str]] = ("memory", "sqlite")
    any_order: ClassVar[bool] = False  #: of what is due at one rank: then there must be room for all of it
    databases: ClassVar[Databases]  #: of PostgreSQL

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.lent = self.databases.lent()
        self.url = self.runner.run(self.lent.__aenter__())
        self.sides = {sort: self._opened(sort) for sort in self.sorts}
        self.now = 5.0
        self.known: list[Task] = []  #: every task as it was claimed: also leases that are stale by now

    def _opened(self, sort: str) -> Database:
        return self.runner.run(opened(sort, Path(self.folder.name), self.url))

    def same(self, call: str, *given: Any) -> Any:
        """Make one call on each; return the answer they agree on."""
        return self._all_same([(call, given)])[0]

    def _all_same(self, calls: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        async def each() -> dict[str, list[Any]]:
            return {sort: [await _ask(side, call, given) for call, given in calls] for sort, side in self.sides.items()}

        answers = self.runner.run(each())
        expected = answers.pop("memory")
        for sort, found in answers.items():
            for (call, given), one, other in zip(calls, expected, found, strict=True):
                if self.any_order and call == "claim":
                    one, other = sorted(one, key=lambda task: task.id), sorted(other, key=lambda task: task.id)
                assert one == other, (sort, call, given)
        return expected

    @initialize(tasks=st.lists(ENTRIES, min_size=6, max_size=10))
    def begin(self, tasks: list[Placed]) -> None:
        self.same("submit", tasks, self.now)
        self.claim({Lane.FETCH: 2, Lane.POLL: 2}, "me", 5.0)

    @rule(tasks=st.lists(ENTRIES, min_size=1, max_size=4))
    def submit(self, tasks: list[Placed]) -> None:
        self.same("submit", tasks, self.now)

    @rule(free_slots=st.dictionaries(LANES, st.integers(1, 3), min_size=1), owner=OWNERS, length=TIMES)
    def claim(self, free_slots: dict[Lane, int], owner: str, length: float) -> None:
        self.now += 1.5
        free_slots = dict.fromkeys(free_slots, 99) if self.any_order else free_slots
        self.known += self.same("claim", free_slots, owner, self.now, self.now + length)

    @precondition(lambda self: self.known)
    @rule(ends=st.lists(ENDS, min_size=1, max_size=3), again=st.booleans())
    def apply(self, ends: list[dict[str, Any]], again: bool) -> None:
        """Hand in outcomes for the tasks claimed last, whether or not their leases still hold; then claim on."""
        for back, end in enumerate(ends):
            task = self.known[-1 - back % len(self.known)]
            after = end["after"]
            given = {field: value for field, value in end.items() if field != "after"}
            self.same("apply", moved(task, **given, wake_at=self.now + after, since=self.now), self.now)
        if again:
            self.claim({Lane.FETCH: 2, Lane.POLL: 2}, "me", 5.0)

    @precondition(lambda self: self.known)
    @rule(
        back=st.integers(0, 3), stage=STAGES, lane=LANES, rank=RANKS, due=TIMES, data=DATA, restart_failed=st.booleans()
    )
    def restart_at(self, back: int, stage: str, lane: Lane, rank: int, **given: Any) -> None:
        """Put a task again that was claimed lately, so that wishes meet running tasks."""
        task = self.known[-1 - back % len(self.known)]
        entry = placed(task.key, kind=task.kind, restart_at=stage, restart_lane=lane, restart_rank=rank, **given)
        self.same("submit", [entry], self.now)

    @rule(verb=st.sampled_from(["cancel", "retry"]), which=CHOICES)
    def command(self, verb: str, which: Selection) -> None:
        self.same("command", verb, which, self.now)

    @rule(which=CHOICES, scope=LANES, length=TIMES, number=st.integers(0, 2), ended=st.none() | TIMES, choice=ASIDE)
    def aside(
        self, which: Selection, scope: Lane, length: float, number: int, ended: float | None, choice: str
    ) -> None:
        match choice:
            case "renew":
                self.same("renew", self.known[-1 - number :], self.now + length)
            case "park":
                self.same("park", Parked(scope.value, self.now + length, Trouble("p", "Spent.")), self.now)
            case "unpark":
                self.same("unpark", [scope.value], list(which.classes), self.now)
            case "bring_forward":
                self.same("bring_forward", self.now - length)
            case "note_run":
                self.same("note_run", RunNote(f"r{number}", length, ended, None, {"n": number}))
            case "tasks":
                self.same("tasks", which)
            case _:
                self._reopen()

    def _reopen(self) -> None:
        """What is stored survives being closed."""
        for sort in self.sorts[1:]:
            self.runner.run(self.sides[sort].aclose())
            self.sides[sort] = self._opened(sort)

    @invariant()
    def look_alike(self) -> None:
        self._all_same([
            ("tasks", (Selection(),)), ("counts", ()), ("tally", ()), ("results", (["v", "w"],)), ("subjects", ("", 9)),
            ("spends", (["", "v", "w"],)), ("spent", (self.now / 2,)), ("parked", (self.now,)), ("runs", (2,)),
            ("next_due", ([Lane.FETCH, Lane.POLL],)), ("expired", (self.now,)), ("expired", (None,)),
        ])  # fmt: skip

    def teardown(self) -> None:
        for side in self.sides.values():
            self.runner.run(side.aclose())
        self.runner.run(self.lent.__aexit__(None, None, None))
        self.runner.close()
        self.folder.cleanup()


async def _ask(database: Database, call: str, given: tuple[Any, ...]) -> Any:
    asked: Awaitable[Any] = getattr(database, call)(*given)
    return await asked


@pytest.fixture(scope="module", autouse=True)
def _postgres(databases: Databases) -> None:
    SideBySide.databases = databases


class AllSideBySide(SideBySide):
    """With PostgreSQL, whose every answer is a round trip."""

    sorts = ("memory", "sqlite", "postgres")


class HintedSideBySide(SideBySide):
    """With PgQueuer inside PostgreSQL, which goes by when a task was put, not by when it was due."""

    sorts = ("memory", "pgqueuer")
    any_order = True

    @invariant()
    def hints_stand_for_rows(self) -> None:
        """Each pending task has one queued hint, each running one the hint it was given out by, and no other has any."""
        database: Any = self.sides["pgqueuer"]
        self.runner.run(check_hints(database))


async def check_hints(database: Any) -> None:
    """Compare the hints with the rows."""
    rows = await database._reader.fetch(
        "SELECT id::text, state, lane, rank FROM task WHERE state IN ('pending', 'running')"
    )
    found = await database._reader.fetch("SELECT dedupe_key, status, entrypoint, priority FROM pgqueuer ORDER BY id")
    queued = {tuple(row[:1]) + tuple(row[2:]) for row in rows if row[1] == "pending"}
    assert sorted(tuple(row[:1]) + tuple(row[2:]) for row in found if row[1] == "queued") == sorted(queued)
    assert {row[0] for row in found if row[1] == "picked"} <= {row[0] for row in rows if row[1] == "running"}


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


TestSideBySide = SideBySide.TestCase
TestSideBySide.__doc__ = "Any sequence of calls gets the same answers from both, and leaves the same to be read."
TestSideBySide.settings = _settings(60)
TestAllSideBySide = AllSideBySide.TestCase
TestAllSideBySide.__doc__ = "The same with PostgreSQL; fewer sequences."
TestAllSideBySide.settings = _settings(15)
TestHintedSideBySide = HintedSideBySide.TestCase
TestHintedSideBySide.__doc__ = "The same with PgQueuer inside PostgreSQL."
TestHintedSideBySide.settings = _settings(8)
