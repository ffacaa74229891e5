"""What the ``Inventory`` port promises: the fake, and our client against the embedded platform in both dialects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from pipeline.config.settings import Settings
from pipeline.core.errors import Permanent, ReelmillError, Throttled, Transient
from pipeline.local.platform import LocalPlatform
from pipeline.ports.index_api import IndexSpec
from pipeline.ports.inventory import Inventory, ObjectType, OpenSession, RemoteObject
from pipeline.ports.video_api import NewUpload
from pipeline.provider.client import TwelveLabs, open_api
from pipeline.provider.http.rate_limits import Unlimited
from tests.conformance.test_video_api import Hurried, accepted, answered, film, ours, pair, question, requests, settled
from tests.contract.platform_double import TOKEN, platform
from tests.support.fake_inventory import FakeInventory

KEY = "sha256:" + "5" * 64
NOWHERE = "0" * 24
WORLDS = pytest.mark.parametrize("sort", ["fake", "v1.3", "v1.2"])


@dataclass
class World:
    """An account and the ways to fill it."""

    inventory: Inventory
    upload: Callable[[str], Awaitable[RemoteObject]]  #: by file name -> what an analysis needs
    ask: Callable[[RemoteObject, str], Awaitable[RemoteObject]] | None  #: by custom id
    put_into_index: Callable[[RemoteObject], Awaitable[RemoteObject]] | None  #: into the index
    open: Callable[[str], Awaitable[OpenSession]] | None
    place: str = ""  #: the index, where uploads are made into one
    provider: TwelveLabs | None = None
    served: LocalPlatform | None = None


@asynccontextmanager
async def world(sort: str, folder: Path, **options: Any) -> AsyncIterator[World]:
    """One of the three."""
    if sort == "fake":
        yield _fake()
        return
    async with pair(folder, speaks=sort, clock=Hurried(), **options) as (provider, served):
        index = await provider.index_api.create_index(IndexSpec("films"))
        yield _real(provider, served, index, folder, old=sort == "v1.2")


def _fake() -> World:
    inventory, numbers = FakeInventory(), iter(range(10_000))

    def made(sort: ObjectType, name: str, **more: Any) -> RemoteObject:
        found = RemoteObject(sort, f"{sort}-{next(numbers)}", name, status="ready", created=1.8e9, **more)
        inventory.put(found)
        return found

    async def upload(name: str) -> RemoteObject:
        return made("asset", name, owner=KEY, size=49, seconds=60.0)

    async def ask(asset: RemoteObject, custom_id: str) -> RemoteObject:
        return made("analysis", custom_id, media=asset.id)

    async def put_into_index(asset: RemoteObject) -> RemoteObject:
        return made("indexed", asset.name, owner=KEY, media=asset.id, place="films")

    async def open_(name: str) -> OpenSession:
        inventory.opened.append(OpenSession(f"u-{name}", 1_000, 1.8e9, 1.8e9 + 86_400))
        return inventory.opened[-1]

    return World(inventory, upload, ask, put_into_index, open_, "films")


def _real(provider: TwelveLabs, served: LocalPlatform, index: str, folder: Path, *, old: bool) -> World:
    async def upload(name: str) -> RemoteObject:
        wish = replace(film(folder, name=name), name=name, index_id=index, metadata={"reelmill_key": KEY})
        media_id = await provider.create_asset(wish, ours)
        status = await settled(provider, media_id)
        if old:
            return RemoteObject("video", str(status.facts["video_id"]), name, place=index)
        return RemoteObject("asset", media_id, name, KEY)

    async def ask(asset: RemoteObject, custom_id: str) -> RemoteObject:
        wish = question(asset.id, custom_id)
        task_id = await provider.submit_analysis(wish, ours)
        assert isinstance(task_id, str)
        await answered(provider, wish, task_id)
        return RemoteObject("analysis", task_id, custom_id, media=asset.id)

    async def put_into_index(asset: RemoteObject) -> RemoteObject:
        video_id = await provider.index_api.index_asset(index, asset.id, {"reelmill_key": KEY})
        with anyio.fail_after(10):
            while (await provider.index_api.indexed(index, video_id)).status != "ready":
                await Hurried().sleep(1)
        return RemoteObject("indexed", video_id, asset.name, KEY, place=index, media=asset.id)

    async def open_(name: str) -> OpenSession:
        session = await provider.open_session(NewUpload(name, "multipart", size=10_000_000), ours)
        return OpenSession(session.upload_id, 10_000_000, None, session.expires_at)

    if old:
        return World(provider.inventory, upload, None, None, None, index, provider, served)
    return World(provider.inventory, upload, ask, put_into_index, open_, index, provider, served)


async def listed(it: World, sort: ObjectType) -> list[RemoteObject]:
    """Return everything of a sort."""
    place = it.place if sort in it.inventory.per_index else ""
    return [entry async for page in it.inventory.objects(sort, place) for entry in page]


@WORLDS
@pytest.mark.asyncio
async def test_everything_is_listed_newest_first_in_pages(tmp_path: Path, sort: str) -> None:
    """More than one page of fifty, each thing once, with name, status and time; uploads say whose they are."""
    async with world(sort, tmp_path) as it:
        made: list[RemoteObject] = []

        async def one(number: int) -> None:
            made.append(await it.upload(f"film-{number}.mp4"))

        async with anyio.create_task_group() as group:
            for number in range(53):
                group.start_soon(one, number)
        place = it.place if it.inventory.upload_type in it.inventory.per_index else ""
        pages = [page async for page in it.inventory.objects(it.inventory.upload_type, place)]
        assert [len(page) for page in pages] == [50, 3]
        found = [entry for page in pages for entry in page]
        assert {each.id: each.name for each in found} == {each.id: each.name for each in made}
        times = [each.created for each in found if each.created is not None]
        assert len(times) == 53
        assert times == sorted(times, reverse=True)
        assert all(each.seconds == 60.0 and each.size > 0 for each in found)
        if it.inventory.upload_type == "asset":
            assert {(each.owner, each.status) for each in found} == {(KEY, "ready")}


@WORLDS
@pytest.mark.asyncio
async def test_a_list_is_narrowed_to_a_name_or_to_an_asset(tmp_path: Path, sort: str) -> None:
    """By the whole file name in both APIs; analyses by what they were asked of."""
    async with world(sort, tmp_path) as it:
        first, second = await it.upload("first.mp4"), await it.upload("second.mp4")
        named: ObjectType = "asset" if it.inventory.upload_type == "asset" else "task"
        found = [each async for page in it.inventory.objects(named, name="first.mp4") for each in page]
        assert [(each.name, each.ready, each.failed) for each in found] == [("first.mp4", True, False)]
        assert [page async for page in it.inventory.objects(named, name="third.mp4")] == []
        if it.ask is not None:
            asked = [await it.ask(first, "a-1"), await it.ask(second, "a-2")]
            narrowed = [each async for page in it.inventory.objects("analysis", media=second.id) for each in page]
            assert [each.id for each in narrowed] == [asked[1].id]


@WORLDS
@pytest.mark.asyncio
async def test_what_was_listed_can_be_looked_at_and_deleted_once_or_twice(tmp_path: Path, sort: str) -> None:
    """A look tells the same as the list; a deleted one is gone for both, and deleting it again is done."""
    async with world(sort, tmp_path) as it:
        kept, gone = await it.upload("kept.mp4"), await it.upload("gone.mp4")
        (entry,) = [each for each in await listed(it, it.inventory.upload_type) if each.id == gone.id]
        fresh = await it.inventory.get(entry)
        assert fresh is not None
        told = (entry.sort, entry.id, entry.name, entry.owner or "", entry.created, entry.place)
        assert (fresh.sort, fresh.id, fresh.name, fresh.owner, fresh.created, fresh.place) == told
        await it.inventory.delete(entry)
        await it.inventory.delete(entry)
        assert await it.inventory.get(entry) is None
        assert [each.id for each in await listed(it, it.inventory.upload_type)] == [kept.id]
        there = await it.inventory.existing(it.inventory.upload_type, [gone.id, kept.id, NOWHERE], it.place)
        assert there == {kept.id}
        assert await it.inventory.existing(it.inventory.upload_type, [], it.place) == frozenset()


@pytest.mark.parametrize("sort", ["fake", "v1.3"])
@pytest.mark.asyncio
async def test_what_is_used_is_not_let_go_of(tmp_path: Path, sort: str) -> None:
    """An asset that an index holds is refused, never forced; in the order of the sorts everything can be deleted."""
    async with world(sort, tmp_path) as it:
        assert it.ask is not None
        assert it.put_into_index is not None
        asset = await it.upload("film.mp4")
        asked, entry = await it.ask(asset, "rm-1-0"), await it.put_into_index(asset)
        (found,) = await listed(it, "indexed")
        assert (found.id, found.name, found.media, found.place) == (entry.id, "film.mp4", asset.id, it.place)
        assert found.owner is None  # which only a single look tells
        looked = await it.inventory.get(found)
        assert looked is not None
        assert looked.owner == KEY
        (task,) = await listed(it, "analysis")
        assert (task.id, task.name, task.media, task.status) == (asked.id, "rm-1-0", asset.id, "ready")
        with pytest.raises(Permanent) as caught:
            await it.inventory.delete(asset)
        assert caught.value.trouble.message
        assert await it.inventory.get(asset) is not None
        for each in it.inventory.object_types:
            for found in await listed(it, each):
                await it.inventory.delete(found)
        assert [await listed(it, each) for each in it.inventory.object_types] == [[], [], []]


@pytest.mark.asyncio
async def test_a_task_of_the_older_api_goes_after_its_video(tmp_path: Path) -> None:
    """v1.2: a ready task names its video and is not let go of before it."""
    async with world("v1.2", tmp_path) as it:
        video = await it.upload("film.mp4")
        (task,) = await listed(it, "task")
        assert (task.name, task.media, task.place, task.status) == ("film.mp4", video.id, it.place, "ready")
        with pytest.raises(Transient):
            await it.inventory.delete(task)
        await it.inventory.delete(video)
        await it.inventory.delete(task)
        assert (await listed(it, "video"), await listed(it, "task")) == ([], [])


@WORLDS
@pytest.mark.asyncio
async def test_open_uploads_are_listed(tmp_path: Path, sort: str) -> None:
    """Multipart sessions that are not complete, with size and end; none where the dialect has none."""
    async with world(sort, tmp_path) as it:
        assert [each async for each in it.inventory.sessions()] == []
        if it.open is None:
            return
        made = [await it.open(f"{number}.mp4") for number in range(2)]
        found = {each.id: each async for each in it.inventory.sessions()}
        assert set(found) == {each.id for each in made}
        for session in made:
            seen = found[session.id]
            assert (seen.size, seen.created is not None) == (session.size, True)
            assert seen.expires == pytest.approx(session.expires, abs=2)


@pytest.mark.parametrize("api", ["v1.2", "v1.3"])
@pytest.mark.asyncio
async def test_an_index_that_is_not_there_holds_nothing(tmp_path: Path, api: str) -> None:
    """It may have been deleted since the database heard of it: no error, and nothing in it is present."""
    async with world(api, tmp_path) as it:
        (sort,) = it.inventory.per_index
        assert [page async for page in it.inventory.objects(sort, NOWHERE)] == []
        assert await it.inventory.existing(sort, [NOWHERE], NOWHERE) == frozenset()


@pytest.mark.asyncio
async def test_fifty_uploads_are_asked_for_at_once(tmp_path: Path) -> None:
    """v1.3 has a list by ids: sixty take two requests."""
    async with world("v1.3", tmp_path) as it:
        assert it.served is not None
        asset = await it.upload("film.mp4")
        before = requests(it.served)
        wanted = [*(f"{number:024x}" for number in range(59)), asset.id]
        assert await it.inventory.existing("asset", wanted) == {asset.id}
        assert requests(it.served) - before == 2


@pytest.mark.asyncio
async def test_a_limit_is_waited_for_as_long_as_patience_lasts(tmp_path: Path) -> None:
    """A 429 with a time is waited out and the list goes on; one beyond the configured patience ends the command."""
    short = {"match": "GET /v1.3/assets", "do": "status", "status": 429, "headers": {"retry-after": "30"}, "times": 2}
    long = {"match": "GET /v1.3/analyze", "do": "status", "status": 429, "headers": {"retry-after": "3600"}}
    settings = Settings.model_validate({"limits": {"patience": 100}})
    async with platform(tmp_path / "platform", rules=[short, long], clock=Hurried()) as (served, _):
        provider = open_api(
            settings, base_url=served.base_url, key=TOKEN, identity="local/v1.3", limiter=Unlimited(), clock=Hurried(),
            rng=Random(7), local=True,
        )  # fmt: skip
        try:
            assert [page async for page in provider.inventory.objects("asset")] == []
            with pytest.raises(Throttled):
                assert [page async for page in provider.inventory.objects("analysis")] == []
        finally:
            await provider.aclose()


@pytest.mark.parametrize("api", ["v1.2", "v1.3"])
@pytest.mark.asyncio
async def test_deleting_is_never_by_force_and_survives_lost_answers(tmp_path: Path, api: str) -> None:
    """The answer to a deletion is lost: it is simply asked again, and gone is done."""
    rules = [{"match": f"DELETE /{api}/", "do": "reset_after", "nth": 1}]
    async with world(api, tmp_path, rules=rules) as it:
        found = await it.upload("film.mp4")
        try:
            await it.inventory.delete(found)
        except ReelmillError as error:
            raise AssertionError(f"a repeatable call was given up: {error}") from error
        assert await it.inventory.get(found) is None
        assert it.served is not None
        assert accepted(it.served, "analyze_task_created") == 0
