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


def film(path: Path, pictures: Iterable[Picture], fps: int = 10) -> Path:
    """Encode pictures one by one."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "18", "threads": "1"})
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], "yuv420p"
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
