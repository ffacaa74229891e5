"""Indexing of an upload that the platform has lost meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, cast

import anyio

from pipeline.core.errors import Ambiguous, Permanent, Transient
from pipeline.core.lifecycle import Policy, Transition, decide
from pipeline.core.model import Lane, State, Task
from pipeline.ingest.payloads import VideoData
from pipeline.ingest.stored_json import changed
from pipeline.ingest.tasks.indexing import ConfiguredIndex, indexing_task
from pipeline.ports.index_api import IndexApi, IndexingStatus, IndexSpec
from tests.support.clock import run_virtual
from tests.support.fakes import clips, items
from tests.support.scripted_run import Life
from tests.support.vendor import Client, IndexCalls


class Forgetful(IndexCalls):
    """Loses the first upload just before it is indexed; with ``index_only``, it is the index that it does not know."""

    def __init__(self, client: Client, *, index_only: bool = False) -> None:
        super().__init__(client)
        self.left, self.index_only = 1, index_only

    async def index_asset(self, index_id: str, asset_id: str, metadata: Mapping[str, Any]) -> str:
        if self.left:
            self.left -= 1
            if not self.index_only:
                self.account.lose(asset_id)
            raise Permanent("the platform does not know this id", code="resource_not_exist")
        return await self.real.index_asset(index_id, asset_id, metadata)


def test_an_upload_that_is_gone_before_it_is_indexed_is_uploaded_again(tmp_path: Path) -> None:
    """The video gets a new upload, and that one is indexed; nothing is analysed again."""
    life = Life.at(tmp_path, index={"name": "films"})
    life.api.index_api = Forgetful(life.api)
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    first, second = life.effects_of("asset")
    assert first != second
    assert len(life.effects_of("analysis")) == 1
    (indexed,) = life.effects_of("indexed")
    assert run_virtual(life.one("video")).data["media_id"] == indexed


def test_an_index_that_is_gone_is_the_operators_matter(tmp_path: Path) -> None:
    """The upload is there: sending it again would help nobody."""
    life = Life.at(tmp_path, index={"name": "films"})
    life.api.index_api = Forgetful(life.api, index_only=True)
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 3
    assert len(life.effects_of("asset")) == 1
    assert run_virtual(life.one("indexing")).state is State.FAILED


class Vanishing(IndexCalls):
    """Loses its index just before the first video goes into it; takes videos for an index that it has."""

    lost = False

    async def index_asset(self, index_id: str, asset_id: str, metadata: Mapping[str, Any]) -> str:
        if not self.lost:
            self.lost = True
            self.account.lose(kind="index")
        return await self.real.index_asset(index_id, asset_id, metadata)


def test_a_retry_takes_the_index_that_is_there_now(tmp_path: Path) -> None:
    """The index was deleted: the video goes into the one that is made again, without another upload or question."""
    life = Life.at(tmp_path, index={"name": "films"})
    life.api.index_api = Vanishing(life.api)
    entries = items(clips(tmp_path, 1))

    async def scenario() -> None:
        assert (await life.run(entries)).exit_code == 3
        await life.retry()
        assert (await life.run(entries)).exit_code == 0
        assert len(life.effects_of("index")) == 2
        assert [len(life.effects_of(each)) for each in ("asset", "analysis", "indexed")] == [1, 1, 1]

    run_virtual(scenario())


class Denying(IndexCalls):
    """Does not know, for a while, an upload that the platform shows as ready."""

    left = 2

    async def index_asset(self, index_id: str, asset_id: str, metadata: Mapping[str, Any]) -> str:
        if self.left:
            raise Permanent("the platform does not know this id", code="resource_not_exist")
        return await self.real.index_asset(index_id, asset_id, metadata)

    async def find_indexed(self, index_id: str, asset_id: str) -> str | None:
        if self.left:
            self.left -= 1
            raise Permanent("the platform does not know this id", code="resource_not_exist")
        return await self.real.find_indexed(index_id, asset_id)


def test_an_upload_that_is_denied_but_there_is_indexed_in_the_end(tmp_path: Path) -> None:
    """It is ready by one look and unknown by another: nothing is uploaded again, and it does not stay outside in silence."""
    life = Life.at(tmp_path, index={"name": "films"})
    life.api.index_api = Denying(life.api)
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    assert len(life.effects_of("asset")) == len(life.effects_of("indexed")) == 1


def test_an_upload_that_is_denied_for_ever_is_given_up(tmp_path: Path) -> None:
    """As often as the policy says; then it is the operator's matter."""
    life = Life.at(tmp_path, index={"name": "films"}, policy={"attempts": 3})
    life.api.index_api = index_api = Denying(life.api)
    index_api.left = 1000
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 3
    assert run_virtual(life.troubles()) == {"indexing": "resource_not_exist"}
    assert len(life.effects_of("asset")) == 1


class Blind(IndexCalls):
    """Accepts what it is sent and loses every answer; while ``blind``, it shows nothing of it either."""

    blind = True

    async def index_asset(self, index_id: str, asset_id: str, metadata: Mapping[str, Any]) -> str:
        await self.real.index_asset(index_id, asset_id, metadata)
        raise Ambiguous("reset")

    async def find_indexed(self, index_id: str, asset_id: str) -> str | None:
        return None if self.blind else await self.real.find_indexed(index_id, asset_id)


def test_indexing_that_was_given_up_is_asked_for_before_it_is_done_again(tmp_path: Path) -> None:
    """It was accepted after all: an operator's retry finds it and pays nothing."""
    life = Life.at(tmp_path, index={"name": "films"}, policy={"attempts": 3})
    life.api.index_api = index_api = Blind(life.api)
    entries = items(clips(tmp_path, 1))

    async def scenario() -> None:
        assert (await life.run(entries)).exit_code == 3
        sent = len(life.effects_of("indexed"))
        index_api.blind = False
        await life.retry()
        assert (await life.run(entries)).exit_code == 0
        assert len(life.effects_of("indexed")) == sent

    run_virtual(scenario())


class Crowded(IndexCalls):
    """Has others to ask about first: the first look at an indexing is answered without asking the platform."""

    looks = 0

    async def indexing(self, index_id: str, video_id: str) -> IndexingStatus:
        self.looks += 1
        return IndexingStatus("working") if self.looks == 1 else await self.real.indexing(index_id, video_id)


def test_a_deadline_ends_no_indexing_that_nobody_has_asked_about(tmp_path: Path) -> None:
    """A week passed without a run: the first look may be others' turn, and that is no reason to give the indexing up."""
    life = Life.at(tmp_path, index={"name": "films"})

    async def scenario() -> list[Transition]:
        await life.run(items(clips(tmp_path, 1)))
        made = (await life.one("indexing")).data
        data = {**{name: made[name] for name in ("asset_id", "index_id", "video_id")}, "seconds": 60.0, "since": 0.0}
        task = Task(1, "indexing", "k", "await", data, State.RUNNING, Lane.POLL, 0, stage_since=0.0)
        life.api.index_api = Crowded(life.api)
        task_type = life.session().components.pool._task_types["indexing"]  # the only way to a step without a run
        step = task_type.stage("await").step
        return [decide(task, await step(task, lambda: None), 7 * 86_400.0, Policy(), Random(1)) for _ in range(2)]

    assert [move.state for move in run_virtual(scenario())] == [State.PENDING, State.DONE]


def test_many_videos_make_one_index() -> None:
    """Videos that need it at the same moment wait for the one that makes it, and take it; a failure is the next one's try."""
    asked = 0

    class Slow:
        async def create_index(self, spec: IndexSpec) -> str:
            nonlocal asked
            asked += 1
            await anyio.sleep(5)
            if asked == 1:
                raise Transient("the platform is busy")
            return "made"

    async def scenario() -> list[str]:
        index, found = ConfiguredIndex(cast(IndexApi, Slow()), IndexSpec("films", (), ())), []

        async def one() -> None:
            with suppress(Transient):
                found.append(await index.id())

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)
        return found

    assert run_virtual(scenario()) == ["made"] * 4
    assert asked == 2


def test_a_denial_of_an_earlier_asset_puts_the_new_one_into_the_index_once() -> None:
    """It is told late: the new asset is on its way into the index already, under its own key, and stays so."""
    video = VideoData(media_id="asset-2", indexing_lost=1, indexing_denied="index-1/asset-1")
    first = indexing_task("sha256:1", changed(video, indexing_lost=0, indexing_denied=""), "index-1", "films")
    assert indexing_task("sha256:1", video, "index-1", "films").key == first.key
    denied = changed(video, indexing_denied="index-1/asset-2")
    assert indexing_task("sha256:1", denied, "index-1", "films").key == first.key + "-1"
    assert indexing_task("sha256:1", changed(video, indexing_denied=""), "index-1", "films").key == first.key + "-1"
