"""``--json``: complete, typed as JSON can, times as RFC 3339, safe to print."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline import views
from pipeline.core import model
from pipeline.core.model import Lane, Lease, Result, State, Task, Trouble
from pipeline.view_json import TIMES, dumps, jsonable
from pipeline.views import BadLine, RunReport, StatusView

#: Float fields that are not points in time: durations, amounts, rates.
AMOUNTS = {
    "rate", "elapsed", "spent_usd", "minutes", "eta", "usd", "seconds", "budget_usd", "usd_total", "minutes_total",
    "queries_usd", "pool_seconds", "start", "end", "score", "detailed", "duration_ratio", "fps",
    "estimate", "estimate_usd", "doubtful_usd", "limit", "used",
}  # fmt: skip

REPORT = RunReport(
    run_id="r1", started=0.0, ended=1_763_780_400.0, exit_code=3, items={"done": 1}, lines=1,
    bad_lines=[BadLine("a.csv:1", "x", Trouble("bad", "not a source"))], bad_count=1, analyses=1, published=1, usd=0.1,
    minutes=float("nan"), doubtful=0, output=Path("out"), provider="local/v1.3",
    troubles=[("films/a.mp4", Trouble("short", "Too short."))], resume_at=None,
)  # fmt: skip


def test_a_report_becomes_plain_data() -> None:
    """Paths are strings, times RFC 3339, numbers that JSON does not know null, and rows have names."""
    data = json.loads(dumps(REPORT))
    assert data["output"] == "out"
    assert data["ended"] == "2025-11-22T03:00:00Z"
    assert data["started"] is None
    assert data["minutes"] is None
    assert data["resume_at"] is None
    assert data["troubles"] == [
        {"item": "films/a.mp4", "trouble": {"code": "short", "message": "Too short.", "remedy": "", "detail": ""}}
    ]
    assert data["bad_lines"][0]["place"] == "a.csv:1"


def test_nested_values_are_walked() -> None:
    """Enums, leases and user data inside a task come out as JSON; user data keeps its own field names and numbers."""
    task = Task(
        1, "video", "k", "poll", {"at": 12.5, "list": ("a", 1)}, State.RUNNING, Lane.POLL, 2, lease=Lease("me", 7, 60.0)
    )
    data = jsonable(task)
    assert (data["state"], data["lane"]) == ("running", "poll")
    assert data["lease"] == {"owner": "me", "token": 7, "until": "1970-01-01T00:01:00Z"}
    assert data["data"] == {"at": 12.5, "list": ["a", 1]}


def test_run_history_and_attention_have_named_columns() -> None:
    """Rows that are mappings or tuples in the view are objects with times in JSON."""
    view = StatusView(
        {}, {}, {"short": 1}, [("failed", "a.mp4", Trouble("short", "Too short."))], (), "",
        [{"id": "r", "started": 60.0, "ended": None, "exit_code": None}], 0.0, 0.0,
    )  # fmt: skip
    data = jsonable(view)
    assert data["runs"] == [{"id": "r", "started": "1970-01-01T00:01:00Z", "ended": None, "exit_code": None}]
    assert data["attention"][0]["state"] == "failed"
    assert data["troubles"] == {"short": 1}


@pytest.mark.parametrize("ascii_only", [False, True])
def test_the_text_survives_any_title(ascii_only: bool) -> None:
    """Control, direction and broken characters are escaped, and reading the text back gives the very same title."""
    title = "x\x1b]0;t\x07\x9b31m\u202e\udcff日本\n😀"
    text = dumps({"title": title}, ascii_only=ascii_only)
    assert json.loads(text) == {"title": title}
    assert not any(char in text for char in "\x1b\x9b\u202e\udcff\x07")
    text.encode("ascii" if ascii_only else "utf-8")


def test_a_type_that_no_view_holds_is_refused() -> None:
    """Nothing is turned into text behind the reader's back."""
    with pytest.raises(TypeError, match="object"):
        jsonable({"x": object()})


def _values() -> list[Any]:
    kinds = [*vars(model).values(), *vars(views).values()]
    return [kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)]


def test_every_number_with_a_fraction_is_known_as_time_or_amount() -> None:
    """A new float field in a view must be sorted into times or amounts, or its JSON would be wrong unnoticed."""
    floats = {f.name for kind in _values() for f in fields(kind) if "float" in str(f.type)}
    assert floats - TIMES - AMOUNTS == set()
    assert not TIMES & AMOUNTS


def test_every_view_can_be_shown() -> None:
    """Every field type of every view is one that the translation knows."""
    assert jsonable(Result("s", "gist", "f", {"a": [1, None, True]}, created=1.0))["created"] == "1970-01-01T00:00:01Z"
    assert len(_values()) > 15
