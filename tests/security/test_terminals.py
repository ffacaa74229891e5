"""What a terminal would obey, in titles, file names and messages of the platform: on every command, live, and in logs."""

from __future__ import annotations

import errno
import io
import json
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.core import log
from pipeline.core.text import block, cue, ffmeta, plain
from pipeline.media.captions import strip_markup
from pipeline.present.formatting import clean, fit
from pipeline.view_json import dumps
from tests.security.hostile_text import TERMINAL, TEXTS, obeyed
from tests.support.cli import KEY, customer, environment, serving
from tests.support.media import clip

#: Sequences that no part of ours ever writes by itself.
MARKS = (
    "\x1b]0;owned",
    "\x1b]52;",
    "\x1b]8;;http",
    "\x1bP1$q",
    "\x1b[31mred",
    "\x1b[200~",
    "\x9b",
    "\x9d",
    "\x90",
    "\u202e",
    "\x05",
)
EVIL = "".join(MARKS)


# ------------------------------------------------------------------------------------------------------- our cleaners


@given(TEXTS, st.integers(0, 40))
@example("".join(TERMINAL), 0)
def test_cleaned_words_are_only_shown(text: str, width: int) -> None:
    """For tables and sentences: one line without a character that a terminal obeys; cutting does not bring one back."""
    for shown in (clean(text), fit(text, width)):
        assert obeyed(shown, also="") == []
        assert "\x1b" not in shown


@given(TEXTS)
@example("".join(TERMINAL))
def test_texts_for_files_are_only_shown(text: str) -> None:
    """Results are read with ``cat``, too."""
    for shown in (block(text), plain(text), cue(text), ffmeta(plain(text)), strip_markup(text)):
        assert obeyed(shown) == []


@given(TEXTS, TEXTS)
@example("".join(TERMINAL), "\ud800")
def test_json_on_a_terminal_is_only_shown(text: str, name: str) -> None:
    """``--json`` and the JSON log: the escape of JSON stands for it, and reads back as what it was."""
    said = dumps({name: [text]})
    assert obeyed(said) == []
    assert json.loads(said) == {name: [text]}
    out = io.StringIO()
    log.setup("info", "json", [], out)
    log.get("x").info("event", text=text, deep={name or "n": [text]})
    line = out.getvalue()
    assert line.count("\n") == 1
    assert obeyed(line) == []
    assert json.loads(line)["text"] == text or "http" in text


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@given(TEXTS, TEXTS)
@example("".join(TERMINAL), "".join(TERMINAL))
def test_the_log_on_a_terminal_is_only_shown(text: str, name: str) -> None:
    """Our own colours are all that is left of the escape character, in fields, in nested ones and in tracebacks."""
    out = Screen()
    log.setup("info", "console", [], out)
    try:
        raise ValueError(text)
    except ValueError:
        log.get("x").exception("event", text=text, deep={name: [text]}, many=[text, {name: text}])
    left = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert obeyed(left, also="\n\t") == []


# ------------------------------------------------------------------------------------------------------- the commands


def on_a_terminal(folder: Path, *words: str, **env: str) -> bytes:
    """Run a command with a terminal of its own as stdin, stdout and stderr; return all that it was sent."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *words], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs,
        env=environment(TERM="xterm-256color", COLUMNS="120", TWELVELABS_API_KEY=KEY, **env), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    seen = bytearray()
    try:
        while True:
            ready, _, _ = select.select([ours], [], [], 60)
            if not ready:
                raise TimeoutError(f"{words} says nothing any more")
            try:
                piece = os.read(ours, 65_536)
            except OSError as error:  # how Linux says that the other end is closed
                if error.errno != errno.EIO:
                    raise
                break
            if not piece:
                break
            seen += piece
    finally:
        os.close(ours)
        if process.poll() is None:
            process.wait(30)
    return bytes(seen)


def check_shown(seen: bytes, words: object) -> None:
    """None of the marks arrived, in whatever encoding of theirs."""
    text = seen.decode("utf-8", "replace")
    assert [mark for mark in MARKS if mark in text] == [], (words, text)


@pytest.mark.slow
def test_every_command_shows_and_nothing_obeys(tmp_path: Path) -> None:
    """Evil titles, tags, file names and refusals of the platform: run with its live display, and all that looks at it later."""
    with serving(tmp_path / "there") as platform:
        here = customer(
            tmp_path / "here", platform, "twelvelabs", provider={"poll_spacing": 0.2, "poll_requests_per_minute": 6000},
            policy={"retry_first": 0.1, "retry_most": 0.2, "attempts": 2},
        )  # fmt: skip
        name = "evil\x1b]0;owned\x07\u202e.mp4"
        clip(here.folder / name, 1)
        clip(here.folder / "good.mp4", 2)
        lines = [
            {"source": name, "title": EVIL, "tags": [EVIL], "metadata": {"a": EVIL}},
            {"source": "good.mp4", "id": EVIL, "title": f"b{EVIL}"},
            {"source": f"gone{EVIL}.mp4"}, {"source": "good.mp4", EVIL: 1}, {"source": "good.mp4", "jobs": [EVIL]},
        ]  # fmt: skip
        (here.folder / "list.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        platform.spoil(
            {
                "match": "POST /v1.3/analyze/tasks$",
                "do": "status",
                "status": 400,
                "nth": 1,
                "message": EVIL,
                "code": EVIL[:20],
            },
        )
        commands = (
            ["plan", "list.jsonl"], ["run", "list.jsonl"], ["status"], ["show", name], ["why", name], ["show", f"x{EVIL}"],
            ["status", "--json"], ["retry", f"x{EVIL}"],
        )  # fmt: skip
        for words in commands:
            check_shown(on_a_terminal(here.folder, *words), words)
        loud = {"REELMILL_LOG__FORMAT": "json", "REELMILL_LOG__LEVEL": "debug"}
        check_shown(on_a_terminal(here.folder, "run", "list.jsonl", **loud), "run with a JSON log")
        for path in (here.folder / "out").rglob("*"):
            if path.suffix in (".md", ".txt", ".vtt", ".csv", ".ffmeta"):
                check_shown(path.read_bytes(), path)
