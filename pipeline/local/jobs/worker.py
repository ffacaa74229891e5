"""The platform's background work: assets become ready, analyses are answered, videos indexed."""

from __future__ import annotations

import dataclasses
import sqlite3
import uuid
from collections.abc import Mapping

import anyio
from anyio.abc import TaskStatus

from pipeline.core.clock import Clock
from pipeline.core.model import Json
from pipeline.local.analysis.plugins.model.seer import ModelSeer
from pipeline.local.analysis.plugins.model.writer import ModelWriter
from pipeline.local.analysis.process_pool import AnalysisPool
from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused, Reply, VideoWords
from pipeline.local.jobs.assets import AssetProcessor
from pipeline.local.jobs.indexing import VideoIndexer, build_request
from pipeline.local.jobs.knowledge import KnowledgeReader
from pipeline.local.jobs.meaning import MeaningIndex
from pipeline.local.jobs.media_library import MediaLibrary
from pipeline.local.jobs.queue import JobQueue
from pipeline.local.jobs.url_fetch import UrlPolicy
from pipeline.local.jobs.youtube_fetch import Fetch, YouTubeFetcher
from pipeline.local.limits import PlatformLimits
from pipeline.local.state.database import PlatformDatabase
from pipeline.local.state.tables import ASSETS, JOBS, KNOWLEDGE_ITEMS, VIDEOS, AssetRow, JobRow

CUT_WARNING = "The answer was cut: it reached max_tokens. The text up to there is returned."
_PROCESSING = (
    "status = 'processing' AND fate <> 'stuck' AND NOT EXISTS "
    "(SELECT 1 FROM sessions s WHERE s.asset_id = assets.id AND s.status = 'active')"
)
_QUEUED = "status = 'queued' AND fate <> 'stuck'"
#: A video whose asset is still processing is left out: the asset's end sets it going.
_ARRIVED = (
    "status NOT IN ('ready', 'failed') AND fate <> 'stuck' AND NOT EXISTS "
    "(SELECT 1 FROM assets a WHERE a.id = asset_id AND a.status = 'processing')"
)
_UNREAD = "status NOT IN ('ready', 'failed') AND fate <> 'stuck'"
_ROUNDED = 0.05  #: seconds by which a length may be told differently
_INDEXING_AT_ONCE = 256  # videos between validating and ready; how many are read at once is the analysis pool's matter


class BackgroundWork:
    """One queue for each kind of work; routes push into them."""

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
        writer: ModelWriter | None = None,
        seer: ModelSeer | None = None,
        meaning: MeaningIndex | None = None,
    ) -> None:
        self._state = state
        self._pool = pool
        self._clock = clock
        self._limits = limits
        self._writer = writer  #: where the user has a model
        self._processor = AssetProcessor(state, pool, limits, policy, library)
        self._fetcher = YouTubeFetcher(state, library, fetch, limits.task_bytes, clock)
        indexer = VideoIndexer(state, pool, clock, limits, seer, meaning)
        self._meaning = meaning
        self._assets = JobQueue(
            state, clock, ASSETS, self._take_asset, at_once=2, unfinished=_PROCESSING, delay=limits.settle_seconds
        )
        # A fetch may take long; what has arrived does not wait behind it.
        self._fetches = JobQueue(state, clock, ASSETS, self._take_fetch, at_once=2)
        self._analyses = JobQueue(
            state, clock, JOBS, self._take_job, at_once=workers, unfinished=_QUEUED, delay=limits.think_seconds
        )
        self._videos = JobQueue(state, clock, VIDEOS, indexer.index, at_once=_INDEXING_AT_ONCE, unfinished=_ARRIVED)
        reader = KnowledgeReader(state, pool, clock)
        self._items = JobQueue(state, clock, KNOWLEDGE_ITEMS, reader.read, at_once=workers, unfinished=_UNREAD)
        self.push_item = self._items.push
        self.push_asset = self._assets.push
        self.push_job = self._analyses.push
        self.push_video = self._videos.push

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled, beginning with what an earlier process has left."""
        await self._fetcher.sweep()
        async with anyio.create_task_group() as group:
            for queue in (self._videos, self._items, self._fetches, self._analyses, self._assets):
                await group.start(queue.run)
            if self._meaning is not None:
                await group.start(self._meaning.run)
            task_status.started()

    async def _take_asset(self, key: str) -> None:
        asset = await self._asset(key)
        if asset is None or asset.status != "processing":
            return
        if await self._fetcher.is_pending(asset):
            self._fetches.push(key)
        else:
            await self._arrived(asset)

    async def _take_fetch(self, key: str) -> None:
        asset = await self._asset(key)
        if asset is None or asset.status != "processing":
            return
        fetched = await self._fetcher.fetch(asset) if await self._fetcher.is_pending(asset) else asset
        if fetched is not None:
            await self._arrived(fetched)

    async def _arrived(self, asset: AssetRow) -> None:
        """Process an asset whose bytes are here, then queue its videos."""
        await self._processor.process(asset)
        waiting = "asset_id = ? AND status = 'validating' AND fate <> 'stuck'"
        for video in await self._state.read(lambda db: VIDEOS.select(db, waiting, [asset.id])):
            self.push_video(video.id)

    async def _take_job(self, key: str) -> None:
        job = await self._begin(key)
        if job is not None:
            await self._finish(job, await self._do(job))

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

    async def _finish(self, job: JobRow, reply: Reply | AnalysisRefused) -> None:
        now = self._clock.now()
        if isinstance(reply, AnalysisRefused):
            error = {**({"code": reply.code} if reply.code else {}), "message": reply.message}
            done = dataclasses.replace(job, status="failed", error=error, completed=now, updated=now)
        else:
            warned = " ".join(filter(None, [reply.warning, CUT_WARNING if reply.finish_reason == "length" else ""]))
            warning = {"message": warned} if warned else {}
            result = build_result(reply, str(uuid.uuid4()))
            done = dataclasses.replace(job, status="ready", result=result, error=warning, completed=now, updated=now)

        def work(db: sqlite3.Connection) -> None:
            present = JOBS.get(db, job.id)
            if present is not None and present.status == "processing":  # not canceled meanwhile
                JOBS.put(db, done)

        await self._state.write(work, durable=False)

    async def answer(self, asset: AssetRow, request: Mapping[str, Json], *, sync: bool) -> Reply:
        """Answer a checked request about an asset; raises AnalysisRefused or AnalysisCrashed."""
        if asset.hidden and asset.status == "processing":
            asset = await self._processor.process(asset)
        if asset.status != "ready":
            raise AnalysisRefused("asset_unavailable", asset.error or "The asset is not ready.")
        start, end = (asset.since_begin(request.get(name)) for name in ("start_time", "end_time"))
        window = None if start is None and end is None else (end or asset.duration) - (start or 0.0)
        width, height = asset.technical.get("video_width", 0), asset.technical.get("video_height", 0)
        fault = self._limits.length_fault(asset.duration, window, sync=sync)
        fault = fault or (self._limits.picture_fault(width, height) if width and height else None)
        if fault is not None:
            raise AnalysisRefused(*fault)
        if end is not None and end > asset.duration + _ROUNDED:
            raise AnalysisRefused("parameter_invalid", "The end_time parameter lies behind the end of the video.")
        if start is not None and start >= asset.duration:
            raise AnalysisRefused("parameter_invalid", "The start_time parameter lies behind the end of the video.")
        return await (self._writer or self._pool).answer(build_request(self._state, asset, request))

    async def words(self, asset: AssetRow) -> VideoWords:
        """Return the spoken and written words of a ready asset; raises AnalysisRefused or AnalysisCrashed."""
        return await self._pool.words(build_request(self._state, asset, {}))

    async def picture(self, asset: AssetRow, at: float) -> bytes:
        """Return the picture at a time as a JPEG; raises AnalysisRefused or AnalysisCrashed."""
        return await self._pool.picture(self._state.blob(asset.id), at)


def build_result(reply: Reply, generation: str) -> dict[str, Json]:
    """Return a task's ``result``."""
    return {
        "generation_id": generation,
        "data": reply.text,
        "finish_reason": reply.finish_reason,
        "usage": {"output_tokens": reply.output_tokens, "input_tokens": reply.input_tokens},
        **({"written_by": reply.written_by} if reply.written_by else {}),
    }
