"""``forget`` while the platform is at work, dead at every call: it is cancelled there first, and the same command finishes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.items.forget import Forgetting
from pipeline.core.errors import ConfigError
from pipeline.core.model import Forgotten, Selection
from pipeline.present.tables.items.forgotten import outcome
from pipeline.sink.disk import DiskSink
from tests.faults.test_cancel_killed import FILMS, SENT, Cancelled
from tests.simulation.schedule import Fault
from tests.simulation.vendor import Reply
from tests.support.clock import run_virtual
from tests.support.fakes import Crash, Wreck, Wrecked


class Unwanted(Cancelled):
    """Three videos of which the platform has one question each; an operator forgets the first."""

    def forget(self, wreck: Wreck | None = None, *, every: bool = False, leave: bool = False) -> Forgotten:
        """Be one process of the command."""

        async def go() -> Forgotten:
            self.life.api.reopen()
            database: Any = Wrecked(self.life.database, wreck or Wreck(), "store", spared=("aclose",))
            sink: Any = Wrecked(DiskSink(self.life.settings.run.output), wreck or Wreck(), "sink")

            async def tell() -> Any:
                return await self.recalls(wreck).carry_out()

            forgetting = Forgetting(self.life.settings, database, sink, self.life.clock, tell=None if leave else tell)
            names = [film.key for film in self.entries[: None if every else 1]]
            return await forgetting.carry_out(await forgetting.look(names))

        return run_virtual(go())

    def words(self) -> list[str]:
        """Return how the platform's analyses end, sorted."""
        return sorted(thing.word(1e12, "") for thing in self.asked)

    def left(self) -> tuple[int, float, Any]:
        """Return how many items are known, what the ledger counts, and what is to be told yet."""
        known = len(run_virtual(self.life.tasks("item")))
        usd = sum(float(row[2]) for row in self.life.database._spends.values())
        return known, pytest.approx(usd), run_virtual(self.life.database.load("recalls"))


@pytest.mark.parametrize(("mode", "every"), [("off", False), ("always", True)])
def test_what_is_at_work_is_cancelled_there_first(tmp_path: Path, mode: str, every: bool) -> None:
    """The plan says so, and the end says what came of it; the other items go on."""
    it = Unwanted(tmp_path, mode)
    found = it.forget(every=every)
    gone = FILMS if every else 1
    assert [row.at_work for row in found.rows] == [1] * gone
    assert (found.done, found.platform is not None and found.platform.cancelled) == (True, gone)
    assert it.words() == ["canceled"] * gone + ["ready"] * (FILMS - gone)
    assert it.left()[0] == FILMS - gone
    assert "cancelled at the platform" in outcome(found)


@pytest.mark.parametrize(("mode", "fault"), [("off", None), ("always", None), ("off", SENT)])
def test_whenever_forget_dies_at_work_the_same_command_finishes(tmp_path: Path, mode: str, fault: Fault | None) -> None:
    """Before and after each call, also where nobody has heard of the call: cancelled there, gone here, counted once."""
    it, numbers = Unwanted(tmp_path, mode, fault), Wreck()
    every = mode == "always"
    kept = it.kept()
    plain = it.forget(numbers, every=every)
    wanted = it.words(), it.left()
    for number in range(1, len(numbers.calls) + 1):
        for when in ("before", "after"):
            it.restore(kept)
            with pytest.raises((Crash, BaseExceptionGroup)):
                it.forget(Wreck((number, when)), every=every)
            with suppress(ConfigError):  # it was all done
                assert it.forget(every=every).done == plain.done
            assert (it.words(), it.left()) == wanted, (number, when, numbers.calls[number - 1])


def test_a_platform_that_cannot_be_told_keeps_the_rows(tmp_path: Path) -> None:
    """The same command finishes; or the operator lets the analysis go on, and be billed."""
    it = Unwanted(tmp_path)
    vendor: Any = it.life.platform._vendors["v1.3"]
    vendor._stop_analysis = lambda request, task_id: Reply(503)
    stuck = it.forget()
    assert (stuck.done, len(stuck.refused), it.left()[0]) == (False, 1, FILMS)
    assert "--leave-running" in outcome(stuck)
    del vendor._stop_analysis
    kept = it.kept()
    assert it.forget(leave=True).done
    assert (it.words(), it.left()[0]) == (["ready"] * FILMS, FILMS - 1)
    it.restore(kept)
    assert it.forget().done
    assert it.words() == ["canceled", "ready", "ready"]


def test_a_call_that_nobody_heard_of_keeps_the_rows_for_some_minutes(tmp_path: Path) -> None:
    """As long as the platform may still accept it; then the ledger alone remembers it."""
    it = Unwanted(tmp_path, fault=SENT)
    assert not it.asked  # it arrives with the next request
    stuck = it.forget(every=True)
    assert (stuck.done, it.words(), it.left()[0]) == (False, ["canceled"], FILMS)
    assert "may still be accepted" in outcome(stuck)
    it.pass_time(300.0)
    assert it.forget(every=True).done
    assert run_virtual(it.life.database.tasks(Selection(kinds=("item", "analysis")))) == []
    assert sum(float(row[2]) > 0 for row in it.life.database._spends.values()) == FILMS
