"""The one safe way to open a foreign media file.

Formats and protocols are whitelisted, pictures bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from pipeline.media.limits import MAX_PIXELS
from pipeline.media.titles import is_title

#: Only containers that hold their media themselves: a playlist (HLS, DASH, concat) could read other files or the network.
_OPTIONS = {
    "max_pixels": str(MAX_PIXELS),  # for the look at the streams while opening, too
    "protocol_whitelist": "file",
    "format_whitelist": ",".join([
        "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpeg", "mpegts", "mpegvideo", "asf", "flv",
        "live_flv", "ogg", "mxf", "gxf", "nut", "rm", "dv", "h264", "hevc", "m4v", "ivf", "wtv", "swf", "vc1", "av1", "obu",
    ]),
}  # fmt: skip
_BARE = frozenset({"h264", "hevc", "m4v", "mpegvideo", "vc1", "av1", "obu"})
_WITHOUT_INDEX = frozenset({"mpegts", "mpeg"})
_LATE = 1.0  # seconds from which on a clock has not started at zero
_JUMP = 30.0  # seconds between two packets that are no pause but another recording
_BACK = 5.0  # seconds that packets may be out of order
#: What PyAV raises over bytes that are no sound media file.
MEDIA_ERRORS = (av.FFmpegError, OSError, ValueError, OverflowError, LookupError, MemoryError)


class UnreadableMedia(Exception):
    """A file that cannot be read as media; the cause is kept.

    ``message`` is one plain sentence without the path.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NoVideoStream(UnreadableMedia):
    """A readable file that shows no moving pictures."""


def open_media(path: Path) -> InputContainer:
    """Open a container for reading.

    Raises:
        UnreadableMedia: no file, empty, or none of the formats on the list; what FFmpeg or the disk said is its cause.
    """
    try:
        if path.stat().st_size == 0:
            raise UnreadableMedia("the file is empty")
        container = av.open(str(path), "r", options=dict(_OPTIONS), metadata_errors="replace")
    except MEDIA_ERRORS as error:
        raise UnreadableMedia(f"it cannot be opened as a video: {_reason(error)}") from error
    for stream in container.streams.video:
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # a picture may be larger than the header says
    return container


def video_stream(container: InputContainer) -> VideoStream:
    """Return the first stream of moving pictures; cover pictures do not count.

    Raises:
        NoVideoStream: there is none.
    """
    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not moving:
        raise NoVideoStream("it has no video stream")
    # As players choose: what is marked as default, and of those the largest. A preview may come first in a file.
    return max(moving, key=lambda stream: (bool(stream.disposition & Disposition.default), _pixels(stream)))


def _pixels(stream: VideoStream) -> int:
    return stream.codec_context.width * stream.codec_context.height


def container_title(container: InputContainer) -> str:
    """Return the title in the file; empty without, or for a placeholder."""
    title = " ".join(str(container.metadata.get("title", "")).split())[:500]
    return title if is_title(title) else ""


def clock_start(container: InputContainer, stream: VideoStream) -> float:
    """Return when the container's clock starts, seconds: 0:00 for a player."""
    if container.start_time is not None:
        return container.start_time / av.time_base
    return float((stream.start_time or 0) * (stream.time_base or 0))


def is_bare_stream(container: InputContainer) -> bool:
    """True for pictures without a container: they have no times."""
    return container.format.name in _BARE


def header_seconds(container: InputContainer, stream: VideoStream) -> float:
    """Return the length that a container's header tells, seconds.

    It counts from where the clock starts; 0.0 where it cannot be relied on.
    Matroska's length of a cut recording may count from a zero that is not in the file, and transport streams have no
    header: theirs is a guess from the first and the last clock, which joined recordings begin again.
    """
    name = container.format.name
    if name in _WITHOUT_INDEX or container.duration is None or container.duration <= 0:
        return 0.0
    seconds = container.duration / av.time_base
    start = clock_start(container, stream)
    return 0.0 if name.startswith("matroska") and start > _LATE else seconds


def measure_packets(
    container: InputContainer, stream: VideoStream, checkpoint: Callable[[], None], *, strict: bool
) -> float:
    """Return the seconds that a stream's packets span.

    It is the length where no header tells it.
    Where the clock begins again or jumps, as in joined recordings, only what is played counts. ``checkpoint`` is called now
    and then and may raise to stop it. Unless ``strict``, what was read before a broken packet counts.

    Raises:
        av.FFmpegError: a packet is broken, and ``strict``.
    """
    joins = container.format.name in _WITHOUT_INDEX
    first: float | None = None
    last = played = 0.0
    try:
        for number, packet in enumerate(container.demux(stream)):
            if number % 256 == 0:
                checkpoint()
            if packet.pts is None or packet.time_base is None:
                continue
            start = float(packet.pts * packet.time_base)
            if first is not None and joins and not -_BACK < start - last < _JUMP:
                played, first = played + last - first, None
                last = start
            first = start if first is None else min(first, start)
            last = max(last, start + float((packet.duration or 0) * packet.time_base))
    except av.FFmpegError:
        if strict:
            raise
    return played + last - (first or 0.0)


def _reason(error: Exception) -> str:
    """Return the error's own words without path and number."""
    return str(getattr(error, "strerror", "") or error.__class__.__name__).lower()
