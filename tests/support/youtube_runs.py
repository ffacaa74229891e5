"""YouTube as a source, put together as a run does it, over the site on loopback: what the tests of downloads drive."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from pipeline.config.youtube import YouTubeSection
from pipeline.core.clock import SystemClock
from pipeline.ports.source import Item, ManifestLine, MediaFacts
from pipeline.ports.video_api import Ceilings
from pipeline.source.youtube.client import YouTubeClient
from pipeline.source.youtube.source import YouTubeSource
from pipeline.source.youtube.storage.folder import DownloadFolder
from pipeline.source.youtube.storage.quota import DiskQuota
from pipeline.source.youtube.throttle.breaker import ThrottleRules
from pipeline.source.youtube.throttle.gate import SiteThrottle
from pipeline.source.youtube.throttle.state import JournalState
from pipeline.source.youtube.worker.pool import WorkerCommand, WorkerPool
from tests.support.memory_database import MemoryDatabase
from tests.support.site import MediaServer, interpreter

V = "dQw4w9WgXcQ"


@dataclass
class Fetching:
    """A source with its workers."""

    source: YouTubeSource
    workers: WorkerPool
    work: Path

    async def get(self, video: str = V) -> MediaFacts:
        """Fetch a video by its id."""
        item = Item(
            f"youtube:video:{video}", "youtube", f"https://www.youtube.com/watch?v={video}", ManifestLine(video)
        )
        return await self.source.fetch(item, self.work)

    def folder(self, video: str = V) -> Path:
        """Return a video's folder."""
        return DownloadFolder(self.work / "youtube", video).path

    def left(self, video: str = V) -> list[str]:
        """Return what lies in a video's folder."""
        return sorted(os.listdir(self.folder(video)))


def build(site: MediaServer, folder: Path, *, more: str = "", most: int = 0, **rules: Any) -> Fetching:
    """Put a source together as a run does, with a Python that takes YouTube's answers from the site."""
    clock, words = SystemClock(), YouTubeSection(min_gap=0, max_gap=0, **rules)
    workers = WorkerPool(WorkerCommand(str(interpreter(folder, site, more))), 2)
    journal = MemoryDatabase()
    throttle = SiteThrottle(
        JournalState(journal, "a"), JournalState(journal, "b"), clock, Random(1), ThrottleRules(0, 0, 2000)
    )
    room = DiskQuota(folder / "work" / "youtube", most, clock, 600.0)
    return Fetching(
        YouTubeSource(YouTubeClient(words, workers, throttle), room, Ceilings(), clock), workers, folder / "work"
    )
