"""A process with a time limit, with real processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import pytest

from pipeline.watch.child import ChildEnd, run_child
from tests.support.cli import until


def ran(code: str, given: bytes = b"", timeout: float = 60.0) -> ChildEnd:
    """Run a line of Python."""
    return anyio.run(run_child, [sys.executable, "-c", code], given, timeout)


def test_what_it_gets_and_what_it_says() -> None:
    """Standard input goes in; both outputs come back, in order."""
    ended = ran("import sys; print(sys.stdin.read()); sys.stdout.flush(); print('b', file=sys.stderr)", b"a")
    assert (ended.why, ended.said.split()) == ("", ["a", "b"])


def test_a_code_that_is_not_zero_is_a_failure() -> None:
    """It is said with what the program said last."""
    ended = ran("print('no such bucket'); raise SystemExit(7)")
    assert (ended.why, ended.said) == ("it ended with code 7", "no such bucket\n")


def test_only_the_end_of_much_is_kept() -> None:
    """A chatty program fills no memory and no log."""
    ended = ran("for n in range(100_000): print(n)")
    assert ended.said.endswith("99999\n")
    assert len(ended.said) <= 8_000


def test_nobody_reads_its_input() -> None:
    """A program that closes its input at once is no failure, however much there was."""
    assert ran("import os; os.close(0)", b"x" * 5_000_000).why == ""


def test_one_that_does_not_end_is_killed_with_all_it_started(tmp_path: Path) -> None:
    """The time limit holds for its children, too."""
    code = f"""
import os, pathlib, subprocess, sys, threading
child = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
print("started", flush=True)
threading.Event().wait()
"""
    ended = ran(code, timeout=5.0)
    assert (ended.why, ended.said) == ("it did not end within 5 s and was killed", "started\n")
    child = int((tmp_path / "pid").read_text())
    until(lambda: not alive(child), "the child to die")


def alive(pid: int) -> bool:
    """Return True for a process that runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def test_one_it_left_behind_is_not_waited_for() -> None:
    """A program may start another that goes on, even with its output in hand."""
    code = (
        "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE).pid)"
    )
    ended = ran(code.replace("input()", "import threading; threading.Event().wait()"))
    os.kill(int(ended.said), 9)
    assert ended.why == ""


@pytest.mark.parametrize("words", [["/no/such/program"], ["/"], ["a\0b"]])
def test_one_that_cannot_be_started(words: list[str]) -> None:
    """It is said why, and nothing is raised."""
    assert anyio.run(run_child, words, b"", 5.0).why.startswith("it cannot be started: ")


def test_no_secret_of_ours_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the key, nor the webhook's header, nor an address; what else is there, it gets."""
    for name in ("TWELVELABS_API_KEY", "REELMILL_POST_HEADER", "REELMILL_WATCH__PING"):
        monkeypatch.setenv(name, "planted-secret")
    monkeypatch.setenv("TWELVELABS_API_KEY_FILE", "/etc/reelmill.key")
    monkeypatch.setenv("BUCKET", "mine")
    said = ran("import os; print(dict(os.environ))").said
    assert "planted-secret" not in said
    assert "/etc/reelmill.key" in said
    assert "'BUCKET': 'mine'" in said
