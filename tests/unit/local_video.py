"""Tiny films for the tests of the local reader: coloured pictures, cuts, dissolves, noise."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (320, 180)) -> Picture:
    """Return a picture of one colour with a little texture, so that it is no black card."""
    picture = np.empty((size[1], size[0], 3), np.uint8)
    picture[:] = colour
    picture[::9, ::7] //= 2
    return picture


def noise(seed: int, size: tuple[int, int] = (320, 180)) -> Picture:
    """Return coarse coloured noise: another seed is another picture of the same colours."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 225, (size[1] // 20, size[0] // 20, 3), dtype=np.uint8)
    return np.asarray(coarse.repeat(20, 0).repeat(20, 1))


def mix(one: Picture, other: Picture, share: float) -> Picture:
    """Return a picture between two."""
    return (one * (1 - share) + other * share).astype(np.uint8)


def film(path: Path, pictures: Iterable[Picture], fps: int = 10, *, after: int = 0) -> Path:
    """Encode pictures one by one; ``after``: how many pictures of another film come before."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "18", "threads": "1"})
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], "yuv420p"
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = after + number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def home_film(path: Path, *, fps: int = 5, rate: int = 8000, **tags: str) -> Path:
    """Write 13 s as a camera would: 4 s that stand, in silence, 6 s with a little motion, 3 s that move and are loud."""
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as out:
        out.metadata.update(tags)
        video = out.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "18", "threads": "1"})
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        audio = out.add_stream("pcm_s16le" if path.suffix == ".mkv" else "aac", rate=rate)
        audio.layout = "mono"
        for second in range(13):
            for number in range(second * fps, (second + 1) * fps):
                picture = noise(1) if second < 4 else noise(2) if second < 10 else np.roll(noise(3), 8 * number, axis=1)
                if 4 <= second < 10:
                    picture[:60, :60] = round(120 + 60 * np.sin(number / 3))
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame.pts = number
                out.mux(video.encode(frame))
            wave = np.sin(2 * np.pi * 440 * np.arange(rate) / rate) * (
                0.0 if second < 4 else 0.01 if second < 10 else 0.5
            )
            sound = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[np.newaxis], format="s16", layout="mono")
            sound.sample_rate, sound.pts = rate, second * rate
            out.mux(audio.encode(sound))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))
    return path
