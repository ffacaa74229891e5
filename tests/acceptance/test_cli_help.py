"""The command as a process: quick to answer, quiet in pipes, right in its exit codes."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

#: Modules that no help text needs.
HEAVY = (
    "httpx", "av", "numpy", "PIL", "aiosqlite", "sqlite3", "starlette", "uvicorn", "pydantic", "structlog", "anyio", "asyncio",
    "rich", "yt_dlp", "filelock",
)  # fmt: skip
COMMANDS = (
    "run",
    "plan",
    "status",
    "list",
    "costs",
    "show",
    "why",
    "retry",
    "cancel",
    "search",
    "ask",
    "work",
    "hosts",
    "import-state",
    "migrate",
    "classify",
    "indexes",
    "videos",
    "reconcile",
    "prune",
    "service",
    "doctor",
    "forget",
    "gallery",
    "platform",
    "demo",
    "config",
    "config check",
    "notify",
    "notify test",
)


def reelmill(
    *args: str, cwd: Path | None = None, env: dict[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command with a clean environment."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("REELMILL_", "TWELVELABS_", "PYTHONIO"))
    }
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *args], cwd=cwd, env={**clean, **(env or {})}, input=stdin, capture_output=True,
        text=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip


def test_help_answers_at_once() -> None:
    """Under 0.3 s of processor time from the shell to the last line: the best of three on a busy machine."""
    best = 10.0
    for _ in range(3):
        before = os.times()
        assert reelmill("--help").returncode == 0
        after = os.times()
        best = min(best, after.children_user - before.children_user + after.children_system - before.children_system)
    assert best < 0.3


@pytest.mark.parametrize(("args", "loaded"), [(["--help"], []), (["--version"], []), (["run", "--help"], ["pydantic"])])
def test_help_loads_nothing_heavy(args: list[str], loaded: list[str]) -> None:
    """No library of network, video, database or settings is imported; typer itself loads pydantic below the first page."""
    code = (
        f"import sys\nsys.argv = ['reelmill', *{args!r}]\nfrom pipeline.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(ran.stdout.splitlines()[-1].removeprefix("LOADED "))) <= set(loaded)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """A usage line, a sentence, every line within eighty columns, and no word of the library's."""
    ran = reelmill(*command.split(), "--help", env={"COLUMNS": "80"})
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert lines[0].startswith(f"Usage: reelmill {command} ")
    assert len(lines[2].split()) >= 4
    assert max(map(len, lines)) <= 80
    assert (
        re.findall(r"<[^|>]*>|\b(?:str|int|float|bool|Path|None|list)\[|[<>]=|\{[A-Z]+\}|\[required\]", ran.stdout)
        == []
    )


def test_the_overview_names_every_command_and_every_exit_code() -> None:
    """One page is enough to begin with, and no line of it is cut off."""
    shown = reelmill("--help", env={"COLUMNS": "80"}).stdout
    assert max(map(len, shown.splitlines())) <= 80
    names = {
        line.split()[0]
        for line in shown.partition("Commands:")[2].partition("Exit codes")[0].splitlines()
        if line.strip()
    }
    assert names == {command.split()[0] for command in COMMANDS}
    assert re.findall(r"^ +(\d+)  ", shown.partition("Exit codes:")[2], re.M) == [
        "0", "1", "2", "3", "4", "5", "6", "75", "130",
    ]  # fmt: skip
    assert "..." not in shown.partition("Commands:")[2]


def test_version_is_one_line() -> None:
    """For scripts and bug reports."""
    from pipeline import __version__

    assert reelmill("--version").stdout == f"reelmill {__version__}\n"
    assert reelmill("-V").returncode == 0


def test_without_a_command_there_is_help() -> None:
    """And the exit code of wrong usage, as nothing was done."""
    ran = reelmill()
    assert ran.returncode == 2
    assert "Commands:" in ran.stdout + ran.stderr


def test_a_wrong_command_is_named() -> None:
    """The nearest right one is offered."""
    ran = reelmill("statsu")
    assert ran.returncode == 2
    assert "status" in ran.stderr


def test_config_check_as_a_process(tmp_path: Path) -> None:
    """Good settings are shown on stdout; bad ones are two lines on stderr and exit 2."""
    good = reelmill("config", "check", cwd=tmp_path)
    assert (good.returncode, good.stderr) == (0, "")
    assert "the configuration is usable" in good.stdout
    (tmp_path / "reelmill.toml").write_text("[run]\nstrict = 7\n", encoding="utf-8")
    bad = reelmill("config", "check", cwd=tmp_path)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.splitlines()[0].startswith("reelmill: reelmill.toml, line 2: [run] strict: ")


def test_a_stream_that_is_not_unicode_gets_plain_letters(tmp_path: Path) -> None:
    """No crash and no mojibake where only ASCII is understood."""
    (tmp_path / "reelmill.toml").write_text('[run]\nmanifests = ["日本.csv"]\n', encoding="utf-8")
    (tmp_path / "日本.csv").touch()
    shown = reelmill("config", "check", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert shown.returncode == 0
    assert "??.csv" in shown.stdout
    told = reelmill(
        "config", "check", "--provider", "local", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii", "REELMILL_X__Y": "1"}
    )
    assert told.returncode == 2
    assert told.stderr.isascii()
    assert "\n  > " in told.stderr


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    """``reelmill … | head -1`` says nothing on stderr, and the command's own exit code stands."""
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [sys.executable, "-m", "pipeline", "config", "check", "--json"], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE,
        check=False,
    )  # fmt: skip
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_behind_stdout_is_told(tmp_path: Path) -> None:
    """A result that could not be written must not look like success."""
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "pipeline", "config", "check"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stderr == "reelmill: standard output cannot be written: No space left on device\n"


def test_a_process_without_standard_streams_works(tmp_path: Path) -> None:
    """Some service managers close them."""
    ran = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -m pipeline config check >&- 2>&-', sys.executable], cwd=tmp_path, check=False
    )
    assert ran.returncode == 0
