"""Answers follow the schema and the prompt, and hold nothing that was not read or measured."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.local.analysis.evidence import HEADING, Evidence, EvidenceKind, ExtractedContent, Facts, Shot
from pipeline.local.analysis.protocol import AnalysisRefused, AnalysisRequest, count_tokens
from pipeline.local.analysis.service import build_answer
from pipeline.local.analysis.text.content_summary import ContentSummary
from pipeline.local.analysis.text.headlines import readable_name
from pipeline.local.demo.scripts import load_scripts

FACTS = Facts(60.0, 640, 360, 25.0, "mov,mp4", "h264", "aac", True, 1000, 133, "video/mp4", "", "")
SPAN = {"start_time": {"type": "number"}, "end_time": {"type": "number"}}
TEXT = {"type": "string"}


def reading(
    *evidence: Evidence, seconds: float = 60.0, shots: tuple[Shot, ...] = (), title: str = ""
) -> ExtractedContent:
    """Return a reading of these findings."""
    shots = shots or (Shot(0.0, seconds, 0.4, ("green", "blue")),)
    return ExtractedContent(replace(FACTS, seconds=seconds), evidence, title, shots)


def said(*texts: str, each: float = 4.0, start: float = 0.0) -> list[Evidence]:
    """Return cues that follow each other."""
    spans = [(start + n * each, start + (n + 1) * each, text) for n, text in enumerate(texts)]
    return [Evidence(a, b, "conversation", text, "captions given") for a, b, text in spans]


def shown(start: float, end: float, text: str, source: str = HEADING) -> Evidence:
    """Return a line of text in the picture."""
    kind: EvidenceKind = "text_in_video"
    return Evidence(start, end, kind, text, source)


def lecture() -> ExtractedContent:
    """Return the first demo script as if it had been read, with the slides' headings."""
    evidence: list[Evidence] = []
    shots: list[Shot] = []
    for number, scene in enumerate(load_scripts()[0].scenes):
        evidence += said(*scene.narration, each=4.0, start=12.0 * number)
        evidence.append(shown(12.0 * number, 12.0 * number + 12, scene.heading))
        shots.append(Shot(12.0 * number, 12.0 * number + 12, 0.0, ("white",)))
    return reading(*evidence, seconds=12.0 * len(shots), shots=tuple(shots))


SILENT = reading()


def answer(what: ExtractedContent, **given: Any) -> str:
    """Return the text of an answer to a request."""
    return build_answer(what, AnalysisRequest("", "", "", **{"name": "", "title": "", "captions": (), **given}))


def ask(what: ExtractedContent, schema: Mapping[str, Any], prompt: str = "", **more: Any) -> Any:
    """Return the parsed answer to a schema."""
    return json.loads(answer(what, prompt=prompt, schema=schema, name=more.pop("name", "some_film.mp4"), **more))


def one(what: ExtractedContent, name: str, inner: Mapping[str, Any], prompt: str = "", **more: Any) -> Any:
    """Return the value of a single required property."""
    schema = {"type": "object", "properties": {name: inner}, "required": [name]}
    return ask(what, schema, prompt, **more)[name]


def spans_of(*texts: str) -> dict[str, Any]:
    """Return the schema of a list of spans with these texts."""
    properties = SPAN | dict.fromkeys(texts, TEXT)
    return {"type": "array", "items": {"type": "object", "properties": properties, "required": list(properties)}}


def normal(text: str) -> str:
    """Return a text for comparison: case and white space do not count."""
    return " ".join(text.split()).casefold()


def traced(text: str, what: ExtractedContent) -> bool:
    """True if a text consists of pieces of the evidence, or is one of the fixed statements about what was measured."""
    by_source: dict[str, list[str]] = {}
    for item in what.evidence:
        by_source.setdefault(item.kind, []).append(item.text)
    pool = [normal(" ".join(texts)) for texts in by_source.values()]
    fixed = (
        r"a \d+-second video without [^.]*\.|its sound could not be decoded\.|measured: .*|on screen:|"
        r"nothing said or written; [^.]*\.|part \d+: .*|longest shot|"
        r"the longest of \d+ shots runs [^,]*, [\d.]+ seconds without a cut"
    )
    rest = re.sub(fixed, " ", normal(text).rstrip("…"))
    return all(any(part in source for source in pool) for part in _parts(rest, pool))


def _parts(text: str, pool: list[str]) -> Iterator[str]:
    """Cut a text greedily into the longest pieces that the pool holds, at the ends of sentences and lists."""
    for sentence in re.split(r"(?<=[.!?])\s+|; ", text):
        part = sentence.strip(" .")
        if part and any(part in source for source in pool):
            continue
        yield from (piece.strip(" .") for piece in part.split(", ") if piece.strip(" ."))


def strings(value: Any) -> Iterator[str]:
    """Yield every string inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


# ------------------------------------------------------------------------------------------------------- the products


COMBINED = {
    "type": "object",
    "properties": {
        "title": TEXT,
        "topics": {"type": "array", "minItems": 1, "items": TEXT},
        "hashtags": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": r"^#?[^\s#]+$"}},
        "summary": TEXT,
        "chapters": {**spans_of("chapter_title", "chapter_summary"), "minItems": 1},
        "highlights": spans_of("highlight", "highlight_summary"),
    },
    "required": ["title", "topics", "hashtags", "summary", "chapters", "highlights"],
}


def test_the_combined_schema_is_filled_in_its_own_order() -> None:
    """All products in one answer: keys in the schema's order, chapters without gaps, highlights inside the video."""
    found = ask(lecture(), COMBINED)
    assert list(found) == COMBINED["required"]
    assert found["title"] == "A Year in the Beehive"
    assert [c["chapter_title"] for c in found["chapters"]] == [scene.heading for scene in load_scripts()[0].scenes]
    ends = [0.0] + [c["end_time"] for c in found["chapters"]]
    assert [c["start_time"] for c in found["chapters"]] == ends[:-1]
    assert ends[-1] == 60.0
    assert all(0 <= h["start_time"] < h["end_time"] <= 60 for h in found["highlights"])
    assert "waggle dance" in found["topics"]
    assert all(tag.startswith("#") for tag in found["hashtags"])


def test_every_sentence_of_the_combined_answer_is_in_the_evidence() -> None:
    """Summary, chapter summaries and highlights are quotations."""
    what = lecture()
    found = ask(what, COMBINED)
    quoted = [found["summary"], *(c["chapter_summary"] for c in found["chapters"])]
    quoted += [h["highlight_summary"] for h in found["highlights"]]
    source = normal(" ".join(e.text for e in what.of("conversation")))
    for text in quoted:
        for sentence in re.split(r"(?<=\.)\s+", text):
            assert normal(sentence) in source


_WORDS = """salt water bread tide moon bee honey dance queen oven flour the a of and is rises falls slowly"""
_WORD = st.sampled_from(_WORDS.split())
_SENTENCE = st.lists(_WORD, min_size=1, max_size=14).map(lambda ws: " ".join(ws).capitalize() + ".")
_CUES = st.lists(_SENTENCE, max_size=25)
_SHOTS = st.lists(st.tuples(st.floats(1, 30), st.booleans()), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    cues=_CUES,
    slides=st.lists(_SENTENCE, max_size=5),
    spans=_SHOTS,
    prompt=st.sampled_from(["", "at most 3 chapters", "`chapters`: 2"]),
)
def test_whatever_was_read_answers_are_traceable_and_inside_the_video(
    cues: list[str], slides: list[str], spans: list[tuple[float, bool]], prompt: str
) -> None:
    """For any captions, slides and shots: no word is invented, no time lies outside, chapters have no gap."""
    seconds = round(sum(length for length, _ in spans), 2)
    shots, at = [], 0.0
    for length, still in spans:
        shots.append(Shot(round(at, 2), round(at + length, 2), 0.0 if still else 0.5, ("red",)))
        at += length
    evidence = said(*cues, each=seconds / max(1, len(cues)))
    evidence += [shown(shot.start, shot.end, text) for shot, text in zip(shots, slides, strict=False)]
    what = reading(*evidence, seconds=seconds, shots=tuple(shots))
    schema = {**COMBINED, "required": ["title", "summary", "chapters"]}
    found = ask(what, schema, prompt)
    for text in (*strings(found["chapters"]), found["summary"], *strings(found.get("highlights", []))):
        assert traced(text, what), text
    for row in (*found["chapters"], *found.get("highlights", [])):
        assert 0 <= row["start_time"] < row["end_time"] <= seconds + 0.011
    edges = [row["start_time"] for row in found["chapters"]] + [found["chapters"][-1]["end_time"]]
    assert edges[0] == 0
    assert edges[-1] == pytest.approx(seconds, abs=0.011)
    assert [row["end_time"] for row in found["chapters"]] == edges[1:]


def test_a_video_without_words_says_exactly_that() -> None:
    """No speech and no text: the summary says so, the title is the file's name, lists are empty or measured facts."""
    found = ask(
        SILENT, {"type": "object", "properties": {"title": TEXT, "summary": TEXT, "highlights": spans_of("highlight")}}
    )
    assert found["title"] == "some film"
    assert (
        found["summary"]
        == "A 60-second video without captions or readable text: moving picture. Its sound could not be decoded."
    )
    assert found["highlights"] == []
    assert one(SILENT, "topics", {"type": "array", "items": TEXT}) == []
    assert one(SILENT, "topics", {"type": "array", "minItems": 1, "items": TEXT}) == ["moving pictures"]
    assert one(SILENT, "hashtags", {"type": "array", "minItems": 1, "items": TEXT}) == ["#MovingPictures"]
    with pytest.raises(AnalysisRefused, match="highlights"):
        one(SILENT, "highlights", {**spans_of("highlight"), "minItems": 1})


def test_titles_are_taken_in_their_order() -> None:
    """A person's title wins over the container's, that over a slide's, that over a phrase, that over the name."""
    phrase = said(*["The waggle dance is old."] * 3, "The waggle dance lasts.")
    assert one(reading(*phrase, shown(0, 9, "Slide")), "title", TEXT, title="Mine") == "Mine"
    assert ContentSummary(replace(reading(shown(0, 9, "Slide")), title="Tag"), name="x.mp4").title == "Tag"
    assert ContentSummary(reading(*phrase, shown(0, 9, "Slide")), name="x.mp4").title == "Slide"
    assert ContentSummary(reading(*phrase), name="x.mp4").title == "Waggle dance"
    assert ContentSummary(SILENT, name="my-first_film.v2.mp4").title == "my-first film.v2"


def test_the_trace_itself_can_fail() -> None:
    """The helper of the property above accepts quotations and fixed statements and nothing else."""
    what = lecture()
    assert traced("The drones are the males of the colony, and they leave the hive to mate.", what)
    assert traced("Nothing said or written; still picture, mainly white.", what)
    assert not traced("The drones rule the colony.", what)
    assert not traced("The drones are the males of the colony, and they rule.", what)


# ------------------------------------------------------------------------------------------------------ schema walking


def test_times_take_the_form_of_their_type() -> None:
    """Numbers, whole numbers, clock strings and timestamps are the same moment in the form asked for."""
    what = reading(
        *said("The sea rises twice a day.", "The Moon pulls the water."), shots=(Shot(0, 60, 0.5, ("red",)),)
    )
    forms = {
        "start_time": {"type": "integer"},
        "end_time": {"type": "string"},
        "begin": {"type": "timestamp", "format": "hh:mm:ss"},
        "start_sec": {"type": "timestamp", "format": "seconds"},
        "end_sec": {"type": "timestamp", "format": "hh:mm:ss.fff"},
    }
    rows = one(
        what, "transcript", {"type": "array", "items": {"type": "object", "properties": {**forms, "text": TEXT}}}
    )
    assert rows[1] == {
        "start_time": 4, "end_time": "00:00:08.000", "begin": "00:00:04", "start_sec": 4.0, "end_sec": "00:00:08.000",
        "text": "The Moon pulls the water.",
    }  # fmt: skip


def test_a_label_is_chosen_by_words_that_were_found() -> None:
    """An enum takes the value whose words occur most; its confidence is the share of words that speak for it."""
    label = {"type": "string", "enum": ["Cooking", "Beekeeping", "Honey bees"]}
    found = ask(lecture(), {"type": "object", "properties": {"label": label, "confidence": {"type": "number"}}})
    assert found == {"label": "Honey bees", "confidence": 1.0}
    assert one(lecture(), "labels", {"type": "array", "items": {"enum": ["flowers", "football", "queen"]}}) == [
        "flowers",
        "queen",
    ]


@pytest.mark.parametrize(
    ("name", "inner"),
    [
        ("sport", {"type": "string", "enum": ["Basketball", "Tennis"]}),
        ("is_exciting", {"type": "boolean"}),
        ("goals", {"type": "integer"}),
        ("rating", {"type": "number"}),
        ("created", {"type": "string", "format": "date"}),
        ("logos", spans_of("brand")),
        ("winner", TEXT),
        ("speakers", {"type": "array", "items": {"type": "object", "properties": {"name": TEXT}}}),
        ("chapters", spans_of("mood")),
        ("thing", {"$ref": "#/$defs/nowhere"}),
        ("thing", {"type": "colour"}),
        ("title", {"type": "string", "pattern": "^[0-9]+$"}),
    ],
)
def test_what_cannot_be_known_is_refused_by_name(name: str, inner: dict[str, Any]) -> None:
    """A required value beyond captions, text and measurement is an explicit refusal that names the property."""
    with pytest.raises(AnalysisRefused) as caught:
        one(lecture(), name, inner)
    assert caught.value.code == "not_supported_by_local_platform"
    assert f"`{name}" in caught.value.message


def test_what_is_not_required_is_left_out() -> None:
    """An optional value that cannot be known costs nothing but itself."""
    schema = {
        "type": "object",
        "properties": {"title": TEXT, "mood": {"enum": ["happy", "sad"]}},
        "required": ["title"],
    }
    assert ask(lecture(), schema) == {"title": "A Year in the Beehive"}


def test_null_is_the_honest_way_out_and_never_the_easy_one() -> None:
    """``anyOf`` with null gives the value where it is known, else null, wherever null stands."""
    assert one(lecture(), "title", {"anyOf": [{"type": "null"}, TEXT]}) == "A Year in the Beehive"
    assert one(lecture(), "winner", {"anyOf": [{"type": "null"}, TEXT]}) is None
    assert one(lecture(), "winner", {"type": ["string", "null"]}) is None


def test_references_and_nesting_are_followed_but_not_for_ever() -> None:
    """``$ref`` into ``$defs`` works, also for items of lists; a reference to itself is refused."""
    part = {"type": "object", "properties": {"title": TEXT, **SPAN}, "required": ["title", "start_time"]}
    schema = {
        "$defs": {"Part": part, "Loop": {"$ref": "#/$defs/Loop"}},
        "type": "object",
        "properties": {
            "video": {
                "type": "object",
                "properties": {"chapters": {"type": "array", "items": {"$ref": "#/$defs/Part"}}},
            }
        },
    }
    assert [c["title"] for c in ask(lecture(), schema)["video"]["chapters"]][1] == "Who lives in the hive"
    with pytest.raises(AnalysisRefused, match="deeply"):
        ask(lecture(), {**schema, "properties": {"x": {"$ref": "#/$defs/Loop"}}, "required": ["x"]})


def test_measured_facts_and_constants() -> None:
    """Size, length, sound and captions are known; a constant is itself."""
    facts = {"width": {"type": "integer"}, "duration": {"type": "number"}, "has_audio": {"type": "boolean"},
             "has_captions": {"type": "boolean"}, "shot_count": {"type": "integer"}, "kind": {"const": "video"}}  # fmt: skip
    expected = {
        "width": 640,
        "duration": 60.0,
        "has_audio": True,
        "has_captions": True,
        "shot_count": 5,
        "kind": "video",
    }
    assert ask(lecture(), {"type": "object", "properties": facts, "required": list(facts)}) == expected
    with pytest.raises(AnalysisRefused, match="bounds"):
        one(lecture(), "width", {"type": "integer", "maximum": 100})


def test_hashtags_fit_their_pattern() -> None:
    """Where the pattern wants no # the tags come without."""
    tags = one(lecture(), "hashtags", {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}})
    assert tags
    assert all(re.fullmatch("[a-z]+", tag) for tag in tags)


# -------------------------------------------------------------------------------------------------- prompts and counts


@pytest.mark.parametrize(
    ("prompt", "name", "count"),
    [
        ("Return at most 2 chapters.", "chapters", 2),
        ("- `chapters`: up to three, in time order\n- `summary`: 5 sentences", "chapters", 3),
        ("Give exactly two highlights", "highlights", 2),
        ("- `topics`: 1 to 3 short noun phrases", "topics", 3),
        ("- `hashtags`: 2–4 single words", "hashtags", 4),
    ],
)
def test_counts_in_the_prompt_are_heeded(prompt: str, name: str, count: int) -> None:
    """Lists stay within the number that the prompt names for them."""
    inner = TEXT if name in ("topics", "hashtags") else {"type": "object", "properties": {**SPAN, "title": TEXT}}
    assert len(one(lecture(), name, {"type": "array", "items": inner}, prompt)) == count


def test_a_summary_has_as_many_sentences_as_asked() -> None:
    """ "two sentences" are two."""
    found = one(lecture(), "summary", TEXT, "- `summary`: two sentences\n- `title`: 9 words")
    assert len(re.findall(r"[.!?](?:\s|$)", found)) == 2


def test_a_question_of_its_own_is_answered_from_its_lines() -> None:
    """A property that the prompt introduces with a question gets the passage that answers it, with its time."""
    prompt = "- `title`: short\n- `answer_bees`: the answer, as text, to this request about the video: How many queens?"
    found = one(lecture(), "answer_bees", TEXT, prompt)
    assert "[0:12] A honey bee colony has one queen and, in summer, tens of thousands of workers." in found.split("\n")


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("What does the angle of the dance show?", r"^\[0:28\] The angle of the waggle dance shows"),
        ("Summarize the video in two sentences", r"^[^.]+\. [^.]+\.$"),
        ("Give me a title", r"^A Year in the Beehive$"),
        ("List 3 chapters", r"^\[0:00\] .+\n\[\d:\d\d\] .+\n\[\d:\d\d\] .+$"),
        ("Three key takeaways as bullet points", r"^- .+\n- .+\n- .+$"),
        ("A title, followed by a summary of 2 sentences", r"^A Year in the Beehive\n\n[^.]+\. [^.]+\.$"),
        ("What is this video about?", r"^[A-Z].+\.$"),
        ("hashtags please", r"^#\w+( #\w+)*$"),
        ("Which car wins the race?", r"^Nothing in the captions or on-screen text of this video answers that\.$"),
        ("Give me the transcript", r"^\[0:00\] This is a short look"),
        ("What on-screen text is there?", r"^\[0:00\] A Year in the Beehive\n\[0:12\] Who lives in the hive"),
    ],
)
def test_free_prompts(prompt: str, expected: str) -> None:
    """Known products in the order asked for; questions by quotation with time; else plain words that nothing answers."""
    assert re.search(expected, answer(lecture(), prompt=prompt, schema=None, name="x.mp4", title=""))


@pytest.mark.parametrize(
    "prompt", ["Write a rap song based on this video.", "Compose a poem", "Translate it", "Summarize in German"]
)
def test_composition_is_refused_in_words(prompt: str) -> None:
    """What would need new words is refused with the way out, not imitated."""
    with pytest.raises(AnalysisRefused, match="Twelve Labs") as caught:
        answer(lecture(), prompt=prompt, schema=None)
    assert caught.value.code == "not_supported_by_local_platform"


def test_a_window_takes_the_sentences_of_a_long_caption_that_lie_in_it() -> None:
    """By their own times, not by the caption's: what is said before the window is not told of it."""
    long = said("The tide rises. The moon pulls the sea. The sun pulls a little.", each=30.0)
    found = ContentSummary(reading(*long, seconds=60.0), start=16.0, end=60.0)
    assert [sentence.text for sentence in found.sentences] == ["The sun pulls a little."]
    assert [each.text for each in found.highlights()] == ["The sun pulls a little."]
    early = ContentSummary(reading(*long, seconds=60.0), start=0.0, end=10.0)
    assert [sentence.text for sentence in early.sentences] == ["The tide rises."]


def test_a_window_narrows_everything() -> None:
    """Only the part between start and end counts, and times stay those of the whole video."""
    found = ask(lecture(), COMBINED, start=24.0, end=36.0)
    assert {c["start_time"] for c in found["chapters"]} == {24.0}
    assert found["chapters"][-1]["end_time"] == 36.0
    assert all("danc" in sentence or "flowers" in sentence for sentence in found["summary"].split(". "))
    assert all(24 <= h["start_time"] < h["end_time"] <= 36 for h in found["highlights"])


def test_a_lone_word_or_a_lesser_phrase_is_no_title() -> None:
    """A video is called by its first phrase, by a name, or as its file is; never by a word that is said often."""
    often = said(*(f"We look at the lever in {n} ways." for n in range(9)))
    assert ContentSummary(reading(*often), name="machines.mp4").title == "machines"
    named = said(*(f"In part {n} we hear of Napoleon." for n in range(9)))
    assert ContentSummary(reading(*named), name="machines.mp4").title == "Napoleon"
    lesser = said(*(f"We look at the lever in {n} ways." for n in range(9)), *["The steel spring bends."] * 3)
    assert ContentSummary(reading(*lesser), name="machines.mp4").title == "machines"


def test_readable_names() -> None:
    """Endings, folders and underscores are not part of a title; nothing left has a name too."""
    assert readable_name("honey-bees.mp4") == "honey bees"
    assert readable_name("C:\\films\\my_film.mov") == "my film"
    assert readable_name("") == "Untitled video"


def test_tokens_follow_the_stated_rule() -> None:
    """Four characters a token, at least one."""
    assert [count_tokens(text) for text in ("", "abcd", "abcde")] == [1, 1, 2]


def test_words_that_make_no_topic_leave_the_facts_of_the_picture() -> None:
    """A film whose only readable word says nothing gets topics about its picture, not a refusal of the whole request."""
    what = reading(shown(0.0, 5.0, "the"))
    schema = {"topics": {"type": "array", "minItems": 1, "items": TEXT}}
    found = ask(what, {"type": "object", "properties": schema, "required": ["topics"]})
    assert found == {"topics": ["moving pictures"]}


def test_the_unique_end_of_an_upload_name_is_no_title() -> None:
    """A client that makes its file names unique does not get the number back as a title."""
    assert readable_name("my_talk-05374ee95f3fa01eedeab951-0.mp4") == "my talk"
    assert readable_name("05374ee95f3fa01eedeab951.mp4") == "05374ee95f3fa01eedeab951"
