"""Shot detection in one pass over small pictures, in constant memory.

Three rules, each looking at up to 2.4 s on both sides of a possible border:

* **cut**: colours, edges (how many, how strong, which way) or the layout of light jump, and far more than they do around it;
* **dissolve**: colours or edges do over 1.6 s, with calm before and after; black in between (a fade) counts once;
* **fade**: the light goes nearly out and comes back within 1.6 s;
* **slide**: in cells that stand before and after, what was written is gone. White slides differ only in their letters, so
  no colour rule sees them; a bullet that is added leaves the old letters where they are, so it is no border; a speaker
  moving in a corner takes his cells out of the comparison.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.local.analysis.evidence import Picture, Shot
from pipeline.local.analysis.extract.by_second import SecondMeans
from pipeline.local.analysis.extract.media import SAMPLES_PER_SECOND, Sample

_SIDE = 12  # samples kept on each side of a possible border: 2.4 s
_SLOW = 4  # a dissolve is looked for between this many samples before and after
_CELL = 10  # pixels of a cell's side
_JUMP = 0.35  # share of pixels whose colour bin must change
_OVER = 4.0  # how many times the surroundings
_FLOOR = 0.02  # surroundings calmer than this count as this
_CALM = 2.0  # mean grey levels by which a standing cell may change from one sample to the next (codec noise)
_CHANGED = 4.0  # mean grey levels by which a changed cell differs
_INK = 6.0  # standard deviation of grey levels in a cell that has something on it
_DARK = 14.0  # mean grey level of a black picture
_SHORTEST = 0.6  # seconds
_LIT = 5  # samples that must be more than black before a border
_PALE = 10.0  # mean grey levels by which a cell's light must change
_ALIKE = 0.5  # correlation of two layouts from which on they count as one
_EDGES = (-12.0, -4.0, 4.0, 12.0)  # grey levels between neighbours: borders of the bins
_DIM = 0.3  # share of the light around it that is left at the bottom of a fade
_GREY = np.array([77, 150, 29], np.float32) / 256  # weights of red, green and blue
_BINS = np.array([2.0, 1 / 4, 1 / 32], np.float32)  # of the upper three bits of each, for the number of a colour bin
_ONES = np.ones(_CELL * _CELL, np.float32)
_EDGE_BIN = np.searchsorted(_EDGES, np.arange(-255, 256))  # by the difference + 255
_Feature: TypeAlias = Callable[["_Frame", "_Frame"], float]
_Sharp: TypeAlias = Literal["", "cut", "slide", "fade"]
Floats: TypeAlias = npt.NDArray[np.float32]
Flags: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Measurements of one sample."""

    at: float
    colours: Floats  #: share of the pixels in each of 512 colour bins
    cells: Floats  #: grey levels, rows x columns x pixels of the cell
    ink: Flags  #: cells with something on them
    step: Floats  #: change of each cell since the sample before
    moving: float  #: share of the picture that changed since the sample before
    light: float  #: mean grey level
    edges: Floats  #: share of the pixels in each of 25 bins of differences to the right and below
    layout: Floats  #: mean grey level of each cell, beside that of the picture


@dataclass(slots=True)
class _OpenShot:
    """The shot that has not ended yet."""

    start: float
    colours: npt.NDArray[np.float64]
    moving: float = 0.0
    samples: int = 0

    def add(self, look: _Frame) -> None:
        self.colours += look.colours
        self.moving += look.moving
        self.samples += 1

    def closed(self, end: float) -> Shot:
        return Shot(
            round(self.start, 2), round(end, 2), round(self.moving / max(1, self.samples), 3), _named(self.colours)
        )


class ShotFinder:
    """Takes samples in time order and gives shots without gaps."""

    def __init__(self) -> None:
        self._looks: deque[_Frame] = deque(maxlen=2 * _SIDE + 1)
        self._open: _OpenShot | None = None
        self._shots: list[Shot] = []
        self._motion = SecondMeans()
        self._lit = 0  # samples since the last border that were not black
        self._last: _Frame | None = None
        self._picture: Picture | None = None
        # What lies just before a sample; known _SLOW samples ahead, so that no dissolve is seen around a sharp border.
        self._sharp: deque[_Sharp] = deque([""] * (2 * _SLOW + 1), maxlen=2 * _SLOW + 1)

    def push(self, sample: Sample) -> None:
        """Take the next sample."""
        if self._last is not None and sample.picture is self._picture:
            look = replace(_quiet(self._last), at=sample.at)
        else:
            look = _measure(sample, self._last)
        self._picture = sample.picture
        if self._last is None:
            quiet = _quiet(look)
            self._looks.extend([quiet] * (2 * _SIDE))
            self._open = _OpenShot(0.0, np.zeros(512))
        self._last = look
        self._looks.append(look)
        self._judge()

    def finish(self, end: float) -> tuple[Shot, ...]:
        """Return all shots up to ``end`` seconds; none without samples."""
        if self._last is None or self._open is None:
            return ()
        quiet = _quiet(self._last)
        for _ in range(_SIDE):
            self._looks.append(quiet)
            self._judge()
        self._shots.append(self._open.closed(max(end, self._last.at)))
        return tuple(self._shots)

    def motion(self) -> tuple[float, ...]:
        """Return the share of the picture that moves, second by second."""
        return tuple(round(each, 3) for each in self._motion.means())

    def _judge(self) -> None:
        """Decide whether a border lies before the middle sample, and count that sample."""
        looks = list(self._looks)
        middle = looks[_SIDE]
        assert self._open is not None
        self._sharp.append(_sharp(looks, _SIDE + _SLOW))
        if middle.at - self._open.start >= _SHORTEST and self._border(looks):
            self._shots.append(self._open.closed(middle.at))
            self._open = _OpenShot(middle.at, np.zeros(512))
            self._lit = 0
        else:  # at a cut everything changes, and nothing moves
            self._motion.add(middle.at, middle.moving)
        self._open.add(middle)
        self._lit += middle.light > _DARK

    def _border(self, looks: Sequence[_Frame]) -> bool:
        here = self._sharp[_SLOW]
        if here in ("slide", "fade"):
            return here == "fade" or "fade" not in self._sharp
        if not here:
            assert self._open is not None
            lately = looks[_SIDE].at - self._open.start < 2 * _SLOW / SAMPLES_PER_SECOND
            if lately or any(self._sharp) or not _dissolve(looks):
                return False
        if "fade" in self._sharp:
            return False
        # A fade to black is no border yet; the fade from it is one, if there was anything before the black.
        return self._lit >= _LIT and all(look.light > _DARK for look in looks[_SIDE : _SIDE + 2 * _SLOW])


def _measure(sample: Sample, last: _Frame | None) -> _Frame:
    """Measure a sample.

    Sums of whole numbers below 2**24 are exact, in whatever order they are added.
    """
    picture = sample.picture
    grey: Floats = np.floor(picture.astype(np.float32) @ _GREY)
    rows, columns = grey.shape[0] // _CELL, grey.shape[1] // _CELL
    tiles = grey[: rows * _CELL, : columns * _CELL].reshape(rows, _CELL, columns, _CELL).transpose(0, 2, 1, 3)
    cells: Floats = tiles.reshape(rows, columns, _CELL * _CELL)
    step = np.zeros((rows, columns), np.float32) if last is None else _means(np.abs(cells - last.cells))
    levels = _means(cells)
    light = float(levels.mean())
    bins = ((picture & 0xE0).astype(np.float32) @ _BINS).astype(np.intp)
    return _Frame(
        sample.at,
        _shares(bins, 512),
        cells,
        _spread(cells, levels) > _INK**2,
        step,
        _moving(step),
        light,
        _edges(grey),
        levels - np.float32(light),
    )


def _means(cells: Floats) -> Floats:
    """Return the mean of each cell."""
    return np.asarray((cells @ _ONES) / np.float32(_ONES.size))


def _spread(cells: Floats, levels: Floats) -> npt.NDArray[np.float64]:
    """Return the variance of each cell."""
    squares = np.einsum("ijk,ijk->ij", cells, cells).astype(np.float64) / _ONES.size
    return np.asarray(squares - levels.astype(np.float64) ** 2)


def _moving(step: Floats) -> float:
    return float((step > _CALM).mean())


def _quiet(look: _Frame) -> _Frame:
    return replace(look, step=np.zeros_like(look.step), moving=0.0)


def _shares(bins: npt.NDArray[np.integer[Any]], number: int) -> Floats:
    return (np.bincount(bins.ravel(), minlength=number) / bins.size).astype(np.float32)


def _edges(grey: Floats) -> Floats:
    small = grey[::2, ::2].astype(np.intp)
    corner = small[:-1, :-1] - 255
    return _shares(_EDGE_BIN[small[:-1, 1:] - corner] * 5 + _EDGE_BIN[small[1:, :-1] - corner], 25)


def _distance(one: _Frame, other: _Frame) -> float:
    """Return the share of pixels that change their colour bin, 0 to 1."""
    return 0.0 if one.cells is other.cells else float(np.abs(one.colours - other.colours).sum() / 2)


def _other_edges(one: _Frame, other: _Frame) -> float:
    """Return the share of pixels that change their bin of edges, 0 to 1."""
    return 0.0 if one.cells is other.cells else float(np.abs(one.edges - other.edges).sum() / 2)


def _other_layout(one: _Frame, other: _Frame) -> float:
    """Return the share of cells that become lighter or darker beside the picture.

    0.0 where the picture only gains or loses contrast.
    """
    if one.cells is other.cells:
        return 0.0
    share = float((np.abs(one.layout - other.layout) > _PALE).mean())
    if share <= _JUMP:
        return share
    alike = float((one.layout * other.layout).sum())
    return 0.0 if alike > _ALIKE * float(np.sqrt((one.layout**2).sum() * (other.layout**2).sum())) else share


def _sharp(looks: Sequence[_Frame], here: int) -> _Sharp:
    if _fade(looks, here):
        return "fade"
    if _new_slide(looks, here):
        return "slide"
    return "cut" if any(_cut(looks, here, feature) for feature in (_distance, _other_edges, _other_layout)) else ""


def _fade(looks: Sequence[_Frame], here: int) -> bool:
    """True at the bottom of a fade.

    It is darkest here, dim beside it, and lit 0.8 s before and after.
    """
    light = [look.light for look in looks[here - _SLOW : here + _SLOW + 1]]
    lit = min(max(light[:2]), max(light[-2:]))
    if lit <= 2 * _DARK or light[_SLOW] > _DIM * lit or light[_SLOW] > min(light):
        return False
    # Black for one sample only is a flash; black that stays is left to the other rules.
    return light.index(min(light)) == _SLOW and max(light[_SLOW - 1], light[_SLOW + 1]) < 0.8 * lit


def _cut(looks: Sequence[_Frame], here: int, feature: _Feature) -> bool:
    """True where a feature jumps between the samples ``here - 1`` and ``here``."""
    jump = feature(looks[here - 1], looks[here])
    if jump <= _JUMP:
        return False
    around = {i: feature(looks[i - 1], looks[i]) for i in range(here - 5, min(here + 6, len(looks))) if i != here}
    if max(step for i, step in around.items() if abs(i - here) <= 2) > 0.6 * jump:
        return False  # one of several steps: a dissolve, a flash, or nothing but motion
    return jump > _OVER * max(_FLOOR, float(np.median(list(around.values()))))


def _new_slide(looks: Sequence[_Frame], here: int) -> bool:
    """True where letters that stood before the sample ``here`` are gone with it.

    Only cells that are calm for a second before and after take part, and they must be half of the picture. The old letters
    must be gone from two fifths of the cells that had any. Where nearly the whole picture stands, it is enough if they are
    gone from the heading (the upper third) while about as much went as came.
    """
    seen = _gone(looks, here - 1, here, half=0.5)
    if seen is None:
        return False
    gone, changed, written = seen
    if gone.sum() >= 0.4 * written:
        return True
    top = gone[: max(1, gone.shape[0] // 3)]
    return (
        bool(top.sum() >= 2 and gone.sum() >= 0.35 * changed.sum())
        and _gone(looks, here - 1, here, half=0.8) is not None
    )


def _dissolve(looks: Sequence[_Frame]) -> bool:
    """Compare 0.8 s before and after; the border is where most differs."""
    feature = next((each for each in (_distance, _other_edges) if _changes_slowly(looks, each)), None)
    if feature is None:
        seen = _gone(looks, _SIDE - _SLOW, _SIDE + _SLOW, half=0.8)
        if seen is None or seen[0].sum() < 0.4 * seen[2]:
            return False
        feature = _letters
    difference = [feature(looks[_SIDE - _SLOW + s], looks[_SIDE + _SLOW + s]) for s in (-1, 0, 1)]
    return difference[1] >= max(difference)


def _changes_slowly(looks: Sequence[_Frame], feature: _Feature) -> bool:
    near, far = looks[_SIDE - _SLOW], looks[_SIDE + _SLOW]
    wide = feature(near, far)
    if wide <= _JUMP:
        return False
    calm = max(_FLOOR, feature(looks[_SIDE - 2 * _SLOW], near), feature(far, looks[_SIDE + 2 * _SLOW]))
    return wide > _OVER * calm


def _gone(looks: Sequence[_Frame], old: int, new: int, *, half: float) -> tuple[Flags, Flags, int] | None:
    """Return cells whose letters changed, cells that changed, and cells with letters.

    None where less than the share ``half`` of the picture stands before and after, or fewer than three cells lost letters.
    """
    if looks[old].cells is looks[new].cells:  # one picture that stands
        return None
    around = [look.step for look in (*looks[old - 4 : old + 1], *looks[new + 1 : new + 5])]
    calm: Flags = np.maximum.reduce(around) < _CALM
    if calm.mean() < half:
        return None
    changed: Flags = calm & (_means(np.abs(looks[new].cells - looks[old].cells)) > _CHANGED)
    gone: Flags = changed & looks[old].ink
    return None if gone.sum() < 3 else (gone, changed, int((calm & looks[old].ink).sum()))


def _letters(one: _Frame, other: _Frame) -> float:
    return float(np.abs(one.cells - other.cells).mean())


def _names_of_bins() -> list[str]:
    """Name the middle of each of the 512 colour bins."""
    names = []
    for index in range(512):
        red, green, blue = ((index >> shift & 7) * 32 + 16 for shift in (6, 3, 0))
        names.append(_colour(red, green, blue))
    return names


def _colour(red: int, green: int, blue: int) -> str:
    high, low = max(red, green, blue), min(red, green, blue)
    if high < 56:
        return "black"
    if high - low < 0.22 * high:
        return "white" if low > 190 else "grey"
    spread = high - low
    if high == red:
        hue = 60.0 * ((green - blue) / spread % 6)
    elif high == green:
        hue = 60.0 * ((blue - red) / spread + 2)
    else:
        hue = 60.0 * ((red - green) / spread + 4)
    for limit, name in ((18, "red"), (48, "brown" if high < 170 else "orange"), (72, "yellow"), (165, "green"), (260, "blue"),
                        (300, "purple"), (342, "pink")):  # fmt: skip
        if hue < limit:
            return name
    return "red"


_NAMES = _names_of_bins()


def _named(colours: npt.NDArray[np.float64]) -> tuple[str, ...]:
    """Return up to three colours that cover 15 % of the picture each."""
    area: dict[str, float] = {}
    for name, share in zip(_NAMES, colours / max(1e-9, colours.sum()), strict=True):
        area[name] = area.get(name, 0.0) + float(share)
    ranked = sorted(area.items(), key=lambda item: -item[1])
    return tuple(name for name, share in ranked[:3] if share >= 0.15) or (ranked[0][0],)
