"""Every question that is paid has a key and a ledger entry of its own, also where it is asked again after a bad answer."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.errors import Permanent
from pipeline.ports.video_api import Question
from tests.support.clock import run_virtual
from tests.support.fakes import clips, items
from tests.support.scripted_run import Life, priced


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
