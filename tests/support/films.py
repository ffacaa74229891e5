"""Tiny real video files for tests, made with PyAV on the spot."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np


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
    fps: int = 4,
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
            for number in range(round(seconds * 16_000 / 1024)):
                quiet = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                quiet.sample_rate, quiet.pts = 16_000, number * 1024
                container.mux(audio.encode(quiet))
            container.mux(audio.encode())
    return target.getvalue() if isinstance(target, io.BytesIO) else b""


def turned(data: bytes, matrix: tuple[int, int, int, int] = (0, 1, -1, 0)) -> bytes:
    """Return an MP4's bytes with a display matrix (x to x, x to y, y to x, y to y); by default a quarter turn clockwise."""
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    whole = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    return data[:at] + b"".join(value.to_bytes(4, "big", signed=True) for value in whole) + data[at + 36 :]
