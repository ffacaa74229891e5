"""Both databases, side by side: any sequence of calls leaves the same to be seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pipeline.model import Lane, Parked, Placed, Result, Selection, Spend, State, Task, Trouble
from pipeline.ports import Database, RunNote
from tests.conformance.store_kit import fresh, moved, placed

KEYS = st.sampled_from(["a", "b", "c", "d"])
KINDS = st.sampled_from(["item", "video"])
STAGES = st.sampled_from(["one", "two"])
LANES = st.sampled_from([Lane.FETCH, Lane.POLL])
RANKS = st.integers(-1, 2)
SUBJECTS = st.sampled_from(["", "v", "w"])
#: Halves, so that sums are exact in whatever order they are taken.
TIMES = st.integers(0, 40).map(lambda number: number / 2)
DATA = st.dictionaries(
    st.sampled_from(["x", "y"]), st.sampled_from([None, True, 1, 1.5, "ü", [1], {"z": 1}]), max_size=2
)
TROUBLES = st.none() | st.builds(Trouble, st.sampled_from(["p", "q"]), st.just("No."))
ENTRIES = st.builds(
    placed, KEYS, kind=KINDS, stage=STAGES, data=DATA, lane=LANES, rank=RANKS, due=TIMES, subject=SUBJECTS,
    rearm=st.none() | STAGES, revive=st.booleans(), rearm_lane=LANES, rearm_rank=RANKS,
)  # fmt: skip
RESULTS = st.builds(Result, st.sampled_from(["v", "w"]), STAGES, st.just("f"), DATA, DATA, TIMES)
SPENDS = st.builds(Spend, KEYS, STAGES, TIMES, TIMES, SUBJECTS, st.booleans(), TIMES)
CHOICES = st.builds(
    Selection,
    st.lists(KINDS, max_size=2).map(tuple),
    st.lists(KEYS, max_size=2).map(tuple),
    st.lists(SUBJECTS, max_size=2).map(tuple),
    st.lists(st.sampled_from(State), max_size=2).map(tuple),
    st.lists(st.sampled_from(["p", "q"]), max_size=2).map(tuple),
    st.integers(0, 3),
    st.integers(0, 4),
)


class TwoDatabases(RuleBasedStateMachine):
    """Makes every call on both and compares the answers, then everything that can be read."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.memory = self._opened("memory")
        self.sqlite = self._opened("sqlite")
        self.now = 0.0
        self.known: list[Task] = []  #: every task as it was claimed: also leases that are stale by now

    def _opened(self, sort: str) -> Database:
        return self.runner.run(fresh(sort, Path(self.folder.name)))

    def same(self, call: str, *given: Any) -> Any:
        """Make one call on both; return the answer they agree on."""

        async def both() -> tuple[Any, Any]:
            return await _ask(self.memory, call, given), await _ask(self.sqlite, call, given)

        memory, sqlite = self.runner.run(both())
        assert memory == sqlite, call
        return memory

    @rule(tasks=st.lists(ENTRIES, min_size=1, max_size=4))
    def submit(self, tasks: list[Placed]) -> None:
        self.same("submit", tasks, self.now)

    @rule(room=st.dictionaries(LANES, st.integers(0, 3)), owner=st.sampled_from(["me", "you"]), length=TIMES)
    def claim(self, room: dict[Lane, int], owner: str, length: float) -> None:
        self.known += self.same("claim", room, owner, self.now, self.now + length)

    @rule(step=TIMES)
    def wait(self, step: float) -> None:
        self.now += step

    @rule(
        which=st.integers(0, 8), state=st.sampled_from([state for state in State if state is not State.RUNNING]),
        stage=STAGES, counters=st.tuples(st.integers(0, 3), st.integers(0, 3)), after=TIMES, data=st.none() | DATA,
        subject=st.none() | SUBJECTS, trouble=TROUBLES, word=st.sampled_from(["", "advanced"]),
        place=st.tuples(LANES, RANKS), results=st.lists(RESULTS, max_size=2), spend=st.lists(SPENDS, max_size=2),
        spawn=st.lists(ENTRIES, max_size=2),
    )  # fmt: skip
    def apply(self, which: int, counters: tuple[int, int], after: float, place: tuple[Lane, int], **given: Any) -> None:
        if which < len(self.known):
            task = self.known[-1 - which]
            outcome = moved(
                task, **given, attempt=counters[0], claims=counters[1], wake_at=self.now + after, lane=place[0],
                rank=place[1], since=self.now,
            )  # fmt: skip
            self.same("apply", outcome, self.now)

    @rule(number=st.integers(1, 4), length=TIMES)
    def renew(self, number: int, length: float) -> None:
        self.same("renew", self.known[-number:], self.now + length)

    @rule(verb=st.sampled_from(["cancel", "retry"]), which=CHOICES)
    def command(self, verb: str, which: Selection) -> None:
        self.same("command", verb, which, self.now)

    @rule(scope=LANES, length=TIMES)
    def park(self, scope: Lane, length: float) -> None:
        self.same("park", Parked(scope.value, self.now + length, Trouble("quota", "Spent.")))

    @rule(scope=LANES)
    def unpark(self, scope: Lane) -> None:
        self.same("unpark", [scope.value])

    @rule(number=st.integers(0, 2), started=TIMES, ended=st.none() | TIMES)
    def note_run(self, number: int, started: float, ended: float | None) -> None:
        self.same("note_run", RunNote(f"r{number}", started, ended, None, {"n": number}))

    @rule(which=CHOICES)
    def select(self, which: Selection) -> None:
        self.same("tasks", which)

    @rule()
    def reopen(self) -> None:
        """The file survives being closed; the time of the last claim is told again by the next one."""

        async def again() -> None:
            await self.sqlite.aclose()
            self.sqlite = await fresh("sqlite", Path(self.folder.name))

        self.runner.run(again())
        self.same("claim", {}, "nobody", self.now, self.now)

    @invariant()
    def look_alike(self) -> None:
        for call, given in (
            ("tasks", (Selection(),)), ("counts", ()), ("tally", ()), ("results", (["v", "w"],)), ("subjects", ("", 9)),
            ("spends", (["", "v", "w"],)), ("spent", (self.now / 2,)), ("parked", (self.now,)), ("runs", (2,)),
            ("next_due", ([Lane.FETCH, Lane.POLL],)), ("expired", (self.now,)), ("expired", (None,)),
        ):  # fmt: skip
            self.same(call, *given)

    def teardown(self) -> None:
        self.runner.run(self.sqlite.aclose())
        self.runner.run(self.memory.aclose())
        self.runner.close()
        self.folder.cleanup()


async def _ask(database: Database, call: str, given: tuple[Any, ...]) -> Any:
    asked: Awaitable[Any] = getattr(database, call)(*given)
    return await asked


TestTwoDatabases = TwoDatabases.TestCase
TestTwoDatabases.__doc__ = "Any sequence of calls gets the same answers from both, and leaves the same to be read."
TestTwoDatabases.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
