"""Short slide videos with captions, generated for the demo and for tests.

Drawn with Pillow's own font and encoded with PyAV, so nothing is fetched and nothing binary is kept in the repository.
The same arguments give the same pictures.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFont

from pipeline.local.demo.scripts import DemoScript, load_scripts

Slide: TypeAlias = tuple[str, Sequence[str]]  #: heading and lines
Cue: TypeAlias = tuple[float, float, str]  #: start and end in seconds, and the words
_MS = Fraction(1, 1000)
_RATE = 16_000  # samples per second of the quiet tone
#: background, heading, text: light and dark papers, so that neighbouring videos do not look alike
_PAPERS = (
    ((255, 252, 240), (120, 60, 0), (40, 40, 40)),
    ((18, 32, 52), (255, 205, 90), (230, 235, 240)),
    ((236, 246, 238), (10, 90, 50), (30, 40, 34)),
    ((250, 240, 244), (130, 20, 70), (45, 35, 40)),
)


def make_demo(folder: Path, count: int = 3) -> list[Path]:
    """Make up to three captioned slide videos and return their paths.

    They have 1280x720 pixels and 50 to 60 s.
    ``count`` beyond the number of scripts gives all of them. Existing files of the same names are overwritten.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_film(folder / f"{script.name}.mp4", script, paper) for paper, script in enumerate(load_scripts()[:count])]


def make_scenes(folder: Path) -> list[Path]:
    """Make one short captioned video of each scene of all scripts; return their paths.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for paper, script in enumerate(load_scripts()):
        for number, scene in enumerate(script.scenes, 1):
            part = DemoScript(f"{script.name}-{number}", f"{script.title}: {scene.heading}", (scene,))
            made.append(_film(folder / f"{part.name}.mp4", part, paper, (640, 360)))
    return made


def make_slides(
    path: Path,
    slides: Sequence[Slide],
    seconds_each: float | Sequence[float],
    captions: Sequence[Cue] = (),
    size: tuple[int, int] = (640, 360),
    fps: int = 5,
    seed_color: int = 0,
    *,
    title: str = "",
    chapters: Sequence[Cue] = (),
    tone: bool = False,
) -> Path:
    """Write an H.264 video of these slides, and return its path.

    Args:
        path: where to; ``.mp4`` carries captions as mov_text, ``.mkv`` as SubRip.
        slides: heading and lines of each picture; an empty heading leaves the top of the slide free.
        seconds_each: how long each slide stands: one number for all, or one per slide.
        captions: (start, end, text), seconds; embedded as a text stream, language ``eng``.
        size: width and height in pixels, even numbers.
        fps: pictures per second, whole.
        seed_color: chooses the colours; any whole number.
        title: the container's title tag; none by default.
        chapters: (start, end, title) marks of the container.
        tone: adds a quiet tone as sound.

    Raises:
        OSError: the file cannot be written (PyAV's errors of this kind are OSErrors).
    """
    spans = [seconds_each] * len(slides) if isinstance(seconds_each, int | float) else list(seconds_each)
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as out:
        if title:
            out.metadata["title"] = title
        video = _video(out, size, fps)
        sound = _sound(out) if tone else None
        words = _words(out, path) if captions else None
        if chapters:
            out.set_chapters([_mark(number, cue) for number, cue in enumerate(chapters)])
        if words is not None:
            _mux_captions(out, words, captions, bare=path.suffix != ".mp4")
        pictures = (_draw(slide, size, seed_color) for slide in slides)
        for number, (frame, repeats) in enumerate(zip(pictures, _repeats(spans, fps), strict=True)):
            _mux_still(out, video, frame, number_of=repeats, first=sum(_repeats(spans, fps)[:number]), fps=fps)
        out.mux(video.encode(None))
        if sound is not None:
            _mux_tone(out, sound, sum(spans))
    return path


def _film(path: Path, script: DemoScript, paper: int, size: tuple[int, int] = (1280, 720)) -> Path:
    """Turn a script into a video; sentences stand as long as speech takes."""
    captions: list[Cue] = []
    spans: list[float] = []
    at = 0.0
    for scene in script.scenes:
        begin = at
        for sentence in scene.narration:
            length = 0.7 + len(sentence.split()) / 4.2
            captions.append((round(at, 2), round(at + length, 2), sentence))
            at += length
        at = round((at + 0.4) * 5) / 5  # slides change on a picture of the 5 per second
        spans.append(at - begin)
    slides = [(scene.heading, scene.lines) for scene in script.scenes]
    return make_slides(path, slides, spans, captions, size, 5, paper, title=script.title, tone=True)


def _repeats(spans: Sequence[float], fps: int) -> list[int]:
    """Return each span's number of pictures, without adding up rounding errors."""
    edges = [0]
    for end in np.cumsum(spans):
        edges.append(max(edges[-1] + 1, round(float(end) * fps)))
    return [after - before for before, after in pairwise(edges)]


def _video(out: OutputContainer, size: tuple[int, int], fps: int) -> VideoStream:
    # Slides are sharp edges that stand still: a good key picture and nothing after it is both small and fast.
    options = {"preset": "superfast", "tune": "stillimage", "crf": "27", "threads": "1", "g": str(fps * 20)}
    video = out.add_stream("libx264", rate=fps, options=options)
    video.width, video.height = size
    video.pix_fmt = "yuv420p"
    return video


def _sound(out: OutputContainer) -> AudioStream:
    return out.add_stream("aac", rate=_RATE, options={"b": "8k"}, layout="mono")


def _words(out: OutputContainer, path: Path) -> Stream:
    # Text needs no encoder: the packets below are what the formats prescribe.
    words = out.add_mux_stream("mov_text" if path.suffix == ".mp4" else "subrip")
    words.time_base = _MS
    words.metadata["language"] = "eng"
    return words


def _mark(number: int, cue: Cue) -> av.container.core.Chapter:
    start, end, title = cue
    return {
        "id": number, "start": round(start * 1000), "end": round(end * 1000), "time_base": _MS, "metadata": {"title": title},
    }  # fmt: skip


def _mux_captions(out: OutputContainer, words: Stream, captions: Sequence[Cue], *, bare: bool) -> None:
    """Write the cues: mov_text counts its bytes first, SubRip does not."""
    for start, end, text in captions:
        raw = text.encode()
        packet = av.Packet(raw if bare else struct.pack(">H", len(raw)) + raw)
        packet.stream = words
        packet.time_base = _MS
        packet.pts = packet.dts = round(start * 1000)
        packet.duration = max(1, round((end - start) * 1000))
        out.mux(packet)


def _mux_still(
    out: OutputContainer, video: VideoStream, picture: Image.Image, *, number_of: int, first: int, fps: int
) -> None:
    frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24").reformat(format="yuv420p")
    frame.time_base = Fraction(1, fps)
    for shift in range(number_of):
        frame.pts = first + shift
        out.mux(video.encode(frame))


def _mux_tone(out: OutputContainer, sound: AudioStream, seconds: float) -> None:
    """Write a soft chord that swells every four seconds, at about -40 dB."""
    for first in range(0, round(seconds * _RATE), _RATE):
        at = (np.arange(min(_RATE, round(seconds * _RATE) - first)) + first) / _RATE
        swell = 0.5 - 0.5 * np.cos(2 * np.pi * at / 4)
        wave = 160 * swell * (np.sin(2 * np.pi * 220 * at) + np.sin(2 * np.pi * 330 * at))
        frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = _RATE, first, Fraction(1, _RATE)
        out.mux(sound.encode(frame))
    out.mux(sound.encode(None))


def _draw(slide: Slide, size: tuple[int, int], paper: int) -> Image.Image:
    """Draw heading and bullet lines, each line as large as fits."""
    background, accent, ink = _PAPERS[paper % len(_PAPERS)]
    width, height = size
    picture = Image.new("RGB", size, background)
    pen = ImageDraw.Draw(picture)
    heading, lines = slide
    left, space, indent = width // 14, width - 2 * (width // 14), height // 18
    pen.text((left, height // 10), heading, fill=accent, font=_font(heading, height // 10, space))
    pen.rectangle((left, height // 4, width - left, height // 4 + max(2, height // 180)), fill=accent)
    for row, line in enumerate(lines):
        top = height // 3 + row * height // 8
        # Pillow's font has no bullet sign.
        pen.ellipse((left, top + height // 36, left + height // 45, top + height // 20), fill=accent)
        pen.text((left + indent, top), line, fill=ink, font=_font(line, height // 16, space - indent))
    return picture


def _font(text: str, size: int, space: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font at this size, smaller where space is short."""
    for tried in _sizes(size):
        font = ImageFont.load_default(tried)
        if font.getlength(text) <= space:
            break
    return font


def _sizes(size: int) -> Iterator[int]:
    while size > 8:
        yield size
        size = size * 9 // 10
    yield 8
