"""The jobs: what they ask for, what they accept, what they write. Each promise holds for every job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import JOBS
from pipeline.core.errors import ConfigError
from pipeline.kit.answers import Verdict
from pipeline.kit.job import FiledJob, Job, PagedJob, Video
from pipeline.kit.page import Moment, Moments, Prose, Tags, Value
from pipeline.kit.schema_profile import schema_problem
from pipeline.sink.layout import is_file

BY_NAME: dict[str, Job] = {job.name: job for job in JOBS}
VIDEO = Video("file:/a.mp4", 100.0, "A # <b>title</b>\n=1+1")
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "ask": {"prompt": "What happens?"},
    "classify": {"classes": ["Talk", "Sport"]},
}
GOOD: Mapping[str, Mapping[str, Any]] = {
    "gist": {"title": "Sorting networks", "topics": ["sorting"], "hashtags": ["#Sorting", "net works"]},
    "summary": {"summary": "Two people talk."},
    "chapters": {
        "chapters": [
            {"start_time": 0, "end_time": 40, "chapter_title": "One", "chapter_summary": "First."},
            {"start_time": 40.0, "end_time": "01:40", "chapter_title": "Two", "chapter_summary": "Second."},
        ]
    },
    "highlights": {
        "highlights": [{"start_time": 5, "end_time": 9.5, "highlight": "Goal", "highlight_summary": "It counts."}]
    },
    "classify": {"classify": {"label": "Talk", "confidence": 0.75}},
    "ask": {"answer_ask": "Nothing."},
}


def check(job_name: str, answer: Any, video: Video = VIDEO, /, **params: Any) -> Verdict:
    """Hold an answer against the video with these parameters."""
    job = BY_NAME[job_name]
    return job.check(answer, video, job.params({**NEEDED.get(job_name, {}), **params}))


def files(job_name: str, value: Mapping[str, Any], video: Video = VIDEO, /, **params: Any) -> dict[str, str]:
    """Render a value and return name → content."""
    job = BY_NAME[job_name]
    rendered = list(job.render(value, video, job.params({**NEEDED.get(job_name, {}), **params})))
    assert all(is_file(file.name) and isinstance(file.content, str) for file in rendered)
    return {file.name: str(file.content) for file in rendered}


def span(start: Any, end: Any, title: Any = "T", text: Any = "S") -> dict[str, Any]:
    """Return one chapter."""
    return {"start_time": start, "end_time": end, "chapter_title": title, "chapter_summary": text}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_job_asks_within_the_platforms_subset(job: Job) -> None:
    """The schema passes the platform's rules, and the prompt names every property."""
    ask = job.ask(job.params(NEEDED.get(job.name, {})))
    for name, schema in ask.schema.items():
        assert schema_problem(schema) == ""
        assert any(f"`{name}`" in line for line in ask.lines)
    assert 0 < ask.tokens < 10_000
    assert all(len(str(old.body.get("prompt", ""))) <= 1500 for old in ask.legacy)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_parameters_are_json_and_settled(job: Job) -> None:
    """Checking checked parameters changes nothing, so a fingerprint of them is stable."""
    params = job.params(NEEDED.get(job.name, {}))
    assert job.params(json.loads(json.dumps(params))) == params


@pytest.mark.parametrize(
    ("name", "params", "word"),
    [
        ("gist", {"topcs": 3}, "did you mean 'topics'?"),
        ("gist", {"types": ["titel"]}, "title, topic, hashtag"),
        ("gist", {"types": []}, "types"),
        ("gist", {"topics": 0}, "from 1 to 20"),
        ("gist", {"topics": True}, "from 1 to 20"),
        ("summary", {"prompt": 5}, "prompt"),
        ("summary", {"prompt": "x" * 1201}, "1201"),
        ("chapters", {"max": 1.5}, "max"),
        ("highlights", {"min": 3}, "unknown key"),
        ("ask", {"prompt": "  "}, "is required"),
        ("ask", {"name": "../x"}, "name"),
        ("ask", {"name": "summary"}, "name"),
        ("ask", {"name": None}, "name"),
        ("ask", {"schema": {"type": "string", "maxLength": 5}}, "maxLength"),
        (
            "ask",
            {"schema": {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}},
            "additionalProperties",
        ),
    ],
)
def test_a_wrong_parameter_is_named(name: str, params: dict[str, Any], word: str) -> None:
    """The message names the key; a mistyped one gets a hint."""
    with pytest.raises(ConfigError) as caught:
        BY_NAME[name].params({**NEEDED.get(name, {}), **params})
    assert word in caught.value.trouble.message + caught.value.trouble.remedy
    assert next(iter(params)) in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ("text", "table"), ({}, "type"), ({"type": ["string"]}, "type"), ({"type": "array"}, "items"),
        ({"type": "array", "items": {"type": "string"}, "minItems": 2}, "minItems"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 2}, "maxItems"),
        ({"type": "number", "minimum": 1}, "minimum"), ({"type": "integer", "minimum": 1.5}, "minimum"),
        ({"type": "string", "format": "email"}, "format"), ({"type": "string", "pattern": "("}, "pattern"),
        ({"type": "string", "enum": []}, "enum"), ({"oneOf": []}, "oneOf"), ({"$ref": "#/$defs/a"}, "$ref"),
        ({"type": "string", "$ref": "#/x"}, "$ref"), ({"anyOf": []}, "anyOf"), ({"anyOf": [{"type": "x"}]}, "type"),
        ({"anyOf": [{"type": "timestamp"}]}, "timestamp"), ({"type": "object"}, "properties"),
        ({"type": "object", "properties": {"a": {"type": "null"}}, "required": ["b"]}, "required"),
        ({"type": "object", "properties": {"start_time": {"type": "boolean"}}}, "start_time"),
        ({"type": "object", "properties": {"end_time": {"type": "string", "format": "time"}}}, "end_time"),
        ({"type": "object", "properties": {"a": {"type": "timestamp"}}}, "timestamp"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "timestamp"}}}, "timestamp"),
    ],
)  # fmt: skip
def test_a_schema_outside_the_subset_is_refused_by_its_keyword(schema: Any, word: str) -> None:
    """What the platform would answer with 422 or 400 never leaves this machine."""
    assert word in schema_problem(schema)


def test_a_bottomless_schema_is_refused() -> None:
    """Depth is bounded, so that no check can run away."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    assert "nested" in schema_problem(schema)


AT = {"type": "timestamp", "format": "seconds"}
TIMED = {"type": "array", "minItems": 1, "items": {"type": "object", "properties": {"at": AT}}}
RATED = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "enum": ["good", "bad"]}, "count": {"type": "integer", "minimum": 0, "exclusiveMaximum": 9},
        "when": {"type": "string", "format": "date"}, "any": {"anyOf": [{"type": "null"}, {"type": "boolean", "const": True}]},
        "start_time": {"type": "number"}, "code": {"type": "string", "pattern": "^[a-z]+$"},
    },
    "required": ["label"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "value", "word"),
    [
        (TIMED, [{"at": 3.5}, {"at": "00:00:03"}], ""),
        (TIMED, [], "empty"),
        (TIMED, {}, "array"),
        (TIMED, [{"at": True}], "[0].at"),
        (RATED, {"label": "good", "count": 3.0, "when": "2026-01-31", "any": None, "start_time": 100.5, "more": 1}, ""),
        (RATED, {"count": 1}, "label is missing"),
        (RATED, {"label": "fine"}, "enum"),
        (RATED, {"label": "bad", "count": -1}, "range"),
        (RATED, {"label": "bad", "count": 9}, "range"),
        (RATED, {"label": "bad", "count": 1.5}, "integer"),
        (RATED, {"label": "bad", "when": "2026-02-31"}, "date"),
        (RATED, {"label": "bad", "any": False}, "none of"),
        (RATED, {"label": "bad", "any": 1}, "none of"),
        (RATED, {"label": "bad", "start_time": 101.5}, "outside"),
        (RATED, {"label": "bad", "start_time": float("nan")}, "nan"),
        (RATED, {"label": "bad", "code": "A1"}, "pattern"),
        (RATED, {"label": "bad", "x": [{"end_time": -1}]}, "outside"),
        (RATED, {"label": "bad", "x": "y" * 200_001}, "larger"),
    ],
)
def test_an_answer_by_schema_is_held_against_it(schema: Any, value: Any, word: str) -> None:
    """Types, bounds, formats, sizes and times inside the video; the problem names the place."""
    verdict = check("ask", {"answer_x": value}, name="x", schema=schema)
    if not word:
        assert verdict.problem == ""
        assert json.loads(files("ask", verdict.value or {}, name="x", schema=schema)["x.json"]) == value
    elif word == "nan":
        assert "number" in verdict.problem
    else:
        assert word in verdict.problem


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_good_answer_passes_and_renders(job: Job) -> None:
    """Each job accepts what it asked for; equal input makes equal bytes."""
    verdict = check(job.name, GOOD[job.name])
    assert verdict.problem == ""
    assert verdict.value is not None
    first = files(job.name, verdict.value)
    assert first == files(job.name, json.loads(json.dumps(verdict.value)))
    assert all(content.endswith("\n") for content in first.values())


HOSTILE: list[Any] = [
    None,
    5,
    "text",
    [],
    {},
    {"chapters": None},
    {"chapters": "x"},
    {"chapters": [5]},
    {"chapters": [[]]},
    {"chapters": [{}]},
    {"chapters": [span(0, 10)] * 10_001},
    {"chapters": []},
    {"chapters": [span(0, 10), span(0, 10)]},
    {"chapters": [span(-1, 5)]},
    {"chapters": [span(5, 5)]},
    {"chapters": [span(9, 5)]},
    {"chapters": [span(0, 101.5)]},
    {"chapters": [span(100.2, 100.9)]},
    {"chapters": [span(float("nan"), 5)]},
    {"chapters": [span(0, float("inf"))]},
    {"chapters": [span(0, 10**400)]},
    {"chapters": [span(True, 5)]},
    {"chapters": [span("x", 5)]},
    {"chapters": [span(None, None)]},
    {"chapters": [span(0, 10), span(5, 20)]},
    {"chapters": [span(0, 10, title="")]},
    {"chapters": [span(0, 10, title=" \x00\n")]},
    {"chapters": [span(0, 10, title=["x"])]},
    {"chapters": [span(0, 10, text={"deep": {}})]},
    {"chapters": [span([[[0]]], 10)]},
]


@pytest.mark.parametrize("answer", HOSTILE, ids=lambda answer: str(answer)[:40])
def test_an_answer_that_cannot_be_used_is_a_problem_in_one_sentence(answer: Any) -> None:
    """Wrong types, impossible times, overlaps, floods: refused with a short reason that can be sent back."""
    verdict = check("chapters", answer)
    assert verdict.value is None
    assert 0 < len(verdict.problem) < 200


def test_small_mistakes_are_repaired_with_a_note() -> None:
    """Order, an overlap within a second, an end within a second past the video, too many entries, gaps."""
    given_ = {"chapters": [span(50, 100.7), span(0, 20.5, title="T" * 300), span(20, 30)]}
    verdict = check("chapters", given_)
    assert verdict.value is not None
    times = [(entry["start_time"], entry["end_time"]) for entry in verdict.value["chapters"]]
    assert times == [(0, 20), (20, 30), (50, 100)]
    assert len(verdict.value["chapters"][0]["chapter_title"]) == 200
    notes = " ".join(verdict.notes)
    assert "time order" in notes
    assert "overlap of 0.5 s" in notes
    assert "0:30 to 0:50" in notes
    assert "cut to 200" in notes


def test_gaps_at_both_ends_are_noted() -> None:
    """A video that is not covered to its ends is said so, and accepted."""
    notes = check("chapters", {"chapters": [span(5, 50)]}).notes
    assert "no chapter covers 0:00 to 0:05" in notes
    assert "no chapter covers 0:50 to 1:40" in notes
    assert any("YouTube" in note for note in notes)


def test_lists_are_cut_to_their_caps() -> None:
    """Caps that the platform's schema cannot express are enforced here."""
    many = {"chapters": [span(number, number + 1) for number in range(90)]}
    verdict = check("chapters", many, max=5)
    assert verdict.value is not None
    assert len(verdict.value["chapters"]) == 5
    assert "had 90 entries; the first 5 were kept" in verdict.notes[0]
    assert len(verdict.notes) <= 21
    gist = check("gist", {"title": "x" * 10_000, "topics": list("abcdefgh"), "hashtags": [f"t{n}" for n in range(40)]})
    assert gist.value is not None
    assert (len(gist.value["title"]), len(gist.value["topics"]), len(gist.value["hashtags"])) == (200, 5, 15)


def test_a_video_of_unknown_length_has_no_end_to_pass() -> None:
    """Where nobody knows the length, times are only compared with each other."""
    assert check("chapters", {"chapters": [span(0, 5000)]}, Video("url:x", 0.0)).problem == ""


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (["#Goal", "goal", "GOAL!"], ["#Goal"]), (["slow motion"], ["#slowmotion"]), (["#a #b"], ["#a", "#b"]),
        (["", "#", "!!", "_", "ok"], ["#ok"]), (["日本 語", "café-bar", "हिन्दी"], ["#日本語", "#cafébar", "#हिन्दी"]),
    ],
)  # fmt: skip
def test_hashtags_are_made_alike(given_: list[str], expected: list[str]) -> None:
    """One sign, no blanks or punctuation, each once whatever its case, in every script."""
    verdict = check("gist", {"hashtags": given_}, types=["hashtag"])
    assert verdict.value == {"hashtags": expected}


@pytest.mark.parametrize(
    "answer",
    [{"hashtags": ["#", "!"]}, {"hashtags": []}, {"hashtags": [5]}, {"hashtags": "#a"}, {"hashtags": ["x"] * 10_000}],
)
def test_hashtags_that_are_none_are_a_problem(answer: Any) -> None:
    """A list with nothing usable in it is asked for again."""
    assert check("gist", answer, types=["hashtag"]).value is None


def test_gist_asks_and_takes_only_the_chosen_kinds() -> None:
    """A subset of types is a smaller schema, prompt and answer."""
    job = BY_NAME["gist"]
    ask = job.ask(job.params({"types": ["topic", "title"]}))
    assert list(ask.schema) == ["title", "topics"]
    assert ask.legacy[0].body == {"types": ["title", "topic"]}
    assert set(check("gist", GOOD["gist"], types=["title"]).value or {}) == {"title"}


def test_two_questions_do_not_share_a_property_or_a_file() -> None:
    """Instances of ask are told apart by their names."""
    job = BY_NAME["ask"]
    one, two = (job.params({"prompt": "p", "name": name}) for name in ("a-b", "a_b"))
    assert set(job.ask(one).schema) == {"answer_a-b"}
    assert not set(job.ask(one).schema) & set(job.ask(two).schema)
    assert set(files("ask", {"answer": "x"}, name="a-b")) == {"a-b.md"}


def test_a_prompt_that_the_old_api_would_refuse_is_not_cut() -> None:
    """Too long for v1.2 means: not to be asked there at all."""
    job = BY_NAME["ask"]
    assert job.ask(job.params({"prompt": "x" * 1500})).legacy
    assert not job.ask(job.params({"prompt": "x" * 1501})).legacy


OLD: Mapping[str, Mapping[str, Any]] = {
    "gist": {"id": "1", "title": "T", "topics": ["a"], "hashtags": ["b", "B"]},
    "summary": {"id": "1", "summary": "S"},
    "chapters": {
        "chapters": [{"chapter_number": 0, "start": 0, "end": 100, "chapter_title": "T", "chapter_summary": "S"}]
    },
    "highlights": {"highlights": [{"start": 1, "end": 2, "highlight": "H", "highlight_summary": "S"}]},
    "classify": {"id": "1", "data": "It is a talk."},
    "ask": {"id": "1", "data": "text"},
}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_answers_of_the_old_api_take_todays_shape(job: Job) -> None:
    """What v1.2 answers passes the same check; what is not an answer is a problem, never a crash."""
    params = job.params(NEEDED.get(job.name, {}))
    old = job.ask(params).legacy[0]
    assert old.path in ("/gist", "/summarize", "/generate")
    assert job.check(old.read(OLD[job.name]), VIDEO, params).problem == ""
    odd_answers: list[dict[str, Any]] = [
        {},
        {"chapters": 5},
        {"chapters": [5]},
        {"highlights": [None]},
        {"data": 5},
        {"summary": []},
    ]
    for odd in odd_answers:
        assert job.check(old.read(odd), VIDEO, params).value is None


@pytest.mark.parametrize("data", ['{"at": 1}', '```json\n{"at": 1}\n```', '```\n{"at": 1}```'])
def test_old_json_answers_are_read_through_their_fence(data: str) -> None:
    """The old API had no schemas: JSON comes as text, often in a code fence."""
    job = BY_NAME["ask"]
    params = job.params({"prompt": "p", "schema": {"type": "object", "properties": {"at": {"type": "number"}}}})
    old = job.ask(params).legacy[0]
    assert job.check(old.read({"data": data}), VIDEO, params).value == {"answer": {"at": 1}}
    assert job.check(old.read({"data": "no json"}), VIDEO, params).value is None


texts = st.text(max_size=300)
numbers = st.one_of(st.integers(-5, 200), st.floats(), st.sampled_from(["00:10", "1:2:3:4", "x", None, True]))
entries = st.fixed_dictionaries(
    {"start_time": numbers, "end_time": numbers},
    optional={"chapter_title": texts, "chapter_summary": texts, "highlight": texts, "highlight_summary": texts},
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts, entries),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=10,
)
properties = ["title", "topics", "hashtags", "summary", "chapters", "highlights", "answer_ask", "classify"]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
@given(answer=st.one_of(anything, st.dictionaries(st.sampled_from(properties), anything)), title=texts)
def test_no_answer_crashes_a_job_and_what_passes_can_be_written(job: Job, answer: Any, title: str) -> None:
    """For any JSON-like answer: a verdict with a value or a problem; a value renders to UTF-8 and passes its own check."""
    params, video = job.params(NEEDED.get(job.name, {})), Video("k", 100.0, title)
    verdict = job.check(answer, video, params)
    assert (verdict.value is None) == bool(verdict.problem)
    if verdict.value is not None:
        for file in job.render(verdict.value, video, params):
            str(file.content).encode()
        wrapped = {"ask": {"answer_ask": verdict.value.get("answer")}, "classify": {"classify": verdict.value}}
        again = wrapped.get(job.name, verdict.value)
        assert job.check(again, video, params).value == verdict.value


@pytest.mark.parametrize("job", JOBS, ids=lambda job: str(job.name))
def test_every_job_tells_its_files_before_there_is_an_answer(job: Job) -> None:
    """What a good answer becomes is among what was told, for each form that the parameters may give it."""
    assert isinstance(job, FiledJob)
    forms: list[dict[str, Any]] = [{}]
    if job.name == "ask":
        forms.append({"schema": {"type": "object", "properties": {"a": {"type": "string"}}}})
    for form in forms:
        params = job.params({**NEEDED.get(job.name, {}), **form})
        good = {"answer_ask": {"a": "b"}} if form else GOOD[job.name]
        value = job.check(good, VIDEO, params).value
        assert value is not None
        assert {file.name for file in job.render(value, VIDEO, params)} <= {*job.files(params)}


def shown(name: str, **given: Any) -> list[Any]:
    """Return a good answer's blocks for the page."""
    job = BY_NAME[name]
    params = job.params({**NEEDED.get(name, {}), **given})
    value = job.check(GOOD[name], VIDEO, params).value
    assert value is not None
    assert isinstance(job, PagedJob)
    return list(job.page(value, VIDEO, params))


def test_every_job_says_how_the_page_shows_it() -> None:
    """Texts, stretches with their times, words with their filter: nothing is left to a table that has a better form."""
    assert shown("gist") == [Prose("Sorting networks"), Tags(["sorting"]), Tags(["#Sorting", "#networks"])]
    assert shown("summary") == [Prose("Two people talk.")]
    (chapters,) = shown("chapters")
    assert chapters.chapters
    assert [(part.start, part.end, part.title, part.text) for part in chapters.items] == [
        (0.0, 40.0, "One", "First."),
        (40.0, 100.0, "Two", "Second."),
    ]
    assert shown("highlights") == [Moments([Moment(5.0, 9.5, "Goal", "It counts.")])]
    assert shown("classify") == [Tags(["Talk"], facet="classify"), Prose("Confidence: 75%")]
    assert shown("ask") == [Prose("Nothing.")]


def test_the_title_is_not_said_twice() -> None:
    """A gist whose title is the video's own adds nothing."""
    job = BY_NAME["gist"]
    assert isinstance(job, PagedJob)
    assert job.page({"title": VIDEO.title, "topics": ["a"]}, VIDEO, job.params({})) == [Tags(["a"])]


@pytest.mark.parametrize(
    ("answer", "blocks"),
    [
        ({"rating": 3, "why": "x"}, [Value({"rating": 3, "why": "x"})]),
        (
            {
                "goals": [
                    {"start_time": 9, "end_time": 10, "name": "Second", "by": "B"},
                    {"start": "0:05", "end": 7, "title": "1"},
                ]
            },
            [Moments([Moment(5.0, 7.0, "1"), Moment(9.0, 10.0, "Second", "B")])],
        ),
        ([{"start": 1, "end": 2, "score": 0.5}], [Moments([Moment(1.0, 2.0, "0.5")])]),
        ([{"start": 5, "end": 2}], [Value([{"start": 5, "end": 2}])]),
        ([{"start": 1}], [Value([{"start": 1}])]),
        ([], [Value([])]),
    ],
)
def test_an_answer_with_times_leads_to_its_seconds(answer: Any, blocks: list[Any]) -> None:
    """A list of values with start and end becomes stretches, in order, nothing of it lost; anything else is a table."""
    job = BY_NAME["ask"]
    assert isinstance(job, PagedJob)
    params = job.params({"prompt": "?", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}})
    assert job.page({"answer": answer}, VIDEO, params) == blocks
