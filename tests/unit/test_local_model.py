"""A model's answers: read whatever came, believe only what holds, ask within the room there is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.local.analysis.plugins.model.checks import find_problem
from pipeline.local.analysis.plugins.model.endpoint import ModelEndpoint, ModelTrouble
from pipeline.local.analysis.plugins.model.questions import build_messages, to_json_schema
from pipeline.local.analysis.plugins.model.replies import error_text, read_answer, read_value
from pipeline.local.analysis.protocol import AnalysisRequest, Brief, Clip
from tests.support.model_server import error, said, streamed

BRIEF = Brief(
    10.0,
    70.0,
    (
        Clip("sentence", 10.0, 14.0, "The queen lays the eggs."),
        Clip("sentence", 14.0, 18.0, "Workers don’t rest; they gather honey."),
        Clip("text_in_video", 20.0, 30.0, "Honey Bees: a short introduction"),
        Clip("measured", 10.0, 70.0, "It has no sound track."),
    ),
)
TEXT = {"type": "object", "properties": {"quote": {"type": "string"}, "words": {"type": "string"}}}
SPANS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"start_time": {"type": "number"}, "end_time": {"type": "timestamp"}},
        "required": ["start_time"],
    },
}


def asking(**given: Any) -> AnalysisRequest:
    """Return a request that asks something."""
    return AnalysisRequest("", "", "", **{"name": "bees.mp4", "title": "", "captions": (), "prompt": "What?", **given})


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"words": "They say “the queen lays the eggs”."}, ""),
        ({"words": 'They say "The queen … lays the eggs".'}, ""),
        ({"words": 'They say "workers don\'t rest, they gather".'}, ""),
        ({"words": "The so-called “royal house”."}, ""),
        ({"words": "They say “the queen eats the eggs”."}, "the queen eats the eggs"),
        ({"quote": "the queen lays the eggs"}, ""),
        ({"quote": "the queen leaves the hive"}, "the evidence does not have them"),
        ({"quote": "eggs. Workers don’t rest"}, ""),
        ({"quote": 7}, "schema"),
    ],
)
def test_quotes_must_occur(value: dict[str, Any], problem: str) -> None:
    """Case, punctuation and omissions do not count; words that nobody said do, and a name in quotes is no quote."""
    assert problem in find_problem(value, TEXT, BRIEF)
    assert (problem == "") == (find_problem(value, TEXT, BRIEF) == "")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([{"start_time": 10.0, "end_time": 20.0}, {"start_time": 20.0, "end_time": "00:01:10"}], ""),
        ([{"start_time": 9.6, "end_time": 70.4}], ""),
        ([{"start_time": 9.0}], "outside of 10 to 70 s"),
        ([{"start_time": 11.0, "end_time": "00:02:00"}], "outside of 10 to 70 s"),
        ([{"start_time": 30.0, "end_time": 30.0}], ""),
        ([{"start_time": 30.0, "end_time": 29.0}], "before it begins"),
        ([{"start_time": 30.0}, {"start_time": 20.0}], ""),
        ([{"end_time": 30.0}], "schema"),
    ],
)
def test_times_must_exist(value: Any, problem: str) -> None:
    """Inside the part that counts, and forward; a rounding is no lie, and the order is the question's matter."""
    assert problem in find_problem(value, SPANS, BRIEF)
    assert (problem == "") == (find_problem(value, SPANS, BRIEF) == "")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("At [0:15] she lays eggs.", True),
        ("At 1:11 it ends.", True),
        ("At 1:30 it ends.", False),
        ("See 1:00:15.", False),
    ],
)
def test_times_in_plain_words_must_exist_as_well(text: str, good: bool) -> None:
    """A time behind the end is not let through; one of rounding is."""
    assert (find_problem(text, None, BRIEF) == "") == good


@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["choices", "message", "delta", "content", "error", "detail", "usage", "finish_reason", "refusal",
                         "prompt_tokens", "text", "type"]), inner, max_size=4),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_whatever_an_endpoint_sends_is_read_or_refused(body: bytes) -> None:
    """Any bytes, and any JSON with the words of a chat completion: an answer, or ModelTrouble; errors always have words."""
    for kind in ("application/json", "text/event-stream"):
        try:
            assert read_answer(body, kind).text.strip()
        except ModelTrouble:
            continue
    assert len(error_text(body)) <= 201
    assert "\n" not in error_text(body)


@pytest.mark.parametrize("form", ["openai", "ollama", "vllm", "fastapi", "llama.cpp", "page"])
def test_errors_are_read_in_the_form_of_each_server(form: str) -> None:
    """The server's own words, or none where a proxy answers with a page."""
    reply = error(400, "context length exceeded", form)
    assert error_text(reply.body) == ("" if form == "page" else "context length exceeded")


def test_a_stream_and_a_whole_answer_say_the_same() -> None:
    """Text, tokens and end of both."""
    text = '{"a": "“ünï…”"}'
    assert read_answer(streamed(text).body, "text/event-stream") == read_answer(said(text).body, "application/json")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}), ('```json\n[1, 2]\n```', [1, 2]), ('Sure! {"a": {"b": []}} Anything else?', {"a": {"b": []}}),
        ("{not json} but {\"a\": 1}", {"a": 1}),
    ],
)  # fmt: skip
def test_json_is_found_in_what_is_around_it(text: str, value: Any) -> None:
    """Fences, politeness and braces in prose."""
    assert read_value(text) == value


@pytest.mark.parametrize("text", ["", "bees", '{"a": NaN}', "[" * 50_000, '{"a": 1'])
def test_what_is_no_json_is_refused(text: str) -> None:
    """Prose, halves, numbers that JSON does not have, and depth without end."""
    with pytest.raises(ModelTrouble):
        read_value(text)


@given(st.lists(st.text(min_size=1, max_size=80), max_size=60), st.integers(2_000, 8_000))
def test_the_question_fits_into_the_context(texts: list[str], room: int) -> None:
    """Every line of evidence is one line of JSON, in time order; what has no room is left out evenly, and that is said."""
    clips = tuple(Clip("sentence", float(at), at + 1.0, text * 9) for at, text in enumerate(texts))
    system, user = build_messages(asking(), Brief(0.0, 99.0, clips), (), room)
    assert len(system["content"]) + len(user["content"]) < 3 * room + 300
    lines = [json.loads(line) for line in user["content"].split("\n") if line.startswith("[")]
    assert [line[1] for line in lines] == sorted(line[1] for line in lines)
    assert {line[3] for line in lines} <= {clip.text for clip in clips}
    left_out = len(clips) - len(lines)
    assert (left_out > 0) == (f"({left_out} lines of the evidence" in user["content"])
    assert lines or not clips


def test_a_schema_of_the_platform_becomes_json_schema() -> None:
    """A timestamp is a number, or a text in its form; the rest stays."""
    schema = {
        "type": "object",
        "properties": {"at": {"type": "timestamp"}, "t": {"type": "timestamp", "format": "hh:mm:ss"}},
    }
    assert to_json_schema(schema) == {
        "type": "object",
        "properties": {"at": {"type": "number"}, "t": {"type": "string", "description": "a time as hh:mm:ss"}},
    }


@pytest.mark.parametrize(
    ("address", "remote"),
    [
        ("http://127.0.0.1:11434/v1", False), ("http://localhost:1/v1", False), ("http://gpu.lan/v1", False),
        ("http://192.168.1.9/v1", False), ("https://api.example.com/v1", True),
    ],
)  # fmt: skip
def test_an_endpoint_knows_whether_it_is_in_the_world_outside(address: str, remote: bool) -> None:
    """This machine and its network are not; a public name is."""
    assert ModelEndpoint(address, "m").is_remote == remote
