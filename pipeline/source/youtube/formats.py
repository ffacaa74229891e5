"""Which formats of a video to take, as yt-dlp's format expressions. Pure.

Never filter on height: the smaller side counts, or a Short at 1080x1920 would be taken at 360x640. Sort instead, and check
the choice by the platform's limits. Plain http(s) goes before HLS and DASH: only a single file is resumed safely after a kill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.core.model import Json

PlanName = Literal["merge", "split", "single", "pieces"]
_FILE = "[protocol~='^https?$']"
#: ffmpeg merges picture and sound into one file.
MERGE = f"bv*{_FILE}+ba{_FILE}/b{_FILE}/bv*+ba/b"
#: Two files, which we merge ourselves, stream by stream.
SPLIT = f"bv{_FILE},ba{_FILE}"
#: What comes as one file: no more than 360 lines on most videos.
SINGLE = f"b[ext=mp4]{_FILE}/b{_FILE}/b"
#: The last resort: picture and sound that come in pieces (HLS, DASH), apart from each other.
PIECES = "bv,ba"
#: In the order in which they are tried. Nothing but ffmpeg carries out the first; the worker knows whether it is there.
PLANS: tuple[tuple[PlanName, str], ...] = (("merge", MERGE), ("split", SPLIT), ("single", SINGLE), ("pieces", PIECES))


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """One stream to be fetched; ``size`` in bytes, exact or None.

    ``about`` is an estimate.
    """

    id: str
    protocol: str
    ext: str
    size: int | None
    about: int | None
    width: int | None
    height: int | None
    video: bool
    audio: bool
    available_at: float  #: epoch seconds before which the site does not give it out

    @property
    def whole(self) -> bool:
        """True for one file over plain http(s), the only kind that may be resumed."""
        return self.protocol in ("http", "https")


def sort_order(lines: int) -> list[str]:
    """Return the preferences, best first: original language, ``lines`` on the smaller side, SDR, H.264."""
    return ["lang", f"res:{lines}", "+hdr", "vcodec:h264", "acodec:aac", "proto:https"]


def parse_format(data: Mapping[str, Any]) -> StreamFormat:
    """Parse one format of the worker's."""
    return StreamFormat(
        id=str(data.get("format_id") or ""),
        protocol=str(data.get("protocol") or ""),
        ext=str(data.get("ext") or ""),
        size=_whole(data.get("filesize")),
        about=_whole(data.get("filesize_approx")),
        width=_whole(data.get("width")),
        height=_whole(data.get("height")),
        video=data.get("vcodec") not in (None, "none"),
        audio=data.get("acodec") not in (None, "none"),
        available_at=float(data.get("available_at") or 0.0),
    )


def expected_bytes(formats: Sequence[StreamFormat]) -> int:
    """Return the expected bytes of a download; 0 if nothing is known."""
    return sum(each.size or each.about or 0 for each in formats)


def to_record(formats: Sequence[StreamFormat]) -> list[Json]:
    """Return what must stay equal for a later attempt to resume."""
    return [[each.id, each.protocol, each.size, each.ext] for each in formats]


def parse_record(record: Any) -> list[StreamFormat]:
    """Parse a record; anything odd in it names no formats."""
    rows = record if isinstance(record, list) else []
    if not all(isinstance(row, list) and len(row) == 4 for row in rows):
        return []
    return [parse_format(dict(zip(("format_id", "protocol", "filesize", "ext"), row, strict=True))) for row in rows]


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value > 0 else None
