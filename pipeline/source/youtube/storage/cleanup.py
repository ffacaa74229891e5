"""Cleanup of downloads that no task waits for, when a run begins. Blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pipeline.core import log
from pipeline.core.errors import ReelmillError
from pipeline.core.model import State, Task
from pipeline.source.youtube.storage.folder import DownloadFolder, measure_folder, parse_video_id, release_download

_log = log.get("youtube")
_OPEN = frozenset({State.PENDING, State.RUNNING, State.HELD})
_WEEK = 7 * 86_400.0


class Disposal(Enum):
    """What becomes of a video's folder."""

    KEEP = "keep"  #: a task will come back for it
    KEEP_FOR_RETRY = "keep_for_retry"  #: an operator may come back for it: what can be resumed stays, for a week
    REMOVE = "remove"


def decide_disposal(tasks: Sequence[Task]) -> Disposal:
    """Decide by a video's tasks, ``item`` and ``video``. Pure."""
    item, video = (next((task.state for task in tasks if task.kind == kind), None) for kind in ("item", "video"))
    if item in _OPEN or video in _OPEN or video is State.FAILED:  # nobody has proved that upload, and it can be retried
        return Disposal.KEEP
    if video is not None or item in (State.CANCELLED, State.DONE):
        return Disposal.REMOVE
    return Disposal.KEEP_FOR_RETRY


def list_videos(base: Path) -> list[str]:
    """Return the videos that have a folder."""
    return sorted(filter(None, map(parse_video_id, base.glob("yt_*"))))


@dataclass(slots=True)
class DownloadCleanup:
    """One pass over all folders.

    ``keep``: whole files stay for good, and do not count against the disk. ``spare``: how many bytes may stay for what only
    an operator could come back for; without a bound, a few failures would take the disk from everybody else.
    """

    base: Path
    now: float
    keep: bool
    spare: float
    removed: int = 0

    def run(self, disposals: Mapping[str, Disposal]) -> int:
        """Dispose of folders that nobody works on; return how many went."""
        for video in list_videos(self.base):
            disposal = disposals.get(video, Disposal.KEEP_FOR_RETRY)
            if disposal is Disposal.KEEP:
                continue
            try:
                with DownloadFolder(self.base, video) as folder:
                    if not folder.kept and not self._stays(folder, disposal):
                        folder.remove()
                        self.removed += 1
            except (OSError, ReelmillError) as error:
                _log.debug("youtube.not_swept", video=video, why=str(error))
        return self.removed

    def measure(self, disposals: Mapping[str, Disposal]) -> tuple[int, int]:
        """Return (folders, bytes) that are certain to go; what only might is left out."""
        number = size = 0
        for video in list_videos(self.base):
            disposal = disposals.get(video, Disposal.KEEP_FOR_RETRY)
            with suppress(OSError, ReelmillError):
                if disposal is not Disposal.KEEP and self._goes(DownloadFolder(self.base, video), disposal):
                    number, size = number + 1, size + measure_folder(DownloadFolder(self.base, video).path)
        return number, size

    def _goes(self, folder: DownloadFolder, disposal: Disposal) -> bool:
        if folder.kept:
            return False
        if disposal is Disposal.REMOVE:
            return not (self.keep and folder.finished() is not None)
        return self.now - folder.touched > _WEEK

    def _stays(self, folder: DownloadFolder, disposal: Disposal) -> bool:
        done = folder.finished()
        if disposal is Disposal.REMOVE:
            if done is not None and self.keep:
                release_download(done.path, keep=True)
            return done is not None and self.keep
        if self.now - folder.touched > _WEEK:
            return False
        size = done.size if done is not None else folder.trim()
        if not size or size > self.spare:
            return False
        self.spare -= size
        return True
