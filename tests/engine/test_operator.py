"""What an operator's words may cost: nothing that was paid for already."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.core.errors import Ambiguous, Permanent, Transient
from pipeline.core.model import Selection
from tests.support.clock import run_virtual
from tests.support.fakes import Crash, Wreck, clips, items
from tests.support.scripted_run import Life


def test_a_touched_file_does_not_hide_that_its_video_is_still_to_be_uploaded(tmp_path: Path) -> None:
    """What ran out of attempts is taken up again also where the file has a new time but the same content."""
    life = Life.at(tmp_path, policy={"attempts": 1})
    life.api.upload_trouble = lambda number: Transient("nobody is there", untouched=True) if number == 1 else None
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 3
    (path,) = clips(tmp_path, 1)
    os.utime(path, (1, 1))
    report = run_virtual(life.run(items([path])))
    assert (report.exit_code, report.items["done"]) == (0, 1)


def test_a_touched_file_does_not_hide_that_its_question_was_refused(tmp_path: Path) -> None:
    """The platform had said no for good: a new time on the file asks nothing again, and does not make the night a good one."""
    life = Life.at(tmp_path)
    life.api.ask_trouble = lambda number: Permanent("no", code="refused")
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 3
    (path,) = clips(tmp_path, 1)
    os.utime(path, (1, 1))
    assert run_virtual(life.run(items([path]))).exit_code == 3
    assert len(life.api.questions) == 1
    path.write_bytes(path.read_bytes() + b"other content")
    life.api.ask_trouble = lambda number: None
    assert run_virtual(life.run(items([path]))).exit_code == 0


@pytest.mark.parametrize("call", ["api.create_asset", "api.submit_analysis"])
def test_what_was_cancelled_in_the_middle_of_a_call_is_asked_for_before_it_is_made_again(
    tmp_path: Path, call: str
) -> None:
    """A process dies with its answer on the way; the operator cancels the item and brings it back: nothing is paid twice."""
    calm = Life.at(tmp_path)
    quiet = Wreck()
    run_virtual(calm.run(items(clips(tmp_path, 1)), quiet))
    life = Life.at(tmp_path)

    async def story() -> int:
        with pytest.raises(BaseExceptionGroup) as died:
            await life.run(items(clips(tmp_path, 1)), Wreck((1 + quiet.calls.index(call), "after")))
        assert died.group_contains(Crash)
        for verb in ("cancel", "retry"):
            await life.database.command(verb, Selection(), life.clock.now())
        return (await life.run(items(clips(tmp_path, 1)), seed=2)).exit_code

    assert run_virtual(story()) == 0
    assert set(life.platform.effects().values()) == {1}


def test_what_ran_out_of_attempts_in_doubt_is_asked_for_before_it_is_made_again(tmp_path: Path) -> None:
    """The only attempt ends without an answer, though it was accepted: the next run finds it."""
    life = Life.at(tmp_path, policy={"attempts": 1})
    life.api.accepted = True
    life.api.upload_trouble = lambda number: Ambiguous("the answer was lost") if number == 1 else None
    entries = items(clips(tmp_path, 1))
    assert run_virtual(life.run(entries)).exit_code == 3
    assert run_virtual(life.run(entries)).exit_code == 0
    assert life.platform.effects()["asset", life.api.uploads[0].name] == 1
