"""FFmpeg's libraries: container facts, a stream of small pictures, caption packets, large frames.

Everything is streamed: memory does not grow with the length of a video.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.subtitle import AssSubtitle
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from pipeline.local.analysis.evidence import Facts, Picture
from pipeline.local.analysis.extract.origin import camera, filmed
from pipeline.local.analysis.extract.sound import power
from pipeline.media.captions import Cue, strip_ass, strip_markup
from pipeline.media.container import (
    UnreadableMedia,
    clock_start,
    container_title,
    header_seconds,
    is_bare_stream,
    measure_packets,
    open_media,
    video_stream,
)
from pipeline.media.display import shown_size, turn_of, upright

SAMPLES_PER_SECOND = 5
SMALL_WIDTH = 160  #: pixels of the small pictures
MAX_BAD_PACKETS = 500  #: more broken packets than this and the rest of a file is given up
_STEP = 1 / SAMPLES_PER_SECOND
_MOST_REPEATS = 15  # of a picture that stands: enough to see that it does
_FAR_BACK = 30.0  # seconds between two key frames from which on decoding all is cheaper than going back to one
_SMALL = 1280 * 720  # pixels up to which handing parts of a picture to threads costs more than it saves
_ROWS = 4096  # bytes of a few rows
_SAME = 0.002  # seconds by which a picture's time may be rounded up
_SPARE_FRAMES = 20  # pictures per second from which on some can be passed over
_TEXT_CODECS = frozenset({"mov_text", "subrip", "srt", "webvtt", "ass", "ssa", "text"})
_MIMES = (
    ("matroska", "video/x-matroska"), ("webm", "video/webm"), ("mp4", "video/mp4"), ("avi", "video/x-msvideo"),
    ("mpegts", "video/mp2t"), ("mpeg", "video/mpeg"), ("flv", "video/x-flv"), ("ogg", "video/ogg"), ("asf", "video/x-ms-wmv"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """A small picture and its time in seconds from the beginning."""

    at: float
    picture: Picture  #: RGB, SMALL_WIDTH wide; the same object while the picture stands
    until: float = 0.0  #: how long its frame stands; 0.0 where the container does not say


@dataclass(frozen=True, slots=True)
class Spoken:
    """A caption cue of an embedded text stream."""

    stream: int
    language: str
    cue: Cue


@dataclass(frozen=True, slots=True)
class Heard:
    """The sound of a moment: seconds, and the mean square, 1.0 for full scale."""

    at: float
    seconds: float
    power: float


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself."""

    facts: Facts
    title: str  #: empty without, or for a placeholder
    marks: tuple[Cue, ...]  #: titled chapter marks, seconds
    bitmaps: tuple[str, ...]  #: codecs of caption streams that hold pictures instead of text


def read_header(path: Path) -> Header:
    """Return what container headers and the first frame say.

    All packets are read only if no length is given.

    Raises:
        UnreadableMedia: no video, or not one frame can be decoded.
    """
    with open_media(path) as container:
        stream = video_stream(container)
        if is_bare_stream(container):
            raise UnreadableMedia("it holds pictures without a container, so they have no times")
        frame = next((found for found, _ in _frames(container, stream) if isinstance(found, VideoFrame)), None)
        if frame is None:
            raise UnreadableMedia("not one picture of it can be decoded")
        facts = _facts(path, container, stream, frame)
        codecs = tuple(s.codec_context.name for s in container.streams.subtitles)
        title, marks = container_title(container), _chapters(container)
    if facts.seconds <= 0:
        facts = replace(facts, seconds=_packet_seconds(path))
    bitrate = round(facts.size * 8 / facts.seconds) if facts.seconds else 0
    facts = replace(facts, seconds=round(facts.seconds, 3), bitrate=bitrate)
    return Header(facts, title, marks, tuple(codec for codec in codecs if codec not in _TEXT_CODECS))


def _facts(path: Path, container: InputContainer, stream: VideoStream, frame: VideoFrame) -> Facts:
    seconds = header_seconds(container, stream)
    if not seconds and stream.duration and stream.time_base and container.format.name != "mpegts":
        seconds = float(stream.duration * stream.time_base)
    audio = container.streams.audio
    width, height = shown_size(frame, stream)
    return Facts(
        seconds=seconds,
        width=width,
        height=height,
        fps=round(float(stream.average_rate or 0), 3),
        container=container.format.name,
        video_codec=stream.codec_context.name,
        audio_codec=audio[0].codec_context.name if audio else "",
        has_audio=bool(audio),
        size=path.stat().st_size,
        bitrate=0,
        mime=_mime(container.format.name, path),
        filmed=filmed(container),
        camera=camera(container),
        begins=round(clock_start(container, stream), 3),
    )


def _packet_seconds(path: Path) -> float:
    with open_media(path) as container:
        return measure_packets(container, video_stream(container), lambda: None, strict=False)


def _chapters(container: InputContainer) -> tuple[Cue, ...]:
    marks = []
    zero = _chapter_zero(container)
    for chapter in container.chapters():
        base = chapter["time_base"] or Fraction(1, 1000)
        name = " ".join(str(chapter["metadata"].get("title", "")).split())
        start, end = float(chapter["start"] * base) - zero, float(chapter["end"] * base) - zero
        if name and end > start:
            marks.append(Cue(max(0.0, start), end, name))
    return tuple(marks)


def _chapter_zero(container: InputContainer) -> float:
    """Return where chapter marks count from: mostly from the clock's start."""
    chapters = container.chapters()
    start = (container.start_time or 0) / av.time_base
    earliest = min((float(c["start"] * (c["time_base"] or Fraction(1, 1000))) for c in chapters), default=0.0)
    return start if earliest >= start - 0.5 else 0.0


def stream_through(path: Path) -> Iterator[Sample | Spoken | Heard]:
    """Decode a video once: small pictures, with cues and sound between them.

    Broken packets are skipped; after MAX_BAD_PACKETS of them the rest is given up.

    Raises:
        UnreadableMedia: the file cannot be opened or has no video stream.
    """
    with open_media(path) as container:
        video = video_stream(container)
        sound = [s for s in container.streams.audio[:1] if getattr(s, "codec_context", None) is not None]
        texts: list[Stream] = [s for s in container.streams.subtitles if s.codec_context.name in _TEXT_CODECS]
        context = video.codec_context
        if context.width * context.height <= _SMALL:
            context.thread_count = 1
        if (video.average_rate or 0) >= _SPARE_FRAMES:
            context.skip_frame = "BIDIR"  # pictures between others are not needed for five samples a second
        scaler = VideoReformatter()  # kept, as making one costs more than using it
        pixel_ratio = float(video.sample_aspect_ratio or 1) or 1.0
        origin = clock_start(container, video)
        last: Sample | None = None
        shown: VideoFrame | None = None
        rows = 0  # of all small pictures: a stream may change its shape on the way, as recordings of calls do
        due = reached = 0.0
        for found, at in _frames(container, video, [*texts, *sound]):
            if isinstance(found, Heard):
                yield replace(found, at=at - origin)
                continue
            if not isinstance(found, VideoFrame):
                cue = found.cue
                yield replace(found, cue=cue._replace(start=max(0.0, cue.start - origin), end=cue.end - origin))
                continue
            if context.skip_frame == "BIDIR" and at - origin > reached + 1.5 * _STEP:
                context.skip_frame = "NONREF"  # too few are left: pass over those only that no other depends on
            reached = at - origin
            if at - origin < due - 1e-3:
                continue
            due = max(due, at - origin - _STEP) + _STEP
            if last is not None:
                yield from _standing(last, at - origin)
            length = float((found.duration or 0) * (found.time_base or 0))
            if last is None or shown is None or not _is_same(found, shown):
                rows = rows or _small_rows(found, pixel_ratio)
                picture = _shrink(scaler, found, rows)
            last, shown = Sample(at - origin, picture, at - origin + length), found
            yield last


def _standing(last: Sample, until: float) -> Iterator[Sample]:
    """Repeat a picture that stands, as in screen recordings."""
    for count in range(1, _MOST_REPEATS + 1):
        if last.at + (count + 0.5) * _STEP > until:
            break
        yield replace(last, at=last.at + count * _STEP)


def large_frames(path: Path, times: Sequence[float], *, max_width: int = 1920) -> Iterator[tuple[float, Picture]]:
    """Yield (time, grey picture) for each of the ascending times.

    Pictures are at full size up to ``max_width`` pixels.
    A time at which nothing can be decoded is left out.
    """
    with open_media(path) as container:
        stream = video_stream(container)
        origin = clock_start(container, stream)
        walk = _FrameSeeker(container, stream)
        for at in times:
            frame = walk.to(at + origin)
            if frame is not None:
                width = min(frame.width, max_width)
                height = max(2, round(frame.height * width / frame.width))
                yield at, upright(_array(frame.reformat(width=width, height=height, format="gray")), frame)


def jpeg_at(path: Path, at: float, *, width: int = 640, half_turn: bool = False) -> bytes | None:
    """Return the picture at a time as a JPEG; None without one.

    ``half_turn``: stand it on its head, for a file whose own turn leads the wrong way round.
    """
    from PIL import Image  # only thumbnails need it

    with open_media(path) as container:
        stream = video_stream(container)
        frame = _FrameSeeker(container, stream).to(at + clock_start(container, stream))
    if frame is None:
        return None
    wide = min(frame.width, width)
    small = frame.reformat(width=wide, height=max(2, round(frame.height * wide / frame.width)), format="rgb24")
    out = BytesIO()
    shown = upright(_array(small), frame)
    Image.fromarray(np.ascontiguousarray(shown[::-1, ::-1]) if half_turn else shown).save(out, "JPEG", quality=80)
    return out.getvalue()


def _is_same(one: VideoFrame, other: VideoFrame) -> bool:
    """True where both show the same to the last bit.

    To see that takes a fifth of the time of scaling.
    """
    if (one.width, one.height, one.format.name) != (other.width, other.height, other.format.name):
        return False
    pairs = [(_bytes(a), _bytes(b)) for a, b in zip(one.planes, other.planes, strict=True)]
    # Most that differ do so in a few rows of the middle.
    alike = all(a.size == b.size and _is_equal(a, b, a.size // 2, a.size // 2 + _ROWS) for a, b in pairs)
    return alike and all(_is_equal(a, b, 0, a.size) for a, b in pairs) and one.rotation == other.rotation


def _bytes(plane: VideoPlane) -> Picture:
    return np.frombuffer(memoryview(plane), np.uint8)


def _is_equal(one: Picture, other: Picture, start: int, end: int) -> bool:
    return bool(np.array_equal(one[start:end], other[start:end]))


def _small_rows(frame: VideoFrame, pixel_ratio: float) -> int:
    """Return the height at which a frame SMALL_WIDTH wide keeps its shape, as shown."""
    shape = frame.height / (frame.width * pixel_ratio)
    return max(16, min(320, round(SMALL_WIDTH / shape if frame.rotation % 180 else SMALL_WIDTH * shape)))


def _shrink(scaler: VideoReformatter, frame: VideoFrame, rows: int) -> Picture:
    """Return a frame as a small RGB picture of so many rows, as shown."""
    width, height = (rows, SMALL_WIDTH) if frame.rotation % 180 else (SMALL_WIDTH, rows)
    small = scaler.reformat(frame, width=width, height=height, format="rgb24", interpolation="AREA", threads=1)
    return upright(_array(small), frame)


def is_turned(path: Path) -> bool:
    """Return whether a display matrix turns or mirrors the pictures of a file."""
    with open_media(path) as container:
        found = next((f for f, _ in _frames(container, video_stream(container)) if isinstance(f, VideoFrame)), None)
    return found is not None and turn_of(found) not in (None, (1, 0, 0, 1))


def _array(frame: VideoFrame) -> Picture:
    return np.asarray(frame.to_ndarray(), dtype=np.uint8)


def _frames(
    container: InputContainer, video: VideoStream, beside: Sequence[Stream] = ()
) -> Iterator[tuple[VideoFrame | Spoken | Heard, float]]:
    """Demux and decode, stepping over what is broken."""
    bad = 0
    packets = container.demux(video, *beside)
    while bad < MAX_BAD_PACKETS:
        packet: Packet[Stream] | None = None
        try:
            packet = next(packets)
            found = _decode(packet)
        except StopIteration:
            return
        except av.FFmpegError:
            bad += packet is None or not isinstance(packet.stream, AudioStream)  # broken sound costs no picture
            continue
        yield from found


def _decode(packet: Packet[Stream]) -> list[tuple[VideoFrame | Spoken | Heard, float]]:
    if isinstance(packet.stream, VideoStream):
        return [(f, f.time) for f in packet.decode() if isinstance(f, VideoFrame) and f.time is not None]
    if isinstance(packet.stream, AudioStream):
        heard = (f for f in packet.decode() if isinstance(f, AudioFrame) and f.time is not None and f.sample_rate)
        return [(Heard(f.time or 0.0, f.samples / f.sample_rate, power(f)), f.time or 0.0) for f in heard]
    if packet.pts is None or not packet.size:
        return []
    start = float(packet.pts * packet.time_base)
    end = start + float((packet.duration or 0) * packet.time_base)
    events = [s for s in packet.decode() if isinstance(s, AssSubtitle)]
    text = "\n".join(
        filter(None, (strip_ass(s.ass) or strip_markup(s.text.decode("utf-8", "replace")) for s in events))
    )
    if not text:
        return []
    language = packet.stream.language or ""
    return [(Spoken(packet.stream.index, "" if language == "und" else language, Cue(start, end, text)), start)]


class _FrameSeeker:
    """Goes to ascending times by seeking; decodes straight on after a bad seek.

    In a recording with one key frame, every seek leads to its beginning: a look would cost decoding all before it.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        self._frames: Iterator[tuple[VideoFrame | Spoken | Heard, float]] = iter(())
        self._last: VideoFrame | None = None
        self._ahead: tuple[VideoFrame, float] | None = None  #: read already, but not on the screen yet
        self._reached = -1e300  #: seconds
        self._straight = False

    def to(self, at: float) -> VideoFrame | None:
        """Return the picture that stands on the screen at a time.

        It is the last at or before that time, else the first after it.
        None where nothing can be decoded.
        """
        if not self._straight:
            base = self._stream.time_base or Fraction(1, 1000)
            try:
                self._container.seek(int(at / base), stream=self._stream)
            except av.FFmpegError:
                return None
            self._frames, self._last, self._ahead = _frames(self._container, self._stream), None, None
        while (coming := self._ahead or self._next()) is not None:
            frame, when = self._ahead = coming
            if when > at + _SAME:
                break
            self._straight = self._straight or when < self._reached - _FAR_BACK
            self._last, self._reached, self._ahead = frame, max(self._reached, when), None
        return self._last or (self._ahead[0] if self._ahead is not None else None)

    def _next(self) -> tuple[VideoFrame, float] | None:
        return next(((found, when) for found, when in self._frames if isinstance(found, VideoFrame)), None)


def _mime(name: str, path: Path) -> str:
    if name.startswith("matroska") and path.suffix.lower() == ".webm":
        return "video/webm"
    if path.suffix.lower() in (".mov", ".qt"):
        return "video/quicktime"
    return next((mime for part, mime in _MIMES if part in name), "application/octet-stream")
