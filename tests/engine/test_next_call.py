"""What was said, waited for or agreed about one paid call holds for that call: the next one of its task begins anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.app.account.repairs import upload_again
from pipeline.core.errors import Ambiguous, NeedsOperator, Permanent, Throttled
from pipeline.core.model import Lane, Placed, Selection, State, Task
from pipeline.core.outcome import Advance, Hold
from pipeline.ports.video_api import AnalysisStatus, Answer, Question
from tests.engine.test_late_acceptance import CALLS, Night, Seen
from tests.engine.test_paid_call import _BlindIndex as BlindIndex
from tests.simulation.schedule import Fault
from tests.support.clock import run_virtual
from tests.support.fakes import clips, items
from tests.support.scripted_run import Life, priced
from tests.support.vendor import ClientV12


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


def test_an_upload_made_anew_is_in_no_doubt(tmp_path: Path) -> None:
    """v1.2: the first upload was possibly paid twice. The one that replaces it, when it has vanished, is not."""
    night = Night(tmp_path, "v1.2", Fault("pay", CALLS["v1.2"]["upload"], "dropped"))
    assert night.runs("upload") == [Seen(0, 1, told=1)]

    async def vanish() -> None:
        (video,) = await night.rig.database.tasks(Selection(kinds=("video",)))
        night.rig.platform.lose(video.data["media_id"])
        await night.rig.database.submit([Placed(upload_again(video), Lane.UPLOAD, 10, Lane.UPLOAD, 10)], 0.0)
        report = await night.rig.run(night.entries)
        assert (report.exit_code, report.doubtful_total) == (0, 1)  # the first one, as before

    run_virtual(vanish())


class _Curt(ClientV12):
    """Loses its first answer, cuts off the second, and refuses the third question."""

    asked = 0

    async def submit_analysis(self, question: Question, still_ours: Any) -> Answer:
        self.asked += 1
        if self.asked == 1:
            raise Ambiguous("lost")
        if self.asked == 3:
            raise Permanent("not like this", code="parameter_invalid")
        whole = await super().submit_analysis(question, still_ours)
        assert isinstance(whole, Answer)
        return replace(whole, finish_reason="length")


def test_a_refusal_takes_nothing_from_a_question_that_was_answered(tmp_path: Path) -> None:
    """v1.2: a question was repeated and answered; the next one of its task is surely refused, and its money comes back."""
    sections = priced(jobs={"enabled": ("summary",)})
    sections["provider"] = {**sections["provider"], "api": "v1.2"}
    life = Life.at(tmp_path, **sections)
    life.api = _Curt(life.platform)  # type: ignore[assignment]
    entries = items(clips(tmp_path, 1))

    async def scenario() -> None:
        await life.run(entries)
        assert await life.troubles() == {"analysis": "answer_cut_off"}
        await life.retry()
        await life.run(entries)
        (video,) = await life.tasks("video")
        spends = [spend for spend in await life.database.spends([video.key]) if spend.what == "analyze"]
        assert [spend.refund for spend in spends if "/again" not in spend.key and not spend.settlement][-2:] == [
            False,
            True,
        ]

    run_virtual(scenario())


def test_one_retry_is_enough_where_nobody_can_tell_what_is_in_the_index(tmp_path: Path) -> None:
    """The upload is another run's, which goes first: a person who has agreed does not have to agree once more after that."""
    life = Life.at(tmp_path, index={"name": "films"})
    life.api.index_api = BlindIndex(life.api)

    async def scenario() -> None:
        await life.run(items(clips(tmp_path, 1)))
        made = (await life.one("indexing")).data
        data = {
            "asset_id": made["asset_id"],
            "index_id": made["index_id"],
            "seconds": 60.0,
            "adopted": True,
            "yields": True,
        }
        task = Task(1, "indexing", "k", "price", data, State.RUNNING, Lane.ANALYZE, 0, claims=1)
        step = life.session().components.pool._task_types["indexing"].stage("price").step
        held = await step(task, lambda: None)
        assert isinstance(held, Hold)
        gone_on = await step(replace(task, data=held.data or {}), lambda: None)
        assert isinstance(gone_on, Advance)
        assert gone_on.stage == "submit"

    run_virtual(scenario())
