"""What was said, waited for or agreed about one paid call holds for that call: the next one of its task begins anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.core.errors import Ambiguous, NeedsOperator, Throttled
from pipeline.core.model import State
from pipeline.ports.video_api import AnalysisStatus, Question
from tests.support.clock import run_virtual
from tests.support.fakes import clips, items
from tests.support.scripted_run import Life, priced


def unpaid() -> NeedsOperator:
    """Return a 402 that a gateway says after the platform has accepted the call."""
    error = NeedsOperator("no credit", code="credit")
    error.in_doubt = True
    return error


class Ending(Life):
    """A life whose analyses end as failed while ``broken``, and whose lists show nothing while ``dark``."""

    broken = dark = False

    def prepare(self) -> Ending:
        """Put this between the client and the runs; return self."""
        self.api.analysis = self._analysis(self.api.analysis)  # type: ignore[method-assign]
        self.api.find_analysis = self._find(self.api.find_analysis)  # type: ignore[method-assign]
        return self

    def _analysis(self, real: Any) -> Any:
        async def analysis(question: Question, task_id: str) -> AnalysisStatus:
            seen: AnalysisStatus = await real(question, task_id)
            return AnalysisStatus("failed", "failed") if self.broken else seen

        return analysis

    def _find(self, real: Any) -> Any:
        async def find(question: Question) -> str | None:
            found: str | None = None if self.dark else await real(question)
            return found

        return find


def test_a_call_of_today_is_not_as_old_as_the_one_of_yesterday(tmp_path: Path) -> None:
    """Yesterday's question was sent twice and failed. Today's is accepted, its answer hidden by a 402, and the list lags:
    that it cannot be found proves nothing yet, so that the second one is booked as possibly paid twice.
    """
    life = Ending.at(tmp_path, **priced(jobs={"enabled": ("gist",)})).prepare()
    assert isinstance(life, Ending)
    entries = items(clips(tmp_path, 1))

    async def scenario() -> None:
        life.broken = True
        life.api.ask_trouble = lambda number: Ambiguous("lost") if number == 1 else None
        assert (await life.run(entries)).doubtful_total == 1
        life.broken, life.dark, life.api.accepted = False, True, True
        life.api.ask_trouble = lambda number: unpaid() if number == 3 else None
        life.clock.skew += 86_400.0
        await life.retry()
        assert (await life.run(entries)).exit_code == 4
        report = await life.run(entries)
        assert (report.exit_code, len(life.api.questions)) == (0, 4)
        assert report.doubtful_total == 2

    run_virtual(scenario())


def test_a_call_that_waited_for_a_quota_is_as_old_as_its_sending(tmp_path: Path) -> None:
    """The question was decided yesterday and is sent today: lost today, it is no more certain to be lost than any other."""
    life = Ending.at(tmp_path, **priced(jobs={"enabled": ("gist",)})).prepare()
    assert isinstance(life, Ending)
    entries = items(clips(tmp_path, 1))

    async def scenario() -> None:
        life.api.ask_trouble = lambda number: Throttled("no more today", after=20_000.0, group="analyze")
        assert (await life.run(entries)).exit_code == 6
        life.clock.skew += 86_400.0
        life.dark, life.api.accepted = True, True
        life.api.ask_trouble = lambda number: unpaid() if number == 2 else None
        assert (await life.run(entries)).exit_code == 4
        report = await life.run(entries)
        assert (report.exit_code, len(life.api.questions), report.doubtful_total) == (0, 3, 1)

    run_virtual(scenario())


def test_who_agreed_to_one_call_has_not_agreed_to_the_next(tmp_path: Path) -> None:
    """Held, let go on, and found after all: the next question of the task is held as well when it is lost."""
    sections = priced(jobs={"enabled": ("gist",)}, policy={"on_ambiguous_create": "hold"})
    life = Ending.at(tmp_path, **sections).prepare()
    assert isinstance(life, Ending)
    life.api.accepted = True
    life.api.ask_trouble = lambda number: Ambiguous("lost")
    entries = items(clips(tmp_path, 1))

    async def scenario() -> None:
        life.dark = True
        await life.run(entries)
        assert (await life.one("analysis")).state is State.HELD
        life.broken, life.dark = True, False
        await life.retry()
        await life.run(entries)
        assert (await life.troubles(), len(life.api.questions)) == ({"analysis": "analysis_failed"}, 1)
        life.dark = True
        await life.retry()
        await life.run(entries)
        assert ((await life.one("analysis")).state, len(life.api.questions)) == (State.HELD, 2)

    run_virtual(scenario())
