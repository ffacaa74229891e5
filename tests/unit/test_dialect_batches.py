"""Batches of API v1.3 on JSON: requests as documented, answers strictly read, line by line. No I/O."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import Permanent
from pipeline.ports.batch_api import BatchResults
from pipeline.ports.video_api import Question
from pipeline.provider.dialects.protocol import Response, UnreadableAnswer
from pipeline.provider.dialects.v1_3.batches import BatchesV13

API = BatchesV13()
SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
ASKED = [Question(f"rm-{n}", f"asset{n}", "Why?", SCHEMA, 2048, 0.2, "pegasus1.5") for n in range(3)]
READY = {"data": '{"title": "x"}', "finish_reason": "stop", "usage": {"output_tokens": 7}}


def answer(body: Any) -> Response:
    """A good answer."""
    return Response(200, {}, body if isinstance(body, bytes) else json.dumps(body).encode(), 0.0)


def results(*lines: Any) -> BatchResults:
    """What is read of these lines."""
    content = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    return API.results("b").read(answer(content))


def line(key: str, status: str = "ready", **more: Any) -> dict[str, Any]:
    """One item."""
    return {
        "task_id": f"t-{key}",
        "custom_id": key,
        "status": status,
        **({"data": READY} if status == "ready" else {}),
        **more,
    }


def test_what_all_say_alike_is_sent_once() -> None:
    """Prompt and schema are defaults; an item says what it says otherwise, and its asset and key."""
    asked = [*ASKED[:2], replace(ASKED[2], prompt="Who?", max_tokens=100)]
    request = API.create(asked).request
    assert (request.method, request.path, request.group, request.safe) == ("POST", "/analyze/batches", "analyze", False)
    assert request.json["model_name"] == "pegasus1.5"
    assert request.json["defaults"]["prompt"] == {"input_text": "Why?"}
    assert request.json["requests"] == [
        {"custom_id": "rm-0", "video": {"type": "asset_id", "asset_id": "asset0"}},
        {"custom_id": "rm-1", "video": {"type": "asset_id", "asset_id": "asset1"}},
        {
            "custom_id": "rm-2", "video": {"type": "asset_id", "asset_id": "asset2"},
            "prompt": {"input_text": "Who?"}, "max_tokens": 512,
        },
    ]  # fmt: skip


def test_a_schema_that_one_lacks_is_no_default() -> None:
    """A default would reach the item that wants free text."""
    request = API.create([*ASKED[:2], replace(ASKED[2], schema=None)]).request
    assert "response_format" not in request.json["defaults"]
    assert ["response_format" in item for item in request.json["requests"]] == [True, True, False]


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("pending", "working"), ("processing", "working"), ("canceling", "working"), ("reviewing", "working"),
        ("completed", "completed"), ("canceled", "canceled"), ("expired", "expired"),
    ],
)  # fmt: skip
def test_a_status_word_says_whether_it_has_ended(word: str, state: str) -> None:
    """A word that nobody knows is no end."""
    assert API.status("b").read(answer({"batch_id": "b", "status": word})).state == state


def test_absurd_counts_are_bounded() -> None:
    """Counts are for people: below zero, endless and no numbers at all do no harm."""
    body = {
        "status": "processing",
        "ready_items": -5,
        "failed_items": 10**40,
        "queued_items": "many",
        "canceled_items": 2,
    }
    counts = API.status("b").read(answer(body)).counts
    assert counts == {"queued": 0, "processing": 0, "ready": 0, "failed": 1_000_000, "canceled": 2}


def test_each_item_by_its_key_in_any_order() -> None:
    """Ready, failed and unfinished ones, foreign ones beside them."""
    found = results(
        line("c", "queued"), line("b", "failed", error={"code": "video_duration_too_long", "message": "m"}), line("a")
    )
    assert {key: item.status.state for key, item in found.items.items()} == {
        "a": "ready",
        "b": "failed",
        "c": "working",
    }
    ready = found.items["a"]
    assert ready.status.answer is not None
    assert (ready.task_id, ready.status.answer.text, ready.status.answer.usage) == (
        "t-a",
        READY["data"],
        {"output_tokens": 7},
    )
    assert ready.status.answer.raw["custom_id"] == "a"
    assert found.items["b"].status.code == "video_duration_too_long"


@pytest.mark.parametrize("turn", [1, -1])
def test_of_two_lines_the_ready_one_counts(turn: int) -> None:
    """Whichever comes first."""
    found = results(*[line("a", "queued"), line("a")][::turn])
    assert (found.items["a"].status.state, found.twice) == ("ready", 1)


@pytest.mark.parametrize(
    "odd",
    [
        b'{"custom_id": "b", "sta', b"[1, 2]", b"null", b'"b"', {"custom_id": "b"}, {"status": "ready", "data": READY},
        {"custom_id": "b", "status": "ready"}, {"custom_id": "b", "status": "ready", "data": {"data": 7}},
        {"custom_id": ["b"], "status": "failed"}, b"\xff\xfe",
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_read_hides_no_other(odd: Any) -> None:
    """It is left out, and looked for by itself."""
    found = results(odd, line("a"))
    assert list(found.items) == ["a"]


def test_a_task_id_that_is_none_is_left_out() -> None:
    """The answer counts; nothing of that form goes into a path."""
    found = results(line("a", task_id="../../indexes"))
    assert (found.items["a"].task_id, found.items["a"].status.state) == ("", "ready")


def test_nothing_but_rubbish_is_no_answer() -> None:
    """So that it is asked for again."""
    with pytest.raises(UnreadableAnswer):
        results(b"<html>", b"</html>")
    assert results(b"").items == {}


def test_more_values_than_the_memory_holds_are_refused() -> None:
    """Millions of empty objects are small on the wire and large in memory."""
    with pytest.raises(UnreadableAnswer):
        API.results("b").read(answer(b'{"a":[' + b"{}," * 1_000_001 + b"{}]}"))


def test_an_id_that_is_none_reaches_no_path() -> None:
    """As an id that the platform does not know."""
    with pytest.raises(Permanent):
        API.status("../assets")


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_no_bytes_break_the_reader(parts: list[bytes]) -> None:
    """Any lines are items or are counted as none."""
    try:
        found = API.results("b").read(answer(b"\n".join(parts)))
    except UnreadableAnswer:
        return
    assert all(isinstance(key, str) for key in found.items)
