"""What a platform takes: the vendor's limits where known, and our own."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

_ANY_BYTES = 10**15  #: more than a disk holds


@dataclass(frozen=True, slots=True)
class PlatformLimits:
    """Bytes, seconds, pixels, pieces; by default the vendor's."""

    direct_bytes: int = 200 * 1000 * 1000
    multipart_bytes: int = 10 * 1000**3
    url_bytes: int = 4 * 1000**3
    task_bytes: int = 2 * 1000**3  #: of a v1.2 upload

    chunk_size: int = 8 * 1024 * 1024
    first_urls: int = 50  #: presigned addresses handed out with a new session
    session_seconds: float = 24 * 3600.0
    url_seconds: float = 3600.0

    min_seconds: float = 1.0  #: of a video that is analysed
    indexed_min_seconds: float = 4.0  #: of a video that is indexed, and of every one on v1.2
    sync_seconds: float = 3600.0
    async_seconds: float = 7200.0
    windowed_seconds: float = 14_400.0  #: longest video of which a window of ``async_seconds`` may be analysed
    indexed_seconds: float = 14_400.0  #: longest video that is indexed; on v1.2 it is ``async_seconds``
    min_side: int = 360
    max_width: float = 5184  #: of the long side
    max_height: float = 2160  #: of the short side
    max_aspect: float = 2.4
    #: Where a bad picture size is found out: when the asset is processed, or by the analysis.
    pictures_checked_at: Literal["asset", "analysis"] = "asset"

    batch_items: int = 1000
    active_batches: int = 5
    batch_hours: float = 2000.0
    batch_seconds: float = 24 * 3600.0
    key_conflict_status: int = 409  #: an Idempotency-Key again with another body

    settle_seconds: float = 0.0  #: least time an asset stays in processing, by the platform's clock
    think_seconds: float = 0.0  #: least time a job stays queued
    index_seconds: float = 0.0  #: least time a video takes from arrived to indexed, in equal steps
    page_seconds: float = 900.0  #: how long the pages of a search or classification can be turned
    most_hits: int = 10_000  #: of one search
    prompt_characters: int = 1500  #: of a v1.2 prompt
    class_prompts: int = 100  #: of one classification
    classify_seconds: float = 36_000.0  #: all videos of one ``/classify`` together

    def picture_fault(self, width: int, height: int) -> tuple[str, str] | None:
        """Return (code, message) where a picture size is not taken, else None."""
        short, long = sorted((width, height))
        if short < self.min_side:
            return "video_resolution_too_low", f"{width}x{height} is below {self.min_side}x{self.min_side}."
        if long > self.max_width or short > self.max_height:
            return "video_resolution_too_high", f"{width}x{height} is above {self.max_width}x{self.max_height}."
        if long / short > self.max_aspect:
            return "video_resolution_invalid_aspect_ratio", f"{width}x{height} is longer than {self.max_aspect}:1."
        return None

    def length_fault(self, seconds: float, window: float | None, *, sync: bool) -> tuple[str, str] | None:
        """Return (code, message) where a video, or its window, cannot be analysed."""
        if sync:
            most = self.sync_seconds
        else:
            windowed = window is not None and window <= self.async_seconds
            most = self.windowed_seconds if windowed else self.async_seconds
        return self._span_fault(seconds, self.min_seconds, most)

    def indexing_fault(self, seconds: float, most: float) -> tuple[str, str] | None:
        """Return (code, message) where a video's length fits no index, else None."""
        return self._span_fault(seconds, self.indexed_min_seconds, most)

    def _span_fault(self, seconds: float, least: float, most: float) -> tuple[str, str] | None:
        if seconds < least:
            return "video_duration_too_short", f"{seconds:.1f} s is shorter than {least:g} s."
        if seconds > most:
            return "video_duration_too_long", f"{seconds:.1f} s is longer than {most:g} s."
        return None


#: What the local platform takes of its own: every length and picture that can be decoded, and files as large as the disk.
#: What comes from an address is bounded as the vendor's, as its sender is a stranger.
OWN_LIMITS = PlatformLimits(
    multipart_bytes=_ANY_BYTES,
    task_bytes=_ANY_BYTES,
    min_seconds=0.0,
    indexed_min_seconds=0.0,
    sync_seconds=inf,
    async_seconds=inf,
    windowed_seconds=inf,
    indexed_seconds=inf,
    min_side=1,
    max_width=inf,
    max_height=inf,
    max_aspect=inf,
    classify_seconds=inf,
)
