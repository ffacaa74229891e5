"""What each job makes of its answers about two parts of a long video."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import JOBS
from pipeline.kit.job import MergedJob, Video
from pipeline.kit.merging import Part

VIDEO = Video("sha256:x", 10_800.0, "Night")
NAMED = {job.name: job for job in JOBS}


def merged(name: str, first: dict[str, Any], second: dict[str, Any], **given: Any) -> Any:
    """Return what two parts of an hour and a half make."""
    job: Any = NAMED[name]
    assert isinstance(job, MergedJob)
    parts = [Part(0.0, 5400.0, first), Part(5400.0, 10_800.0, second)]
    return job.merge(parts, VIDEO, job.params(given))


def files(name: str, value: Any, **given: Any) -> dict[str, str]:
    """Return the files of a result."""
    job: Any = NAMED[name]
    return {file.name: str(file.content) for file in job.render(value, VIDEO, job.params(given))}


def chapter(start: float, end: float, title: str = "t") -> dict[str, Any]:
    """Return a chapter."""
    return {"start_time": start, "end_time": end, "chapter_title": title, "chapter_summary": "s"}


def test_chapters_and_highlights_are_one_list_without_overlap() -> None:
    """In order of time; what reaches over the border by rounding is cut."""
    value = merged("chapters", {"chapters": [chapter(0, 5400.4)]}, {"chapters": [chapter(5400.0, 10_800)]})
    assert [(each["start_time"], each["end_time"]) for each in value["chapters"]] == [(0, 5400.4), (5400.4, 10_800)]
    spot = {"highlight": "h", "highlight_summary": "s"}
    value = merged("highlights", {"highlights": []}, {"highlights": [{"start_time": 6000, "end_time": 6001, **spot}]})
    assert len(value["highlights"]) == 1


def test_texts_stay_apart_with_their_times() -> None:
    """A summary and an answer are told part by part, in the value, in the file and on the page."""
    value = merged("summary", {"summary": "Rain."}, {"summary": "Sun."})
    assert value["summary"] == "[0:00–1:30:00] Rain.\n\n[1:30:00–3:00:00] Sun."
    assert [each["start_time"] for each in value["parts"]] == [0.0, 5400.0]
    assert files("summary", value)["summary.md"].splitlines()[2:] == [
        "## 0:00–1:30:00", "", "Rain.", "", "## 1:30:00–3:00:00", "", "Sun.",
    ]  # fmt: skip
    job: Any = NAMED["summary"]
    (block,) = job.page(value, VIDEO, {})
    assert [(each.start, each.text) for each in block.items] == [(0.0, "Rain."), (5400.0, "Sun.")]
    value = merged("ask", {"answer": "Ann."}, {"answer": "Ben."}, prompt="Who?")
    assert "## 1:30:00–3:00:00\n\nBen." in files("ask", value, prompt="Who?")["ask.md"]


def test_gist_takes_words_of_both_in_turn_and_the_first_title() -> None:
    """The first of each part first, none twice, as many as were wanted; the other title is kept beside."""
    first = {"title": "Rain", "topics": ["a", "b"], "hashtags": ["#x"]}
    value = merged("gist", first, {"title": "Sun", "topics": ["A", "c"], "hashtags": ["#y", "#X"]}, topics=3)
    assert (value["title"], value["topics"], value["hashtags"]) == ("Rain", ["a", "b", "c"], ["#x", "#y"])
    assert [each["title"] for each in value["titles"]] == ["Rain", "Sun"]


@pytest.mark.parametrize(
    ("labels", "label", "sure"),
    [(("Bees", "Bees"), "Bees", 0.7), (("Bees", "Owls"), "Bees", 0.9), (("unclear", "Owls"), "Owls", 0.5),
     (("unclear", "unclear"), "unclear", 0.7)],
)  # fmt: skip
def test_a_video_is_of_the_class_that_most_of_it_is_of(labels: tuple[str, str], label: str, sure: float) -> None:
    """That none fits is said only where none fits anywhere; the confidence is that of the parts that say so."""
    first, second = ({"label": each, "confidence": how} for each, how in zip(labels, (0.9, 0.5), strict=True))
    value = merged("classify", first, second, classes=["Owls", "Bees"])
    assert (value["label"], value["confidence"], len(value["parts"])) == (label, sure, 2)


def test_several_classes_are_those_of_all_parts() -> None:
    """In the order of the classes."""
    first, second = {"labels": ["Bees"], "confidence": 1.0}, {"labels": ["Owls", "Bees"], "confidence": None}
    value = merged("classify", first, second, classes=["Owls", "Bees"], multiple=True)
    assert (value["labels"], value["confidence"]) == (["Owls", "Bees"], None)


MOMENT = {"type": "object", "properties": {"start_time": {"type": "number"}, "what": {"type": "string"}}}
MOMENTS = {"type": "array", "items": MOMENT}


@pytest.mark.parametrize(
    ("schema", "answers", "whole"),
    [
        (MOMENTS, ([{"start_time": 1}], [{"start_time": 6000}]), [{"start_time": 1}, {"start_time": 6000}]),
        ({"type": "object", "properties": {"goals": MOMENTS}}, ({"goals": []}, {"goals": [{"start_time": 9000}]}),
         {"goals": [{"start_time": 9000}]}),
        ({"type": "integer"}, (2, 3), [{"start_time": 0.0, "end_time": 5400.0, "answer": 2},
                                       {"start_time": 5400.0, "end_time": 10_800.0, "answer": 3}]),
    ],
    ids=["moments", "moments under a name", "anything else"],
)  # fmt: skip
def test_lists_of_moments_become_one_and_the_rest_stays_apart(
    schema: Any, answers: tuple[Any, Any], whole: Any
) -> None:
    """Only what has times is sure to mean the same together; nobody knows what two numbers make."""
    first, second = ({"answer": each} for each in answers)
    assert merged("ask", first, second, prompt="Which?", schema=schema)["answer"] == whole
