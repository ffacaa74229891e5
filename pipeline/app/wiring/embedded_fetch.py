"""YouTube downloads for the local platform, which takes addresses on v1.2."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import anyio.to_thread

from pipeline.app.wiring.state_folder import platform_folder
from pipeline.config.settings import Settings
from pipeline.core import log
from pipeline.core.backoff import Backoff, Retries
from pipeline.core.clock import Clock
from pipeline.core.errors import Transient
from pipeline.local.jobs.media_library import LibraryVideo
from pipeline.local.jobs.youtube_fetch import Fetch
from pipeline.ports.source import Item, ManifestLine, MediaFacts, Source
from pipeline.provider.ceilings import platform_ceilings
from pipeline.source.captions import read_captions
from pipeline.source.youtube.client import YouTubeClient
from pipeline.source.youtube.source import YouTubeSource
from pipeline.source.youtube.storage.quota import DiskQuota

_log = log.get("platform")
_BYTES = 2 * 1000**3  #: of a v1.2 video


def fetcher(settings: Settings, youtube: YouTubeClient, clock: Clock, rng: Random) -> Fetch:
    """Return the local platform's fetch, over the run's own client and its pace."""
    quota = DiskQuota(platform_folder(settings) / "fetched", settings.fetch.max_bytes, clock, settings.longest_wait)
    takes = replace(platform_ceilings("local", "v1.2"), direct_bytes=_BYTES, multipart_bytes=_BYTES)
    source = YouTubeSource(youtube, quota, takes, clock)
    return retrying(source, settings, clock, rng)


def retrying(source: Source, settings: Settings, clock: Clock, rng: Random) -> Fetch:
    """Return a fetch that retries as the engine would; the platform has none.

    The fetch raises a ReelmillError where a video cannot be had, not yet, or not within the tries and hours of ``[policy]``.
    """
    rules = settings.policy

    async def fetch(video: str, folder: Path) -> LibraryVideo:
        address = f"https://www.youtube.com/watch?v={video}"
        item = Item(f"youtube:video:{video}", "youtube", address, ManifestLine(address))
        # A long pause is not sat out here: the platform says when the address can be handed over once more.
        retries = Retries(rules.attempts, Backoff(rules.retry_first, rules.retry_most), settings.limits.patience)
        latest = clock.monotonic() + rules.stage_hours * 3600
        while True:
            try:
                return await _to_library(await source.fetch(item, folder))
            except Transient as error:
                wait = retries.wait(error, rng)
                if wait is None or clock.monotonic() + wait > latest:
                    raise
                _log.info("platform.fetch_waits", video=video, why=str(error), seconds=round(wait, 1))
            await clock.sleep(wait)

    return fetch


async def _to_library(facts: MediaFacts) -> LibraryVideo:
    title = facts.about.get("title")
    captions = await anyio.to_thread.run_sync(read_captions, facts.captions)
    return LibraryVideo(facts.path, " ".join(title.split()) if isinstance(title, str) else "", captions)
