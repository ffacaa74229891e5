"""Assets become ready or failed: fetched by address, then probed and checked."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from pathlib import Path

from pipeline.local.analysis.process_pool import AnalysisPool
from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused
from pipeline.local.errors import ApiError
from pipeline.local.jobs.media_library import MediaLibrary, youtube_id
from pipeline.local.jobs.url_fetch import UrlPolicy, download
from pipeline.local.limits import PlatformLimits
from pipeline.local.state.database import PlatformDatabase, move_into_place
from pipeline.local.state.tables import ASSETS, AssetRow


class AssetProcessor:
    """Turns accepted assets into ready or failed ones."""

    def __init__(
        self,
        state: PlatformDatabase,
        pool: AnalysisPool,
        limits: PlatformLimits,
        policy: UrlPolicy,
        library: MediaLibrary | None,
    ) -> None:
        self._state = state
        self._pool = pool
        self._limits = limits
        self._policy = policy
        self._library = library

    async def process(self, asset: AssetRow) -> AssetRow:
        """Probe an arrived file and store what was found; return the asset as stored."""
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
            found = await self._pool.probe(blob)
        except AnalysisRefused as refusal:
            return dataclasses.replace(asset, status="failed", error=refusal.message)
        except AnalysisCrashed as error:
            return dataclasses.replace(asset, status="failed", error=f"the file could not be examined: {error}")
        fault = self._limits.picture_fault(found.width, found.height)
        if fault is not None and self._limits.pictures_checked_at == "asset":
            return dataclasses.replace(asset, status="failed", error=f"{fault[0]}: {fault[1]}")
        title = {"title": found.title} if youtube_id(asset.url) and found.title else {}
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
        """Get the bytes behind an address, or raise AnalysisRefused."""
        video, library = youtube_id(url), self._library
        if video is None:
            try:
                await download(url, half, self._policy, self._limits.url_bytes)
            except ApiError as error:  # accepted under a policy that a restart has tightened
                raise AnalysisRefused("video_url_unreachable", error.message) from None
            return
        if library is None:
            raise AnalysisRefused(
                "video_url_unreachable", f"The file of {video} is gone: the platform has no media folder now."
            )
        held = await self._state.run_file_work(lambda: library.find(video))
        if held is None:
            raise AnalysisRefused("video_url_unreachable", f"The file of {video} is no longer in the media folder.")
        try:
            await self._state.run_file_work(lambda: shutil.copyfile(held.path, half))
        except OSError as error:
            raise AnalysisRefused("video_url_unreachable", f"The file could not be copied: {error.strerror}.") from None


def _keeping_metadata(db: sqlite3.Connection, done: AssetRow) -> AssetRow:
    """Keep metadata changed during the probe; a given title wins."""
    present = ASSETS.get(db, done.id)
    if present is None:
        return done
    found = {name: value for name, value in done.user_metadata.items() if name == "title" and youtube_id(done.url)}
    return dataclasses.replace(done, user_metadata={**found, **present.user_metadata})
