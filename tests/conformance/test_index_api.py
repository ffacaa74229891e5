"""What the ``IndexApi`` port promises, in both dialects: our client against the embedded platform, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.core.clock import SystemClock
from pipeline.core.errors import Ambiguous, NeedsOperator, Permanent, ReelmillError
from pipeline.local.api.http.faults import Faults
from pipeline.local.platform import LocalPlatform
from pipeline.ports.index_api import ClassifyQuery, ClassSpec, IndexApi, IndexSpec, ListFilter, SearchQuery
from pipeline.ports.video_api import Question
from pipeline.provider.client import TwelveLabs
from tests.conformance.test_video_api import Hurried, accepted, film, ours, pair, settled

APIS = pytest.mark.parametrize("api", ["v1.2", "v1.3"])
NOWHERE = "0" * 24
ALL = ListFilter()
#: The option that looks into speech, and one that only a model can answer.
SPEECH = {"v1.2": "conversation", "v1.3": "transcription"}


@asynccontextmanager
async def world(folder: Path, api: str, **options: Any) -> AsyncIterator[tuple[TwelveLabs, IndexApi, LocalPlatform]]:
    """A platform, our client and its index API."""
    async with pair(folder, speaks=api, **{"clock": SystemClock(), **options}) as (provider, served):
        yield provider, provider.index_api, served


async def put_film(provider: TwelveLabs, index_id: str, folder: Path, name: str, words: str = "hello") -> str:
    """Put a film with these captions into an index and wait until it is there; return its id in the index."""
    upload = replace(film(folder, name=name), index_id=index_id, metadata={"captions": words, "source": name})
    media_id = await provider.create_asset(upload, ours)
    status = await settled(provider, media_id)
    assert status.state == "ready", status
    if "index_first" in provider.features:
        return str(status.facts["video_id"])
    video_id = await provider.index_api.index_asset(index_id, media_id, {"source": name})
    with anyio.fail_after(10):
        while (await provider.index_api.indexed(index_id, video_id)).status != "ready":
            await Hurried().sleep(1)
    return video_id


async def trouble_of(call: Awaitable[Any], kind: type[ReelmillError] = Permanent) -> tuple[str, str]:
    """Code and detail of the error that a call ends with."""
    with pytest.raises(kind) as caught:
        await call
    assert caught.value.trouble.message
    return caught.value.trouble.code, caught.value.trouble.detail


@APIS
@pytest.mark.asyncio
async def test_an_index_lives(tmp_path: Path, api: str) -> None:
    """Made once under its name, seen by id and by name, listed in order, deleted once or twice."""
    async with world(tmp_path, api) as (_, index_api, served):
        spec = IndexSpec("films", addons=("thumbnail",))
        key = await index_api.create_index(spec)
        assert await index_api.create_index(spec) == key
        other = await index_api.create_index(IndexSpec("films 2"))
        assert accepted(served, "index_created") == 2
        seen = await index_api.index(key)
        assert (await index_api.index("films"), seen.name, seen.addons, seen.videos) == (
            seen,
            "films",
            ("thumbnail",),
            0,
        )
        assert seen.models
        assert seen.created
        assert [index.id async for index in index_api.indexes(ALL)] == [other, key]
        assert [index.id async for index in index_api.indexes(ListFilter(sort="asc"))] == [key, other]
        assert [index.id async for index in index_api.indexes(ListFilter(name="films"))] == [key]
        await index_api.delete_index(key)
        await index_api.delete_index(key)
        for wanted in (key, "films", "FILMS 2"):
            assert (await trouble_of(index_api.index(wanted)))[0] == "resource_not_exist"


@APIS
@pytest.mark.asyncio
async def test_an_index_is_made_once_though_the_answer_was_lost(tmp_path: Path, api: str) -> None:
    """The connection breaks after the platform made it: the name brings the id, and there is one index."""
    rules = [{"match": f"POST /{api}/indexes$", "do": "reset_after", "nth": 1}]
    async with world(tmp_path, api, rules=rules) as (_, index_api, served):
        key = await index_api.create_index(IndexSpec("films"))
        assert ([index.id async for index in index_api.indexes(ALL)], accepted(served, "index_created")) == ([key], 1)


@APIS
@pytest.mark.asyncio
async def test_videos_are_listed_by_what_they_are(tmp_path: Path, api: str) -> None:
    """Filters by name, length and size of the picture; a deleted one is gone, and deleting it again is done."""
    async with world(tmp_path, api) as (provider, index_api, _):
        key = await index_api.create_index(IndexSpec("films"))
        made = [await put_film(provider, key, tmp_path, f"{number}.mp4") for number in range(3)]
        videos = [video async for video in index_api.videos(key, ALL)]
        assert sorted(video.id for video in videos) == sorted(made)
        video = next(video for video in videos if video.id == made[1])
        assert (video.filename, video.seconds, video.width, video.height) == ("unique-1.mp4", 60.0, 1280, 720)
        assert (video.status, bool(video.created), video.size > 0) == ("ready", True, True)
        assert (await index_api.indexed(key, video.id)).filename == video.filename
        expected = [
            (ListFilter(filename="unique-1.mp4"), 1), (ListFilter(seconds=(60, 60)), 3),
            (ListFilter(seconds=(61, None)), 0),
            (ListFilter(seconds=(None, 59.5)), 0), (ListFilter(width=(1280, None), height=(None, 720)), 3),
            (ListFilter(width=(None, 640)), 0), (ListFilter(size=(1, 10_000)), 3),
            (ListFilter(created_since="2000-01-01T00:00:00Z"), 3), (ListFilter(created_since="2100-01-01T00:00:00Z"), 0),
        ]  # fmt: skip
        for which, count in expected:
            assert len([each async for each in index_api.videos(key, which)]) == count, which
        assert (await index_api.index(key)).videos == 3
        await index_api.delete_video(key, made[0])
        await index_api.delete_video(key, made[0])
        assert sorted([each.id async for each in index_api.videos(key, ALL)]) == sorted(made[1:])
        assert (await trouble_of(index_api.indexed(key, made[0])))[0] == "resource_not_exist"


@APIS
@pytest.mark.asyncio
async def test_lists_have_all_their_pages(tmp_path: Path, api: str) -> None:
    """More than a page of indexes, each exactly once."""
    async with world(tmp_path, api) as (_, index_api, _served):
        made = [await index_api.create_index(IndexSpec(f"index {number}")) for number in range(53)]
        assert sorted([index.id async for index in index_api.indexes(ALL)]) == sorted(made)


@APIS
@pytest.mark.asyncio
async def test_what_was_said_is_found(tmp_path: Path, api: str) -> None:
    """The right video, the right moment, the words; the pool is the index; nothing is found where nothing was said."""
    async with world(tmp_path, api) as (provider, index_api, served):
        key = await index_api.create_index(IndexSpec("films"))
        await put_film(provider, key, tmp_path, "other.mp4", "we cook a soup\nand eat it")
        goal = await put_film(
            provider, key, tmp_path, "goal.mp4", "welcome\nwhat a wonderful penalty shootout\ngood night"
        )
        found = await index_api.search(SearchQuery(key, "penalty shootout", options=(SPEECH[api],)))
        hit = found.hits[0]
        assert (hit.video_id, hit.start, hit.end) == (goal, 2.0, 4.0)
        assert "penalty shootout" in hit.text
        assert (hit.score is not None, hit.rank is not None) == ((True, False) if api == "v1.2" else (False, True))
        assert bool(hit.confidence) == (api == "v1.2")
        assert (found.pool_videos, found.pool_seconds, found.total) == (2, 120.0, len(found.hits))
        assert len(found.raw) == 1
        nothing = await index_api.search(SearchQuery(key, "zeppelin", options=(SPEECH[api],)))
        assert (nothing.hits, nothing.total, nothing.pool_videos) == ([], 0, 2)
        one = await index_api.search(SearchQuery(key, "soup", options=(SPEECH[api],), filter={"id": [goal]}))
        assert one.hits == []
        assert accepted(served, "search") == 3


@APIS
@pytest.mark.asyncio
@pytest.mark.parametrize("grouped", [False, True])
async def test_many_hits_come_over_many_pages_and_are_paid_once(tmp_path: Path, api: str, grouped: bool) -> None:
    """120 moments in one video: as many as wished for, each once, and one search in the platform's ledger."""
    async with world(tmp_path, api) as (provider, index_api, served):
        key = await index_api.create_index(IndexSpec("films"))
        words = "\n".join(f"goal number {number}" for number in range(120))
        await put_film(provider, key, tmp_path, "goals.mp4", words)
        query = SearchQuery(key, "goal", options=(SPEECH[api],), group_by="video" if grouped else "clip", limit=1000)
        found = await index_api.search(query)
        starts = [hit.start for hit in found.hits]
        assert (len(starts), len(set(starts)), found.total) == (120, 120, 120)
        assert len(found.raw) == (1 if grouped else 3)
        assert len((await index_api.search(replace(query, limit=70))).hits) == 70
        assert accepted(served, "search") == 2


@APIS
@pytest.mark.asyncio
async def test_a_search_whose_answer_is_lost_is_not_repeated(tmp_path: Path, api: str) -> None:
    """It was carried out once; whether to pay again is for the caller to decide."""
    rules = [{"match": f"POST /{api}/search", "do": "reset_after", "nth": 1}]
    async with world(tmp_path, api, rules=rules) as (_, index_api, served):
        key = await index_api.create_index(IndexSpec("films"))
        assert (await trouble_of(index_api.search(SearchQuery(key, "x", options=(SPEECH[api],))), Ambiguous))[
            0
        ] == "ambiguous"
        assert accepted(served, "search") == 1


@APIS
@pytest.mark.asyncio
async def test_a_page_that_is_no_longer_kept_says_so(tmp_path: Path, api: str) -> None:
    """The pages of a search live for a while: here the token has expired between two of them."""
    rules = [{"match": f"GET /{api}/search/", "do": "status", "status": 400, "code": "search_page_token_expired",
              "message": "ask anew"}]  # fmt: skip
    async with world(tmp_path, api, rules=rules) as (provider, index_api, _):
        key = await index_api.create_index(IndexSpec("films"))
        await put_film(provider, key, tmp_path, "goals.mp4", "\n".join(["goal"] * 60))
        code, detail = await trouble_of(index_api.search(SearchQuery(key, "goal", options=(SPEECH[api],), limit=60)))
        assert (code, "ask anew" in detail) == ("search_page_token_expired", True)


@APIS
@pytest.mark.asyncio
async def test_refusals_of_a_search_say_what_is_wrong(tmp_path: Path, api: str) -> None:
    """An unknown index, an option that the index lacks or that only a model can answer: code and words of the platform."""
    async with world(tmp_path, api) as (_, index_api, _served):
        lacking = [("marengo2.5", ("visual",))] if api == "v1.2" else [("marengo3.0", ("visual",))]
        films = await index_api.create_index(IndexSpec("films"))
        plain = await index_api.create_index(IndexSpec("plain", lacking))
        for index_id, option, code in (
            (NOWHERE, SPEECH[api], "resource_not_exist"),
            (plain, SPEECH[api], "search_option_not_supported"),
            (films, "visual", "search_option_not_supported"),
            (films, "smell", "parameter_invalid"),
        ):
            found, detail = await trouble_of(index_api.search(SearchQuery(index_id, "x", options=(option,))))
            assert (found, code in detail) == (code, True)
        sight = (await trouble_of(index_api.search(SearchQuery(films, "x"))))[1]  # all that the index was made for
        assert "visual needs a model that sees" in sight


@pytest.mark.asyncio
async def test_an_index_is_classified(tmp_path: Path) -> None:
    """v1.2: the video that speaks of it, with clips and details; named videos alone; more than 100 prompts are refused."""
    async with world(tmp_path, "v1.2") as (provider, index_api, served):
        key = await index_api.create_index(IndexSpec("films"))
        ball = await put_film(provider, key, tmp_path, "ball.mp4", "\n".join(["playing basketball again"] * 30))
        soup = await put_film(provider, key, tmp_path, "soup.mp4", "\n".join(["we cook a soup"] * 30))
        classes = [ClassSpec("Basketball", ["playing basketball", "rules"]), ClassSpec("Cooking", ["cook a soup"])]
        wish = ClassifyQuery(classes, key, options=("conversation",), clips=True, detailed=True)
        for threshold in (None, 50, {"min_video_score": 50, "min_duration_ratio": 0.1}):
            found = {each.video_id: each for each in await index_api.classify(replace(wish, threshold=threshold))}
            assert {video: [c.name for c in each.classes] for video, each in found.items()} == {
                ball: ["Basketball"], soup: ["Cooking"],
            }  # fmt: skip
        score = found[ball].classes[0]
        assert 0 < score.score <= 100
        assert 0 < score.duration_ratio <= 1
        assert score.detailed["max_score"] > 0
        clip = score.clips[0]
        assert (clip.video_id, clip.text, clip.sources) == (ball, "playing basketball", ("conversation",))
        assert [each.video_id for each in await index_api.classify(replace(wish, video_ids=[soup]))] == [soup]
        many = replace(wish, classes=[ClassSpec("A", ["p"] * 101)])
        with pytest.raises(Permanent, match="100 prompts") as caught:
            await index_api.classify(many)
        assert "HTTP 400" in caught.value.trouble.detail
        assert accepted(served, "classify") == 4
        assert (await trouble_of(index_api.classify(replace(wish, options=("visual",)))))[
            0
        ] == "search_option_not_supported"


@pytest.mark.asyncio
async def test_a_classification_has_all_its_pages(tmp_path: Path) -> None:
    """v1.2: more videos than fit on a page; the limit holds; one entry in the platform's ledger each."""
    async with world(tmp_path, "v1.2") as (provider, index_api, served):
        key = await index_api.create_index(IndexSpec("films"))
        made = {
            await put_film(provider, key, tmp_path, f"{number}.mp4", "\n".join(["a goal"] * 30)) for number in range(4)
        }
        wish = ClassifyQuery([ClassSpec("Goal", ["goal"])], key, options=("conversation",))
        assert {each.video_id for each in await index_api.classify(wish)} == made
        assert len(await index_api.classify(replace(wish, limit=3))) == 3
        assert accepted(served, "classify") == 2


@pytest.mark.asyncio
async def test_an_indexing_is_watched_until_it_is_ready(tmp_path: Path) -> None:
    """v1.3: working until it is ready, then with the video; what the index does not have is unknown, never working."""
    async with world(tmp_path, "v1.3") as (provider, index_api, _):
        key = await index_api.create_index(IndexSpec("films"))
        media_id = await provider.create_asset(film(tmp_path), ours)
        await settled(provider, media_id)
        video_id = await index_api.index_asset(key, media_id, {})
        with anyio.fail_after(10):
            while (status := await index_api.indexing(key, video_id)).state == "working":
                assert status.look_again > 0
                await Hurried().sleep(status.look_again)
        assert status.state == "ready"
        assert status.video is not None
        assert (status.video.id, status.video.asset_id) == (video_id, media_id)
        assert (await trouble_of(index_api.indexing(key, NOWHERE)))[0] == "resource_not_exist"


@pytest.mark.asyncio
async def test_a_lost_answer_of_indexing_leaves_something_that_is_found(tmp_path: Path) -> None:
    """v1.3: the asset is asked where it is; only this index counts, and nothing is indexed twice."""
    rules = [{"match": "POST /v1.3/indexes/.*/indexed-assets$", "do": "reset_after", "nth": 1}]
    async with world(tmp_path, "v1.3", rules=rules) as (provider, index_api, served):
        key = await index_api.create_index(IndexSpec("films"))
        other = await index_api.create_index(IndexSpec("other"))
        media_id = await provider.create_asset(film(tmp_path), ours)
        await settled(provider, media_id)
        assert await index_api.find_indexed(key, media_id) is None
        with pytest.raises(Ambiguous):
            await index_api.index_asset(key, media_id, {"reelmill_key": "k"})
        video_id = await index_api.find_indexed(key, media_id)
        assert video_id is not None
        assert await index_api.find_indexed(other, media_id) is None
        assert (await index_api.indexed(key, video_id)).asset_id == media_id
        assert accepted(served, "indexed") == 1
        assert [video.id async for video in index_api.videos(key, ListFilter(metadata={"reelmill_key": "k"}))] == [
            video_id
        ]
        assert [video.id async for video in index_api.videos(key, ListFilter(metadata={"reelmill_key": "x"}))] == []


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["gone404", "gone410"])
async def test_a_retired_api_says_what_to_set(tmp_path: Path, how: str) -> None:
    """v1.2 has ended: every call is the operator's matter, with the setting in the remedy. v1.3 lives on."""
    async with world(tmp_path, "v1.2", faults=Faults(v1_2=how)) as (provider, index_api, _):
        upload = replace(film(tmp_path), index_id=NOWHERE)
        wish = Question("k", NOWHERE, "", None, 1, 0.2, "m", legacy={"path": "/gist", "body": {"types": ["title"]}})
        calls: list[Callable[[], Awaitable[Any]]] = [
            provider.check, lambda: provider.create_asset(upload, ours), lambda: provider.find_asset(upload),
            lambda: provider.submit_analysis(wish, ours), lambda: provider.media(NOWHERE),
            lambda: index_api.create_index(IndexSpec("n")), lambda: index_api.index(NOWHERE),
            lambda: index_api.search(SearchQuery(NOWHERE, "x", options=("conversation",))),
            lambda: index_api.classify(ClassifyQuery([ClassSpec("A", ["p"])], NOWHERE)),
            lambda: index_api.delete_video(NOWHERE, NOWHERE),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(NeedsOperator) as caught:
                await call()
            assert caught.value.trouble.code == "api_retired"
            assert 'provider.api = "v1.3"' in caught.value.trouble.remedy
    async with world(tmp_path, "v1.3", faults=Faults(v1_2=how)) as (provider, _, _served):
        assert (await provider.check())["indexes"] == 0


@APIS
@pytest.mark.asyncio
async def test_a_wrong_key_is_the_operator_s_matter(tmp_path: Path, api: str) -> None:
    """With the platform's own code and words in the detail."""
    async with world(tmp_path, api, key="of another version") as (_, index_api, _served):
        code, detail = await trouble_of(index_api.create_index(IndexSpec("n")), NeedsOperator)
        assert (code, "api_key_invalid" in detail) == ("key_refused", True)
