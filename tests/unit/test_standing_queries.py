"""Standing queries: asked when ingestion is done, paid once each, written whole, and never in ingestion's way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from pipeline.app.runs.standing_queries import StandingQueries, gravest
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.budget.limits import SpendingLimits
from pipeline.config.settings import Settings
from pipeline.core.errors import Ambiguous, NeedsOperator, Permanent, ReelmillError, Throttled, Transient
from pipeline.core.exit_codes import ExitCode
from pipeline.core.model import Lane, Parked, Trouble
from pipeline.engine.admission import RunEnd
from pipeline.views import QueryReport
from tests.support.clock import VirtualClock, run_virtual
from tests.support.fake_index_api import FakeIndexApi, films
from tests.support.fakes import FakeSink
from tests.support.memory_database import MemoryDatabase

QUEEN = {"name": "queen", "text": "queen"}
SEA = {"name": "sea", "text": "sea"}
WHY = Trouble("x", "Why.")


class Night:
    """What outlives a run: an account, a database, a disk."""

    def __init__(self, queries: Sequence[dict[str, Any]] = (QUEEN, SEA), **sections: Any) -> None:
        raw: dict[str, Any] = {
            "provider": {"kind": "twelvelabs", **sections.pop("provider", {})},
            "index": {"name": "films"},
            "run": {"output": "o"},
            "queries": queries,
            **sections,
        }
        self.settings = Settings.model_validate(raw).model_copy(update={"api_key": "k"})
        self.index_api, self.database, self.sink = films(), MemoryDatabase(), FakeSink()
        self.clock = VirtualClock()
        self.spending = SpendingLimits(self.settings.budget, self.clock)
        self.standing = self.run()

    def run(self) -> StandingQueries:
        """Return the queries of another run."""
        made = (
            make_run_plan(self.settings),
            self.index_api,
            self.database,
            self.sink,
            self.spending,
            self.clock,
            Random(1),
        )
        return StandingQueries(*made, run_id="")

    async def ask(self, ending: RunEnd | None = None, run_id: str = "r1") -> list[QueryReport]:
        """Ask them all, as the end of a run does."""
        return await self.standing.ask_all(ending or RunEnd(), run_id)

    async def ledger(self) -> list[tuple[str, bool]]:
        """Return (what, doubtful) of every entry; their keys are all different."""
        entries = await self.database.spends([""])
        assert len({entry.key for entry in entries}) == len(entries)
        assert all(entry.usd == pytest.approx(0.004) for entry in entries)
        return [(entry.what, entry.doubtful) for entry in entries]

    def written(self, name: str) -> dict[str, Any]:
        """Return a query's JSON file."""
        found: dict[str, Any] = json.loads(self.sink.folders["searches"][f"{name}.json"])
        return found


def test_every_query_is_asked_once_paid_and_written() -> None:
    """Two queries, two prices in the ledger, two files each; the report says what was found."""

    async def scenario() -> None:
        night = Night()
        reports = await night.ask()
        assert [(report.name, report.state, report.found) for report in reports] == [
            ("queen", "done", 2),
            ("sea", "done", 1),
        ]
        assert reports[0].file == Path("o/searches/queen.md")
        assert set(night.sink.folders["searches"]) == {"queen.json", "queen.md", "sea.json", "sea.md"}
        assert await night.ledger() == [("search", False)] * 2
        assert night.spending.run == pytest.approx(0.008)
        assert gravest(reports) is None
        card = night.written("queen")
        assert (card["format"], card["name"], card["run"], card["total"]) == (1, "queen", "r1", 2)
        assert card["hits"][0] == {
            "video": {"id": "v1", "title": "reelmill-1.mp4"}, "start": 5.0, "end": 9.5, "rank": 1,
            "text": "One queen lays eggs", "found_by": ["transcription"],
        }  # fmt: skip
        assert "sig=" not in str(night.sink.folders)

    run_virtual(scenario())


def test_another_night_asks_and_pays_again() -> None:
    """The key in the ledger is the query's and the run's: a new run is a new answer; the same run pays once."""

    async def scenario() -> None:
        night = Night([QUEEN])
        await night.ask(run_id="r1")
        night.standing = night.run()
        await night.ask(run_id="r1")
        assert len(await night.ledger()) == 1
        night.standing = night.run()
        await night.ask(run_id="r2")
        assert len(await night.ledger()) == 2
        assert night.written("queen")["run"] == "r2"

    run_virtual(scenario())


@pytest.mark.parametrize(
    "ending",
    [
        RunEnd(halted=WHY),
        RunEnd(interrupted=True),
        RunEnd(budget=WHY),
        RunEnd(parked={Lane.ANALYZE: Parked("analyze", 9e9, WHY)}),
    ],
)
def test_nothing_is_asked_before_ingestion_is_done(ending: RunEnd) -> None:
    """A run that stopped early says so for each query, pays for none, and its own exit code stands."""

    async def scenario() -> None:
        night = Night()
        reports = await night.ask(ending)
        assert [report.state for report in reports] == ["skipped", "skipped"]
        assert all(report.trouble and report.trouble.code == "not_asked" for report in reports)
        assert (night.index_api.asked, await night.ledger(), gravest(reports)) == ([], [], None)

    run_virtual(scenario())


def test_of_several_runs_only_the_last_asks() -> None:
    """The others say which does, pay nothing, and their own exit codes stand."""

    async def scenario() -> None:
        night = Night()
        reports = await night.standing.ask_all(RunEnd(), "r1", because="Another run is still at work.")
        assert {(report.state, report.trouble and report.trouble.message) for report in reports} == {
            ("skipped", "Another run is still at work.")
        }
        assert (night.index_api.asked, await night.ledger(), gravest(reports)) == ([], [], None)

    run_virtual(scenario())


def test_a_refused_query_is_reported_and_the_next_one_asked() -> None:
    """Exit 3; what was found the last time is still there."""

    async def scenario() -> None:
        night = Night()
        await night.ask()
        before = dict(night.sink.folders["searches"])
        night.standing = night.run()
        night.index_api.failures = [Permanent("the search filter is not valid", code="search_filter_invalid")]
        reports = await night.ask(run_id="r2")
        assert [report.state for report in reports] == ["failed", "done"]
        assert reports[0].trouble is not None
        assert reports[0].trouble.code == "search_filter_invalid"
        assert gravest(reports) == (ExitCode.INCOMPLETE, "")
        assert night.sink.folders["searches"]["queen.json"] == before["queen.json"]
        assert night.written("sea")["run"] == "r2"

    run_virtual(scenario())


def test_a_query_without_its_index_pays_nothing() -> None:
    """Looking for the index is free and comes first."""

    async def scenario() -> None:
        night = Night([{**QUEEN, "index": "nowhere"}])
        (report,) = await night.ask()
        assert report.trouble is not None
        assert (report.state, report.trouble.code) == ("failed", "resource_not_exist")
        assert await night.ledger() == []

    run_virtual(scenario())


def test_a_lost_answer_is_asked_for_again_once_and_counted() -> None:
    """Possibly paid twice: the ledger has a second entry that says so. A second loss is a failure."""

    async def scenario() -> None:
        night = Night([QUEEN])
        night.index_api.failures = [Ambiguous("lost")]
        assert [report.state for report in await night.ask()] == ["done"]
        assert await night.ledger() == [("search", False), ("search", True)]
        night.standing = night.run()
        night.index_api.failures = [Ambiguous("lost"), Ambiguous("lost")]
        assert [report.state for report in await night.ask(run_id="r2")] == ["failed"]
        assert len(night.index_api.asked) == 4
        assert len(await night.ledger()) == 4

    run_virtual(scenario())


def test_a_rate_limit_without_proof_counts_as_a_lost_answer() -> None:
    """Said by an empty answer, it may come after the question was taken: the second one is booked as possibly paid twice."""

    async def scenario() -> None:
        night = Night([QUEEN])
        limit = Throttled("limit", after=30.0, group="search")
        limit.in_doubt = True
        night.index_api.failures = [limit]
        assert [report.state for report in await night.ask()] == ["done"]
        assert await night.ledger() == [("search", False), ("search", True)]

    run_virtual(scenario())


def test_a_lost_answer_is_not_asked_for_again_where_the_policy_forbids_it() -> None:
    """``on_ambiguous_ask = "hold"``: reported, paid once."""

    async def scenario() -> None:
        night = Night([QUEEN], policy={"on_ambiguous_ask": "hold"})
        night.index_api.failures = [Ambiguous("lost")]
        assert [report.state for report in await night.ask()] == ["failed"]
        assert await night.ledger() == [("search", False)]

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("error", "waited"), [(Transient("busy", after=7.0), 7.0), (Throttled("limit", after=30.0, group="search"), 30.0)]
)
def test_what_passes_is_waited_for(error: ReelmillError, waited: float) -> None:
    """The wait that was asked for, then the answer; the ledger has one entry."""

    async def scenario() -> None:
        night = Night([QUEEN])
        night.index_api.failures = [error]
        began = night.clock.monotonic()
        assert [report.state for report in await night.ask()] == ["done"]
        assert night.clock.monotonic() - began == pytest.approx(waited)
        assert await night.ledger() == [("search", False)]

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NeedsOperator("key refused", remedy="renew it"), ExitCode.NEEDS_OPERATOR),
        (Throttled("limit", after=9e5, group="search"), ExitCode.QUOTA),
    ],
)
def test_what_the_next_query_would_meet_too_ends_them(error: ReelmillError, code: ExitCode) -> None:
    """A refused key, or a quota longer than anybody waits: the rest is not even asked, and the run says which."""

    async def scenario() -> None:
        night = Night()
        night.index_api.failures = [error]
        reports = await night.ask()
        assert [report.state for report in reports] == ["failed", "skipped"]
        assert len(night.index_api.asked) == 1
        found = gravest(reports)
        assert found is not None
        assert found[0] is code
        assert found[1].startswith(str(error))

    run_virtual(scenario())


def test_the_budget_holds_for_queries_too() -> None:
    """One is paid, the second would pass the limit: exit 5, and no call."""

    async def scenario() -> None:
        night = Night(budget={"max_usd_per_run": 0.006})
        reports = await night.ask()
        assert [report.state for report in reports] == ["done", "failed"]
        assert reports[1].trouble is not None
        assert reports[1].trouble.message.startswith("The next search")
        found = gravest(reports)
        assert found is not None
        assert found[0] is ExitCode.BUDGET
        assert len(night.index_api.asked) == 1
        assert len(await night.ledger()) == 1

    run_virtual(scenario())


class Slow(FakeIndexApi):
    """Never answers a search."""

    async def search(self, query: Any) -> Any:
        self.asked.append(query)
        await anyio.sleep_forever()


def test_a_first_signal_ends_the_waiting_a_second_one_the_question() -> None:
    """Nothing is asked after the first; after the second nothing is waited for, and the rest counts as not asked."""

    async def scenario() -> None:
        night = Night()
        night.index_api.failures = [Transient("busy", after=500.0)]
        async with anyio.create_task_group() as group:
            group.start_soon(_later, night, 3.0, False)
            reports = await night.ask()
        assert night.clock.monotonic() == pytest.approx(3.0)
        assert [report.state for report in reports] == ["failed", "skipped"]
        night.index_api = Slow(there=night.index_api.there)
        night.standing = night.run()
        async with anyio.create_task_group() as group:
            group.start_soon(_later, night, 3.0, True)
            reports = await night.ask(run_id="r2")
        assert [report.state for report in reports] == ["skipped", "skipped"]
        assert len(night.index_api.asked) == 1

    run_virtual(scenario())


async def _later(night: Night, seconds: float, now: bool) -> None:
    await anyio.sleep(seconds)
    night.standing.stop(now=now)


def test_a_classification_stands_like_a_search() -> None:
    """Asked, paid and written the same way, by class."""

    async def scenario() -> None:
        kinds = {"name": "kinds", "classes": {"Bees": ["queen"]}, "clips": True}
        night = Night([kinds], provider={"api": "v1.2"})
        (report,) = await night.ask()
        assert (report.state, report.found) == ("done", 1)
        (row,) = night.written("kinds")["videos"]
        assert row["video"]["id"] == "v1"
        assert row["classes"][0]["clips"] == [
            {"start": 5.0, "end": 9.5, "score": 80.0},
            {"start": 30.0, "end": 33.0, "score": 80.0},
        ]
        assert "0:05–0:09 0:30–0:33" in str(night.sink.folders["searches"]["kinds.md"])

    run_virtual(scenario())


def test_a_full_disk_fails_the_query_and_nothing_else() -> None:
    """The next one is asked all the same."""

    class Full(FakeSink):
        async def add(self, folder: str, files: Any) -> None:
            if files[0].name.startswith("queen"):
                raise Transient("the disk is full", code="disk_full", remedy="free some space")
            await super().add(folder, files)

    async def scenario() -> None:
        night = Night()
        night.sink = Full()
        night.standing = night.run()
        reports = await night.ask()
        assert [(report.state, report.trouble.code if report.trouble else "") for report in reports] == [
            ("failed", "disk_full"),
            ("done", ""),
        ]

    run_virtual(scenario())
