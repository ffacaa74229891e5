"""``demo --hosts``: several workers, one of which the demo kills, and the platform's ledger beside the database."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.cli import Terminal, command


@pytest.mark.slow(seconds=30)
def test_the_demo_kills_a_host_and_shows_the_ledger(tmp_path: Path) -> None:
    """Nothing lost, nothing twice, by the platform's own word; no process and no database is left."""
    terminal = Terminal(tmp_path)
    try:
        shown = terminal.run("demo", "--hosts", "2", "--json", "demo")
        assert shown.code == 0, shown.err
        told = shown.json
        assert (told["hosts"], told["killed"], told["twice"]) == (["host-1", "host-2"], "host-2", [])
        number = len(list((tmp_path / "demo" / "hosts" / "videos").iterdir()))
        assert {told["uploads"], told["analyses"], told["written"], told["items"]["done"]} == {number}
        assert told["held"] > 0
        index = (tmp_path / "demo" / "hosts" / "out" / "results.jsonl").read_text(encoding="utf-8")
        assert len([json.loads(line) for line in index.splitlines()]) == number
    finally:
        terminal.close()


def test_the_demo_removes_nobody_elses_folder(tmp_path: Path) -> None:
    """What was not made by it stays, and the sentence names it."""
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts" / "mine").touch()
    refused = command(tmp_path, "demo", "--hosts", "2", ".")
    assert (refused.code, str(tmp_path / "hosts") in refused.err) == (2, True)
    assert (tmp_path / "hosts" / "mine").exists()


@pytest.mark.slow(seconds=10)
def test_the_demo_says_at_once_which_host_does_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the log, and does not wait until its time is up."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    refused = command(tmp_path, "demo", "--hosts", "2", "demo")
    log = tmp_path / "demo" / "hosts" / "host-1" / "log"
    assert (refused.code, "host-1 ended with 1" in refused.err, str(log) in refused.err) == (2, True, True)
