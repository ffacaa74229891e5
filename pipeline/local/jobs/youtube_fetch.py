"""YouTube videos whose files are fetched after they were accepted.

::

    accepted, pending ──▶ a folder of its own ──▶ title, captions in the state ──▶ bytes in their place ──▶ as an upload

A process that dies on the way leaves the record pending and the folder as it is: the next one fetches again, or goes on
where the fetcher can.
"""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import NotYet, ReelmillError, StoreError, Throttled
from pipeline.core.model import Json
from pipeline.local.jobs.media_library import LibraryVideo, MediaLibrary, youtube_id
from pipeline.local.state.database import PlatformDatabase, move_into_place
from pipeline.local.state.tables import ASSETS, AssetRow

_log = log.get("platform")
#: Gets a video by its YouTube id into a folder of its own (made by us, and removed once the file was taken out of it).
#: It retries by itself: a ReelmillError that it raises is final, and tells why.
Fetch = Callable[[str, Path], Awaitable[LibraryVideo]]
PENDING: dict[str, Json] = {"awaited": True}  #: the technical facts of a video that was accepted without its file


class YouTubeFetcher:
    """Fetches pending videos; without a fetch function they stay pending."""

    def __init__(
        self, state: PlatformDatabase, library: MediaLibrary | None, fetch: Fetch | None, most: int, clock: Clock
    ) -> None:
        self._state = state
        self._clock = clock
        self._library = library
        self._fetch = fetch
        self._most = most  #: bytes
        self._folder = state.folder / "fetched"

    async def sweep(self) -> None:
        """Remove leftovers of videos that are no longer being fetched."""
        rows = await self._state.read(lambda db: ASSETS.select(db, "status = 'processing' AND fate <> 'stuck'"))
        processing = {row.id for row in rows}

        def work() -> None:
            for path in self._folder.iterdir() if self._folder.is_dir() else ():
                if path.name not in processing:
                    shutil.rmtree(path, ignore_errors=True)

        await self._state.run_file_work(work)

    async def is_pending(self, asset: AssetRow) -> bool:
        """Tell whether the file of an asset is still to be fetched."""
        blob = self._state.blob(asset.id)
        return asset.technical == PENDING and not await self._state.run_file_work(blob.exists)

    async def fetch(self, asset: AssetRow) -> AssetRow | None:
        """Return the asset with its bytes in place, or failed with the reason.

        None: nothing here fetches, or the asset was deleted.

        Raises:
            StoreError, OSError: the disk does not take it now.
        """
        video = youtube_id(asset.url) or ""
        try:
            held = await self._find_in_library(video) or await self._fetched(asset, video)
        except StoreError:
            raise
        except ReelmillError as error:
            _log.warning(
                "platform.not_fetched", asset=asset.id, url=asset.url, why=str(error), remedy=error.trouble.remedy
            )
            await self._clear(asset)
            technical = {"refusal": self._refusal(error)}
            return dataclasses.replace(asset, status="failed", error=str(error), technical=technical)
        if held is None:
            _log.warning("platform.awaited", asset=asset.id, url=asset.url, why="nothing here fetches from YouTube")
            return None
        done = await self._keep(asset, held)
        await self._clear(asset)
        return done

    def _refusal(self, error: ReelmillError) -> dict[str, Json]:
        """Return the reason as data, with the time for another try."""
        after = error.after if isinstance(error, NotYet | Throttled) else None
        return {**error.trouble.as_json(), **({} if after is None else {"again_at": self._clock.now() + after})}

    async def _find_in_library(self, video: str) -> LibraryVideo | None:
        library = self._library
        return await self._state.run_file_work(lambda: library.find(video)) if library is not None else None

    async def _fetched(self, asset: AssetRow, video: str) -> LibraryVideo | None:
        if self._fetch is None:
            return None
        folder = self._folder / asset.id
        await self._state.run_file_work(lambda: folder.mkdir(parents=True, exist_ok=True))
        return await self._fetch(video, folder)

    async def _keep(self, asset: AssetRow, held: LibraryVideo) -> AssetRow | None:
        """Store title and captions, then move the file into place, which ends the waiting.

        None: the asset was deleted meanwhile.
        """
        half = self._state.incoming()
        found: dict[str, Json] = {
            key: text for key, text in (("title", held.title), ("captions", held.captions)) if text
        }

        def note(db: sqlite3.Connection) -> AssetRow | None:
            present = ASSETS.get(db, asset.id)
            if present is None:
                return None
            noted = dataclasses.replace(present, user_metadata={**found, **present.user_metadata})
            ASSETS.put(db, noted)
            return noted

        def move() -> None:
            if held.path.is_relative_to(self._folder):
                held.path.replace(half)
            else:
                shutil.copyfile(held.path, half)
            move_into_place(half, self._state.blob(asset.id))

        if await self._state.run_file_work(lambda: held.path.stat().st_size) > self._most:
            return dataclasses.replace(asset, status="failed", error=f"The file is larger than {self._most} bytes.")
        noted = await self._state.write(note)
        if noted is not None:
            await self._state.run_file_work(move)
        return noted

    async def _clear(self, asset: AssetRow) -> None:
        await self._state.run_file_work(lambda: shutil.rmtree(self._folder / asset.id, ignore_errors=True))
