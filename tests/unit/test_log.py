"""The log: one event a line, for people or machines, and never a secret in it."""

from __future__ import annotations

import html
import io
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import log
from pipeline.core.log import Redactor

KEY = "tlk_0123456789"


@pytest.fixture(autouse=True)
def _fresh_log() -> Iterator[None]:
    yield
    structlog.reset_defaults()


class Tty(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def logged(stream: io.StringIO, form: Any = "json", level: str = "info", **fields: Any) -> str:
    """Log one event with these fields; return what was written."""
    log.setup(level, form, [KEY, ""], stream)
    log.get("test").info("event", **fields)
    return stream.getvalue()


def test_an_event_is_one_json_line_with_time_level_and_origin() -> None:
    """What a collector needs, in UTC, letters of all scripts as they are."""
    line = logged(io.StringIO(), item="日本.mp4", took=1.5, ok=True, none=None)
    event = json.loads(line)
    assert line.count("\n") == 1
    assert "日本.mp4" in line
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "event", "level": "info", "log": "test", "item": "日本.mp4", "took": 1.5, "ok": True, "none": None,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "fields",
    [
        {"a": f"x {KEY} y"},
        {"a": [1, (KEY, {"b": KEY})]},
        {"a": {KEY: 1}},
        {"a": {KEY}},
        {"a": Path("/keys") / KEY},
        {"a": ValueError(KEY)},
        {"a": KEY.encode()},
        {KEY: 1},
        {"api_key": "other"},
        {"headers": {"x-api-key": "other", "Authorization": "Bearer other", "Set-Cookie": "other"}},
        {"upload_token": "other", "aws_signature": "other", "password": "other"},
        {"url": "https://store.example/part?X-Amz-Signature=other&x=1"},
        {"error": "GET https://store.example/a?sig=other failed"},
    ],
)
def test_no_secret_passes_in_any_shape(form: str, fields: dict[str, Any]) -> None:
    """Known secrets, secret-sounding fields and the queries of URLs: in texts, keys, collections, paths, exceptions."""
    shown = logged(io.StringIO(), form, **fields)
    assert KEY not in shown
    assert "other" not in shown
    assert "***" in shown


@pytest.mark.parametrize("form", ["json", "console"])
def test_tracebacks_are_redacted_too(form: Any) -> None:
    """A traceback quotes values and source lines."""
    stream = io.StringIO()
    log.setup("info", form, [KEY], stream)
    try:
        raise ValueError(f"refused {KEY} at https://h/x?sig=other")
    except ValueError as error:
        log.get("test").error("crashed", exc_info=error)
    assert "Traceback" in stream.getvalue()
    assert "ValueError: refused *** at https://h/x?***" in stream.getvalue()
    assert KEY not in stream.getvalue()


@given(st.text(max_size=20), st.text(max_size=20), st.recursive(st.text(max_size=5), lambda x: st.lists(x, max_size=3)))
def test_a_secret_inside_any_text_is_found(before: str, after: str, more: Any) -> None:
    """Wherever the key stands in a text, however deep the text lies."""
    clean = Redactor([KEY]).clean({"a": [before + KEY + after, more], "b": {"c": (KEY, more)}})
    assert KEY not in json.dumps(clean)


SPELLINGS: list[Callable[[str], str]] = [
    lambda char: char,
    lambda char: f"\\u{ord(char):04x}",
    lambda char: f"\\u{ord(char):04X}",
    lambda char: f"\\\\u{ord(char):04x}",
    lambda char: f"\\{char}" if char in '/"' else char,
    lambda char: f"%{ord(char):02x}",
    lambda char: f"%25{ord(char):02X}",
    lambda char: f"\\u0025{ord(char):02X}",
    lambda char: f"&#{ord(char)};",
    lambda char: f"&#x{ord(char):X};",
]


@given(st.text("ab/_-=+%09Z", min_size=4, max_size=20), st.data(), st.text(max_size=5))
def test_a_secret_is_found_in_every_spelling(key: str, data: st.DataObject, around: str) -> None:
    """As JSON escapes it, once or in a text inside of a text, percent-encoded, as HTML, and mixed."""
    spelled = "".join(data.draw(st.sampled_from(SPELLINGS))(char) for char in key)
    shown = Redactor([key]).clean(f"{around} {spelled} {around}")
    assert "***" in shown
    assert spelled not in shown
    assert key not in html.unescape(unquote(unquote(shown)))


def test_a_text_without_end_costs_time_in_proportion() -> None:
    """Backslashes, percent signs and digits without end: what looks like the beginning of a spelling is left soon."""
    for hostile in ("\\" * 300_000, "%25" * 100_000, "&#0" * 100_000, "\\u00" * 80_000):
        began = time.monotonic()
        assert Redactor([KEY]).clean(hostile) == hostile
        assert time.monotonic() - began < 20


def test_a_short_secret_does_not_eat_the_log() -> None:
    """An empty or very short key would match everywhere."""
    assert Redactor(["", "abc"]).clean("abc def") == "abc def"


def test_numbers_and_flags_stay_what_they_are() -> None:
    """Only text can hold a secret; machines want numbers."""
    values = {"a": 1, "b": 1.5, "c": True, "d": None}
    assert Redactor([KEY]).clean(values) == values


@pytest.mark.parametrize(("level", "seen"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_levels_cut_where_they_say(level: str, seen: int) -> None:
    """Each level shows itself and what is graver."""
    stream = io.StringIO()
    log.setup(level, "json", [], stream)
    for word in ("debug", "info", "warning", "error"):
        getattr(log.get("test"), word)(word)
    assert len(stream.getvalue().splitlines()) == seen


def test_auto_is_for_people_on_a_terminal_only() -> None:
    """Console with colours there, JSON everywhere else; a form that is asked for is obeyed."""
    assert "\x1b[" in logged(Tty(), "auto")
    assert json.loads(logged(io.StringIO(), "auto"))
    assert json.loads(logged(Tty(), "json"))
    assert "\x1b[" not in logged(io.StringIO(), "console")


def test_foreign_words_do_nothing_on_a_terminal() -> None:
    """Titles and messages from outside cannot move the cursor, set the title or turn the writing."""
    plain = logged(io.StringIO(), "console", title="a\x1b[2J\x1b]0;t\x07b\x9b2J\u202ec")
    assert not any(char in plain for char in "\x1b\x07\x9b\u202e")


def test_what_libraries_log_is_one_json_line_too() -> None:
    """The HTTP server's and asyncio's complaints have our form, their traceback inside, and no secret."""
    stream = io.StringIO()
    before = logging.getLogger().handlers[:]
    log.setup("info", "json", ["tlk_secret"], stream)
    try:
        try:
            raise OSError("disk of tlk_secret")
        except OSError:
            logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
        logging.getLogger("httpx").info("GET https://x/?key=1")
    finally:
        logging.getLogger().handlers = before
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert (event["log"], event["event"], event["level"]) == ("uvicorn.error", "library", "error")
    assert event["why"] == "Exception in ASGI application"
    assert "OSError" in event["exception"]
    assert "tlk_secret" not in line
