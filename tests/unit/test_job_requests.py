"""What is wanted of a video: instances, lines that ask in their own words, and fingerprints that change when they must."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jobs import JOBS
from jobs.gist import Gist
from pipeline.config.settings import JobsSection
from pipeline.core.errors import ConfigError
from pipeline.core.model import Task
from pipeline.ingest import job_requests
from pipeline.ingest.job_requests import JobPlanner, JobRequest
from pipeline.ingest.payloads import CaptionsData, ItemData
from pipeline.ingest.stored_json import changed
from pipeline.ingest.tasks.item import unsaved_task
from pipeline.kit.job import Ask
from pipeline.ports.source import FoundCaptions, Item, ManifestLine

PROVIDER = ["twelvelabs/v1.3", "pegasus1.5", 0.2]


def planner(
    enabled: tuple[str, ...] = ("gist", "summary"), provider: list[Any] | None = None, **settings: Any
) -> JobPlanner:
    """Return a planner over the real jobs."""
    return JobPlanner(JOBS, JobsSection(enabled=enabled, settings=settings), provider or PROVIDER)


def item(number: int = 1, **words: Any) -> Task:
    """Return an item's task with a line of these words."""
    found = unsaved_task(
        Item(f"file:/{number}.mp4", "file", f"/{number}.mp4", ManifestLine(f"{number}.mp4", "list:1", **words))
    )
    return replace(found, id=number)


def names(requests: list[JobRequest]) -> list[str]:
    """Return the names in order."""
    return [request.name for request in requests]


def only(found: JobPlanner, **words: Any) -> JobRequest:
    """Return the one request of one line."""
    (request,) = found.requests([item(**words)])
    return request


# --------------------------------------------------------------------------------------------------- what is wanted


def test_a_plain_line_wants_what_is_enabled_in_that_order() -> None:
    """No word of its own: the configured jobs, each once, however many names the video has."""
    assert names(planner().requests([item(1), item(2)])) == ["gist", "summary"]


def test_a_line_names_its_own_jobs() -> None:
    """``jobs`` replaces the configured list for that line."""
    assert names(planner().requests([item(jobs=("chapters",))])) == ["chapters"]


def test_two_lines_of_one_video_want_both() -> None:
    """What either line wants is wanted, in the order in which the lines were first met."""
    found = planner().requests([item(2, jobs=("chapters", "gist")), item(1, jobs=("summary", "gist"))])
    assert names(found) == ["summary", "gist", "chapters"]


def test_a_prompt_on_a_line_is_an_ask_beside_the_jobs() -> None:
    """A line with a prompt and no ``ask`` among its jobs gets one."""
    found = planner().requests([item(prompt="Who speaks?")])
    assert names(found) == ["gist", "summary", "ask"]
    assert found[-1].params["prompt"] == "Who speaks?"


def test_a_prompt_on_a_line_goes_to_the_ask_that_is_there() -> None:
    """Where the line's jobs hold an ``ask`` instance, the prompt is for that one, over the configured words."""
    found = planner(sponsors={"job": "ask", "prompt": "Which sponsors?"})
    (request,) = found.requests([item(jobs=("sponsors",), prompt="Which brands?")])
    assert (request.name, request.params["prompt"], request.params["name"]) == ("sponsors", "Which brands?", "sponsors")
    (plain,) = found.requests([item(jobs=("sponsors",))])
    assert plain.params["prompt"] == "Which sponsors?"


def test_instances_of_one_job_are_requests_of_their_own() -> None:
    """Two questions are two names, two fields of the answer and two fingerprints."""
    found = planner(
        ("sponsors", "mood"), sponsors={"job": "ask", "prompt": "Which?"}, mood={"job": "ask", "prompt": "How?"}
    ).requests([item()])
    assert names(found) == ["sponsors", "mood"]
    assert {name for request in found for name in request.ask.schema} == {"answer_sponsors", "answer_mood"}


def test_two_lines_that_ask_differently_both_get_their_answer() -> None:
    """Same name, different prompts, same video: the second has a name of its own; asking the same is asking once."""
    found = planner(("gist",)).requests([item(1, prompt="Who?"), item(2, prompt="Where?"), item(3, prompt="Who?")])
    assert names(found)[:2] == ["gist", "ask"]
    assert len(found) == 3
    first, second = found[1:]
    assert second.name.startswith("ask-")
    assert (first.params["prompt"], second.params["prompt"]) == ("Who?", "Where?")
    assert set(first.ask.schema) & set(second.ask.schema) == set()
    again = planner(("gist",)).requests([item(1, prompt="Who?"), item(2, prompt="Where?"), item(4, prompt="Where?")])
    assert names(again) == names(found)


def test_questions_whose_fingerprints_begin_alike_all_get_their_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two whose first six characters are the same, the later one has a longer name; it stays the same every time."""
    real = job_requests.fingerprint
    monkeypatch.setattr(job_requests, "fingerprint", lambda *parts: f"000000{real(*parts)[6:]}")
    lines = [item(number, prompt=prompt) for number, prompt in enumerate(("Who?", "Where?", "When?", "Where?"))]
    found = planner(()).requests(lines)
    assert [request.params["prompt"] for request in found] == ["Who?", "Where?", "When?"]
    assert [len(request.name) for request in found] == [3, 10, 20]
    assert names(planner(()).requests(lines)) == names(found)


def test_a_long_name_that_is_split_stays_a_name() -> None:
    """An instance name of the greatest length can be asked differently by two lines, too."""
    long = "x" * 40
    found = planner((long,), **{long: {"job": "ask", "prompt": "p"}})
    requests = found.requests([item(1), item(2, prompt="other")])
    assert len(requests) == 2
    assert len(requests[1].name) <= 40


# ------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("enabled", "settings", "word"),
    [
        (("nonsense",), {}, "nonsense"),
        (("gist",), {"gist": {"topcis": 3}}, "topcis"),
        (("gist",), {"gist": {"topics": 0}}, "topics"),
        (("gist",), {"sponsors": {"job": "asks", "prompt": "p"}}, "asks"),
        (("ask",), {}, "prompt"),
        (("gist",), {"Big Name": {"job": "ask", "prompt": "p"}}, "Big Name"),
        (("gist",), {"x" * 41: {"job": "ask", "prompt": "p"}}, "x" * 41),
    ],
)
def test_a_wrong_configuration_is_refused_by_the_planner(
    enabled: tuple[str, ...], settings: dict[str, Any], word: str
) -> None:
    """Unknown jobs, unknown or wrong parameters and bad names are told before anything starts, by name."""
    with pytest.raises(ConfigError) as caught:
        planner(enabled, **settings)
    assert word in str(caught.value)


def test_an_instance_that_is_not_enabled_is_checked_too() -> None:
    """A line may ask for it tonight: better told now."""
    with pytest.raises(ConfigError):
        planner(("gist",), summary={"sentences": -1})


def test_an_ask_without_a_prompt_is_for_lines_that_bring_one() -> None:
    """Not enabled, no prompt: a line with a prompt may use it, a line without one is refused."""
    found = planner(("gist",), later={"job": "ask"})
    assert found.knows("later")
    assert only(found, jobs=("later",), prompt="Now?").params["prompt"] == "Now?"
    with pytest.raises(ConfigError):
        found.requests([item(jobs=("later",))], strict=True)


def test_a_line_that_asks_for_an_unknown_job_is_refused() -> None:
    """The words name the job and what is known."""
    found = planner()
    assert not found.knows("nonsense")
    assert found.knows("chapters")
    with pytest.raises(ConfigError) as caught:
        found.requests([item(jobs=("nonsense",))], strict=True)
    assert "nonsense" in str(caught.value)
    assert "chapters" in caught.value.trouble.remedy


def test_a_line_of_an_earlier_run_whose_job_is_gone_harms_no_other() -> None:
    """The configuration has lost an instance that some line of the video once named: the other lines' requests stand."""
    found = planner().requests([item(1, jobs=("gist", "sponsors")), item(2), item(3, jobs=("ask",))])
    assert names(found) == ["gist", "summary"]


# --------------------------------------------------------------------------------------------------- fingerprints


class Louder(Gist):
    """The same job, a version later."""

    version = Gist.version + 1


class Reworded(Gist):
    """The same job with other prompt lines."""

    def ask(self, params: Any) -> Ask:
        """Return other lines for the same schema."""
        return replace(super().ask(params), lines=("say it in rhyme",))


class Reshaped(Gist):
    """The same job with another schema."""

    def ask(self, params: Any) -> Ask:
        """Return another schema with the same lines."""
        return replace(super().ask(params), schema={"title": {"type": "string"}})


class Roomier(Gist):
    """The same job that reserves more room."""

    def ask(self, params: Any) -> Ask:
        """Return the same question with more tokens and another old form."""
        return replace(super().ask(params), tokens=9999, legacy=())


def gist_with(job: Gist, **params: Any) -> JobRequest:
    """Return the request of a job in the place of gist."""
    return only(JobPlanner((job,), JobsSection(enabled=("gist",), settings={"gist": params}), PROVIDER))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(only(planner(("gist",), provider=["local/v1.3", "pegasus1.5", 0.2])), id="another platform"),
        pytest.param(only(planner(("gist",), provider=["twelvelabs/v1.3", "pegasus2", 0.2])), id="another model"),
        pytest.param(only(planner(("gist",), provider=["twelvelabs/v1.3", "pegasus1.5", 0.3])), id="temperature"),
        pytest.param(only(planner(("gist",), gist={"topics": 4})), id="a parameter"),
        pytest.param(gist_with(Louder()), id="the job's version"),
        pytest.param(gist_with(Reworded()), id="the job's words"),
        pytest.param(gist_with(Reshaped()), id="the job's schema"),
    ],
)
def test_what_decides_the_answer_changes_the_fingerprint(other: JobRequest) -> None:
    """A result under the old fingerprint is not taken for the new request."""
    assert other.fingerprint != only(planner(("gist",))).fingerprint


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(only(planner(("gist",), gist={})), id="an empty table"),
        pytest.param(only(planner(("gist",), gist={"topics": 5, "hashtags": 15})), id="the defaults written out"),
        pytest.param(only(planner(("gist",), gist={"hashtags": 15, "topics": 5})), id="in another order"),
        pytest.param(only(planner(("gist",), summary={"sentences": 3})), id="another job's parameter"),
        pytest.param(
            only(planner(("gist",)), title="A title", tags=("t",), id="7", metadata={"a": "b"}), id="the title"
        ),
        pytest.param(gist_with(Roomier()), id="the room reserved for it"),
    ],
)
def test_what_does_not_decide_the_answer_leaves_the_fingerprint(same: JobRequest) -> None:
    """Nothing is asked and paid again for it."""
    assert same.fingerprint == only(planner(("gist",))).fingerprint


def test_the_total_says_whether_anything_is_new() -> None:
    """The order of lines and of jobs does not count; one more request does."""

    def combined(planner: JobPlanner, *lines: Task) -> str:
        return planner.combined_fingerprint(planner.requests(lines))

    found, other = planner(("gist", "summary")), planner(("summary", "gist"))
    assert combined(found, item(1), item(2)) == combined(other, item(2))
    assert combined(found, item(1)) != combined(found, item(1, prompt="And?"))
    assert combined(found, item(1)) != combined(planner(("gist", "summary"), gist={"topics": 4}), item(1))


def test_a_request_comes_back_from_its_task_as_it_was() -> None:
    """What a task remembers is enough to ask and check the same after any restart, whatever the configuration says now."""
    made = only(planner(("sponsors",), sponsors={"job": "ask", "prompt": "Which?", "schema": {"type": "string"}}))
    back = planner(("gist",)).restore(made.to_data())
    assert back is not None
    assert (back.name, back.fingerprint, back.params) == (made.name, made.fingerprint, made.params)
    assert (back.ask.schema, back.ask.lines) == (made.ask.schema, made.ask.lines)


def test_a_request_for_a_job_that_is_gone_is_none() -> None:
    """A release without the job says so instead of failing somewhere."""
    made = only(planner(("summary",)))
    assert JobPlanner((Gist(),), JobsSection(enabled=("gist",)), PROVIDER).restore(made.to_data()) is None


def test_answers_with_earlier_captions_stay_until_there_are_new_ones() -> None:
    """A question is known by the captions that lie there; by earlier ones, the latest first, and by none."""
    reading = JobPlanner(JOBS, JobsSection(enabled=("gist",)), PROVIDER, captions=True)

    def asked(captions: CaptionsData | None) -> JobRequest:
        data = changed(ItemData.of(item()), captions=captions)
        (request,) = reading.requests([replace(item(), data=data.to_json())])
        return request

    plain = asked(None)
    first = CaptionsData().replaced_by(FoundCaptions(stamp="1", digest="a"), 1.0)
    second = first.replaced_by(FoundCaptions(stamp="2", digest="b"), 2.0)
    touched = second.replaced_by(FoundCaptions(stamp="3", digest="b"), 3.0)
    gone = touched.replaced_by(FoundCaptions(), 4.0)
    assert asked(first).before == (plain.fingerprint,)
    assert asked(second).before == (asked(first).fingerprint, plain.fingerprint)
    assert asked(touched) == asked(second)
    assert asked(gone).before == (asked(second).fingerprint, *asked(second).before)
    assert len({asked(each).fingerprint for each in (None, first, second, gone)}) == 4
    assert asked(CaptionsData(digest="unknown")) == plain
