"""The job ``classify``: one of the user's classes, or all that fit; never a class that nobody named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import JOBS
from jobs.classify import Classify
from pipeline.config.settings import JobsSection
from pipeline.core.errors import ConfigError
from pipeline.core.model import Lane, State, Task
from pipeline.ingest.job_requests import JobPlanner
from pipeline.ingest.request_builder import build_legacy_call, build_schema, group_requests
from pipeline.kit.answers import Verdict
from pipeline.kit.job import Video
from pipeline.kit.schema_profile import schema_problem

JOB = Classify()
VIDEO = Video("k", 60.0, "T")
SPORTS = {"Football": "played with the foot", "American Football": "", "Golf": ""}


def checked(answer: Any, **params: Any) -> Verdict:
    """Hold an answer of one video against the classes."""
    return JOB.check({"classify": answer}, VIDEO, JOB.params({"classes": SPORTS, **params}))


def old(text: Any, **params: Any) -> Verdict:
    """Hold what v1.2's ``/generate`` said against the classes."""
    made = JOB.params({"classes": SPORTS, **params})
    legacy = JOB.ask(made).legacy[0]
    return JOB.check(legacy.read({"id": "1", "data": text}), VIDEO, made)


def test_classes_are_names_or_names_with_descriptions() -> None:
    """A list is a table without descriptions; the description reaches the prompt, the name alone the schema."""
    assert JOB.params({"classes": ["A", "B"]})["classes"] == {"A": "", "B": ""}
    ask = JOB.ask(JOB.params({"classes": SPORTS, "prompt": "Judge by the ball."}))
    form = ask.schema["classify"]
    assert form["properties"]["label"]["enum"] == ["Football", "American Football", "Golf", "unclear"]
    assert form["required"] == ["label"]
    assert "Football (played with the foot)" in ask.lines[0]
    assert ask.lines[1].endswith("Judge by the ball.")
    assert schema_problem(form) == ""


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({}, "classes"),
        ({"classes": []}, "classes"),
        ({"classes": "Golf"}, "classes"),
        ({"classes": ["Golf", "golf"]}, "differ"),
        ({"classes": ["Golf", 3]}, "list of names"),
        ({"classes": {"Golf": 3}}, "list of names"),
        ({"classes": [" "]}, "list of names"),
        ({"classes": [f"c{n}" for n in range(101)]}, "1 to 100"),
        ({"classes": ["x" * 101]}, "100 characters"),
        ({"classes": ["A"], "multiple": "yes"}, "multiple"),
        ({"classes": ["A"], "label": "x"}, "unknown key"),
        ({"classes": ["A"], "name": "gist"}, "name"),
    ],
)
def test_wrong_parameters_are_named(params: Mapping[str, Any], word: str) -> None:
    """The message names the table and what is wrong with it."""
    with pytest.raises(ConfigError, match=word):
        JOB.params(params)


def test_exactly_one_of_the_classes_is_taken() -> None:
    """Case and blanks are repaired; any other word is refused with the word in the correction."""
    assert checked({"label": "Golf", "confidence": 0.9}).value == {"label": "Golf", "confidence": 0.9}
    assert checked({"label": " golf ", "confidence": 0}).value == {"label": "Golf", "confidence": 0.0}
    assert "Tennis" in checked({"label": "Tennis", "confidence": 0.9}).problem
    assert checked({"labels": ["Golf"]}).value is None
    assert checked("Golf").value is None


def test_a_video_that_fits_no_class_is_not_forced_into_one() -> None:
    """There is a word for it, of the user's choice; without one, a class must be named."""
    assert (checked({"label": "unclear"}).value or {})["label"] == "unclear"
    assert (checked({"label": "Other"}, otherwise="other").value or {})["label"] == "other"
    assert checked({"label": "unclear"}, otherwise="").value is None
    assert "unclear" not in str(JOB.ask(JOB.params({"classes": SPORTS, "otherwise": ""})))


def test_several_classes_may_fit_or_none() -> None:
    """Each once, in the answer's order; one wrong word refuses the answer."""
    found = checked({"labels": ["Golf", "football", "Golf"], "confidence": 1}, multiple=True).value
    assert found == {"labels": ["Golf", "Football"], "confidence": 1.0}
    assert (checked({"labels": [], "confidence": 0.5}, multiple=True).value or {})["labels"] == []
    assert checked({"labels": ["Golf", "unclear"]}, multiple=True).value is None
    assert checked({"label": "Golf"}, multiple=True).value is None
    form = JOB.ask(JOB.params({"classes": SPORTS, "multiple": True})).schema["classify"]
    assert schema_problem(form) == ""
    assert form["properties"]["labels"]["items"]["enum"] == list(SPORTS)


def test_a_confidence_is_a_share_whatever_it_was_written_as() -> None:
    """Percentages are told by their size; a missing one is noted, nonsense is refused."""
    assert (checked({"label": "Golf", "confidence": 85}).value or {})["confidence"] == 0.85
    missing = checked({"label": "Golf"})
    assert ((missing.value or {})["confidence"], missing.notes) == (None, ("no confidence was given",))
    for odd in (-1, 101, "high", True, float("nan")):
        assert "confidence" in checked({"label": "Golf", "confidence": odd}).problem


def test_json_of_the_old_api_is_read() -> None:
    """With or without a fence, with the confidence that the schema asked for."""
    assert old('{"label": "Golf", "confidence": 0.5}').value == {"label": "Golf", "confidence": 0.5}
    assert old('```json\n{"label": "golf"}\n```').value == {"label": "Golf", "confidence": None}
    assert (old('{"labels": ["Golf"]}', multiple=True).value or {})["labels"] == ["Golf"]


def test_prose_of_the_old_api_counts_by_the_classes_that_it_names() -> None:
    """Whole words, longest name first; several are no answer to which one, and none is that none fits."""
    assert (old("The video shows American football.").value or {})["label"] == "American Football"
    assert (old("Label: Golf.").value or {})["label"] == "Golf"
    assert old("Golf or Football, hard to say.").value is None
    assert (old("Golfers at play.").value or {})["label"] == "unclear"
    assert old("Golfers at play.", otherwise="").value is None
    assert old("  ").value is None
    assert old(5).value is None
    assert (old("Golf and football.", multiple=True).value or {})["labels"] == ["Football", "Golf"]
    assert (old("Nothing of the kind.", multiple=True).value or {})["labels"] == []


def test_instances_share_a_request_and_have_files_of_their_own() -> None:
    """Two sets of classes are two properties of one request, and two files."""
    settings = JobsSection(
        enabled=("gist", "genre", "mood"),
        settings={
            "genre": {"job": "classify", "classes": ["Talk", "Nature"]},
            "mood": {"job": "classify", "classes": ["Calm", "Wild"]},
        },
    )
    planner = JobPlanner(JOBS, settings, ["p"])
    item = Task(1, "item", "k", "resolve", {"line": {}}, State.DONE, Lane.FETCH, 0)
    requests = planner.requests([item])
    assert [len(part) for part in group_requests(requests, fuse=True)] == [3]
    assert {"class_genre", "class_mood"} < set(build_schema(requests)["properties"])
    names = [
        file.name for request in requests[1:] for file in request.job.render({"label": "x"}, VIDEO, request.params)
    ]
    assert names == ["genre.json", "mood.json"]
    assert build_legacy_call([requests[1]])["path"] == "/generate"


def test_the_file_says_what_there_was_to_choose_from() -> None:
    """Label, confidence and the classes; the same bytes each time."""
    params = JOB.params({"classes": SPORTS})
    (file,) = JOB.render({"label": "Golf", "confidence": 0.5}, VIDEO, params)
    assert file.name == "classify.json"
    assert json.loads(file.content) == {"label": "Golf", "confidence": 0.5, "classes": list(SPORTS)}


def test_a_prompt_too_long_for_the_old_api_is_not_cut() -> None:
    """There is no such call, rather than a call that asks something else."""
    many = {f"class {n}": "x" * 50 for n in range(60)}
    assert JOB.ask(JOB.params({"classes": many})).legacy == ()


names = st.lists(st.text(min_size=1, max_size=12).filter(lambda text: text.strip().isalnum()), min_size=1, max_size=6)


@given(names, st.booleans(), st.text(max_size=200))
def test_whatever_the_old_api_says_only_our_classes_come_out(classes: list[str], multiple: bool, said: str) -> None:
    """For any classes and any text: a verdict, and a value holds only words that were offered."""
    try:
        params = JOB.params({"classes": classes, "multiple": multiple})
    except ConfigError:
        return
    legacy = JOB.ask(params).legacy
    verdict = JOB.check(legacy[0].read({"data": said}), VIDEO, params)
    value = verdict.value or {}
    labels = value.get("labels", [value["label"]] if "label" in value else [])
    assert set(labels) <= {*params["classes"], params.get("otherwise", "")}
