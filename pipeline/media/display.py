"""Frames as a player shows them: upright, square pixels, brightness of an ordinary screen."""

from __future__ import annotations

from sys import byteorder
from typing import Any, TypeAlias

import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
Light: TypeAlias = NDArray[np.floating[Any]]  #: linear, 1.0 as paper

_WHITE = 203.0  #: nits of paper in high dynamic range (BT.2408)
_PEAK = 1000.0 / _WHITE  #: of the brightest light that is kept apart
#: Linear light of BT.2020 in BT.709.
_TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])


def upright(picture: Pixels, frame: VideoFrame) -> Pixels:
    """Turn and mirror a picture by its display matrix, as a player does."""
    matrix = turn_of(frame)
    if matrix is None:
        return picture
    across, down = matrix[0] or matrix[2], matrix[3] or matrix[1]
    if not matrix[0]:
        picture = picture.swapaxes(0, 1)
    return np.ascontiguousarray(picture[:: 1 if down > 0 else -1, :: 1 if across > 0 else -1])


def turn_of(frame: VideoFrame) -> tuple[int, int, int, int] | None:
    """Return the signs of a display matrix; None without quarter turns.

    The order is x to x, x to y, y to x, y to y.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData):
        return None
    a, b, _, c, d = (int.from_bytes(bytes(data)[at : at + 4], byteorder, signed=True) for at in range(0, 20, 4))
    most = max(map(abs, (a, b, c, d))) // 2
    signs = tuple((value > most) - (value < -most) for value in (a, b, c, d))
    quarter = abs(signs[0]) == abs(signs[3]) != abs(signs[1]) == abs(signs[2])
    return (signs[0], signs[1], signs[2], signs[3]) if quarter else None


def _lies(frame: VideoFrame) -> bool:
    """True where a display matrix stands the picture on its side."""
    matrix = turn_of(frame)
    return matrix is not None and not matrix[0]


def shown_size(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Return width and height as shown: square pixels, turned like the camera."""
    width = round(frame.width * float(stream.sample_aspect_ratio or 1)) or frame.width
    return (frame.height, width) if _lies(frame) else (width, frame.height)


def small_rgb(frame: VideoFrame, width: int, height: int) -> Pixels:
    """Return a frame as an RGB picture of this size, as shown."""
    lies = _lies(frame)
    hdr = frame.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
    small = frame.reformat(
        width=height if lies else width,
        height=width if lies else height,
        format="rgb48le" if hdr else "rgb24",
        interpolation="AREA",
        threads=1,
    ).to_ndarray()
    if not hdr:
        return upright(np.asarray(small, dtype=np.uint8), frame)
    # FFmpeg could do the rest, too, but takes seconds to prepare for it.
    deep = small.astype(np.float32) / 65535
    light = _light_of_pq(deep) if frame.color_trc == ColorTrc.SMPTE2084 else _light_of_hlg(deep)
    if frame.color_primaries == ColorPrimaries.BT2020:
        light = np.maximum(light @ _TO_709.T, 0.0)
    return upright(_to_screen(light), frame)


def _light_of_pq(signal: Light) -> Light:
    """Return the light of SMPTE ST 2084."""
    root = np.power(signal, 1 / 78.84375)
    nits = 10_000 * np.power(np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root), 1 / 0.1593017578125)
    return np.asarray(nits / _WHITE)


def _light_of_hlg(signal: Light) -> Light:
    """Return the light of ARIB STD-B67 on a screen of 1,000 nits."""
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    luma = scene @ np.array([0.2627, 0.6780, 0.0593])
    return np.asarray(_PEAK * scene * np.power(luma, 0.2)[..., None])


def _to_screen(light: Light) -> Pixels:
    """Press the highlights together (Reinhard) and encode for sRGB."""
    most = np.max(light, axis=-1, keepdims=True)
    pressed = np.clip(light * (1 + most / _PEAK**2) / (1 + most) * 1.6, 0, 1)
    encoded = np.where(pressed <= 0.0031308, 12.92 * pressed, 1.055 * np.power(pressed, 1 / 2.4) - 0.055)
    return np.asarray(np.rint(encoded * 255), dtype=np.uint8)
