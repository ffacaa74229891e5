"""How loud it is, second by second: the power of the sound."""

from __future__ import annotations

from math import isfinite, log10

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame

from pipeline.local.analysis.extract.by_second import SecondMeans

FLOOR = -120.0  #: dBFS that stand for nothing at all


def power(frame: AudioFrame) -> float:
    """Return the mean square of a frame's samples, 1.0 for full scale."""
    samples = frame.to_ndarray().ravel()
    values: npt.NDArray[np.floating] = samples.astype(np.float32, copy=False)
    if samples.dtype.kind == "u":  # silence is in the middle
        values = values / 128 - 1
    elif samples.dtype.kind == "i":
        values = values / np.float32(2.0 ** (8 * samples.dtype.itemsize - 1))
    with np.errstate(all="ignore"):  # a broken decoder may give numbers that are none
        total = float(values @ values) / max(1, values.size)
    return min(1.0, total) if isfinite(total) else 0.0


def levels(powers: SecondMeans) -> tuple[float, ...]:
    """Return the level of each second, dBFS."""
    return tuple(round(max(FLOOR, 10 * log10(each)), 1) if each > 0 else FLOOR for each in powers.means())
