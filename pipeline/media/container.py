"""The one safe way to open a foreign media file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from pipeline.core.errors import InputError, Transient

MAX_PIXELS = 100_000_000  #: of a picture that is decoded: no platform takes a larger one, and it may be a trap
#: Only files that hold their media themselves: a playlist (HLS, DASH, concat) could make the platform read other files.
_ONLY = {
    "max_pixels": str(MAX_PIXELS),  # for the look at the streams while opening, too
    "protocol_whitelist": "file",
    "format_whitelist": ",".join([
        "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpeg", "mpegts", "mpegvideo", "asf", "flv",
        "live_flv", "ogg", "mxf", "gxf", "nut", "rm", "dv", "h264", "hevc", "m4v", "ivf", "wtv", "swf", "vc1", "av1", "obu",
    ]),
}  # fmt: skip


class UnreadableMedia(Exception):
    """This file cannot be read as a video. ``message`` is one plain sentence without the path."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def open_video(path: Path) -> InputContainer:
    """Open a container for reading.

    Raises:
        Unreadable: no file, empty, or no format that FFmpeg knows.
    """
    try:
        if path.stat().st_size == 0:
            raise UnreadableMedia("the file is empty")
        container = av.open(str(path), "r", options=dict(_ONLY), metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise UnreadableMedia(f"it cannot be opened as a video: {_words(error)}") from error
    for stream in container.streams.video:
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # the header need not say how large they are
    return container


def video_stream(container: InputContainer) -> VideoStream:
    """Return the first moving-picture stream (cover pictures do not count).

    Raises:
        Unreadable: there is none.
    """
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    raise UnreadableMedia("it has no video stream")


def _header_seconds(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else 0.0


def _last_packet(path: Path) -> float:
    """Return the end of the last video packet: for recordings whose header was never finished."""
    first, last = None, 0.0
    with open_video(path) as container:
        try:
            for packet in container.demux(video_stream(container)):
                if packet.pts is not None:
                    at = float(packet.pts * packet.time_base)
                    first = at if first is None else min(first, at)
                    last = max(last, at + float((packet.duration or 0) * packet.time_base))
        except av.FFmpegError:
            pass  # the rest is broken; what was seen counts
    return last - (first or 0.0)


def _words(error: Exception) -> str:
    """Return the error's own words without path and number."""
    return str(getattr(error, "strerror", "") or error.__class__.__name__).lower()


#: Only real media containers. Playlists (HLS, DASH, concat) could make a "video" read other files or the network.
_FORMATS = ",".join([
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpeg", "mpegts", "mpegvideo", "asf", "flv",
    "live_flv", "ogg", "mxf", "gxf", "nut", "rm", "dv", "h264", "hevc", "m4v", "ivf", "wtv", "swf", "vc1", "av1", "obu",
])  # fmt: skip

_MIMES = {
    "webm": "video/webm", "mkv": "video/x-matroska", "mov": "video/quicktime", "3gp": "video/3gpp", "m4v": "video/x-m4v",
}  # fmt: skip

_FORMAT_MIMES = {
    "mov": "video/mp4", "matroska": "video/x-matroska", "avi": "video/x-msvideo", "mpegts": "video/mp2t", "ogg": "video/ogg",
    "mpeg": "video/mpeg", "mpegvideo": "video/mpeg", "flv": "video/x-flv", "asf": "video/x-ms-wmv",
}  # fmt: skip
#: A picture larger than this many pixels is not decoded, only reported: no platform takes it, and it may be a trap.
_LARGEST = 100_000_000
#: The first picture must come within this many packets.
_PATIENCE = 600
#: Not the file's fault, or not for good: the disk, the network below it, or this process's limits.
_PASSING = frozenset({
    errno.EIO, errno.ENOSPC, errno.ESTALE, errno.EAGAIN, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
    errno.ETIMEDOUT, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EREMOTEIO,
    errno.EBUSY, errno.ENXIO, errno.ENODEV, errno.ENOTCONN, errno.ECONNRESET,
}) if os.name == "posix" and hasattr(errno, "EREMOTEIO") else frozenset({errno.EIO, errno.ENOSPC, errno.EAGAIN})  # fmt: skip


@dataclass(frozen=True, slots=True)
class MediaLook:
    """What was found. Sides are as seen, after rotation; ``audio_codec`` is empty for silent files."""

    seconds: float
    width: int
    height: int
    container: str
    video_codec: str
    audio_codec: str
    mime: str


def probe_media(path: Path, checkpoint: Callable[[], None]) -> MediaLook:
    """Open a file and decode its first picture. Blocks; calls ``checkpoint`` now and then, which may raise to stop it.

    Raises:
        InputError: ``unreadable_video`` or ``no_video_stream``.
        Transient: the disk or this process is at fault.
    """
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS, "max_pixels": str(_LARGEST)}
    try:
        with av.open(str(path), options=options, metadata_errors="replace") as container:
            return _probe_container(container, path, checkpoint)
    except OSError as error:  # FFmpeg's own numbers too: PyAV derives what has an errno from OSError
        raise to_read_error(error, path) from None
    except (av.error.FFmpegError, ValueError, OverflowError, LookupError, MemoryError) as error:
        raise _unreadable(path, str(error)) from None


def _probe_container(container: InputContainer, path: Path, checkpoint: Callable[[], None]) -> MediaLook:
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        has = "only sound" if container.streams.audio else "no video stream"
        raise InputError(
            f"{path.name}: the file has {has}.", code="no_video_stream", remedy="leave it out of the manifest"
        )
    stream = streams[0]
    stream.codec_context.thread_count = 1  # one picture: threads would only cost memory
    stream.codec_context.options = {"max_pixels": str(_LARGEST)}  # a picture may be larger than the header says
    codec = stream.codec_context.name
    width, height = _first_picture(container, stream, path, checkpoint)
    audio = container.streams.audio
    return MediaLook(
        seconds=_seconds(container, stream, checkpoint),
        width=width,
        height=height,
        container=container.format.name,
        video_codec=codec,
        audio_codec=audio[0].codec_context.name if audio and audio[0].codec_context is not None else "",
        mime=_mime(container.format.name, path),
    )


def _first_picture(
    container: InputContainer, stream: VideoStream, path: Path, checkpoint: Callable[[], None]
) -> tuple[int, int]:
    if stream.codec_context.width * stream.codec_context.height > _LARGEST:
        return stream.codec_context.width, stream.codec_context.height
    for number, packet in enumerate(container.demux(stream)):
        checkpoint()
        for frame in packet.decode():
            turned = frame.rotation % 180 != 0
            return (frame.height, frame.width) if turned else (frame.width, frame.height)
        if number >= _PATIENCE:
            break
    raise _unreadable(path, "no picture could be decoded")


def _seconds(container: InputContainer, stream: VideoStream, checkpoint: Callable[[], None]) -> float:
    """Return the length: the container's word, the stream's, or what the packets say when neither knows (live WebM)."""
    if container.duration is not None and container.duration > 0:
        return container.duration / av.time_base
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    first, last = None, 0.0
    container.seek(0)
    for number, packet in enumerate(container.demux(stream)):
        if number % 256 == 0:
            checkpoint()
        if packet.pts is None or packet.time_base is None:
            continue
        start = float(packet.pts * packet.time_base)
        first = start if first is None else min(first, start)
        last = max(last, start + float((packet.duration or 0) * packet.time_base))
    return last - (first or 0.0)


def _mime(form: str, path: Path) -> str:
    ending = path.suffix.lower().removeprefix(".")
    family = form.partition(",")[0]
    if family in ("mov", "matroska") and ending in _MIMES and (family == "mov") == (ending not in ("webm", "mkv")):
        return _MIMES[ending]
    return _FORMAT_MIMES.get(family, "application/octet-stream")


def to_read_error(error: OSError, path: Path) -> InputError | Transient:
    """Return our error for an operating system's: what may pass by itself is Transient, the rest blames the file."""
    reason = error.strerror or type(error).__name__
    if isinstance(error, FileNotFoundError | NotADirectoryError) or error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        message = f"{path}: there is no such file."
        return InputError(message, code="file_missing", remedy="put it back, or correct the manifest")
    if isinstance(error, PermissionError):
        return InputError(f"{path}: reading is not permitted.", code="permission_denied", remedy=f"chmod +r '{path}'")
    if isinstance(error, IsADirectoryError):
        return InputError(f"{path}: this is a folder.", code="not_a_file", remedy="name it as a folder in the manifest")
    if error.errno in _PASSING:
        return Transient(
            f"{path}: cannot be read now: {reason}.",
            code="disk_trouble",
            untouched=True,
            remedy="check the disk or network share it is on",
            detail=str(error),
        )
    return _unreadable(path, str(error))


def _unreadable(path: Path, detail: str) -> InputError:
    return InputError(
        f"{path.name}: this is not a video that can be read.",
        code="unreadable_video",
        remedy="play it; if it plays, convert it to MP4 (H.264)",
        detail=detail,
    )
