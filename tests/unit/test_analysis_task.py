"""Task type ``analysis``: paid once, kept as received, checked part by part, asked again only where that is worth it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from pipeline.core.errors import Ambiguous, Permanent, Throttled
from pipeline.core.model import Spend, State, Task
from pipeline.ports.video_api import AnalysisStatus, Answer, Question
from tests.support.clock import EPOCH, VirtualClock, run_virtual
from tests.support.fakes import clips, items
from tests.support.memory_database import MemoryDatabase
from tests.support.run_harness import settings_for
from tests.support.scripted_run import BLIND, Life, priced, results_of
from tests.support.vendor import Account, Asking, ClientV12


async def ledger(life: Life) -> list[Spend]:
    """Return the ledger of all videos."""
    found: list[Spend] = await life.database.spends([task.key for task in await life.tasks("video")])
    return found


async def spends(life: Life) -> list[Spend]:
    """Return what the ledger of all videos booked, without what settles it."""
    return [spend for spend in await ledger(life) if not spend.settlement]


async def jobs_with_results(life: Life) -> list[str]:
    """Return the names of the requests that have an answer."""
    return sorted(job for _, job, _ in await life.answers())


# ------------------------------------------------------------------------------------------------------- paying


def test_every_paid_call_is_in_the_ledger_before_it_is_made(tmp_path: Path) -> None:
    """One entry per accepted call under the very key that was sent, with its price, its minutes and its video."""
    life = Life.at(tmp_path, **priced(jobs={"fuse": False}))
    seen: list[bool] = []
    real = life.api.submit_analysis

    async def looking(question: Question, ensure_fresh: Any) -> Any:
        seen.append(question.key in {spend.key for spend in await spends(life)})
        return await real(question, ensure_fresh)

    life.api.submit_analysis = looking  # type: ignore[method-assign]

    async def scenario() -> None:
        report = await life.run(items(clips(tmp_path, 2)))
        entries = await spends(life)
        assert sorted(spend.key for spend in entries) == sorted(life.effects_of("analysis"))
        assert len(entries) == 8
        assert seen == [True] * 8
        assert all(spend.usd > 0.0292 and spend.minutes == 1.0 and not spend.doubtful for spend in entries)
        assert report.usd == pytest.approx(sum(spend.usd for spend in await ledger(life)))
        assert report.usd < sum(spend.usd for spend in entries)
        assert (report.analyses, report.minutes, report.doubtful) == (8, 8.0, 0)

    run_virtual(scenario())


STOPPED: dict[str, dict[str, Any]] = priced(budget={"max_usd_per_run": 0.0}, jobs={"enabled": ("gist", "chapters")})


def test_a_request_that_nobody_has_any_more_is_dropped_without_paying(tmp_path: Path) -> None:
    """The budget stopped it yesterday; today the configuration wants something else: only that is asked."""
    life = Life.at(tmp_path, **STOPPED)
    paths = clips(tmp_path, 1)

    async def scenario() -> None:
        assert (await life.run(items(paths))).exit_code == 5
        life.configure(tmp_path, **priced(jobs={"enabled": ("summary",)}))
        assert (await life.run(items(paths))).exit_code == 0
        assert len(life.effects_of("analysis")) == 1
        assert await jobs_with_results(life) == ["summary"]
        assert len(await spends(life)) == 1
        assert [task.state for task in await life.tasks("analysis")] == [State.DONE, State.DONE]

    run_virtual(scenario())


def test_a_dropped_request_that_comes_back_is_asked(tmp_path: Path) -> None:
    """Dropping is no memory: with the old configuration again, the old request is asked after all."""
    life = Life.at(tmp_path, **STOPPED)
    paths = clips(tmp_path, 1)

    async def scenario() -> None:
        await life.run(items(paths))
        life.configure(tmp_path, **priced(jobs={"enabled": ("summary",)}))
        await life.run(items(paths))
        life.configure(tmp_path, **priced(jobs={"enabled": ("gist", "chapters")}))
        assert (await life.run(items(paths))).exit_code == 0
        assert await jobs_with_results(life) == ["chapters", "gist", "summary"]
        assert (len(life.effects_of("asset")), len(life.effects_of("analysis"))) == (1, 2)

    run_virtual(scenario())


def test_a_request_that_is_still_wanted_in_part_is_made_once(tmp_path: Path) -> None:
    """One of two fused requests is left: the request that stands goes out, and no second one for the same answer."""
    life = Life.at(tmp_path, **STOPPED)
    paths = clips(tmp_path, 1)

    async def scenario() -> None:
        await life.run(items(paths))
        life.configure(tmp_path, **priced(jobs={"enabled": ("gist",)}))
        assert (await life.run(items(paths))).exit_code == 0
        assert len(life.effects_of("analysis")) == 1
        assert "gist" in await jobs_with_results(life)

    run_virtual(scenario())


# ------------------------------------------------------------------------------------------------------- ask, act


def test_an_answer_that_was_lost_on_the_way_is_found_again(tmp_path: Path) -> None:
    """The platform knows our key: the accepted request is adopted, not paid again."""
    life = Life.at(tmp_path, **priced())
    life.api.ask_trouble = lambda number: Ambiguous("reset") if number == 1 else None
    life.api.accepted = True
    report = run_virtual(life.run(items(clips(tmp_path, 1))))
    assert (report.exit_code, report.doubtful, len(life.api.questions)) == (0, 0, 1)
    assert len(run_virtual(spends(life))) == 1


def test_where_nobody_can_be_asked_it_is_repeated_once_and_counted(tmp_path: Path) -> None:
    """Possibly paid twice: the ledger has both entries, and the report says so."""
    life = Life.at(tmp_path, **priced(policy=BLIND))
    life.api.ask_trouble = lambda number: Ambiguous("reset") if number == 1 else None
    life.api.accepted, life.api.can_be_asked = True, False
    report = run_virtual(life.run(items(clips(tmp_path, 1))))
    assert (report.exit_code, report.doubtful, len(life.api.questions)) == (0, 1, 2)
    first, second, settled = run_virtual(ledger(life))
    assert (first.doubtful, second.doubtful, first.usd) == (False, True, second.usd)
    assert (settled.key, settled.doubtful) == (f"{first.key}/settled", False)
    assert report.usd == pytest.approx(2 * first.usd + settled.usd)


def test_where_nobody_can_be_asked_twice_a_person_must_decide(tmp_path: Path) -> None:
    """Lost twice: held, not repeated for ever; the operator's retry pays once more and gets the answer."""
    life = Life.at(tmp_path, **priced(policy=BLIND))
    life.api.ask_trouble = lambda number: Ambiguous("reset") if number <= 2 else None
    life.api.can_be_asked = False
    paths = clips(tmp_path, 1)

    async def scenario() -> None:
        assert (await life.run(items(paths))).exit_code == 3
        assert len(life.api.questions) == 2
        assert (await life.one("analysis")).state is State.HELD
        assert await life.troubles() == {"analysis": "cannot_be_asked"}
        assert (await life.run(items(paths))).exit_code == 3
        assert len(life.api.questions) == 2  # a run by itself never decides it
        assert await life.retry() == 1
        assert (await life.run(items(paths))).exit_code == 0
        assert len(life.api.questions) == 3

    run_virtual(scenario())


@pytest.mark.parametrize("policy", ["look", "hold"])
def test_where_nobody_can_be_asked_a_cautious_policy_holds_at_once(tmp_path: Path, policy: str) -> None:
    """``on_ambiguous_create = "look"``, the default, or "hold": a person decides, and nothing more is paid."""
    life = Life.at(tmp_path, **priced(policy={"on_ambiguous_create": policy}))
    life.api.ask_trouble = lambda number: Ambiguous("reset")
    life.api.can_be_asked = False
    report = run_virtual(life.run(items(clips(tmp_path, 1))))
    assert (report.exit_code, report.doubtful, len(life.api.questions)) == (3, 0, 1)
    assert run_virtual(life.one("analysis")).state is State.HELD


def test_a_request_that_is_never_accepted_is_given_up(tmp_path: Path) -> None:
    """As often as the policy says, asking before each; then it fails. Every further call stands in the ledger, in doubt."""
    life = Life.at(tmp_path, **priced(policy={"attempts": 4}))
    life.api.ask_trouble = lambda number: Ambiguous("reset")
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 3
    assert len(life.api.questions) == 4
    assert len({question.key for question in life.api.questions}) == 1
    assert [spend.doubtful for spend in run_virtual(spends(life))] == [False, True, True, True]


def test_a_request_that_was_given_up_is_asked_for_before_it_is_made_again(tmp_path: Path) -> None:
    """It was accepted after all, long after the last look: an operator's retry takes its answer and pays no more."""
    life = Life.at(tmp_path, **priced(policy={"attempts": 3}))
    life.api.ask_trouble, life.api.accepted = lambda number: Ambiguous("reset"), True
    seen, life.api.find_analysis = life.api.find_analysis, nothing  # type: ignore[method-assign]
    entries = items(clips(tmp_path, 1))

    async def scenario() -> None:
        assert (await life.run(entries)).exit_code == 3
        sent = len(life.api.questions)
        assert len(await spends(life)) == sent
        life.api.find_analysis = seen  # type: ignore[method-assign]
        await life.retry()
        assert (await life.run(entries)).exit_code == 0
        assert len(life.api.questions) == len(await spends(life)) == sent
        assert len(await jobs_with_results(life)) == 4

    run_virtual(scenario())


@pytest.mark.parametrize("shown", [True, False])
def test_a_request_that_was_given_up_is_asked_for_before_a_part_of_it_is_asked_anew(
    tmp_path: Path, shown: bool
) -> None:
    """Meanwhile the words of one of its jobs have changed, so that nobody would ask the same again.

    What is still wanted of it is taken from its answer; where there is none to be found, it is asked once more, and the
    ledger tells that it may be paid twice.
    """
    life = Life.at(tmp_path, **priced(policy={"attempts": 2}, jobs={"enabled": ("gist", "summary")}))
    life.api.ask_trouble, life.api.accepted = lambda number: Ambiguous("reset"), True
    seen, life.api.find_analysis = life.api.find_analysis, nothing  # type: ignore[method-assign]
    entries = items(clips(tmp_path, 1))

    async def scenario() -> None:
        assert (await life.run(entries)).exit_code == 3
        sent = len(life.api.questions)
        told = sum(spend.doubtful for spend in await spends(life))
        life.api.ask_trouble = lambda number: None
        if shown:
            life.api.find_analysis = seen  # type: ignore[method-assign]
        settings = {"summary": {"prompt": "Heed the weather."}}
        life.configure(tmp_path, **priced(jobs={"enabled": ("gist", "summary"), "settings": settings}))
        await life.retry()
        assert (await life.run(entries)).exit_code == 0
        asked = [sorted((question.schema or {})["properties"]) for question in life.api.questions[sent:]]
        assert len(asked) == (1 if shown else 2)
        assert any("title" in names for names in asked) is not shown
        assert set(await jobs_with_results(life)) == {"gist", "summary"}
        entered = await spends(life)
        assert sum(spend.doubtful for spend in entered) == told + (0 if shown else 1)
        assert sum(spend.calls for spend in entered) == len(life.api.questions)

    run_virtual(scenario())


@pytest.mark.parametrize("bad", ["failed", "garbage", "length"])
def test_of_two_answers_under_one_key_the_good_one_is_taken_before_a_third_is_paid(tmp_path: Path, bad: str) -> None:
    """The first call was accepted and listed late, the second was answered badly: the first one's answer is there."""
    life = Life.at(tmp_path, **priced(jobs={"enabled": ("gist",)}))
    life.api.ask_trouble = lambda number: Ambiguous("reset") if number == 1 else None
    life.api.accepted = True
    seen, life.api.find_analysis = life.api.find_analysis, nothing  # type: ignore[method-assign]
    real, submit, second = life.api.analysis, life.api.submit_analysis, ""

    async def submitting(question: Question, ensure_fresh: Any) -> Any:
        nonlocal second
        second = await submit(question, ensure_fresh)
        life.api.find_analysis = seen  # type: ignore[method-assign]
        return second

    async def spoilt(question: Question, task_id: str) -> Any:
        status = await real(question, task_id)
        if task_id != second or status.answer is None:
            return status
        if bad == "failed":
            return replace(status, state="failed", word="failed", answer=None)
        text, reason = ("no JSON", "stop") if bad == "garbage" else ("{", "length")
        return replace(status, answer=replace(status.answer, text=text, finish_reason=reason))

    life.api.submit_analysis = submitting  # type: ignore[method-assign]
    life.api.analysis = spoilt  # type: ignore[method-assign]
    report = run_virtual(life.run(items(clips(tmp_path, 1))))
    assert (report.exit_code, len(life.api.questions)) == (0, 2)
    assert run_virtual(jobs_with_results(life)) == ["gist"]
    assert second not in {value for task in run_virtual(life.tasks("analysis")) for value in [task.data["task_id"]]}


def test_a_refusal_says_nothing_of_an_earlier_request(tmp_path: Path) -> None:
    """The first was lost on its way back, the second refused: a retry asks for the first before it sends a third."""
    life = Life.at(tmp_path, **priced())
    life.api.accepted, life.api.ask_trouble = True, lambda number: Ambiguous("reset")
    seen, life.api.find_analysis = life.api.find_analysis, nothing  # type: ignore[method-assign]
    real, calls = life.api.submit_analysis, 0

    async def refusing(question: Question, ensure_fresh: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise Permanent("not like this", code="parameter_invalid")
        return await real(question, ensure_fresh)

    life.api.submit_analysis = refusing  # type: ignore[method-assign]
    entries = items(clips(tmp_path, 1))

    async def scenario() -> None:
        assert (await life.run(entries)).exit_code == 3
        assert calls == 2
        life.api.find_analysis = seen  # type: ignore[method-assign]
        await life.retry()
        assert (await life.run(entries)).exit_code == 0
        assert calls == 2

    run_virtual(scenario())


async def nothing(_question: Question) -> None:
    """See nothing of what has been accepted."""


def test_an_asset_that_is_gone_when_it_is_asked_about_is_uploaded_again(tmp_path: Path) -> None:
    """The video gets a new asset and the analysis follows by itself, under a key of its own."""
    life = Life.at(tmp_path)

    def lose(number: int) -> Exception | None:
        if number == 1:
            life.platform.lose()
        return None

    life.api.ask_trouble = lose

    async def scenario() -> None:
        assert (await life.run(items(clips(tmp_path, 1)))).exit_code == 0
        assert len(life.effects_of("asset")) == 2
        assert len(life.effects_of("analysis")) == 1
        first, second = life.api.questions
        assert first.key != second.key
        assert first.media_id != second.media_id
        assert len(await jobs_with_results(life)) == 4

    run_virtual(scenario())


def test_two_analyses_that_lose_one_asset_share_the_new_one(tmp_path: Path) -> None:
    """Unfused, four requests meet the same loss: one new upload serves all."""
    life = Life.at(tmp_path, jobs={"fuse": False})
    old: list[str] = []

    def lose(number: int) -> Exception | None:
        if number == 1:
            old.extend(life.platform.uploads)
            life.platform.lose()
        return None

    life.api.ask_trouble = lose

    async def scenario() -> None:
        assert (await life.run(items(clips(tmp_path, 1)))).exit_code == 0
        assert len(life.effects_of("asset")) == 2
        assert sorted(await jobs_with_results(life)) == ["chapters", "gist", "highlights", "summary"]
        assert len(life.effects_of("analysis")) == 4

    run_virtual(scenario())


def test_an_asset_that_is_shown_and_denied_does_not_go_on_for_ever(tmp_path: Path) -> None:
    """The platform calls it ready and then says it does not exist: after some turns the analysis fails."""
    life = Life.at(tmp_path, policy={"attempts": 5})
    life.api.ask_trouble = lambda number: Permanent("no such asset", code="resource_not_exist")
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 3
    assert len(life.api.questions) == 5
    assert run_virtual(life.troubles()) == {"analysis": "resource_not_exist"}


def test_a_refused_request_fails_with_the_platforms_words(tmp_path: Path) -> None:
    """Any other no is for the operator; the next run leaves it alone."""
    life = Life.at(tmp_path)
    life.api.ask_trouble = lambda number: Permanent("prompt not allowed", code="parameter_invalid")
    paths = clips(tmp_path, 1)
    assert run_virtual(life.run(items(paths))).exit_code == 3
    assert run_virtual(life.run(items(paths))).exit_code == 3
    assert len(life.api.questions) == 1
    assert run_virtual(life.troubles()) == {"analysis": "parameter_invalid"}


# ------------------------------------------------------------------------------------------------------- waiting


@pytest.mark.parametrize("state", ["failed", "canceled", "gone"])
def test_an_analysis_that_the_platform_ended_is_retried_under_a_new_key(tmp_path: Path, state: Any) -> None:
    """The operator's retry must not find the dead request again by its key."""
    life = Life.at(tmp_path, **priced())
    real, broken = life.api.analysis, True

    async def ended(question: Question, task_id: str) -> AnalysisStatus:
        return AnalysisStatus(state, state) if broken else await real(question, task_id)

    life.api.analysis = ended  # type: ignore[method-assign]
    paths = clips(tmp_path, 1)

    async def scenario() -> None:
        nonlocal broken
        assert (await life.run(items(paths))).exit_code == 3
        assert await life.troubles() == {"analysis": f"analysis_{state}"}
        assert len(life.api.questions) == 1
        broken = False
        await life.retry()
        assert (await life.run(items(paths))).exit_code == 0
        assert len(set(life.effects_of("analysis"))) == 2
        assert len(await spends(life)) == 2
        assert len(life.effects_of("asset")) == 1

    run_virtual(scenario())


@pytest.mark.parametrize("code", ["batch_expired", "batch_processing_timeout"])
def test_an_item_of_a_batch_that_ended_too_early_is_asked_again_however_it_was_found(tmp_path: Path, code: str) -> None:
    """The batch was lost from sight and its item found among the analyses: nobody has failed, so it is asked again.

    A platform that says so for ever is not asked for ever.
    """
    life = Life.at(tmp_path, jobs={"enabled": ("gist",)})
    real = life.api.analysis
    ends = 1

    async def ending(question: Question, task_id: str) -> Any:
        status = await real(question, task_id)
        if len(life.effects_of("analysis")) <= ends:
            return replace(status, state="canceled", word="canceled", code=code, answer=None)
        return status

    life.api.analysis = ending  # type: ignore[method-assign]

    async def scenario() -> None:
        nonlocal ends
        assert (await life.run(items(clips(tmp_path, 1)))).exit_code == 0
        assert len(life.effects_of("analysis")) == 2
        ends = 100
        life.configure(tmp_path, jobs={"enabled": ("gist", "summary")})
        assert (await life.run(items(clips(tmp_path, 1)))).exit_code == 3
        assert len(life.effects_of("analysis")) == 2 + 4

    run_virtual(scenario())


def test_an_answer_is_kept_as_received(tmp_path: Path) -> None:
    """The raw body is in the database and in the folder, whatever our reading makes of it."""
    life = Life.at(tmp_path)

    async def scenario() -> None:
        await life.run(items(clips(tmp_path, 1)))
        task = await life.one("analysis")
        (raw,) = [r for r in await life.database.results([task.subject]) if r.job == "_answer"]
        assert raw.fingerprint == life.effects_of("analysis")[0]
        assert json.loads(raw.meta["text"]) == json.loads(raw.body["result"]["data"])
        assert f"raw/{raw.fingerprint}.json" in results_of(life)

    run_virtual(scenario())


# ------------------------------------------------------------------------------------------------------- splitting


def test_a_cut_off_answer_is_asked_again_with_more_room(tmp_path: Path) -> None:
    """``finish_reason = length`` is no success: a new key, twice the tokens, paid and counted as its own call."""
    life = Life.at(tmp_path, **priced())
    life.platform.spoil = lambda question, text: "length" if question.key.endswith("-0") else text
    report = run_virtual(life.run(items(clips(tmp_path, 1))))
    first, second = life.api.questions
    assert report.exit_code == 0
    assert second.key != first.key
    assert second.max_tokens == 2 * first.max_tokens
    assert (second.prompt, second.schema) == (first.prompt, first.schema)
    assert len(run_virtual(spends(life))) == 2


def test_what_finishes_a_video_goes_before_what_begins_one(tmp_path: Path) -> None:
    """The first answer is cut off: its video is asked about once more before the others, so that a wall that comes now finds
    it finished.
    """
    life = Life.at(tmp_path, **priced(lanes={"analyze": 1}, limits={"analyze": {"requests_per_minute": 1}}))
    asked: list[str] = []

    def spoil(question: Question, text: str) -> str:
        asked.append(question.key)
        return "length" if question.key == asked[0] else text

    life.platform.spoil = spoil
    # Every second call must wait for longer than an answer takes.
    life.api.ask_trouble = lambda n: Throttled("slowly", after=90.0, group="analyze") if n % 2 == 0 else None
    run_virtual(life.run(items(clips(tmp_path, 4))))
    first = asked[0].removesuffix("-0")
    assert len(asked) == 5
    assert f"{first}-1" in asked[1:3]


def test_an_answer_that_never_fits_fails_at_the_ceiling(tmp_path: Path) -> None:
    """Doubling ends where the platform's room ends; the words say how much that was and what to do."""
    life = Life.at(tmp_path)
    life.platform.spoil = lambda question, text: "length"
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 3
    rooms = [question.max_tokens for question in life.api.questions]
    assert rooms == sorted(set(rooms))
    assert rooms[-1] == 98_304
    assert run_virtual(life.troubles()) == {"analysis": "answer_cut_off"}


def test_an_answer_that_ends_for_another_reason_is_not_paid_for_again(tmp_path: Path) -> None:
    """More room would not help: it fails with the platform's word, and only an operator asks again."""
    life = Life.at(tmp_path)
    real = life.api.analysis

    async def filtered(question: Question, task_id: str) -> AnalysisStatus:
        status = await real(question, task_id)
        ended = replace(status.answer, finish_reason="content_filter") if status.answer is not None else None
        return replace(status, answer=ended)

    life.api.analysis = filtered  # type: ignore[method-assign]
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 3
    assert len(life.api.questions) == 1
    assert run_virtual(life.troubles()) == {"analysis": "answer_unfinished"}
    assert "content_filter" in run_virtual(life.one("analysis")).trouble.message


class _Short(ClientV12):
    """API v1.2 that cuts every answer off and counts what it is asked."""

    asked = 0

    async def submit_analysis(self, question: Question, still_ours: Any) -> Answer:
        self.asked += 1
        whole = await super().submit_analysis(question, still_ours)
        assert isinstance(whole, Answer)
        return replace(whole, finish_reason="length")


def test_an_answer_of_an_api_without_room_to_ask_for_is_not_paid_for_again(tmp_path: Path) -> None:
    """v1.2 takes no number of tokens: the same question would be cut off, and billed, in the same way."""
    clock = VirtualClock()
    platform = Account(clock)
    settings = settings_for(tmp_path, provider={"api": "v1.2"}, jobs={"enabled": ("summary",)})
    api = _Short(platform)
    life = Life(settings, MemoryDatabase(), platform, clock, api=api)
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 3
    assert api.asked == 1
    assert run_virtual(life.troubles()) == {"analysis": "answer_cut_off"}


def test_what_cannot_be_asked_takes_nothing_from_the_budget(tmp_path: Path) -> None:
    """A prompt too long for v1.2 fails before money is reserved for it: what can be asked is asked."""
    sections = priced(
        provider={"kind": "twelvelabs", "api": "v1.2"}, budget={"max_usd_per_run": 0.042 + 0.04}
    )  # indexed, and asked
    long = {"job": "ask", "prompt": "Why? " * 400}
    life = Life.at(tmp_path, **sections, jobs={"enabled": ("long", "summary"), "settings": {"long": long}})
    life.api = ClientV12(life.platform)  # type: ignore[assignment]
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 3
    assert run_virtual(life.troubles()) == {"analysis": "not_in_this_api"}
    assert run_virtual(jobs_with_results(life)) == ["summary"]


def spoiled(field: str, only_first: bool) -> Any:
    """Return a platform that answers one field badly; ``only_first``: not when it is corrected."""

    def spoil(question: Asking, text: str) -> str:
        value = json.loads(text)
        if field in value and not (only_first and "refused" in question.prompt):
            value[field] = []
        return json.dumps(value)

    return spoil


def test_a_refused_part_is_asked_again_alone_with_the_reason(tmp_path: Path) -> None:
    """The good parts stand; the bad one gets one request of its own that tells what was wrong."""
    life = Life.at(tmp_path, **priced())
    life.platform.spoil = spoiled("chapters", only_first=True)

    async def scenario() -> None:
        assert (await life.run(items(clips(tmp_path, 1)))).exit_code == 0
        first, second = life.api.questions
        assert set(second.schema["properties"]) == {"chapters"}  # type: ignore[index]
        assert "chapters" in second.prompt.partition("refused for this reason")[2]
        assert second.temperature <= 0.1
        assert len(first.schema["properties"]) > 1  # type: ignore[index]
        assert await jobs_with_results(life) == ["chapters", "gist", "highlights", "summary"]
        assert len(await spends(life)) == 2
        assert "chapters.vtt" in results_of(life)

    run_virtual(scenario())


@pytest.mark.parametrize(
    "words", ["```json\n{}\n```", "```\n{}```\n", "Here it is:\n\n```json\n{}\n```\nAnything else?"]
)
def test_a_fenced_answer_is_read(tmp_path: Path, words: str) -> None:
    """Models like to put JSON into a block of Markdown: it is paid for, and it is good."""
    life = Life.at(tmp_path, **priced())
    life.platform.spoil = lambda question, text: words.replace("{}", text)
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    assert len(life.api.questions) == 1
    assert len(run_virtual(jobs_with_results(life))) == 4


def test_an_unreadable_answer_is_asked_for_once_more_as_a_whole(tmp_path: Path) -> None:
    """One more call for all jobs, not one for each: the second answer is good, and everything is there."""
    life = Life.at(tmp_path, **priced())
    life.platform.spoil = lambda question, text: text if "refused" in question.prompt else "So, this video shows"

    async def scenario() -> None:
        assert (await life.run(items(clips(tmp_path, 1)))).exit_code == 0
        first, second = life.api.questions
        assert second.schema == first.schema
        assert "not valid JSON" in second.prompt.partition("refused for this reason")[2]
        assert len(await spends(life)) == 2
        assert len(await jobs_with_results(life)) == 4

    run_virtual(scenario())


def test_an_answer_that_stays_unreadable_costs_two_calls_and_says_so(tmp_path: Path) -> None:
    """Then it stops: the trouble names the jobs and the reason, a night later nothing is paid, a retry asks once."""
    life = Life.at(tmp_path, **priced())
    life.platform.spoil = lambda question, text: "So, this video shows"
    entries = items(clips(tmp_path, 1))

    async def scenario() -> None:
        for _ in range(2):
            assert (await life.run(entries)).exit_code == 3
            assert len(life.api.questions) == len(await spends(life)) == 2
        (trouble,) = [task.trouble for task in await life.tasks("analysis") if task.trouble is not None]
        assert trouble.code == "bad_answer"
        assert all(word in trouble.message for word in ("gist", "chapters", "not valid JSON"))
        life.platform.spoil = None
        await life.retry()
        assert (await life.run(entries)).exit_code == 0
        assert len(life.api.questions) == 3

    run_virtual(scenario())


def test_a_part_that_is_refused_twice_fails_and_the_good_parts_are_kept(tmp_path: Path) -> None:
    """Two requests, no third; everything else is published; the next run pays nothing; a retry asks under a new key."""
    life = Life.at(tmp_path, **priced())
    life.platform.spoil = spoiled("chapters", only_first=False)
    paths = clips(tmp_path, 1)

    async def scenario() -> None:
        assert (await life.run(items(paths))).exit_code == 3
        assert len(life.api.questions) == 2
        assert await life.troubles() == {"analysis": "bad_answer"}
        assert await jobs_with_results(life) == ["gist", "highlights", "summary"]
        assert "summary.md" in results_of(life)
        assert (await life.run(items(paths))).exit_code == 3
        assert len(life.api.questions) == 2
        life.platform.spoil = None
        assert await life.retry() == 1
        assert (await life.run(items(paths))).exit_code == 0
        assert len({question.key for question in life.api.questions}) == 3
        assert "chapters.vtt" in results_of(life)

    run_virtual(scenario())


def test_a_refused_part_whose_asset_is_lost_meanwhile_is_asked_alone_once_more(tmp_path: Path) -> None:
    """Asked with the rest again for the new upload, and refused again: the request of its own is armed, not taken for done."""
    life = Life.at(tmp_path)
    life.platform.spoil = spoiled("chapters", only_first=True)

    def lose(number: int) -> Exception | None:
        if number == 2:
            life.platform.lose()
        return None

    life.api.ask_trouble = lose

    async def scenario() -> None:
        assert (await life.run(items(clips(tmp_path, 1)))).exit_code == 0
        assert await jobs_with_results(life) == ["chapters", "gist", "highlights", "summary"]
        assert len({question.key for question in life.api.questions}) == len(life.api.questions) == 4

    run_virtual(scenario())


@pytest.mark.parametrize(
    "text", ["not json", "", "[1, 2]", '"text"', "null", "{", '{"a": ' * 5000, "NaN", '{"summary": 1e999}', "{}"]
)
def test_an_answer_that_is_no_object_refuses_every_part(tmp_path: Path, text: str) -> None:
    """All are asked for once more, together; whatever the platform sends, the run ends, and says what failed."""
    life = Life.at(tmp_path, jobs={"enabled": ("gist", "summary")})
    life.platform.spoil = lambda question, good: text
    report = run_virtual(life.run(items(clips(tmp_path, 1))))
    assert report.exit_code == 3
    assert len(life.api.questions) == 2
    assert set(run_virtual(life.troubles()).values()) == {"bad_answer"}


def test_fields_that_nobody_asked_for_are_ignored(tmp_path: Path) -> None:
    """Each job sees its own properties only."""
    life = Life.at(tmp_path, jobs={"enabled": ("summary",)})
    life.platform.spoil = lambda question, text: json.dumps({**json.loads(text), "title": "x", "__proto__": {}})

    async def scenario() -> None:
        assert (await life.run(items(clips(tmp_path, 1)))).exit_code == 0
        (result,) = [r for r in await life.database.results(await life.database.subjects("", 9)) if r.job == "summary"]
        assert set(result.body) == {"summary"}

    run_virtual(scenario())


def test_a_task_of_a_job_that_is_gone_says_so(tmp_path: Path) -> None:
    """A release without the job fails that analysis and harms no other video."""
    life = Life.at(tmp_path, **priced(budget={"max_usd_per_run": 0.0}))

    async def scenario() -> None:
        paths = clips(tmp_path, 2)
        await life.run(items(paths))
        first = (await life.tasks("analysis"))[0]
        line = life.database._lines[first.id]
        data = json.loads(line.data)
        data["wishes"][0]["job"] = "gone"
        line.data = json.dumps(data)
        life.configure(tmp_path, **priced())
        assert (await life.run(items(paths))).exit_code == 3
        states = {task.state: task for task in await life.tasks("analysis")}
        failed: Task = states[State.FAILED]
        assert failed.trouble is not None
        assert failed.trouble.code == "unknown_job"
        assert State.DONE in states

    run_virtual(scenario())


USAGES = [
    ({"output_tokens": 100}, 100),
    ({"output_tokens": 0, "input_tokens": 41_000}, 0),
    ({"output_tokens": 900_000}, 900_000),
    ({}, None),
    *(({"output_tokens": value}, None) for value in (-1, 10**9, True, 12.5, "many", "None", [])),
    ({"usage": "lots"}, None),
]


@pytest.mark.parametrize(("usage", "tokens"), USAGES)
def test_every_answer_is_settled_with_its_usage(tmp_path: Path, usage: dict[str, Any], tokens: int | None) -> None:
    """What the tokens cost counts, beside the minutes; without a usable number what was reserved stays, and an absurd one is
    told in the log. The estimate stays in any case.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    life = Life.at(tmp_path, **priced(jobs={"enabled": ["gist"]}))
    real = life.api.analysis

    async def answered(question: Question, task_id: str) -> Any:
        status = await real(question, task_id)
        return status if status.answer is None else replace(status, answer=replace(status.answer, usage=usage))

    life.api.analysis = answered  # type: ignore[method-assign]
    with capture_logs() as logs:
        report = run_virtual(life.run(items(clips(tmp_path, 1))))
    booked, *settled = run_virtual(ledger(life))
    assert (len(settled), booked.jobs, booked.estimate < booked.usd) == (tokens is not None, "gist", True)
    expected = booked.usd if tokens is None else 0.0292 + tokens / 1000 * 0.0075
    assert report.usd == pytest.approx(expected)
    assert sum(spend.estimate for spend in (booked, *settled)) == booked.estimate
    assert [line["usage"] for line in logs if line["event"] == "analysis.usage_ignored"] == (
        [usage] if usage and tokens is None else []
    )
    told = [line["usd"] for line in logs if line["event"] == "analysis.cost_more_than_reserved"]
    assert told == ([pytest.approx(expected)] if expected > booked.usd else [])


def test_an_analysis_that_another_database_has_booked_is_not_settled_here(tmp_path: Path) -> None:
    """A lost state folder costs nothing: what is adopted is in no ledger, and a settlement of nothing would be a gain."""
    life = Life.at(tmp_path, **priced())
    entries = items(clips(tmp_path, 1))
    assert run_virtual(life.run(entries)).usd > 0
    life.database = MemoryDatabase()
    report = run_virtual(life.run(entries))
    assert (report.exit_code, report.usd, run_virtual(ledger(life))) == (0, 0.0, [])


def test_money_of_yesterday_is_booked_anew_before_it_is_sent_today(tmp_path: Path) -> None:
    """A question that waited unsent over midnight gives its money back to its day, and takes that of the new one."""
    life = Life.at(tmp_path, **priced(jobs={"enabled": ["gist"]}, budget={"max_usd_per_day": 5.0}))
    life.clock.skew = 86_400.0 - EPOCH % 86_400.0 - 20.0
    life.api.ask_trouble = lambda number: Throttled("slowly", after=60.0, group="analyze") if number == 1 else None
    report = run_virtual(life.run(items(clips(tmp_path, 1))))
    assert report.exit_code == 0
    first, back, second, settled = run_virtual(ledger(life))
    assert (back.refund, back.usd, back.at) == (True, -first.usd, first.at)
    assert second.at // 86_400 == first.at // 86_400 + 1
    assert (settled.key, settled.at) == (f"{first.key}/settled", second.at)
    assert life.effects_of("analysis") == [first.key]
