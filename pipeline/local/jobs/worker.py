"""What goes on behind the answers: assets become ready, queued analyses are done. Survives restarts by the state."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import sqlite3
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import anyio
import anyio.abc
from anyio.abc import TaskStatus

from pipeline.core.clock import Clock
from pipeline.core.model import Json
from pipeline.local.analysis import process_pool
from pipeline.local.analysis.process_pool import AnalysisPool
from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused, AnalysisRequest, Reply, VideoWords
from pipeline.local.errors import ApiError
from pipeline.local.jobs import media_library as media_library
from pipeline.local.jobs.guard import AGAIN, attempted
from pipeline.local.jobs.indexing import Indexing, ask_about
from pipeline.local.jobs.media_library import MediaLibrary
from pipeline.local.jobs.url_fetch import UrlPolicy, download
from pipeline.local.jobs.youtube_fetch import Fetch, YoutubeFetcher
from pipeline.local.limits import PlatformLimits
from pipeline.local.state.database import PlatformDatabase, move_into_place
from pipeline.local.state.tables import ASSETS, JOBS, VIDEOS, AssetRow, JobRow

CUT_WARNING = "The answer was cut: it reached max_tokens. The text up to there is returned."


class Work:
    """Queues in memory, filled from the state at the start and by the routes later."""

    def __init__(
        self,
        state: PlatformDatabase,
        pool: AnalysisPool,
        clock: Clock,
        limits: PlatformLimits,
        policy: UrlPolicy,
        workers: int,
        library: MediaLibrary | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self._state = state
        self._pool = pool
        self._clock = clock
        self._limits = limits
        self._policy = policy
        self._library = library
        self._workers = workers
        self._indexing = Indexing(state, pool, clock, limits)
        self._fetcher = YoutubeFetcher(state, library, fetch, limits.task_bytes, clock)
        self._group: anyio.abc.TaskGroup | None = None
        self._assets: asyncio.Queue[str] = asyncio.Queue()
        self._awaited: asyncio.Queue[str] = asyncio.Queue()
        self._jobs: asyncio.Queue[str] = asyncio.Queue()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled, beginning with what an earlier process has left."""
        assets, jobs, videos = await self._state.unfinished()
        await self._fetcher.sweep(assets)
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                group.start_soon(self._indexing.run)
                for _ in range(2):
                    group.start_soon(self._drain, self._assets, self._take_asset)
                    group.start_soon(self._drain, self._awaited, self._take_awaited)
                for _ in range(self._workers):
                    group.start_soon(self._drain, self._jobs, self._take_job)
                for key in assets:
                    self.push_asset(key)
                for key in jobs:
                    self.push_job(key)
                for key in videos:
                    self.push_video(key)
                task_status.started()
                await anyio.sleep_forever()
        finally:
            self._group = None

    def push_asset(self, key: str) -> None:
        """Queue an accepted asset."""
        self._push(self._assets, key, self._limits.settle_seconds)

    def push_job(self, key: str) -> None:
        """Queue an accepted analysis."""
        self._push(self._jobs, key, self._limits.think_seconds)

    def push_video(self, key: str) -> None:
        """Queue a video whose asset has arrived."""
        self._indexing.push(key)

    def _push(self, queue: asyncio.Queue[str], key: str, delay: float) -> None:
        if delay > 0 and self._group is not None:
            self._group.start_soon(self._later, queue, key, delay)
        else:
            queue.put_nowait(key)

    async def _later(self, queue: asyncio.Queue[str], key: str, delay: float) -> None:
        await self._clock.sleep(delay)
        queue.put_nowait(key)

    async def _drain(self, queue: asyncio.Queue[str], work: Callable[[str], Awaitable[None]]) -> None:
        while True:
            key = await queue.get()
            if not await attempted(self._state, key, work):
                self._push(queue, key, AGAIN)

    async def _take_asset(self, key: str) -> None:
        asset = await self._asset(key)
        if asset is None or asset.status != "processing":
            return
        if await self._fetcher.is_pending(asset):  # may take long: what has arrived does not wait behind it
            self._awaited.put_nowait(key)
            return
        await self.process(asset)
        await self._arrived(asset.id)

    async def _take_awaited(self, key: str) -> None:
        asset = await self._asset(key)
        if asset is None or asset.status != "processing":
            return
        brought = await self._fetcher.fetch(asset) if await self._fetcher.is_pending(asset) else asset
        if brought is not None:
            await self.process(brought)
            await self._arrived(key)

    async def _arrived(self, asset_id: str) -> None:
        for key in await self._state.read(lambda db: _waiting(db, asset_id)):
            self.push_video(key)

    async def _take_job(self, key: str) -> None:
        job = await self._begin(key)
        if job is not None:
            await self._finish(job, await self._do(job))

    # ------------------------------------------------------------------------------------------------------ assets

    async def process(self, asset: AssetRow) -> AssetRow:
        """Look at an arrived file and settle its status; returns the settled asset."""
        if asset.forced_outcome.startswith("fail:"):
            _, _, message = asset.forced_outcome.split(":", 2)
            done = dataclasses.replace(asset, status="failed", error=message or "file could not be processed")
        else:
            done = await self._examine(asset) if asset.status == "processing" else asset
        await self._state.write(lambda db: ASSETS.put(db, _keeping_metadata(db, done)), durable=False)
        return done

    async def _examine(self, asset: AssetRow) -> AssetRow:
        blob = self._state.blob(asset.id)
        try:
            if asset.url and not blob.exists():
                half = self._state.incoming()
                await self._fetch(asset.url, half)
                await self._state.run_file_work(lambda: move_into_place(half, blob))
            found = await process_pool.probe(self._pool, blob)
        except AnalysisRefused as refusal:
            return dataclasses.replace(asset, status="failed", error=refusal.message)
        except AnalysisCrashed as error:
            return dataclasses.replace(asset, status="failed", error=f"the file could not be examined: {error}")
        fault = self._limits.picture_fault(found.width, found.height)
        if fault is not None and self._limits.pictures_checked_at == "asset":
            return dataclasses.replace(asset, status="failed", error=f"{fault[0]}: {fault[1]}")
        title = {"title": found.title} if media_library.youtube_id(asset.url) and found.title else {}
        return dataclasses.replace(
            asset,
            status="ready",
            user_metadata={**title, **asset.user_metadata},
            size=blob.stat().st_size,
            duration=found.seconds,
            sha256=found.sha256,
            file_type=asset.file_type or found.mime,
            technical=found.technical,
        )

    async def _fetch(self, url: str, half: Path) -> None:
        """Get the bytes behind an address: YouTube's from the library, others from the network; raises AnalysisRefused."""
        youtube_id, library = media_library.youtube_id(url), self._library
        if youtube_id is None:
            try:
                await download(url, half, self._policy, self._limits.url_bytes)
            except ApiError as error:  # accepted under a policy that a restart has tightened
                raise AnalysisRefused("video_url_unreachable", error.message) from None
            return
        if library is None:
            raise AnalysisRefused(
                "video_url_unreachable", f"The file of {youtube_id} is gone: the platform has no media folder now."
            )
        held = await self._state.run_file_work(lambda: library.find(youtube_id))
        if held is None:
            raise AnalysisRefused(
                "video_url_unreachable", f"The file of {youtube_id} is no longer in the media folder."
            )
        try:
            await self._state.run_file_work(lambda: shutil.copyfile(held.path, half))
        except OSError as error:
            raise AnalysisRefused("video_url_unreachable", f"The file could not be copied: {error.strerror}.") from None

    # -------------------------------------------------------------------------------------------------------- jobs

    async def _begin(self, key: str) -> JobRow | None:
        now = self._clock.now()

        def work(db: sqlite3.Connection) -> JobRow | None:
            job = JOBS.get(db, key)
            if job is None or job.status not in ("queued", "processing"):  # begun, but the disk did not take the end
                return None
            begun = dataclasses.replace(job, status="processing", updated=now)
            JOBS.put(db, begun)
            return begun

        return await self._state.write(work, durable=False)

    async def _asset(self, key: str) -> AssetRow | None:
        return await self._state.read(lambda db: ASSETS.get(db, key))

    async def _do(self, job: JobRow) -> Reply | AnalysisRefused:
        if job.forced_outcome.startswith("fail:"):
            _, code, message = job.forced_outcome.split(":", 2)
            return AnalysisRefused(code, message or "the analysis failed")
        asset = await self._asset(job.asset_id)
        if asset is None:
            return AnalysisRefused("asset_unavailable", "The asset was deleted before it was analysed.")
        try:
            return await self.answer(asset, job.request, sync=False)
        except AnalysisRefused as refusal:
            return refusal
        except AnalysisCrashed as error:
            return AnalysisRefused("internal_error", f"The analysis broke down: {error}.")

    async def answer(self, asset: AssetRow, request: Mapping[str, Json], *, sync: bool) -> Reply:
        """Answer a checked request about an asset; raises AnalysisRefused or AnalysisCrashed."""
        if asset.hidden and asset.status == "processing":
            asset = await self.process(asset)
        if asset.status != "ready":
            raise AnalysisRefused("asset_unavailable", asset.error or "The asset is not ready.")
        start, end = request.get("start_time"), request.get("end_time")
        window = None if start is None and end is None else (end or asset.duration) - (start or 0.0)
        width, height = asset.technical.get("video_width", 0), asset.technical.get("video_height", 0)
        fault = self._limits.length_fault(asset.duration, window, sync=sync)
        fault = fault or (self._limits.picture_fault(width, height) if width and height else None)
        if fault is not None:
            raise AnalysisRefused(*fault)
        if start is not None and start >= asset.duration:
            raise AnalysisRefused("parameter_invalid", "The start_time parameter lies behind the end of the video.")
        return await process_pool.answer(self._pool, self.question(asset, request))

    async def words(self, asset: AssetRow) -> VideoWords:
        """Return the spoken and written words of a ready asset; raises AnalysisRefused or AnalysisCrashed."""
        return await process_pool.words(self._pool, self.question(asset, {}))

    async def picture(self, asset: AssetRow, at: float) -> bytes:
        """Return the picture at a time as a JPEG; raises AnalysisRefused or AnalysisCrashed."""
        return await process_pool.picture(self._pool, self._state.blob(asset.id), at)

    def question(self, asset: AssetRow, request: Mapping[str, Json]) -> AnalysisRequest:
        """Put an asset and a checked request into one question."""
        return ask_about(self._state, asset, request)

    async def _finish(self, job: JobRow, reply: Reply | AnalysisRefused) -> None:
        now = self._clock.now()
        if isinstance(reply, AnalysisRefused):
            error = {**({"code": reply.code} if reply.code else {}), "message": reply.message}
            done = dataclasses.replace(job, status="failed", error=error, completed=now, updated=now)
        else:
            warning = {"message": CUT_WARNING} if reply.finish_reason == "length" else {}
            result = result_of(reply, str(uuid.uuid4()))
            done = dataclasses.replace(job, status="ready", result=result, error=warning, completed=now, updated=now)

        def work(db: sqlite3.Connection) -> None:
            present = JOBS.get(db, job.id)
            if present is not None and present.status == "processing":  # not canceled meanwhile
                JOBS.put(db, done)

        await self._state.write(work, durable=False)


def _waiting(db: sqlite3.Connection, asset_id: str) -> list[str]:
    """Return the videos that are to be made of an asset."""
    return [
        video.id
        for video in VIDEOS.select(db, "asset_id = ? AND status = 'validating' AND fate <> 'stuck'", [asset_id])
    ]


def result_of(reply: Reply, generation: str) -> dict[str, Json]:
    """Return a task's ``result``."""
    return {
        "generation_id": generation,
        "data": reply.text,
        "finish_reason": reply.finish_reason,
        "usage": {"output_tokens": reply.output_tokens, "input_tokens": reply.input_tokens},
    }


def _keeping_metadata(db: sqlite3.Connection, done: AssetRow) -> AssetRow:
    """Metadata may have been changed while the file was looked at; a title that was found in it gives way to theirs."""
    present = ASSETS.get(db, done.id)
    if present is None:
        return done
    found = {
        name: value
        for name, value in done.user_metadata.items()
        if name == "title" and media_library.youtube_id(done.url)
    }
    return dataclasses.replace(done, user_metadata={**found, **present.user_metadata})
