"""A small picture that tells what a film shows: chosen, scaled, encoded. Blocks.

A few key frames are looked at, first about the wanted second, then over the whole film; the best of them is taken. It is
black or empty only where the film shows nothing else.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from pipeline.media.container import (
    MEDIA_ERRORS,
    UnreadableMedia,
    clock_start,
    header_seconds,
    open_media,
    video_stream,
)
from pipeline.media.display import Pixels, shown_size, small_rgb
from pipeline.media.pictures import open_picture

WIDTH = 320  #: pixels; a smaller film keeps its size
TALLEST = 640  #: pixels; a taller picture gets narrower
LARGEST = 20_000  #: bytes of a poster
_LOOKS = 8  #: frames that are judged
_BUDGET = 4.0  #: seconds of this process's time, after which the best so far is taken
_GOOD = 0.5  #: a score that ends the search
_POOR = 0.06  #: a score below which a film's frames are read one by one
_FAVOUR = 0.25  #: by which the wanted moment counts more than others
_ELSEWHERE = (0.5, 0.2, 0.75, 0.1, 0.9)  #: of the film, in this order
_PACKETS = 400  #: read for one frame, other streams' included
_STRAIGHT = 400  #: frames that are decoded one after the other, at most
_TILE = 16  #: pixels
_EDGE = 16.0  #: steps of 255 between two pixels
_QUALITIES = (80, 70, 60, 50, 40, 30, 20, 10)


@dataclass(frozen=True, slots=True)
class _Look:
    """One frame, scaled; ``when`` in seconds from the film's beginning."""

    picture: Pixels
    score: float
    when: float


def film_poster(path: Path, at: float | None = None, seconds: float = 0.0) -> bytes:
    """Return a film's poster as WebP: 320 pixels wide, 20 kB at most.

    ``at``: the second that it should show; by default a third of the film. ``seconds``: the film's length where known.

    Raises:
        UnreadableMedia: no film, or not one picture of it can be decoded.
    """
    try:
        with open_media(path) as container:
            best = _Search(container, at, seconds).best()
    except UnreadableMedia:
        raise
    except MEDIA_ERRORS as error:
        raise UnreadableMedia(f"it cannot be read to the end: {type(error).__name__}") from error
    if best is None:
        raise UnreadableMedia("not one picture of it can be decoded")
    return _encode(Image.fromarray(best))


def picture_poster(data: bytes) -> bytes:
    """Return a thumbnail as a poster.

    Raises:
        UnreadableMedia: it is no whole picture of a usable size.
    """
    picture = open_picture(data)
    if picture is None:
        raise UnreadableMedia("it is no usable picture")
    image = picture.convert("RGB")
    return _encode(image.resize(_fitted(*image.size), Image.Resampling.LANCZOS, reducing_gap=2.0))


class _Search:
    """The search for the frame that tells most."""

    def __init__(self, container: InputContainer, at: float | None, seconds: float) -> None:
        self._container = container
        self._stream = video_stream(container)
        self._stream.codec_context.thread_count = 1  # threads cost memory, and this must not be in anybody's way
        self._base = self._stream.time_base or Fraction(1, 1000)
        self._origin = clock_start(container, self._stream)
        self._seconds = header_seconds(container, self._stream) or seconds or self._stream_seconds()
        self._at = at if at is not None and 0 <= at <= (self._seconds or at) else self._seconds / 3
        self._near = min(max(5.5, self._seconds / 40), 20.0)  # reaches another key frame of most films
        self._began = time.process_time()
        self._looks: list[_Look] = []

    def best(self) -> Pixels | None:
        """Return the best picture, or None where nothing can be decoded."""
        self._look_at([self._at, self._at + self._near, max(0.0, self._at - self._near)])
        if len(self._looks) < 2:
            self._read_on()
        if self._best_score() < _GOOD:
            self._look_at([part * self._seconds for part in _ELSEWHERE if self._seconds])
        if self._best_score() < _POOR:
            self._read_on()
        return max(self._looks, key=lambda look: look.score).picture if self._looks else None

    def _look_at(self, times: list[float]) -> None:
        for at in times:
            if len(self._looks) < _LOOKS and not self._is_late() and self._seek(at):
                self._judge_key_frame()

    def _best_score(self) -> float:
        return max((look.score for look in self._looks), default=0.0)

    def _is_late(self) -> bool:
        return time.process_time() - self._began > _BUDGET

    def _seek(self, at: float) -> bool:
        try:
            self._container.seek(int((at + self._origin) / self._base), stream=self._stream)
        except MEDIA_ERRORS:
            return False
        return True

    def _judge_key_frame(self) -> None:
        """Judge the picture that stands where the last seek has led to."""
        decoder = self._stream.codec_context
        decoder.skip_frame = "NONKEY"
        try:
            for packet in self._packets():
                frames, when = packet.decode(), packet.pts
                if not frames and packet.is_keyframe:
                    frames = decoder.decode(None)  # it waits for the next one, which may be far away
                    decoder.flush_buffers()
                if frames:
                    self._judge(frames[0], self._time(frames[0].pts if when is None else when))
                    return
        except MEDIA_ERRORS:
            pass
        finally:
            decoder.skip_frame = "DEFAULT"

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        return islice(self._container.demux(self._stream), _PACKETS)

    def _read_on(self) -> None:
        """Decode frame by frame to the wanted moment and beyond it.

        For films with few key frames, and for those whose key frames are all dark.
        """
        if not self._seek(self._at) and not self._seek(0.0):
            return
        rate = float(self._stream.average_rate or 25)
        step = max(0.5, min(self._seconds, _STRAIGHT / rate) / (_LOOKS - 2))
        due = -1e300
        for frame in islice(self._frames(), _STRAIGHT):
            when = self._time(frame.pts)
            if len(self._looks) >= _LOOKS or self._is_late():
                return
            if when < due:
                continue
            self._judge(frame, when)
            due = min(when + step, self._at) if when < self._at else when + step
            if when >= self._at and self._best_score() >= _GOOD:
                return

    def _frames(self) -> Iterator[VideoFrame]:
        bad = 0
        packets = self._container.demux(self._stream)
        while bad < 20:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                yield from packet.decode()
            except av.FFmpegError:
                bad += 1

    def _judge(self, frame: VideoFrame, when: float) -> None:
        if any(abs(look.when - when) < 0.01 for look in self._looks):
            return
        picture = small_rgb(frame, *_fitted(*shown_size(frame, self._stream)))
        favour = 1 + _FAVOUR * max(0.0, 1 - abs(when - self._at) / self._near)
        self._looks.append(_Look(picture, favour * score(picture), when))

    def _time(self, pts: int | None) -> float:
        return float((pts or 0) * self._base) - self._origin

    def _stream_seconds(self) -> float:
        return float((self._stream.duration or 0) * (self._stream.time_base or 0))


def score(picture: Pixels) -> float:
    """Return how much an RGB picture tells, 0.0 (one colour) to 1.0.

    Its brightness must spread, and there must be detail in many places; the dark and the washed out count less.
    """
    luma = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    low, high = np.percentile(luma, (2, 98))
    spread = min(1.0, (high - low) / 160)
    light = float(np.clip(luma.mean() / 60, 0.2, 1.0))
    return float(spread * light * (0.2 + 0.8 * _busy(luma)))


def _busy(luma: NDArray[np.float32]) -> float:
    """Return the share of a picture's tiles that hold an edge."""
    edges = np.zeros_like(luma)
    edges[:, 1:] = np.abs(np.diff(luma, axis=1))
    edges[1:] = np.maximum(edges[1:], np.abs(np.diff(luma, axis=0)))
    rows, columns = (max(1, side // _TILE) for side in luma.shape)
    tiles = edges[: rows * _TILE, : columns * _TILE]
    if tiles.shape != (rows * _TILE, columns * _TILE):
        return 0.0  # a stripe thinner than a tile
    return float((tiles.reshape(rows, _TILE, columns, _TILE).max(axis=(1, 3)) > _EDGE).mean())


def _fitted(width: int, height: int) -> tuple[int, int]:
    """Return the size of a poster of a film of this size."""
    scale = min(1.0, WIDTH / max(1, width), TALLEST / max(1, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _encode(image: Image.Image) -> bytes:
    """Return a picture as WebP, as good as ``LARGEST`` allows."""
    while True:
        for quality in _QUALITIES:
            out = io.BytesIO()
            image.save(out, "WEBP", quality=quality, method=4)
            if out.tell() <= LARGEST:
                return out.getvalue()
        image = image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BOX)
