"""Our client speaking v1.2 to the embedded platform, over real HTTP: uploads into an index, and answers at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.clock import SystemClock
from pipeline.core.errors import Ambiguous, LostLease, NeedsOperator, NotYet, Permanent, ReelmillError
from pipeline.local.platform import LocalPlatform
from pipeline.ports.index_api import IndexSpec
from pipeline.ports.video_api import Answer, NewUpload, Question
from pipeline.provider.client import TwelveLabs
from tests.conformance.test_video_api import accepted, film, ours, pair, settled
from tests.contract.platform_double import VIDEO

TITLE, WATCH = "Roger's shot: between the legs!", "https://www.youtube.com/watch?v=DXB4MApF4Lo"
OTHER = "https://youtu.be/nhY1s6CZziE"
LOST = {"do": "reset_after", "nth": 1}


@asynccontextmanager
async def world(folder: Path, **options: Any) -> AsyncIterator[tuple[TwelveLabs, str, LocalPlatform]]:
    """A platform that finds two videos under YouTube ids, our client of it, and an index."""
    shelf = folder / "shelf"
    shelf.mkdir()
    (shelf / f"{TITLE} [DXB4MApF4Lo].mp4").write_bytes(VIDEO)
    (shelf / "nhY1s6CZziE.mp4").write_bytes(VIDEO + b"2")
    async with pair(folder, speaks="v1.2", media=shelf, clock=SystemClock(), **options) as (api, served):
        yield api, await api.index_api.create_index(IndexSpec("films")), served


def external(api: TwelveLabs, index_id: str, url: str = WATCH, **more: Any) -> NewUpload:
    """The wish to have a YouTube video fetched."""
    wish = NewUpload("reelmill-x", "external", url=url, index_id=index_id, since=api.clock.now() - 1)
    return replace(wish, **more)


def ask(video_id: str, path: str, **body: Any) -> Question:
    """A question as a job puts it to v1.2."""
    return Question("k", video_id, "", None, 1024, 0.3, "pegasus1", legacy={"path": path, "body": body})


async def answered(api: TwelveLabs, wish: Question) -> dict[str, Any]:
    """Ask, and read the answer."""
    answer = await api.submit_analysis(wish, ours)
    assert isinstance(answer, Answer)
    assert answer.finish_reason == "stop"
    found: dict[str, Any] = json.loads(answer.text)
    assert found == answer.raw
    return found


async def trouble_of(call: Any, kind: type[ReelmillError] = Permanent) -> tuple[str, str]:
    """Code and detail of the error that a call ends with."""
    with pytest.raises(kind) as caught:
        await call
    return caught.value.trouble.code, caught.value.trouble.detail


@pytest.mark.asyncio
async def test_a_file_goes_into_the_index_and_is_asked_about(tmp_path: Path) -> None:
    """The task is followed to ready, names its video, and every kind of answer comes at once."""
    async with world(tmp_path) as (api, index_id, served):
        upload = film(tmp_path, index_id=index_id, metadata={"captions": "hello\nworld"})
        media_id = await api.create_asset(upload, ours)
        status = await settled(api, media_id)
        video_id = status.facts["video_id"]
        assert (status.facts["duration"], status.facts["width"], status.facts["height"]) == (60.0, 1280, 720)
        assert status.facts["filename"] == upload.name
        assert video_id != media_id
        gist = await answered(api, ask(video_id, "/gist", types=["title", "topic"]))
        assert {"title", "topics"} <= gist.keys()
        assert "hashtags" not in gist
        assert (await answered(api, ask(video_id, "/summarize", type="summary")))["summary"]
        chapter = (await answered(api, ask(video_id, "/summarize", type="chapter", prompt="shortly")))["chapters"][0]
        assert {"chapter_number", "start", "end", "chapter_title", "chapter_summary"} <= chapter.keys()
        highlight = (await answered(api, ask(video_id, "/summarize", type="highlight")))["highlights"][0]
        assert {"start", "end", "highlight"} <= highlight.keys()
        assert (await answered(api, ask(video_id, "/generate", prompt="Say it in a song")))["data"]
        assert accepted(served, "task_created") == 1


@pytest.mark.asyncio
async def test_an_upload_whose_answer_was_lost_is_found_by_its_name(tmp_path: Path) -> None:
    """Only the exact name in this index, even if our clock was put back after the intent was stored."""
    async with world(tmp_path, rules=[{"match": "POST /v1.2/tasks$", **LOST}]) as (api, index_id, served):
        upload = film(tmp_path, index_id=index_id, since=api.clock.now())
        assert await api.find_asset(upload) is None
        assert (await trouble_of(api.create_asset(upload, ours), Ambiguous))[0] == "ambiguous"
        found = await api.find_asset(upload)
        assert found is not None
        assert (await settled(api, found)).state == "ready"
        assert await api.find_asset(replace(upload, name="unique-film.mp")) is None
        assert await api.find_asset(replace(upload, since=api.clock.now() + 7200)) == found
        assert accepted(served, "task_created") == 1


@pytest.mark.asyncio
async def test_an_external_video_whose_answer_was_lost_is_found_by_its_title(tmp_path: Path) -> None:
    """By index and title; a task of another video is left alone, and one that is taken is not adopted."""
    rules = [{"match": "POST /v1.2/tasks/external-provider", **LOST}]
    async with world(tmp_path, rules=rules) as (api, index_id, served):
        wish = external(api, index_id, title=TITLE)
        assert await api.find_asset(wish) is None
        await trouble_of(api.create_asset(wish, ours), Ambiguous)
        other = await api.create_asset(external(api, index_id, OTHER), ours)
        await settled(api, other)  # until then it has no name, and could be anybody's
        found = await api.find_asset(wish)
        assert found is not None
        assert found != other
        assert (await settled(api, found)).facts["filename"] == TITLE
        assert await api.find_asset(replace(wish, taken=frozenset({found, other}))) is None
        await trouble_of(api.find_asset(replace(wish, title="the manifest's own", taken=frozenset({other}))), Ambiguous)
        elsewhere = await api.index_api.create_index(IndexSpec("another"))
        assert await api.find_asset(replace(wish, index_id=elsewhere)) is None
        assert accepted(served, "external_task_created") == 2


@pytest.mark.asyncio
async def test_where_several_could_be_ours_a_person_decides(tmp_path: Path) -> None:
    """The same video twice by others, or no title to tell them apart: ambiguous, never a guess."""
    async with world(tmp_path) as (api, index_id, _):
        first = await api.create_asset(external(api, index_id), ours)
        untitled = external(api, index_id)
        assert await api.find_asset(untitled) == first
        second = await api.create_asset(external(api, index_id), ours)
        for wish in (untitled, replace(untitled, title=TITLE)):
            code, detail = await trouble_of(api.find_asset(wish), Ambiguous)
            assert code == "ambiguous"
            assert first in detail
            assert second in detail
        assert await api.find_asset(replace(untitled, taken=frozenset({second}))) == first


@pytest.mark.asyncio
async def test_a_task_without_a_name_yet_is_waited_for(tmp_path: Path) -> None:
    """The platform has not looked at the video: it could be ours, so nothing is submitted, and we ask again later."""
    rules = [{"match": "POST /v1.2/tasks/external-provider", "do": "stuck"}]
    async with world(tmp_path, rules=rules) as (api, index_id, _):
        await api.create_asset(external(api, index_id, OTHER), ours)
        code, _detail = await trouble_of(api.find_asset(external(api, index_id, title=TITLE)), NotYet)
        assert code == "not_named_yet"


@pytest.mark.asyncio
async def test_addresses_that_are_refused_say_why(tmp_path: Path) -> None:
    """Not a YouTube page; a video that the platform cannot get; an index that is not there. Nothing is left behind."""
    async with world(tmp_path) as (api, index_id, served):
        for url, index, code, words in (
            ("https://example.com/watch?v=DXB4MApF4Lo", index_id, "external_refused", "parameter_invalid"),
            ("https://youtu.be/AAAAAAAAAAA", index_id, "not_supported_by_local_platform", "AAAAAAAAAAA.mp4"),
            (WATCH, "0" * 24, "resource_not_exist", "resource_not_exist"),
        ):
            found, detail = await trouble_of(api.create_asset(external(api, index, url), ours))
            assert (found, words in detail) == (code, True)
        assert accepted(served, "external_task_created") == 0


@pytest.mark.asyncio
async def test_a_failed_task_is_final(tmp_path: Path) -> None:
    """Two bad files in one list: each is told, and neither is asked about again."""
    async with world(tmp_path) as (api, index_id, served):
        made = [
            await api.create_asset(
                film(tmp_path, b"broken" + bytes([number]), f"{number}.mp4", index_id=index_id), ours
            )
            for number in range(2)
        ]
        assert [(await settled(api, key)).state for key in made] == ["failed", "failed"]
        before = sum(served.counters.routes.values())
        assert before < 30
        for key in made:
            await api.delete_media(key)
            await api.delete_media(key)
            assert (await settled(api, key)).state == "gone"


@pytest.mark.asyncio
async def test_an_answer_that_was_lost_cannot_be_asked_for(tmp_path: Path) -> None:
    """It was given once; whether to pay again is for the caller's policy."""
    async with world(tmp_path, rules=[{"match": "POST /v1.2/gist$", **LOST}]) as (api, index_id, _):
        media_id = await api.create_asset(film(tmp_path, index_id=index_id), ours)
        wish = ask((await settled(api, media_id)).facts["video_id"], "/gist", types=["title"])
        with pytest.raises(Ambiguous):
            await api.submit_analysis(wish, ours)
        with pytest.raises(Ambiguous):
            await api.find_analysis(wish)


@pytest.mark.asyncio
async def test_nothing_is_sent_once_the_lease_is_lost(tmp_path: Path) -> None:
    """The check comes right before the bytes, in every call that leaves or costs something."""

    def lost() -> None:
        raise LostLease("taken over")

    async with world(tmp_path) as (api, index_id, served):
        before = sum(served.counters.routes.values())
        for call in (
            api.create_asset(film(tmp_path, index_id=index_id), lost),
            api.create_asset(external(api, index_id), lost),
            api.submit_analysis(ask("x", "/gist", types=["title"]), lost),
        ):
            with pytest.raises(LostLease):
                await call
        assert sum(served.counters.routes.values()) == before


@pytest.mark.asyncio
async def test_refused_questions_say_why(tmp_path: Path) -> None:
    """A prompt that is too long, an unknown video, no credit: each in its class, with the platform's words."""
    rules = [{"match": "POST /v1.2/generate$", "do": "credit", "nth": 3}]
    async with world(tmp_path, rules=rules) as (api, index_id, _):
        media_id = await api.create_asset(film(tmp_path, index_id=index_id), ours)
        video_id = (await settled(api, media_id)).facts["video_id"]
        code, detail = await trouble_of(api.submit_analysis(ask(video_id, "/generate", prompt="x" * 1501), ours))
        assert (code, "1500" in detail.replace(",", "")) == ("parameter_invalid", True)
        unknown = ask("0" * 24, "/generate", prompt="x")
        assert (await trouble_of(api.submit_analysis(unknown, ours)))[0] == "resource_not_exist"
        broke = api.submit_analysis(ask(video_id, "/generate", prompt="x"), ours)
        assert (await trouble_of(broke, NeedsOperator))[0] == "no_credit"
