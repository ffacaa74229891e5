"""Downloads from sites, wired from the settings."""

from __future__ import annotations

import math
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random

import anyio
import anyio.to_thread
import platformdirs

from pipeline.config.settings import Settings
from pipeline.config.youtube import YouTubeSection
from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.model import Selection, Task
from pipeline.core.youtube_address import VIDEO_PREFIX
from pipeline.ingest.tasks.item import Release
from pipeline.ports.store import Journal, Records
from pipeline.ports.video_api import Ceilings
from pipeline.source.youtube.client import YouTubeClient
from pipeline.source.youtube.source import YouTubeSource
from pipeline.source.youtube.storage.cleanup import Disposal, DownloadCleanup, decide_disposal, list_videos
from pipeline.source.youtube.storage.folder import release_download
from pipeline.source.youtube.storage.quota import DiskQuota
from pipeline.source.youtube.throttle.breaker import OutagePatience, ThrottleRules
from pipeline.source.youtube.throttle.gate import SiteThrottle
from pipeline.source.youtube.throttle.state import JournalState, SharedFileState, state_file_path
from pipeline.source.youtube.worker.pool import WorkerCommand, WorkerPool

_log = log.get("youtube")
_PAGE = 500  #: videos whose tasks are read at once


def worker_pool(settings: Settings) -> WorkerPool:
    """Return the yt-dlp workers, none of them started."""
    rules = settings.youtube
    command = WorkerCommand(str(rules.python or sys.executable), plugins=rules.plugins)
    return WorkerPool(command, settings.lanes.download)


def site_throttle(
    rules: YouTubeSection, journal: Journal, clock: Clock, rng: Random, *, park: float = 0.0
) -> SiteThrottle:
    """Return YouTube's throttle for this machine's address.

    A pause that only this run can end is kept in its own journal. ``park``: seconds that a pause lasts at least
    when it is too long to be waited for; 0 if nobody waits.
    """
    patience = OutagePatience(rules.patience, park) if park else None
    proxy = rules.proxy.get_secret_value() if rules.proxy is not None else ""
    folder = rules.pace_folder or platformdirs.user_state_path("reelmill", appauthor=False)
    file = state_file_path(folder, "youtube", proxy, str(rules.options.get("source_address", "")))
    shared = SharedFileState(file, JournalState(journal, "pace:youtube"))
    own = JournalState(journal, "pause:youtube")
    pace = ThrottleRules(rules.min_gap, max(rules.min_gap, rules.max_gap), rules.per_hour)
    return SiteThrottle(shared, own, clock, rng, pace, patience=patience)


def build_youtube_client(
    settings: Settings, workers: WorkerPool, journal: Journal, clock: Clock, rng: Random
) -> YouTubeClient:
    """Return the client of YouTube.

    Raises:
        ConfigError: an option for yt-dlp is not allowed.
    """
    park = settings.longest_wait + 60  # a little more than a run waits for any lane or item
    return YouTubeClient(settings.youtube, workers, site_throttle(settings.youtube, journal, clock, rng, park=park))


@asynccontextmanager
async def open_youtube_client(
    settings: Settings, journal: Journal, clock: Clock, rng: Random
) -> AsyncIterator[YouTubeClient]:
    """Open the client of YouTube. Workers start when needed and end with it.

    Raises:
        ConfigError: an option for yt-dlp is not allowed.
    """
    workers = worker_pool(settings)
    try:
        yield build_youtube_client(settings, workers, journal, clock, rng)
    finally:
        with anyio.CancelScope(shield=True):
            await workers.aclose()


def youtube_source(settings: Settings, client: YouTubeClient, clock: Clock, ceilings: Ceilings) -> YouTubeSource:
    """Return YouTube as a source of files."""
    quota = DiskQuota(download_folder(settings), settings.fetch.max_bytes, clock, settings.longest_wait)
    return YouTubeSource(client, quota, ceilings, clock)


def download_folder(settings: Settings) -> Path:
    """Return the folder of fetched videos that are not uploaded yet."""
    return settings.run.state / "work" / "youtube"


async def clean_up_downloads(settings: Settings, records: Records, clock: Clock) -> None:
    """Remove finished downloads of earlier runs; problems are only logged."""
    cleanup, disposals = await _cleanup(settings, records, clock)
    if await anyio.to_thread.run_sync(cleanup.run, disposals):
        _log.info("youtube.swept", folders=cleanup.removed)


async def measure_leftovers(settings: Settings, records: Records, clock: Clock) -> tuple[int, int]:
    """Return (folders, bytes) of downloads that a cleanup would remove."""
    cleanup, disposals = await _cleanup(settings, records, clock)
    return await anyio.to_thread.run_sync(cleanup.measure, disposals)


async def _cleanup(
    settings: Settings, records: Records, clock: Clock
) -> tuple[DownloadCleanup, Mapping[str, Disposal]]:
    """Return a cleanup, and what it decides by."""
    folder = download_folder(settings)
    videos = await anyio.to_thread.run_sync(list_videos, folder)
    tasks: dict[str, list[Task]] = {video: [] for video in videos}
    for page in range(0, len(videos), _PAGE):
        keys = tuple(VIDEO_PREFIX + video for video in videos[page : page + _PAGE])
        for task in await records.tasks(Selection(kinds=("item", "video"), keys=keys)):
            tasks[task.key.removeprefix(VIDEO_PREFIX)].append(task)
    disposals = {video: decide_disposal(found) for video, found in tasks.items()}
    spare = settings.fetch.max_bytes / 10 or math.inf
    return DownloadCleanup(folder, clock.now(), settings.fetch.keep, spare), disposals


def file_releaser(*, keep: bool) -> Release:
    """Return what happens to a fetched file once its upload is proved."""

    async def release(path: Path) -> None:
        await anyio.to_thread.run_sync(partial(release_download, path, keep=keep))

    return release
