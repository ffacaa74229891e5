"""Knowledge stores of API v1.3 on JSON, and answers as streams: whole, cut, broken. No I/O."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ports.knowledge_api import Citation, CrossQuestion, CrossReply
from pipeline.provider.dialects.protocol import Response, UnreadableAnswer
from pipeline.provider.dialects.v1_3.event_stream import read_events
from pipeline.provider.dialects.v1_3.knowledge import KnowledgeV13

API = KnowledgeV13()
PART = {
    "type": "output_text", "text": "It opens [1].",
    "annotations": [
        {"type": "video_citation", "start_index": 9, "end_index": 11, "item_id": "ksi_1", "start_sec": 0.5, "end_sec": 9},
        {"type": "video_citation", "start_index": 9, "end_index": 11, "item_id": "ksi_2"},
        {"type": "collection_citation", "start_index": 9, "end_index": 11, "collection_id": "ksic_1"},
        {"type": "video_citation", "start_index": 9, "end_index": 11, "item_id": "../x"},
    ],
}  # fmt: skip
MESSAGE = {"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": [PART]}
ENDED = {
    "id": "resp_1", "type": "response", "status": "completed", "output": [MESSAGE],
    "usage": {"input_tokens": 12, "output_tokens": 3},
}  # fmt: skip


def stream(*events: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:
    """Return events as they are sent."""
    texts = (event if isinstance(event, str) else json.dumps(event) for event in events)
    return b"".join(f"event: e\ndata: {text}\n\n".encode() for text in texts) + end


def wrapped(response: dict[str, Any], kind: str = "response.completed") -> dict[str, Any]:
    """Return the event that holds a response."""
    return {"type": kind, "sequence_number": 9, "response": response}


BEGUN = wrapped({**ENDED, "status": "in_progress", "output": []}, "response.created")


def read(body: bytes, kind: str = "text/event-stream") -> CrossReply:
    """Read an answer."""
    return API.respond(CrossQuestion("ks_1", "Why?")).read(Response(200, {"content-type": kind}, body))


def test_a_question_is_sent_as_documented() -> None:
    """Selections with their tokens, the schema under its name, events wanted; it is no call that may be repeated."""
    question = CrossQuestion("ks_1", "Why?", "Be brief.", ["ksi_1", "ksi_2"], {"type": "object", "properties": {}})
    request = API.respond(question).request
    assert (request.method, request.path, request.safe) == ("POST", "/responses", False)
    assert request.json == {
        "knowledge_store_id": "ks_1",
        "input": [{"type": "message", "role": "user", "content": "Why?\n\n{{sel:0}} {{sel:1}}"}],
        "stream": True,
        "instructions": "Be brief.",
        "selections": [{"kind": "item", "id": "ksi_1"}, {"kind": "item", "id": "ksi_2"}],
        "text": {
            "format": {"type": "json_schema", "name": "answer", "schema": {"type": "object", "properties": {}}},
        },
    }
    assert set(API.respond(CrossQuestion("ks_1", "Why?")).request.json) == {"knowledge_store_id", "input", "stream"}


def test_an_answer_is_what_the_last_event_says() -> None:
    """Text, usage, the ranges that it cites; other citations are none of a moment."""
    found = read(stream(BEGUN, {"type": "keepalive", "sequence_number": 1}, wrapped(ENDED)))
    assert (found.text, found.state, found.id) == ("It opens [1].", "completed", "resp_1")
    assert found.usage == {"input_tokens": 12, "output_tokens": 3}
    assert found.citations == [Citation("ksi_1", 0.5, 9.0, 9), Citation("ksi_2", None, None, 9)]
    assert read(json.dumps(ENDED).encode(), "application/json") == found


@pytest.mark.parametrize(
    ("status", "output", "text"), [("incomplete", [MESSAGE], "It opens [1]."), ("failed", [], ""), ("failed", None, "")]
)
def test_another_end_is_told(status: str, output: Any, text: str) -> None:
    """Cut at the limit of tokens, or given up."""
    found = read(stream(BEGUN, wrapped({**ENDED, "status": status, "output": output}, f"response.{status}")))
    assert (found.state, found.text) == (status, text)


def test_the_text_may_stand_in_an_event_of_its_own() -> None:
    """Where the end repeats no output."""
    done = {"type": "response.output_text.done", "sequence_number": 2, "text": "It opens."}
    assert read(stream(done, wrapped({**ENDED, "output": []}))).text == "It opens."


@pytest.mark.parametrize(
    "usage",
    [
        None, 7, {"input_tokens": 1}, {"input_tokens": -1, "output_tokens": 2}, {"input_tokens": 1e300, "output_tokens": 2},
        {"input_tokens": True, "output_tokens": 2}, {"input_tokens": 10**12, "output_tokens": 2},
    ],
)  # fmt: skip
def test_a_usage_that_cannot_be_is_none(usage: Any) -> None:
    """Then what was reserved stands."""
    assert read(stream(wrapped({**ENDED, "usage": usage}))).usage == {}


@pytest.mark.parametrize(
    "body",
    [
        b"", b"data: [DONE]\n\n", stream(BEGUN), stream(BEGUN, end=b""), stream("{", "[1]", "null"), b"<html>", b"\xff" * 99,
        stream(wrapped({**ENDED, "output": []})), stream(wrapped({**ENDED, "output": 7})),
        stream(wrapped({**ENDED, "status": 1})), stream(wrapped(ENDED), end=b"").rstrip(), stream("[DONE]", wrapped(ENDED)),
        stream("[" * 99_999),
        stream(wrapped({**ENDED, "output": [{**MESSAGE, "content": [{**PART, "text": " "}]}]})),
    ],
)  # fmt: skip
def test_what_is_no_whole_answer_cannot_be_read(body: bytes) -> None:
    """Cut, empty, broken, or something else: nobody can tell whether it was answered."""
    with pytest.raises(UnreadableAnswer):
        read(body)


def test_a_stream_that_is_cut_anywhere_is_no_answer() -> None:
    """Every length short of the end of its last event."""
    whole = stream(BEGUN, wrapped(ENDED), end=b"")
    for length in range(len(whole) - 1):
        with pytest.raises(UnreadableAnswer):
            read(whole[:length])
    assert read(whole).state == "completed"


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    """Whatever comes is read or refused."""
    for noise in (body, b"data: " + body + b"\n\n", stream(wrapped(ENDED), end=body)):
        with suppress(UnreadableAnswer):
            assert read(noise).state == "completed"


def test_lines_end_as_the_standard_says() -> None:
    """CR, LF and both; comments, other fields and a byte order mark; several lines of data are one text."""
    body = "\ufeff: hi\r\nid: 1\rdata:one\ndata: two\r\n\r\nevent: x\n\ndata\n\ndata: cut".encode()
    assert list(read_events(body)) == ["one\ntwo", ""]
