"""Probing a media file before a byte moves: length, sides as seen, codecs, type."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.core.errors import InputError
from pipeline.media.container import (
    MEDIA_ERRORS,
    NoVideoStream,
    UnreadableMedia,
    clock_start,
    container_title,
    header_seconds,
    is_bare_stream,
    measure_packets,
    open_media,
    video_stream,
)
from pipeline.media.limits import MAX_PIXELS
from pipeline.source.read_errors import to_read_error, unreadable_video

_MIMES = {
    "webm": "video/webm", "mkv": "video/x-matroska", "mov": "video/quicktime", "3gp": "video/3gpp", "m4v": "video/x-m4v",
}  # fmt: skip

_FORMAT_MIMES = {
    "mov": "video/mp4", "matroska": "video/x-matroska", "avi": "video/x-msvideo", "mpegts": "video/mp2t", "ogg": "video/ogg",
    "mpeg": "video/mpeg", "mpegvideo": "video/mpeg", "flv": "video/x-flv", "asf": "video/x-ms-wmv",
}  # fmt: skip
#: The first picture must come within this many packets.
_MAX_PACKETS = 600


@dataclass(frozen=True, slots=True)
class MediaLook:
    """What a probe found, sides after rotation; ``audio_codec`` empty when silent."""

    seconds: float
    width: int
    height: int
    container: str
    video_codec: str
    audio_codec: str
    mime: str
    language: str = ""  #: of the sound, as the container names it; empty where it does not
    title: str = ""  #: that the container tells; empty without
    clock_start: float = 0.0  #: seconds at which its clock starts; a player calls that 0:00


def probe_media(path: Path, checkpoint: Callable[[], None]) -> MediaLook:
    """Open a file and decode its first picture. Blocks.

    ``checkpoint`` may raise to stop it.

    Raises:
        InputError: ``unreadable_video`` or ``no_video_stream``.
        Transient: the disk or this process is at fault.
    """
    try:
        with open_media(path) as container:
            return _probe_container(container, path, checkpoint)
    except UnreadableMedia as unreadable:
        error = unreadable.__cause__ or unreadable
    except MEDIA_ERRORS as broken:
        error = broken
    # FFmpeg's own numbers too: PyAV derives what has an errno from OSError. The file could be opened, so what is "not
    # permitted" is something else, such as to seek in it.
    if isinstance(error, OSError) and not (isinstance(error, PermissionError) and os.access(path, os.R_OK)):
        raise to_read_error(error, path)
    raise unreadable_video(path, str(error))


def _probe_container(container: InputContainer, path: Path, checkpoint: Callable[[], None]) -> MediaLook:
    try:
        stream = video_stream(container)
    except NoVideoStream:
        cover = " and a cover picture" if container.streams.video else ""
        has = f"only sound{cover}" if container.streams.audio else "no video stream"
        message = f"{path.name}: the file has {has}."
        raise InputError(message, code="no_video_stream", remedy="leave it out; only videos are taken") from None
    if is_bare_stream(container):
        raise InputError(
            f"{path.name}: these are pictures without a container, so they have no times.",
            code="bare_stream",
            remedy=f"put them into one: ffmpeg -i '{path.name}' -c copy '{path.stem}.mp4'",
        )
    stream.codec_context.thread_count = 1  # one picture: threads would only cost memory
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
        language=next((each.language for each in audio if each.language and each.language != "und"), ""),
        title=container_title(container),
        clock_start=round(clock_start(container, stream), 3),
    )


def _first_picture(
    container: InputContainer, stream: VideoStream, path: Path, checkpoint: Callable[[], None]
) -> tuple[int, int]:
    if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:  # reported, not decoded
        return stream.codec_context.width, stream.codec_context.height
    for number, packet in enumerate(container.demux(stream)):
        checkpoint()
        for frame in packet.decode():
            turned = frame.rotation % 180 != 0
            return (frame.height, frame.width) if turned else (frame.width, frame.height)
        if number >= _MAX_PACKETS:
            break
    raise unreadable_video(path, "no picture could be decoded")


def _seconds(container: InputContainer, stream: VideoStream, checkpoint: Callable[[], None]) -> float:
    """Return the length by the container, the stream, or the packets."""
    if seconds := header_seconds(container, stream):
        return seconds
    if stream.duration and stream.time_base and container.format.name != "mpegts":
        return float(stream.duration * stream.time_base)
    container.seek(container.start_time or 0)
    return measure_packets(container, stream, checkpoint, strict=True)


def _mime(form: str, path: Path) -> str:
    ending = path.suffix.lower().removeprefix(".")
    family = form.partition(",")[0]
    if family in ("mov", "matroska") and ending in _MIMES and (family == "mov") == (ending not in ("webm", "mkv")):
        return _MIMES[ending]
    return _FORMAT_MIMES.get(family, "application/octet-stream")
