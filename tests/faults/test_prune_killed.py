"""``prune`` in a process of its own, killed anywhere: in its deletions, while the database is written again, right after."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.cli import Terminal, pause
from tests.support.media import clips

RUNS = 2000
PADDING = 8000  #: characters of each run's line, so that writing the database again takes its time


def check(database: Path) -> int:
    """Return the runs that are left in a database that is sound."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        number: int = connection.execute("SELECT count(*) FROM run").fetchone()[0]
        return number


def fill(database: Path) -> None:
    """Make a long history; what is pruned is large, and so is what stays."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(
            "INSERT INTO run (id, started, ended, exit_code, summary) VALUES (?, ?, ?, 0, ?)",
            [(f"r{at}", at, at, f'{{"note": "{"n" * PADDING}"}}') for at in range(RUNS)],
        )
        connection.execute("INSERT INTO note VALUES ('ballast', ?)", (f'"{"b" * 20_000_000}"',))


@pytest.mark.slow(seconds=25)
def test_a_prune_that_is_killed_leaves_a_sound_database(tmp_path: Path) -> None:
    """Whenever it dies: the file is sound, no lock is left, nothing is asked again, and the next prune does the rest."""
    terminal = Terminal(tmp_path / "here")
    clips(terminal.folder / "films", 2)
    line = ("run", "films", "--jobs", "gist", "--json")
    assert terminal.run(*line).code == 0
    database = terminal.folder / ".reelmill" / "reelmill.db"
    kept = database.read_bytes()
    cut_short = 0
    for wait in (0.0, 0.1, 0.2, 0.35):
        for name in os.listdir(database.parent):
            if name.startswith(database.name):
                (database.parent / name).unlink()
        database.write_bytes(kept)
        fill(database)
        before = database.stat().st_size
        running = terminal.start("prune", "--raw", "0s", "--runs", "10", "--yes")
        while running.alive and not (database.parent / "holder.json").exists():
            pause(0.005)
        pause(wait)
        running.signal(signal.SIGKILL)
        cut_short += running.process.wait(60) != 0
        assert check(database) in (RUNS + 1, 10)
        again = terminal.run("prune", "--raw", "0s", "--runs", "10", "--yes", "--json")
        assert (again.code, again.json["done"]) == (0, True), again.err
        assert check(database) == 10
        assert database.stat().st_size < before - RUNS * PADDING / 2
        assert [each for each in os.listdir(database.parent) if each.startswith("etilqs")] == []
    assert cut_short
    ended = terminal.run(*line)
    assert (ended.code, ended.json["analyses"], ended.json["published"]) == (0, 0, 0)
