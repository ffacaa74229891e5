"""Standing queries as the end of a whole run over fakes: after ingestion, through deaths, beside failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import Permanent
from pipeline.ports.index_api import ListFilter
from pipeline.ports.store import Database
from pipeline.views import RunReport
from tests.support.clock import VirtualClock, run_virtual
from tests.support.fake_index_api import FakeIndexApi, films
from tests.support.fakes import Crash, Wreck, clips, items
from tests.support.memory_database import MemoryDatabase
from tests.support.run_harness import Rig, settings_for
from tests.support.vendor import Account, Client

QUERIES = [{"name": "queen", "text": "queen"}, {"name": "sea", "text": "sea"}]


def rig(folder: Path, **sections: Any) -> tuple[Rig, FakeIndexApi]:
    """Return a rig whose account has an index of films, and the index's side of it."""
    clock, index_api = VirtualClock(), films()
    platform = Account(clock)
    api = Client(platform)
    api.index_api = index_api  # type: ignore[assignment]
    settings = settings_for(folder, index={"name": "films"}, **sections)
    raw = {**settings.model_dump(), "queries": QUERIES}
    return Rig(type(settings).model_validate(raw), MemoryDatabase(), platform, clock, api=api), index_api


def states(report: RunReport) -> list[str]:
    """Return what became of each query."""
    return [query.state for query in report.queries]


def test_queries_are_asked_when_everything_is_there(tmp_path: Path) -> None:
    """Not before the last result is written: a search at the end of a run finds what the run brought."""

    async def scenario() -> None:
        it, index_api = rig(tmp_path)
        written: list[int] = []

        class Late(FakeIndexApi):
            async def search(self, query: Any) -> Any:
                written.append(sum(1 for name in it.sink.folders if name != "searches"))
                return await super().search(query)

        assert it.api is not None
        it.api.index_api = Late(there=index_api.there, spoken=index_api.spoken)  # type: ignore[assignment]
        report = await it.run(items(clips(tmp_path, 3)))
        assert (report.exit_code, states(report), written) == (0, ["done", "done"], [3, 3])
        videos = [video async for video in it.api.index_api.videos("i1", ListFilter())]
        assert len(videos) == 5  # the run's own are in the index, too
        (note,) = await it.database.runs(1)
        assert note.summary["queries"] == {"queen": "done", "sea": "done"}

    run_virtual(scenario())


def test_a_refused_query_changes_only_the_exit_code(tmp_path: Path) -> None:
    """Everything is ingested and written; 3 says that something is missing."""

    async def scenario() -> None:
        it, index_api = rig(tmp_path)
        index_api.failures = [Permanent("no", code="search_filter_invalid")]
        report = await it.run(items(clips(tmp_path, 2)))
        assert (report.exit_code, states(report)) == (3, ["failed", "done"])
        assert (report.items["done"], report.items["failed"], report.published) == (2, 0, 2)

    run_virtual(scenario())


def test_a_run_whose_time_is_up_while_it_asks_says_how_many_are_left(tmp_path: Path) -> None:
    """Every video is written, and yet not everything is done: exit 6, and the next run asks what is left."""

    async def scenario() -> None:
        it, index_api = rig(tmp_path, run={"max_time": "1h"})

        class Slow(FakeIndexApi):
            async def search(self, query: Any) -> Any:
                await it.clock.sleep(3700.0)
                return await super().search(query)

        assert it.api is not None
        it.api.index_api = Slow(there=index_api.there, spoken=index_api.spoken)  # type: ignore[assignment]
        report = await it.run(items(clips(tmp_path, 2)))
        assert (report.exit_code, states(report), report.items["working"]) == (6, ["done", "skipped"], 0)
        said = "The time of this run is up (1h); 1 standing query was not asked; the same command goes on."
        assert report.note == said

    run_virtual(scenario())


def test_a_run_that_stopped_at_its_budget_asks_nothing(tmp_path: Path) -> None:
    """The exit code is ingestion's own, and each query says why it was not asked."""

    async def scenario() -> None:
        budget = {"budget": {"max_usd_per_run": 0.0}, "prices": {"analyze_minute": 1.0}}
        it, index_api = rig(tmp_path, provider={"kind": "twelvelabs"}, **budget)
        it.settings = it.settings.model_copy(update={"api_key": "k"})
        report = await it.run(items(clips(tmp_path, 1)))
        assert (report.exit_code, states(report), index_api.asked) == (5, ["skipped", "skipped"], [])

    run_virtual(scenario())


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["api.index_api.search", "store.enter", "sink.add"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_death_among_the_queries_costs_at_most_that_run_its_answers(
    tmp_path: Path, call: str, when: str, nth: int
) -> None:
    """Ingestion is whole, nothing of it is paid again, and the next run asks each query once; no call without its entry."""

    async def scenario() -> None:
        it, index_api = rig(tmp_path)
        there = items(clips(tmp_path, 1))
        counting = Wreck()
        await it.run(there, counting)
        number = [place for place, name in enumerate(counting.calls, 1) if name == call][nth - 1]

        it, index_api = rig(tmp_path)
        with pytest.raises((Crash, BaseExceptionGroup)):
            await it.run(there, Wreck((number, when)))
        before = it.platform.effects()
        it.clock.skew += 60.0
        report = await it.run(there, seed=2)
        assert (report.exit_code, states(report)) == (0, ["done", "done"])
        assert it.platform.effects() == before
        database: Database = it.database
        assert len(index_api.asked) <= len([spend for spend in await database.spends([""]) if spend.what == "search"])
        assert set(it.sink.folders["searches"]) == {"queen.json", "queen.md", "sea.json", "sea.md"}

    run_virtual(scenario())
