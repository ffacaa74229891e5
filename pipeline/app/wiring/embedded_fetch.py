"""YouTube for the embedded platform's v1.2, which gets addresses by itself: our source, with the patience it needs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import anyio.to_thread

from pipeline.app.wiring.state_folder import platform_folder
from pipeline.config.settings import Settings
from pipeline.core import log
from pipeline.core.backoff import Backoff
from pipeline.core.clock import Clock
from pipeline.core.errors import Throttled, Transient
from pipeline.local.jobs.media_library import LibraryVideo
from pipeline.local.jobs.youtube_fetch import Fetch
from pipeline.ports.source import Item, ManifestLine, MediaFacts, Source
from pipeline.ports.video_api import Ceilings
from pipeline.source.captions import read_captions
from pipeline.source.youtube.source import YouTubeClient, YouTubeSource
from pipeline.source.youtube.storage.quota import DiskQuota

_log = log.get("platform")

_BYTES = 2 * 1000**3  #: of a v1.2 video


def fetcher(settings: Settings, youtube: YouTubeClient, clock: Clock, rng: Random) -> Fetch:
    """Return what fetches from YouTube for the embedded platform; the client is the run's own, with its pace."""
    room = DiskQuota(platform_folder(settings) / "fetched", settings.fetch.max_bytes, clock, settings.limits.patience)
    source = YouTubeSource(youtube, room, Ceilings(direct_bytes=_BYTES, multipart_bytes=_BYTES), clock)
    return RetryingFetch(source, settings, clock, rng).fetch


class RetryingFetch:
    """Asks a source again where the engine would: a platform of its own has no engine around it."""

    def __init__(self, source: Source, settings: Settings, clock: Clock, rng: Random) -> None:
        rules = settings.policy
        self._source = source
        self._clock = clock
        self._rng = rng
        self._tries = rules.attempts
        self._patience = settings.limits.patience
        self._most = rules.stage_hours * 3600  #: seconds altogether
        self._backoff = Backoff(rules.retry_first, rules.retry_most)

    async def fetch(self, video: str, folder: Path) -> LibraryVideo:
        """Return the file of a YouTube id below the folder, with its title and captions.

        Raises:
            ReelmillError: it cannot be had, not yet, or not within the tries and hours of ``[policy]``.
        """
        address = f"https://www.youtube.com/watch?v={video}"
        item = Item(f"youtube:video:{video}", "youtube", address, ManifestLine(address))
        begun, tries = self._clock.monotonic(), Counter[str]()
        while True:
            try:
                return await _held(await self._source.fetch(item, folder))
            except Transient as error:
                # Waiting is not an attempt; a class that has waits of its own has a count of its own.
                sort = error.trouble.code if error.waits is not None else ""
                tries[sort] += not isinstance(error, Throttled)
                wait = self._wait(error, tries[sort])
                if wait is None or self._clock.monotonic() - begun + wait > self._most:
                    raise
                _log.info("platform.fetch_waits", video=video, why=str(error), seconds=round(wait, 1))
            await self._clock.sleep(wait)

    def _wait(self, error: Transient, tries: int) -> float | None:
        """Return the seconds before the next try; None: that was the last."""
        if isinstance(error, Throttled):  # a long pause is not sat out here: the run says when, and another one goes on
            return error.after if error.after is not None and error.after <= self._patience else None
        if error.waits is not None:
            return error.waits[tries - 1] if tries <= len(error.waits) else None
        if tries >= self._tries:
            return None
        return error.after if error.after is not None else self._backoff.delay(tries, self._rng)


async def _held(facts: MediaFacts) -> LibraryVideo:
    title = facts.about.get("title")
    captions = await anyio.to_thread.run_sync(read_captions, facts.captions)
    return LibraryVideo(facts.path, " ".join(title.split()) if isinstance(title, str) else "", captions)
