"""Every question that is paid has a key and a ledger entry of its own, also where it is asked again after a bad answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import Permanent
from pipeline.ports.video_api import Question
from pipeline.views import RunReport
from tests.simulation.schedule import Fault
from tests.simulation.wire import Accidents
from tests.support.clock import run_virtual
from tests.support.fakes import clips, items
from tests.support.scripted_run import Life, priced
from tests.support.vendor import ClientV12


def test_a_question_asked_again_after_a_bad_answer_is_a_new_entry(tmp_path: Path) -> None:
    """The answer is refused, and before the part is asked alone the upload is lost: asked for the new upload, the question
    is not taken for the one that was answered badly.
    """
    life = Life.at(tmp_path, None, **priced(jobs={"enabled": ("summary",)}))
    bad = iter([True])

    def spoil(question: Question, text: str) -> str:
        return "no JSON" if next(bad, False) else text

    def lost(number: int) -> Exception | None:
        if number != 2:
            return None
        life.platform.lose()
        return Permanent("no such asset", code="resource_not_exist")

    life.platform.spoil, life.api.ask_trouble = spoil, lost
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    asked = life.effects_of("analysis")
    assert len(asked) == len(set(asked)) == 2
    (subject,) = run_virtual(life.database.subjects("", 10))
    assert set(asked) <= {spend.key for spend in run_virtual(life.database.spends([subject]))}


@pytest.mark.parametrize(("api", "call"), [("v1.3", 1), ("v1.2", 2)])
def test_an_upload_that_came_after_it_was_given_up_for_lost_is_used(tmp_path: Path, api: str, call: int) -> None:
    """It is accepted ten minutes late; the one that was made in its place, and told as possibly the second, has vanished by
    then. Before a third one, the account is looked at: the first one is there.
    """
    provider = {"kind": "twelvelabs", "api": api}
    life = Life.at(
        tmp_path,
        None,
        **priced(provider=provider, jobs={"enabled": ("gist",)}, policy={"attempts": 2}, index={"name": "x"}),
    )
    if api == "v1.2":
        life.api = ClientV12(life.platform)  # type: ignore[assignment]
    life.platform.accidents = Accidents((Fault("pay", call, "late", 600.0),))
    life.platform.fates["asset"] = ["vanish"]

    async def go() -> tuple[RunReport, RunReport]:
        entries = items(clips(tmp_path, 1))
        first = await life.run(entries)
        await life.clock.sleep(700.0)
        await life.retry()
        return first, await life.run(entries)

    first, second = run_virtual(go())
    assert (first.exit_code, first.doubtful) == (3, 1)
    assert (second.exit_code, second.doubtful) == (0, 0)
    assert [thing.fate for thing in life.platform.things.values() if thing.kind in ("asset", "task")] == ["vanish", ""]
