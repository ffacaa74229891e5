"""From job requests to calls: what shares one, how many tokens it gets, under which key it is found again."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jobs import JOBS
from pipeline.config.settings import JobsSection
from pipeline.core.model import fingerprint
from pipeline.ingest.job_requests import JobPlanner, JobRequest
from pipeline.ingest.payloads import AnalysisData
from pipeline.ingest.request_builder import (
    analysis_key,
    at_max_tokens,
    build_prompt,
    build_question,
    build_schema,
    expected_tokens,
    group_requests,
    max_tokens,
)
from pipeline.ingest.tasks.item import unsaved_task
from pipeline.ports.source import Item, ManifestLine

ALL = ("gist", "summary", "chapters", "highlights")


def requests(enabled: tuple[str, ...] = ALL, prompts: tuple[str, ...] = (), **settings: Any) -> list[JobRequest]:
    """Return the requests of a video with one line per prompt (or one without)."""
    planner = JobPlanner(JOBS, JobsSection(enabled=enabled, settings=settings), ["p", "m", 0.2])
    lines = [ManifestLine("a.mp4", prompt=words) for words in prompts or ("",)]
    return planner.requests([unsaved_task(Item(f"file:/{n}", "file", f"/{n}", line)) for n, line in enumerate(lines)])


def data(**words: Any) -> AnalysisData:
    """Return an analysis task's data."""
    given = {"media_id": "asset-1", "seconds": 90.0, "temperature": 0.2, "model": "m"}
    return AnalysisData.from_json({**given, **words})


def names(groups: list[list[JobRequest]]) -> list[list[str]]:
    """Return the names, group by group."""
    return [[request.name for request in part] for part in groups]


def test_all_jobs_of_a_video_share_one_request() -> None:
    """The platform bills input minutes per call."""
    assert names(group_requests(requests(), fuse=True)) == [list(ALL)]


def test_without_fusing_each_has_its_own() -> None:
    """``fuse = false`` keeps them apart."""
    assert names(group_requests(requests(), fuse=False)) == [[name] for name in ALL]


def test_two_requests_for_one_field_cannot_share_a_call() -> None:
    """Two instances of gist need two requests; everything else stays with the first that has room for it."""
    made = requests(("gist", "short", "summary"), short={"job": "gist", "topics": 2})
    assert names(group_requests(made, fuse=True)) == [["gist", "summary"], ["short"]]


def test_questions_with_fields_of_their_own_share_one() -> None:
    """Two free questions about one video go in one request."""
    made = requests(("gist",), ("Who?", "Where?"))
    (shared,) = group_requests(made, fuse=True)
    assert len(shared) == 3


GIST = requests(("gist",))


@given(st.lists(st.sampled_from(["gist", "summary", "chapters", "ask"]), min_size=1, max_size=12), st.booleans())
def test_grouping_loses_nothing_and_mixes_nothing(jobs: list[str], fuse: bool) -> None:
    """Every request is in exactly one group, and no group has a field twice."""
    settings = {f"w{n}": {"job": job, **({"prompt": f"p{n}"} if job == "ask" else {})} for n, job in enumerate(jobs)}
    made = requests(tuple(settings), **settings)
    groups = group_requests(made, fuse=fuse)
    assert sorted(request.name for part in groups for request in part) == sorted(settings)
    for part in groups:
        fields = [name for request in part for name in request.ask.schema]
        assert len(fields) == len(set(fields))
        assert set(build_schema(part)["required"]) == set(fields)


def test_the_room_is_twice_what_is_expected_and_doubles() -> None:
    """Each cut-off answer doubles ``max_tokens``; the platform's floor and ceiling hold."""
    made = requests()
    assert max_tokens(made, 0) == 2 * expected_tokens(made) > 2048
    assert [max_tokens(made, n) for n in range(3)] == [2 * expected_tokens(made) * factor for factor in (1, 2, 4)]
    small = requests(("gist",))
    assert max_tokens(small, 0) == 2048
    assert [max_tokens(small, n) for n in (5, 6, 10, 400)] == [65_536, 98_304, 98_304, 98_304]


def test_the_widest_room_is_known_as_such() -> None:
    """When the ceiling is reached, doubling again is no use."""
    small = requests(("gist",))
    assert [at_max_tokens(small, n) for n in (0, 5, 6, 7)] == [False, False, True, True]


def test_the_prompt_carries_every_jobs_lines_and_the_correction() -> None:
    """Guidance belongs into the prompt; a refused part is asked again with the reason."""
    made = requests(("gist", "summary"))
    words = build_prompt(made)
    assert all(f"- {line}" in words for request in made for line in request.ask.lines)
    assert "refused" not in words
    assert "`title` is missing" in build_prompt(made, "`title` is missing.")


def test_an_analysis_is_known_by_video_and_requests() -> None:
    """The same requests in any order make the same key; another video, request or salt makes another."""
    made = requests()
    key = analysis_key("sha256:a", made)
    assert key == analysis_key("sha256:a", made[::-1])
    others = [
        analysis_key("sha256:b", made),
        analysis_key("sha256:a", made[:-1]),
        analysis_key("sha256:a", made, "alone"),
        analysis_key("sha256:a", requests(gist={"topics": 4})),
    ]
    assert len({key, *others}) == 5


def test_a_question_is_the_same_after_any_restart() -> None:
    """Everything in it comes from the task's data: a resumed step asks the identical question under the identical key."""
    made = requests()
    key = analysis_key("sha256:a", made)
    assert build_question(key, data(), made) == build_question(key, data(), requests())
    assert build_question(key, data(gen=1), made).key != build_question(key, data(), made).key


def test_a_question_tells_its_minutes() -> None:
    """The limits that count minutes of video are told how long it is."""
    assert build_question("k", data(seconds=90.0), requests()).minutes == 1.5


@given(st.text(max_size=300), st.integers(0, 10**6))
def test_the_key_fits_every_field_it_goes_into(key: str, generation: int) -> None:
    """``custom_id`` and header alike: at most 64 of [A-Za-z0-9_-], whatever the task is called."""
    sent = build_question(key, data(gen=generation), GIST).key
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", sent)
    assert sent.endswith(f"-{generation}")


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40), st.integers(0, 5), st.integers(0, 5))
def test_two_questions_never_share_a_key(one: str, other: str, gen: int, gen2: int) -> None:
    """Another task or another generation is another key."""
    same = build_question(one, data(gen=gen), GIST).key == build_question(other, data(gen=gen2), GIST).key
    assert same == ((one, gen) == (other, gen2))


def test_half_a_character_has_a_fingerprint() -> None:
    """A file name that is not UTF-8 comes with halves of surrogate pairs: they count like any other character."""
    assert fingerprint("\ud800") != fingerprint("\udbff")
