"""What is asked in place of a question that nobody wants any more."""

from __future__ import annotations

from pathlib import Path

from tests.support.clock import run_virtual
from tests.support.fakes import clips, items
from tests.support.scripted_run import Life, priced


def test_a_question_that_was_changed_while_it_waited_is_asked_in_its_new_form(tmp_path: Path) -> None:
    """Without money, an analysis waits. If its prompt changes meanwhile, the new one is asked and written, even if the
    manifest does not name the video any more: what was begun is not lost.
    """
    life = Life.at(tmp_path, None, **priced(budget={"max_usd_per_run": 0.0}))
    entries = items(clips(tmp_path, 1))
    assert run_virtual(life.run(entries)).exit_code == 5
    life.configure(tmp_path, **priced(jobs={"settings": {"summary": {"prompt": "Heed the weather."}}}))
    report = run_virtual(life.run([]))
    assert (report.exit_code, report.items["done"]) == (0, 1)
    (question,) = life.api.questions
    assert "Heed the weather." in question.prompt
    (files,) = life.sink.folders.values()
    assert {"gist.json", "summary.md", "video.json"} <= set(files)
