"""Media made on the spot: captioned clips, plain films, and what a video site has besides: sound, pieces, pictures."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from pipeline.local.demo.videos import make_slides

# ------------------------------------------------------------- clips: made once per session and handed out as copies

#: What clip number n tells about: the words are in its captions and on its slides, so answers can be traced to them.
SUBJECTS = (
    "bees", "glaciers", "lighthouses", "bread", "tides", "owls", "violins", "tulips", "magnets", "comets",
)  # fmt: skip

SECONDS = 5.0


def clip(path: Path, number: int = 0) -> Path:
    """Write clip ``number`` to ``path`` (``.mp4``) and return it; the same number gives the same bytes."""
    path.write_bytes(clip_bytes(number))
    return path


def clips(folder: Path, count: int, first: int = 0) -> list[Path]:
    """Write ``count`` clips of different content into a folder, made if absent; return their paths in order."""
    folder.mkdir(parents=True, exist_ok=True)
    return [clip(folder / f"clip-{number:02}.mp4", number) for number in range(first, first + count)]


def subject(number: int) -> str:
    """Return the word that clip ``number`` is about."""
    return SUBJECTS[number % len(SUBJECTS)]


@cache
def clip_bytes(number: int) -> bytes:
    """Return clip ``number`` as an MP4's bytes: two slides and three captions, about 35 ms to make."""
    about = subject(number)
    slides = [(f"About {about}", [f"part one of film {number}"]), (f"More on {about}", [f"part two of film {number}"])]
    captions = [
        (0.2, 1.6, f"Film number {number} is about {about}."),
        (1.8, 3.2, f"People have watched {about} for {number + 100} years."),
        (3.4, 4.8, f"That was the short story of {about}."),
    ]
    with tempfile.TemporaryDirectory() as folder:
        made = make_slides(Path(folder) / "clip.mp4", slides, SECONDS / 2, captions, fps=2, seed_color=number)
        return made.read_bytes()


# ------------------------------------------------------------------------------------------- films: moving stripes


def film(
    path: Path,
    seconds: float = 5.0,
    size: tuple[int, int] = (640, 360),
    *,
    fps: int = 4,
    codec: str = "mpeg4",
    form: str | None = None,
    sound: bool = False,
    seed: int = 0,
) -> Path:
    """Write a video of moving stripes (and silence, if asked) and return its path."""
    path.write_bytes(
        film_bytes(seconds, size, fps=fps, codec=codec, form=form or path.suffix[1:], sound=sound, seed=seed)
    )
    return path


def film_bytes(
    seconds: float = 5.0,
    size: tuple[int, int] = (640, 360),
    *,
    fps: int | Fraction = 4,
    codec: str = "mpeg4",
    form: str = "mp4",
    sound: bool = False,
    seed: int = 0,
    into: Any = None,
) -> bytes:
    """Return a video file's bytes; ``into`` may be a file object of the caller's, e.g. one that cannot seek."""
    target = io.BytesIO() if into is None else into
    with av.open(target, "w", format={"mkv": "matroska", "ts": "mpegts"}.get(form, form)) as container:
        video: Any = container.add_stream(codec, rate=fps)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        audio: Any = container.add_stream("aac", rate=16_000) if sound else None
        for number in range(round(seconds * fps)):
            shade = (np.arange(size[0], dtype=np.uint16) + 8 * number + 31 * seed) % 256
            picture = np.broadcast_to(shade.astype(np.uint8)[None, :, None], (size[1], size[0], 3))
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(video.encode())
        if audio is not None:
            _silence(container, audio, seconds)
            container.mux(audio.encode())
    return target.getvalue() if isinstance(target, io.BytesIO) else b""


def scenes_bytes(
    scenes: Sequence[tuple[float, Any]],
    *,
    form: str = "mp4",
    codec: str = "libx264",
    fps: int = 2,
    gop: int = 4,
    pix_fmt: str = "yuv420p",
    tags: Mapping[str, int] = {},
) -> bytes:
    """Return a film of standing pictures (height, width, 3), each for its seconds; ``tags`` describe its colours."""
    target = io.BytesIO()
    with av.open(target, "w", format={"mkv": "matroska", "ts": "mpegts"}.get(form, form)) as container:
        quick = {"sc_threshold": "0", "preset": "ultrafast"}
        stream: Any = container.add_stream(codec, rate=fps, options=quick if codec == "libx264" else {})
        stream.gop_size, stream.pix_fmt = gop, pix_fmt
        stream.height, stream.width = scenes[0][1].shape[:2]
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        number = 0
        for seconds, picture in scenes:
            kind = "rgb24" if picture.dtype == np.uint8 else "rgb48le"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=kind).reformat(format=pix_fmt)
            for _ in range(round(seconds * fps)):
                frame.pts, frame.time_base, number = number, Fraction(1, fps), number + 1
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return target.getvalue()


def turned(data: bytes, matrix: tuple[int, int, int, int] = (0, 1, -1, 0)) -> bytes:
    """Return an MP4's bytes with a display matrix (x to x, x to y, y to x, y to y); by default a quarter turn clockwise."""
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    whole = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    return data[:at] + b"".join(value.to_bytes(4, "big", signed=True) for value in whole) + data[at + 36 :]


# ------------------------------------------------------------------------------------- sound, streams and pictures


def _quiet(container: Any, audio: Any, number: int) -> None:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
    frame.sample_rate, frame.pts = 16_000, number * 1024
    container.mux(audio.encode(frame))


def _silence(container: Any, audio: Any, seconds: float) -> None:
    for number in range(round(seconds * 16_000 / 1024)):
        _quiet(container, audio, number)


def sound_bytes(seconds: float) -> bytes:
    """Return an M4A of silence."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        audio: Any = container.add_stream("aac", rate=16_000)
        _silence(container, audio, seconds)
        container.mux(audio.encode())
    return target.getvalue()


def picture_bytes(form: str = "JPEG", size: tuple[int, int] = (320, 180)) -> bytes:
    """Return a picture's file."""
    target = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(target, form)
    return target.getvalue()


def segments(
    folder: Path, seconds: float, *, picture: bool = True, sound: bool = True, busy: bool = True
) -> list[tuple[float, bytes]]:
    """Return (length in seconds, bytes) of the pieces of an HLS stream, made by the muxer itself; ``busy``: of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {"hls_time": "1", "hls_playlist_type": "vod", "hls_segment_filename": str(folder / "%03d.ts")}
    with av.open(str(folder / "index.m3u8"), "w", format="hls", options=options) as container:
        stream: Any = container.add_stream("libx264", rate=4) if picture else None
        audio: Any = container.add_stream("aac", rate=16_000) if sound else None
        if stream is not None:
            stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
            stream.options = {"g": "4", "keyint_min": "4", "sc_threshold": "0", "preset": "ultrafast"}
        noise = np.random.default_rng(7)
        spoken = 0
        for number in range(round(seconds * 4)):
            while audio is not None and spoken * 1024 < (number + 1) * 4000:
                _quiet(container, audio, spoken)
                spoken += 1
            if stream is not None:
                pixels = noise.integers(0, 255, (360, 640, 3) if busy else (1, 1, 3), dtype=np.uint8)
                pixels = np.ascontiguousarray(np.broadcast_to(pixels, (360, 640, 3)))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        for each in filter(None, (stream, audio)):
            container.mux(each.encode())
    lengths = [float(each) for each in re.findall(r"#EXTINF:([\d.]+)", (folder / "index.m3u8").read_text())]
    return [(length, (folder / f"{number:03}.ts").read_bytes()) for number, length in enumerate(lengths)]
