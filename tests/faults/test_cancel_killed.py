"""``cancel`` while the platform is at work, dead at every call: the same command, or the next run, does the rest."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.operator.retry_cancel import _Operator
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.budget.limits import SpendingLimits
from pipeline.core.model import Recalled, Selection, State, Task
from pipeline.ingest.ending import recalls
from pipeline.ingest.ending.costs import AnalysisCosts
from pipeline.ingest.ending.recalls import Recalls
from pipeline.ingest.look_schedule import LookSchedule
from pipeline.ingest.paid_call import Billing
from tests.simulation.schedule import Fault
from tests.simulation.vendor import Reply
from tests.simulation.wire import Accidents
from tests.support.clock import run_virtual
from tests.support.fakes import Crash, Wreck, Wrecked, clips, items
from tests.support.memory_database import MemoryDatabase
from tests.support.scripted_run import Life, ScriptedClient, priced

FILMS = 3


class Cancelled:
    """Three videos of which the platform has one question each; an operator cancels them."""

    def __init__(self, folder: Path, mode: str = "off", fault: Fault | None = None, attempts: int = 8) -> None:
        settings = {"jobs": {"enabled": ["gist"]}, "batches": {"mode": mode}, "run": {"max_time": 400}}
        self.life = Life.at(folder, None, **priced(**settings, policy={"attempts": attempts}))
        self.entries = items(clips(folder, FILMS))
        self.life.platform.behave(think=30_000.0)
        self.life.platform.accidents = Accidents(() if fault is None else (fault,))
        if fault is None:
            assert run_virtual(self.life.run(self.entries)).exit_code == 6
            assert len(self.asked) == FILMS
        else:
            with pytest.raises((Crash, BaseExceptionGroup)):
                run_virtual(self.life.run(self.entries))
        lines = self.life.database._lines.values()
        #: How many calls were on their way when the process died.
        self.begun = sum(line.kind == "analysis" and line.state is State.RUNNING for line in lines)
        self.pass_time()

    def pass_time(self, seconds: float = 3_600.0) -> None:
        """Let time pass before the next process, whose virtual time begins at zero."""
        self.life.clock.skew += seconds

    def kept(self) -> bytes:
        """Return everything that is outside of processes, as it is now."""
        return pickle.dumps((self.life.clock, self.life.database, self.life.platform))

    def restore(self, kept: bytes) -> None:
        """Go back to what was kept."""
        self.life.clock, self.life.database, self.life.platform = pickle.loads(kept)
        self.life.api = ScriptedClient(self.life.platform)

    def command(self, wreck: Wreck | None = None) -> Recalled:
        """Be one process of the command."""

        async def go() -> Recalled:
            life = self.life
            life.api.reopen()
            database: Any = Wrecked(life.database, wreck or Wreck(), "store", spared=("aclose",))
            await _Operator(life.settings, database, now=life.clock.now()).cancel_all(
                (State.PENDING, State.RUNNING, State.HELD)
            )
            return await self.recalls(wreck).carry_out()

        return run_virtual(go())

    def recalls(self, wreck: Wreck | None = None) -> Recalls:
        """Return what tells the platform."""
        life = self.life
        api: Any = Wrecked(life.api, wreck or Wreck(), "api")
        database: Any = Wrecked(life.database, wreck or Wreck(), "store", spared=("aclose",))
        plan = make_run_plan(life.settings)
        billing = Billing(SpendingLimits(life.settings.budget, life.clock), database, life.clock)
        costs = AnalysisCosts(plan.planner, plan.prices.analysis, billing)
        looks = LookSchedule(api.grace, life.clock, life.database, api.identity)
        return Recalls(api, api.batches, costs, database, looks, life.clock)

    @property
    def asked(self) -> list[Any]:
        """The platform's analyses."""
        return [thing for thing in self.life.platform.things.values() if thing.kind == "analysis"]

    def check(self, accepted: int = FILMS) -> None:
        """All were cancelled, and what each has cost is counted, or freed, once."""
        assert [thing.word(1e12, "") for thing in self.asked] == ["canceled"] * accepted
        ours: dict[str, float] = {}
        for row in self.life.database._spends.values():
            ours[str(row[0]).partition("/")[0]] = ours.get(str(row[0]).partition("/")[0], 0.0) + float(row[2])
        for thing in self.asked:
            assert ours[thing.name] >= thing.data["usd"] - 1e-9
            assert not thing.data.get("tells") or ours[thing.name] == pytest.approx(thing.data["usd"])
        assert {task.state for task in run_virtual(self.life.tasks("analysis"))} == {State.CANCELLED}
        assert run_virtual(self.life.database.load("recalls")) is None


def test_the_platform_is_told_and_its_words_are_told_on(tmp_path: Path) -> None:
    """How many it has cancelled, and what the ledger goes on counting for them."""
    it = Cancelled(tmp_path)
    told = it.command()
    assert (told.cancelled, told.answered, told.going_on, told.untold) == (FILMS, 0, 0, 0)
    assert told.usd > 0
    it.check()


#: The first paid call after the uploads: the process is killed while the platform takes it, or before.
SENT, UNSENT = Fault("pay", FILMS + 1, "die sent"), Fault("pay", FILMS + 1, "die before")


@pytest.mark.parametrize(
    ("finish", "mode", "fault", "accepted"),
    [
        ("command", "off", None, FILMS),
        ("run", "off", None, FILMS),
        ("command", "off", SENT, 1),
        ("run", "off", SENT, 1),
        ("run", "always", SENT, FILMS),
    ],
)
def test_whenever_it_dies_the_rest_is_done(
    tmp_path: Path, finish: str, mode: str, fault: Fault | None, accepted: int
) -> None:
    """Before and after each call: what was noted is told by whoever comes next, and nothing is counted twice. So it is where
    nobody has heard whether the platform has accepted anything.
    """
    it, numbers = Cancelled(tmp_path, mode, fault), Wreck()
    kept = it.kept()
    it.command(numbers)
    for number in range(1, len(numbers.calls) + 1):
        for when in ("before", "after"):
            it.restore(kept)
            with pytest.raises((Crash, BaseExceptionGroup)):
                it.command(Wreck((number, when)))
            done = {task.state for task in run_virtual(it.life.tasks("analysis"))} == {State.CANCELLED}
            it.pass_time()
            if finish == "command" or not done:
                it.command()
            else:
                run_virtual(it.life.run([]))
            if fault is not None:  # what the platform does not show is looked for once more
                it.pass_time()
                it.command()
            it.check(accepted)


def test_a_call_that_nobody_heard_of_is_looked_for_and_cancelled(tmp_path: Path) -> None:
    """The platform has one of three; what it does not show stays noted, and counted, until it is certain."""
    it = Cancelled(tmp_path, fault=SENT)
    told = it.command()
    assert it.begun > 1
    assert (told.cancelled, told.sought, told.absent, told.untold) == (1, it.begun - 1, 0, 0)
    it.pass_time(60.0)
    assert it.command().sought == it.begun - 1
    it.pass_time()
    told = it.command()
    assert (told.cancelled, told.sought, told.absent) == (0, 0, it.begun - 1)
    it.check(1)
    assert sum(float(row[2]) > 0 for row in it.life.database._spends.values()) == FILMS


def test_a_call_that_was_given_up_and_made_again_is_looked_for(tmp_path: Path) -> None:
    """It may still be accepted: what was looked for in vain before says nothing of it."""
    it = Cancelled(tmp_path, fault=UNSENT, attempts=2)
    it.life.platform.accidents = Accidents([Fault("pay", number, "dropped") for number in range(1, 50)])
    for _ in range(3):
        run_virtual(it.life.run(it.entries))
        it.pass_time()
    tasks = run_virtual(it.life.tasks("analysis"))
    assert [(task.state, task.stage) for task in tasks] == [(State.FAILED, "price")] * FILMS
    it.life.platform.accidents = Accidents((Fault("pay", 1, "die sent"),))

    async def again() -> Any:
        await it.life.database.command("retry", Selection(), it.life.clock.now())
        return await it.life.run(it.entries)

    with pytest.raises((Crash, BaseExceptionGroup)):
        run_virtual(again())
    vendor: Any = it.life.platform._vendors["v1.3"]
    shown, vendor.shown = vendor.shown, lambda *kinds: []
    sent = sum(task.stage == "submit" for task in run_virtual(it.life.tasks("analysis")))
    assert it.command().sought == sent > 0
    vendor.shown = shown
    it.pass_time(60.0)
    assert it.command().cancelled == 1


@pytest.mark.parametrize(("mode", "accepted"), [("off", 1), ("always", FILMS)])
def test_a_call_that_shows_after_it_was_cancelled_is_found_by_the_next_run(
    tmp_path: Path, mode: str, accepted: int
) -> None:
    """It is listed only after the command has looked: the run cancels it when it finds it."""
    it = Cancelled(tmp_path, mode, SENT)
    vendor: Any = it.life.platform._vendors["v1.3"]
    shown, vendor.shown = vendor.shown, lambda *kinds: []
    assert it.command().sought == (it.begun if mode == "off" else FILMS)
    vendor.shown = shown
    it.pass_time(20.0)
    run_virtual(it.life.run([]))
    assert [thing.word(1e12, "") for thing in it.asked] == ["canceled"] * accepted
    it.pass_time()
    it.command()
    it.check(accepted)


def test_a_batch_that_nobody_heard_of_is_looked_for_and_cancelled(tmp_path: Path) -> None:
    """By its items; without a word of ours, the platform would answer, and bill, all of them."""
    it = Cancelled(tmp_path, "always", SENT)
    told = it.command()
    assert (told.cancelled, told.sought, told.untold) == (FILMS, 0, 0)
    run_virtual(it.life.run([]))
    it.check()
    assert sum(float(row[2]) for row in it.life.database._spends.values()) == pytest.approx(0.0)


@pytest.mark.parametrize("fault", [SENT, UNSENT])
@pytest.mark.parametrize("mode", ["off", "always"])
def test_a_call_in_doubt_that_was_cancelled_and_is_retried(tmp_path: Path, mode: str, fault: Fault) -> None:
    """What was cancelled at the platform is asked again; what it never showed is told as possibly paid twice."""
    it = Cancelled(tmp_path, mode, fault)
    it.command()
    it.life.platform.behave(think=25.0)

    async def again() -> Any:
        await it.life.database.command("retry", Selection(), it.life.clock.now())
        return await it.life.run(it.entries)

    report = run_virtual(again())
    assert (report.exit_code, report.items["done"]) == (0, FILMS)
    words = [thing.word(1e12, "") for thing in it.asked]
    assert words.count("ready") == FILMS


def test_what_was_cancelled_and_is_retried_is_asked_again(tmp_path: Path) -> None:
    """It is another call with another price; nothing is in doubt."""
    it = Cancelled(tmp_path)
    it.command()
    it.life.platform.behave(think=25.0)

    async def again() -> Any:
        await it.life.database.command("retry", Selection(), it.life.clock.now())
        return await it.life.run(it.entries)

    report = run_virtual(again())
    assert (report.exit_code, report.items["done"], report.doubtful) == (0, FILMS, 0)
    assert [thing.word(1e12, "") for thing in it.asked] == ["canceled"] * FILMS + ["ready"] * FILMS


def test_a_batch_of_cancelled_items_is_cancelled_and_costs_nothing(tmp_path: Path) -> None:
    """At once; the next run books that what a batch has not answered is free."""
    it = Cancelled(tmp_path, "always")
    told = it.command()
    assert (told.cancelled, told.usd) == (FILMS, 0.0)
    run_virtual(it.life.run([]))
    it.check()
    assert sum(float(row[2]) for row in it.life.database._spends.values()) == pytest.approx(0.0)


def test_a_platform_that_cannot_be_reached_is_told_later(tmp_path: Path) -> None:
    """The items are put away all the same; the next run tells it."""
    it = Cancelled(tmp_path)
    vendor: Any = it.life.platform._vendors["v1.3"]
    vendor._stop_analysis = lambda request, task_id: Reply(503)
    told = it.command()
    assert (told.untold, told.cancelled, told.trouble is not None) == (FILMS, 0, True)
    del vendor._stop_analysis
    run_virtual(it.life.run([]))
    it.check()


@pytest.mark.parametrize("mode", ["off", "always"])
def test_another_platform_is_not_told(tmp_path: Path, mode: str) -> None:
    """What was asked elsewhere is told once that is configured again, alone or in a batch."""
    it = Cancelled(tmp_path, mode)
    it.life.api.identity = "fake/elsewhere"
    told = it.command()
    assert (told.untold, told.cancelled) == (FILMS, 0)
    del it.life.api.identity
    it.pass_time()
    it.command()
    run_virtual(it.life.run([]))
    it.check()


def test_what_was_asked_elsewhere_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays noted, and those behind it are told."""
    it = Cancelled(tmp_path)
    monkeypatch.setattr(recalls, "_AT_ONCE", 1)
    stored, (first, *_) = it.life.database.tasks, run_virtual(it.life.tasks("analysis"))

    async def tasks(which: Selection) -> list[Task]:
        return [
            replace(task, data={**task.data, "provider": "elsewhere"})
            if (task.kind, task.key) == ("video", first.subject)
            else task
            for task in await stored(which)
        ]

    it.life.database.tasks = tasks  # type: ignore[method-assign]
    told = it.command()
    assert (told.untold, told.cancelled) == (1, FILMS - 1)
    assert run_virtual(it.life.database.load("recalls")) == [first.key]


def test_what_another_run_has_asked_is_left_to_it(tmp_path: Path) -> None:
    """It is that one's money: our run only waited for the answer."""
    it = Cancelled(tmp_path)
    it.life.database = MemoryDatabase()
    assert run_virtual(it.life.run(it.entries)).exit_code == 6
    told = it.command()
    assert (told.going_on, told.cancelled, told.untold) == (FILMS, 0, 0)
    assert [thing.word(1e12, "") for thing in it.asked] == ["ready"] * FILMS


def test_what_was_answered_before_is_settled_and_there_for_a_retry(tmp_path: Path) -> None:
    """The platform was quicker: it is paid, booked by its usage at once, and brought later with no further call."""
    it = Cancelled(tmp_path)
    for thing in it.asked:
        thing.ready = 0.0
    told = it.command()
    assert (told.answered, told.cancelled, told.untold) == (FILMS, 0, 0)
    booked = sum(float(row[2]) for row in it.life.database._spends.values())
    assert booked == pytest.approx(sum(thing.data["usd"] for thing in it.asked))

    async def again() -> Any:
        await it.life.database.command("retry", Selection(), it.life.clock.now())
        return await it.life.run(it.entries)

    report = run_virtual(again())
    assert (report.exit_code, report.items["done"], report.doubtful, len(it.asked)) == (0, FILMS, 0, FILMS)
    assert sum(float(row[2]) for row in it.life.database._spends.values()) == pytest.approx(booked)
