"""A question that may have been billed is put again only if there is money for it."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.errors import Ambiguous
from tests.support.clock import run_virtual
from tests.support.fakes import clips, items
from tests.support.scripted_run import PRICED, Life, priced


def test_a_repeat_in_doubt_counts_against_the_limit(tmp_path: Path) -> None:
    """With money for one question, its repeat waits for the next run (exit 5); with money for two it is put, and counted."""
    entries = items(clips(tmp_path, 1))
    rich = Life.at(tmp_path, None, **PRICED)
    cost = run_virtual(rich.run(entries)).usd
    assert cost > 0
    life = Life.at(tmp_path, None, **priced(budget={"max_usd_per_run": 1.5 * cost}))
    life.api.can_be_asked = False
    life.api.ask_trouble = lambda number: Ambiguous("the answer was lost") if number == 1 else None
    report = run_virtual(life.run(entries))
    assert (report.exit_code, len(life.api.questions)) == (5, 1)
    assert report.usd <= 1.5 * cost
    report = run_virtual(life.run(entries))
    assert (report.exit_code, len(life.api.questions), report.doubtful) == (0, 2, 1)
