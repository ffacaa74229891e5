"""The one safe way to open a foreign media file: whitelisted formats and protocols, bounded pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

MAX_PIXELS = 100_000_000  #: of a picture that is decoded: no platform takes a larger one, and it may be a trap
#: Only containers that hold their media themselves: a playlist (HLS, DASH, concat) could read other files or the network.
_OPTIONS = {
    "max_pixels": str(MAX_PIXELS),  # for the look at the streams while opening, too
    "protocol_whitelist": "file",
    "format_whitelist": ",".join([
        "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpeg", "mpegts", "mpegvideo", "asf", "flv",
        "live_flv", "ogg", "mxf", "gxf", "nut", "rm", "dv", "h264", "hevc", "m4v", "ivf", "wtv", "swf", "vc1", "av1", "obu",
    ]),
}  # fmt: skip
#: What PyAV raises over bytes that are no sound media file.
MEDIA_ERRORS = (av.FFmpegError, OSError, ValueError, OverflowError, LookupError, MemoryError)


class UnreadableMedia(Exception):
    """A file that cannot be read as media. ``message`` is one plain sentence without the path; the cause is kept."""

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
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise NoVideoStream("it has no video stream")


def measure_packets(
    container: InputContainer, stream: VideoStream, checkpoint: Callable[[], None], *, strict: bool
) -> float:
    """Return the seconds that a stream's packets span: the length where no header tells it.

    ``checkpoint`` is called now and then and may raise to stop it. Unless ``strict``, what was read before a broken packet
    counts.

    Raises:
        av.FFmpegError: a packet is broken, and ``strict``.
    """
    first, last = None, 0.0
    try:
        for number, packet in enumerate(container.demux(stream)):
            if number % 256 == 0:
                checkpoint()
            if packet.pts is None or packet.time_base is None:
                continue
            start = float(packet.pts * packet.time_base)
            first = start if first is None else min(first, start)
            last = max(last, start + float((packet.duration or 0) * packet.time_base))
    except av.FFmpegError:
        if strict:
            raise
    return last - (first or 0.0)


def _reason(error: Exception) -> str:
    """Return the error's own words without path and number."""
    return str(getattr(error, "strerror", "") or error.__class__.__name__).lower()
