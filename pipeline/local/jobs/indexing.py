"""Indexing: a video goes from validating to ready, with its words searchable."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pipeline.core.clock import Clock
from pipeline.core.model import Json
from pipeline.local.analysis.plugins.model.seer import ModelSeer
from pipeline.local.analysis.process_pool import AnalysisPool
from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused, AnalysisRequest, SentenceVectors
from pipeline.local.jobs import meaning
from pipeline.local.jobs.meaning import MeaningIndex
from pipeline.local.limits import PlatformLimits
from pipeline.local.state import fulltext, ledger
from pipeline.local.state.database import PlatformDatabase
from pipeline.local.state.tables import ASSETS, VIDEOS, AssetRow, VideoRow

STATUSES = ("validating", "pending", "queued", "indexing", "ready", "failed")
FINAL = ("ready", "failed")
_Clip: TypeAlias = tuple[str, float, float, str]  # kind, start, end, text
_STEPS = ("pending", "queued", "indexing")


def estimate(limits: PlatformLimits, seconds: float) -> float:
    """Return about how many seconds indexing takes for a video of so many seconds."""
    return limits.index_seconds + 2 + seconds / 20


class VideoIndexer:
    """Indexes videos whose asset has arrived."""

    def __init__(
        self,
        state: PlatformDatabase,
        pool: AnalysisPool,
        clock: Clock,
        limits: PlatformLimits,
        seer: ModelSeer | None = None,
        by_meaning: MeaningIndex | None = None,
    ) -> None:
        self._state = state
        self._pool = pool
        self._clock = clock
        self._limits = limits
        self._seer = seer
        self._meaning = by_meaning

    async def index(self, key: str) -> None:
        """Take a video through the statuses to ready or failed."""
        video, asset = await self._state.read(lambda db: _pair(db, key))
        if video is None or video.status in FINAL:
            return
        try:
            video = self._validated(video, asset)
            for word in _STEPS:
                video = dataclasses.replace(video, status=word, updated=self._clock.now())
                await self._put(video)
                if self._limits.index_seconds:
                    await self._clock.sleep(self._limits.index_seconds / len(_STEPS))
            assert asset is not None
            request = build_request(self._state, asset, {})
            words = await self._pool.words(request)
            seen = await self._seer.see(request) if self._seer is not None else []
        except (AnalysisRefused, AnalysisCrashed):  # the API has no field for a reason; an asset says its own
            await self._put(dataclasses.replace(video, status="failed", updated=self._clock.now()))
            return
        clips = [("conversation", c.start, c.end, c.text) for c in words.of("sentence")]
        clips += [(c.kind, c.start, c.end, c.text) for c in (*words.of("text_in_video"), *seen)]
        found = await self._meaning.encode([text for *_, text in clips]) if self._meaning is not None else None
        await self._finish(video, words.unread, clips, found)

    def _validated(self, video: VideoRow, asset: AssetRow | None) -> VideoRow:
        """Return the video with its file's facts; raises AnalysisRefused where it cannot be indexed."""
        if asset is None or asset.status != "ready":
            raise AnalysisRefused("video_file_broken", asset.error if asset is not None else "the asset was deleted")
        technical = asset.technical
        width, height = int(technical.get("video_width", 0)), int(technical.get("video_height", 0))
        most = self._limits.async_seconds if video.task_id else self._limits.indexed_seconds
        fault = self._limits.picture_fault(width, height)
        fault = fault or self._limits.indexing_fault(asset.duration, most)
        if video.forced_outcome.startswith("fail:"):
            fault = ("video_file_broken", video.forced_outcome)
        if fault is not None:
            raise AnalysisRefused(*fault)
        return dataclasses.replace(
            video,
            filename=_named(video, asset),
            title=_named(video, asset),
            estimated=video.created + estimate(self._limits, asset.duration),
            duration=asset.duration,
            fps=float(technical.get("video_fps", 0.0)),
            width=width,
            height=height,
            size=asset.size,
        )

    async def _put(self, video: VideoRow) -> None:
        def work(db: sqlite3.Connection) -> None:
            present = VIDEOS.get(db, video.id)
            if present is not None:
                VIDEOS.put(db, dataclasses.replace(video, user_metadata=present.user_metadata))

        await self._state.write(work, durable=False)

    async def _finish(
        self, video: VideoRow, unread: Sequence[str], clips: Sequence[_Clip], found: SentenceVectors | None
    ) -> None:
        now = self._clock.now()
        done = dataclasses.replace(video, status="ready", updated=now, indexed=now, unread=list(unread))

        def work(db: sqlite3.Connection) -> None:
            present = VIDEOS.get(db, video.id)
            if present is None:  # deleted meanwhile
                return
            VIDEOS.put(db, dataclasses.replace(done, user_metadata=present.user_metadata))
            fulltext.add(db, video.index_id, video.id, clips)
            meaning.keep(db, video.id, found)
            if video.task_id:  # an asset's indexing was entered when it was accepted
                minutes = round(video.duration / 60, 4)
                entry = ledger.LedgerEntry(now, "POST", "/v1.2/tasks", "indexed", video.id, video.filename, minutes)
                ledger.enter(db, entry)

        await self._state.write(work)


def build_request(state: PlatformDatabase, asset: AssetRow, request: Mapping[str, Json]) -> AnalysisRequest:
    """Build the analysis request for an asset and a checked API request."""
    captions, title, name = (asset.user_metadata.get(key) for key in ("captions", "title", "source_name"))
    return AnalysisRequest(
        path=str(state.blob(asset.id)),
        sha256=asset.sha256,
        cache=str(state.content_cache),
        # An uploader may need the filename for a unique key; a name fit for people is then in the metadata.
        name=name if isinstance(name, str) and name else asset.filename,
        title=title if isinstance(title, str) else "",
        captions=(captions,) if isinstance(captions, str) and captions else (),
        prompt=request.get("prompt", ""),
        schema=request.get("schema"),
        start=asset.since_begin(request.get("start_time")),
        end=asset.since_begin(request.get("end_time")),
        max_tokens=request.get("max_tokens", 4096),
    )


def _pair(db: sqlite3.Connection, key: str) -> tuple[VideoRow | None, AssetRow | None]:
    video = VIDEOS.get(db, key)
    return video, ASSETS.get(db, video.asset_id) if video is not None else None


def _named(video: VideoRow, asset: AssetRow) -> str:
    """Return the file's name, or the title that only the file knows."""
    title = asset.user_metadata.get("title")
    return title if not video.filename and isinstance(title, str) else video.filename or asset.filename
