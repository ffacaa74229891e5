"""What fetches videos from sites, put together from the settings."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from random import Random

import anyio.to_thread

from pipeline.config import Settings
from pipeline.ingest.item import Release
from pipeline.ports import Ceilings, Clock, Journal
from pipeline.source.pace import Pace, PaceRules
from pipeline.source.room import Room
from pipeline.source.youtube import Asker, YouTubeSource
from pipeline.source.youtube_folder import released
from pipeline.source.youtube_process import Crew, Launch


def crew_of(settings: Settings) -> Crew:
    """Return the workers, none of them started."""
    rules = settings.youtube
    launch = Launch(str(rules.python or sys.executable), plugins=rules.plugins)
    return Crew(launch, settings.lanes.download)


def asker_of(settings: Settings, crew: Crew, journal: Journal, clock: Clock, rng: Random) -> Asker:
    """Return the one who asks YouTube: one pace for all who do.

    Raises:
        ConfigError: an option for yt-dlp is not allowed.
    """
    rules = settings.youtube
    pace = Pace(journal, clock, rng, PaceRules(rules.min_gap, max(rules.min_gap, rules.max_gap), rules.per_hour))
    return Asker(rules, crew, pace)


def youtube_of(settings: Settings, asker: Asker, clock: Clock, ceilings: Ceilings) -> YouTubeSource:
    """Return YouTube as a source of files."""
    room = Room(download_folder(settings), settings.fetch.max_bytes, clock, settings.limits.patience)
    return YouTubeSource(asker, room, ceilings, clock)


def download_folder(settings: Settings) -> Path:
    """Return where fetched videos lie until they are uploaded."""
    return settings.run.state / "work" / "youtube"


def release_of(settings: Settings) -> Release:
    """Return what happens to a fetched file once its upload is proved."""

    async def release(path: Path) -> None:
        await anyio.to_thread.run_sync(partial(released, path, keep=settings.fetch.keep))

    return release
