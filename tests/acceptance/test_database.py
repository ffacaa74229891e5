"""The state database in other hands: locked, damaged, torn, or not ours. Refused with advice, never mended in silence."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.local.state.ledger import Ledger
from tests.support.cli import Terminal, until
from tests.support.media import clips

VIDEOS = 3


@pytest.fixture
def here(tmp_path: Path) -> Terminal:
    """A terminal with three clips, all of them done."""
    terminal = Terminal(tmp_path / "here")
    clips(terminal.folder / "films", VIDEOS)
    assert terminal.run("run", "films").code == 0
    return terminal


def database(here: Terminal) -> Path:
    """Return the database's file."""
    return here.folder / ".reelmill" / "reelmill.db"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be another process (a backup, a person with a shell) in the middle of a write."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def check_paid_once(here: Terminal) -> None:
    """Nothing was uploaded or asked again for what was done before."""
    ledger = Ledger(here.folder / ".reelmill" / "platform" / "platform.sqlite3")
    assert ledger.twice() == []
    assert len(ledger.entries("asset_created")) == len(ledger.entries("analyze_task_created"))


@pytest.mark.slow
def test_a_lock_that_stays_ends_the_run_with_advice(here: Terminal) -> None:
    """Another process writes and does not end: reading commands work, a run says what is the matter and changes nothing."""
    before = sha256(database(here).read_bytes()).digest()
    with locked(database(here)):
        ended = here.run("run", "films")
        assert ended.code == 1
        assert "is locked by another process" in ended.told[0]
        assert "end it" in ended.told[1]
        assert "Traceback" not in ended.err
        assert here.run("status").code == 0
    assert sha256(database(here).read_bytes()).digest() == before
    assert here.run("run", "films").code == 0
    check_paid_once(here)


@pytest.mark.slow
def test_a_lock_that_goes_is_waited_for(here: Terminal) -> None:
    """Locked for some seconds in the middle of a run: nothing is lost, and the run ends with exit 0."""
    clips(here.folder / "films", VIDEOS, first=VIDEOS)
    running = here.start("run", "films")
    ledger = Ledger(here.folder / ".reelmill" / "platform" / "platform.sqlite3")
    until(lambda: not running.alive or len(ledger.entries("asset_created")) > VIDEOS, "the run to be at work")
    free = threading.Event()
    with closing(sqlite3.connect(database(here), isolation_level=None, timeout=30, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        waits = ("store.retry", "store.busy", "store.away")
        until(lambda: not running.alive or any(word in running.said() for word in waits), "a wait")
        free.set()
        other.execute("ROLLBACK")
    ended = running.wait()
    assert ended.code == 0, ended.err
    assert here.run("status", "--json").json["items"]["done"] == 2 * VIDEOS
    check_paid_once(here)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["overwritten", "torn", "no database"])
def test_a_damaged_database_is_refused_and_left_alone(here: Terminal, damage: str) -> None:
    """Exit 1 from every command, with what can be done; not a byte of the file is touched, nothing is paid again."""
    path = database(here)
    content = bytearray(path.read_bytes())
    if damage == "overwritten":
        content[4096 : len(content)] = b"\xa5" * (len(content) - 4096)
    elif damage == "torn":
        del content[len(content) // 3 :]
    else:
        content[:] = b"a shopping list\n" * 500
    path.write_bytes(content)
    for words in (["run", "films"], ["status"]):
        ended = here.run(*words)
        assert ended.code == 1, (words, ended.out, ended.err)
        assert ".reelmill/reelmill.db is " in ended.told[0], ended.err
        assert "Nothing was changed" in ended.told[1]
        assert "restore a backup" in ended.told[1]
        assert "Traceback" not in ended.err
    assert path.read_bytes() == content
    check_paid_once(here)
