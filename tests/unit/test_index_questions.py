"""Questions to an index: checked before they cost anything, and answered in our words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.app.index.questions import QuestionRunner, check_queries, check_query
from pipeline.app.index.video_refs import VideoResolver
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.config.queries import StandingQuery
from pipeline.config.settings import Settings
from pipeline.core.errors import ConfigError, Permanent
from pipeline.core.model import Lane, NewTask, Placed
from pipeline.ports.index_api import ClassifyQuery, IndexInfo, SearchQuery
from tests.support.clock import VirtualClock, run_virtual
from tests.support.fake_index_api import films
from tests.support.memory_database import MemoryDatabase


def settings(api: str = "v1.3", **sections: Any) -> Settings:
    """Return settings for the local platform with the index ``films``."""
    raw: dict[str, Any] = {
        "provider": {"kind": "local", "api": api},
        "index": {"name": "films"},
        "run": {"output": "o"},
    }
    return Settings.model_validate({**raw, **sections})


def query(**given: Any) -> StandingQuery:
    """Return a question."""
    return StandingQuery.model_validate(
        {"name": "q", **({} if {"classes", "text"} & set(given) else {"text": "x"}), **given}
    )


@pytest.mark.parametrize(
    ("api", "given", "said"),
    [
        ("v1.3", {"options": "logo"}, "API v1.3 has no option 'logo'"),
        ("v1.2", {"options": ["visual", "audio"]}, "API v1.2 has no option 'audio'"),
        ("v1.3", {"speech": "exact_match"}, "has no speech match 'exact_match'"),
        ("v1.2", {"classes": {"A": ["x"]}, "options": ["logo"]}, "API v1.2 has no option 'logo'"),
        ("v1.2", {"speech": ["semantic", "exact_match"]}, "one kind of speech match"),
        ("v1.2", {"images": __file__}, "cannot be asked with pictures"),
        ("v1.3", {"images": "nowhere.png"}, "nowhere.png: no such picture"),
        ("v1.3", {"threshold": "high"}, "API v1.3 has no threshold"),
        ("v1.3", {"sort": "score"}, "API v1.3 has no sort"),
        ("v1.3", {"classes": {"A": ["x"]}}, "no classification"),
        ("v1.2", {"classes": {f"c{n}": ["x", "y"] for n in range(51)}}, "102 prompts"),
    ],
)
def test_what_the_dialect_cannot_be_asked_is_refused_before(api: str, given: dict[str, Any], said: str) -> None:
    """The query is named, and the words that there are; as a standing query it refuses the run."""
    with pytest.raises(ConfigError, match=said):
        check_query(settings(api), query(**given))
    with pytest.raises(ConfigError, match=said):
        check_queries(settings(api, queries=[query(**given).model_dump()]))


@pytest.mark.parametrize(
    ("api", "given"),
    [
        (
            "v1.2",
            {
                "options": ["visual", "conversation", "text_in_video", "logo"],
                "speech": "exact_match",
                "threshold": "low",
            },
        ),
        (
            "v1.3",
            {"options": ["visual", "audio", "transcription"], "speech": ["lexical", "semantic"], "images": __file__},
        ),
        ("v1.2", {"classes": {"A": "x"}, "threshold": 80, "clips": True, "detailed": True}),
    ],
)
def test_what_the_dialect_can_be_asked_passes(api: str, given: dict[str, Any]) -> None:
    """Every word of the documents is known."""
    check_query(settings(api), query(**given))
    assert [ask.name for ask in check_queries(settings(api, queries=[query(**given).model_dump()]))] == ["q"]


def test_an_index_must_be_named_once() -> None:
    """In the configuration or in the question; v1.2 always has one, and named videos need none."""
    nothing = settings(index={"name": ""})
    with pytest.raises(ConfigError, match="no index is named") as refused:
        check_query(nothing, query())
    assert "--index" in refused.value.trouble.remedy
    check_query(nothing, query(index="films"))
    check_query(settings("v1.2", index={"name": ""}), query())


def test_the_job_is_shown_with_the_users_own_classes() -> None:
    """What v1.3 has instead can be copied as it stands, whatever the names hold."""
    with pytest.raises(ConfigError) as refused:
        check_query(settings(), query(classes={'Say "hi"': ["hello", "hi"]}))
    assert '[jobs.classify] classes = { "Say \\"hi\\"" = "hello, hi" }' in refused.value.trouble.remedy


def test_only_the_vendors_platform_is_paid() -> None:
    """The price of one query, or nothing where the platform is our own."""
    assert make_run_plan(settings()).prices.query() == 0
    paid = settings(provider={"kind": "twelvelabs"}).model_copy(update={"api_key": "k"})
    assert make_run_plan(paid).prices.query() == pytest.approx(0.004)


def put(database: MemoryDatabase, kind: str, subject: str, data: dict[str, Any], key: str = "") -> Any:
    """Put a task there, as an ingestion would have left it."""
    new = NewTask(kind, key or subject, "s", data, subject=subject)
    return database.submit([Placed(new, Lane.WRITE, 0)], 0.0)


async def library(database: MemoryDatabase) -> None:
    """One video of ours, uploaded, indexed as ``v1`` and published; and one that is not published yet."""
    line = {"id": "", "title": "", "tags": [], "metadata": {}}
    await put(
        database, "item", "sha256:a", {"source": "films/bees.mp4", "locator": "/f/bees.mp4", "line": line}, "file:/f"
    )
    await put(database, "video", "sha256:a", {"media_id": "a1", "answer_id": "a1"})
    await put(database, "indexing", "sha256:a", {"asset_id": "a1", "video_id": "v1"}, "sha256:a/i1/x")
    sizes = {"gist.json": 1, "summary.md": 2, "video.json": 3}
    await put(database, "publish", "sha256:a", {"folder": "bees--aaaaaaaa", "title": "The *Queen*", "sizes": sizes})
    await put(database, "item", "sha256:b", {"source": "new.mp4", "locator": "/f/new.mp4", "line": line}, "file:/n")
    await put(database, "video", "sha256:b", {"media_id": "t9", "answer_id": "v9"})


def test_hits_lead_to_our_results_and_others_have_their_file_name() -> None:
    """By the index entry's id, by the answering id of v1.2, by the asset; strangers are asked for in one list."""

    async def scenario() -> None:
        index_api, database = films(), MemoryDatabase()
        await library(database)
        resolver = VideoResolver(database, index_api, Path("o"))
        found = await resolver.resolve(["v1", "v2", "v9", "a1", "gone"], await index_api.index("films"))
        assert found["v1"].title == "The *Queen*"
        assert found["v1"].link == Path("o/bees--aaaaaaaa/summary.md")
        assert (found["v1"].key, found["v1"].source) == ("sha256:a", "films/bees.mp4")
        assert found["a1"].key == "sha256:a"
        assert (found["v9"].title, found["v9"].key, found["v9"].link) == ("new.mp4", "sha256:b", None)
        assert (found["v2"].title, found["v2"].key) == ("tides.mp4", "")
        assert found["gone"].title == "gone"
        assert (index_api.listed, index_api.looked) == (1, 0)

    run_virtual(scenario())


def test_a_few_strangers_of_a_large_index_are_asked_for_one_by_one() -> None:
    """Whichever takes fewer requests; a name that cannot be had costs no search."""

    async def scenario() -> None:
        index_api = films()
        info, videos = index_api.there["i1"]
        large = IndexInfo(info.id, info.name, info.models, (), 100_000, 1e6)
        index_api.there["i1"] = (large, videos)
        resolver = VideoResolver(None, index_api, Path("o"))
        assert (await resolver.resolve(["v2"], large))["v2"].title == "tides.mp4"
        assert (index_api.listed, index_api.looked) == (0, 1)
        assert (await resolver.resolve(["nobody"], large))["nobody"].title == "nobody"

    run_virtual(scenario())


def test_a_search_says_whom_it_asked_what() -> None:
    """The view has hits, videos, pool, and the question by the names of the configuration; no query of an address."""

    async def scenario() -> None:
        index_api = films()
        asker = QuestionRunner(make_run_plan(settings()), index_api, None, VirtualClock())
        view = await asker.search(query(text="queen", limit=1, images=["https://h/p.png?sig=secret"]))
        assert [(hit.video_id, hit.rank) for hit in view.hits] == [("v1", 1)]
        assert (view.total, view.pool_videos, view.pool_seconds) == (2, 2, 160.0)
        assert view.asked.query == {
            "text": "queen", "limit": 1, "images": ["https://h/p.png"], "options": ["transcription"],
        }  # fmt: skip
        assert (view.asked.index_name, view.asked.provider, view.asked.usd) == ("films", "fake/v1.3", 0.0)
        (asked,) = index_api.asked
        assert isinstance(asked, SearchQuery)
        assert asked.images == ["https://h/p.png?sig=secret"]

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("api", "kind", "models", "options"),
    [
        ("v1.3", "local", [("marengo3.0", ("visual", "audio"))], ("transcription",)),
        ("v1.3", "twelvelabs", [("marengo3.0", ("visual", "audio"))], ("visual", "audio", "transcription")),
        ("v1.3", "twelvelabs", [("marengo3.0", ("visual",))], ("visual",)),
        (
            "v1.2",
            "local",
            [("marengo2.6", ("visual", "conversation", "text_in_video"))],
            ("conversation", "text_in_video"),
        ),
        (
            "v1.2",
            "twelvelabs",
            [("marengo2.6", ("logo", "visual")), ("pegasus1", ("conversation",))],
            ("visual", "logo"),
        ),
        ("v1.2", "local", [("marengo2.6", ("visual",))], ("visual",)),
    ],
)
def test_without_options_it_looks_wherever_it_can(api: str, kind: str, models: Any, options: tuple[str, ...]) -> None:
    """All that the index was made for, on the local platform what it can read; its own refusal if that is nothing."""

    async def scenario() -> None:
        index_api = films()
        videos = index_api.there["i1"][1]
        index_api.there["i1"] = (IndexInfo("i1", "films", models, (), 2, 160.0), videos)
        made = settings(api, provider={"kind": kind, "api": api}).model_copy(update={"api_key": "k"})
        await QuestionRunner(make_run_plan(made), index_api, None, VirtualClock()).search(query(text="queen"))
        assert tuple(index_api.asked[0].options) == options

    run_virtual(scenario())


def test_a_classification_is_asked_as_it_was_worded() -> None:
    """Classes, both shapes of threshold, clips and detail; videos by name need no index."""

    async def scenario() -> None:
        index_api = films()
        index_api.identity = "fake/v1.2"
        asker = QuestionRunner(make_run_plan(settings("v1.2")), index_api, None, VirtualClock())
        ask = query(
            classes={"Bees": "queen", "Sea": ["sea", "tide"]}, threshold={"min_video_score": 80}, clips=True, limit=9
        )
        view = await asker.classify(ask)
        assert [(row.video.title, [fit.name for fit in row.classes]) for row in view.videos] == [
            ("reelmill-1.mp4", ["Bees"]),
            ("tides.mp4", ["Sea"]),
        ]
        named = query(classes={"Bees": "queen"}, videos=["v1"], threshold=75, speech="semantic")
        await QuestionRunner(make_run_plan(settings("v1.2")), index_api, None, VirtualClock()).classify(named)
        first, second = index_api.asked
        assert isinstance(first, ClassifyQuery)
        assert isinstance(second, ClassifyQuery)
        assert (first.index_id, first.threshold, first.limit) == ("i1", {"min_video_score": 80}, 9)
        assert (second.index_id, list(second.video_ids), second.threshold, second.speech) == (
            "",
            ["v1"],
            75,
            "semantic",
        )

    run_virtual(scenario())


def test_an_unknown_index_is_told_with_the_platforms_words() -> None:
    """Our sentence names it, the detail keeps theirs, and nothing was paid."""

    async def scenario() -> None:
        index_api = films()
        with pytest.raises(Permanent, match="no index 'sports'") as refused:
            await QuestionRunner(make_run_plan(settings()), index_api, None, VirtualClock()).search(
                query(index="sports")
            )
        assert refused.value.trouble.code == "resource_not_exist"
        assert "no such index" in refused.value.trouble.detail
        assert index_api.asked == []

    run_virtual(scenario())
