"""What may be billed twice, or for a length that nobody knows yet, is sent only if there is money for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import Ambiguous
from pipeline.ports.source import Item, ManifestLine
from tests.support.clock import run_virtual
from tests.support.fakes import clips, items
from tests.support.scripted_run import BLIND, PRICED, Life, priced
from tests.support.vendor import ClientV12


def test_a_repeat_in_doubt_counts_against_the_limit(tmp_path: Path) -> None:
    """With money for one question, its repeat waits for the next run (exit 5); with money for two it is put, and counted."""
    entries = items(clips(tmp_path, 1))
    rich = Life.at(tmp_path, None, **PRICED)
    run_virtual(rich.run(entries))
    (video,) = run_virtual(rich.tasks("video"))
    cost = run_virtual(rich.database.spends([video.key]))[0].usd
    assert cost > 0
    life = Life.at(tmp_path, None, **priced(policy=BLIND, budget={"max_usd_per_run": 1.5 * cost}))
    life.api.can_be_asked = False
    life.api.ask_trouble = lambda number: Ambiguous("the answer was lost") if number == 1 else None
    report = run_virtual(life.run(entries))
    assert (report.exit_code, len(life.api.questions)) == (5, 1)
    assert report.usd <= 1.5 * cost
    report = run_virtual(life.run(entries))
    assert (report.exit_code, len(life.api.questions), report.doubtful) == (0, 2, 1)


def test_an_address_is_reserved_at_the_longest_and_booked_at_its_length(tmp_path: Path) -> None:
    """v1.2 bills what it fetches by itself: a limit below the longest video sends nothing; once the platform has measured
    it, the ledger holds the price of its minute, and the rest of the money is free for others.
    """
    address = "https://www.youtube.com/watch?v=video000001"
    entries = [Item("youtube:video:video000001", "youtube", address, ManifestLine(address, "test"))]
    prices = {"index_minute": 1.0, "analyze_minute": 0.0, "output_1000_tokens": 0.0}
    sections = {"provider": {"kind": "twelvelabs", "api": "v1.2"}, "jobs": {"enabled": ("summary",)}, "prices": prices}
    life = Life.at(tmp_path, None, **sections, budget={"max_usd_per_run": 60.0})
    life.api = ClientV12(life.platform)  # type: ignore[assignment]
    assert run_virtual(life.run(entries)).exit_code == 5
    assert life.effects_of("asset") == []
    life.configure(tmp_path, **sections, budget={"max_usd_per_run": 241.0})
    report = run_virtual(life.run(entries))
    assert (report.exit_code, len(life.effects_of("asset"))) == (0, 1)
    assert report.usd == pytest.approx(1.0)
