"""Chapter borders.

In this order: chapter marks of the container; slide changes; topic borders in what is said (see :mod:`.topics`); shots. Each
border is a time at which something begins, so none of them lies within a slide or a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pipeline.local.analysis.evidence import Evidence, Shot
from pipeline.local.analysis.text.sentences import Sentence

MOST = 12  #: chapters where nobody asked for a number


def by_marks(marks: Sequence[Evidence], start: float, end: float) -> list[float]:
    """Return the borders of the container's chapter marks; empty below two."""
    inner = sorted({mark.start for mark in marks if start + 0.5 < mark.start < end - 0.5})
    return [start, *inner, end] if inner else []


def by_slides(shots: Sequence[Shot], headings: Sequence[Evidence], start: float, end: float, most: int) -> list[float]:
    """Return borders at slide changes.

    None unless two still pictures fill half of the time.
    Slides that stand too briefly join the next one, neighbours with the same heading are one, and the shortest ones are
    joined until at most ``most`` are left.
    """
    standing = [shot for shot in shots if shot.still]
    if len(standing) < 2 or sum(shot.end - shot.start for shot in standing) < 0.5 * (end - start):
        return []
    borders = [start, *(shot.start for shot in shots if start + 0.5 < shot.start < end - 0.5), end]
    titles = {round(heading.start, 2): heading.text.casefold() for heading in headings}
    for earlier, later in pairwise(list(borders[:-1])):
        same = titles.get(round(earlier, 2))
        if same is not None and same == titles.get(round(later, 2)):
            borders.remove(later)
    return _joined(borders, _brief(end - start), most)


def by_shots(shots: Sequence[Shot], start: float, end: float, most: int) -> list[float]:
    """Return borders at cuts, short shots joined until at most ``most`` are left."""
    borders = [start, *(shot.start for shot in shots if start + 0.2 < shot.start < end - 0.2), end]
    return _joined(borders, _brief(end - start) / 2, most)


def _brief(seconds: float) -> float:
    """Return how long a piece must be to stand alone."""
    return min(15.0, max(1.0, 0.035 * seconds))


def _joined(borders: list[float], brief: float, most: int) -> list[float]:
    """Join brief pieces to a neighbour, then the shortest pieces."""
    borders = list(borders)
    while len(borders) > 2:
        lengths = [after - before for before, after in pairwise(borders)]
        shortest = int(np.argmin(lengths))
        if lengths[shortest] >= brief and len(lengths) <= max(1, most):
            break
        del borders[shortest + 1 if shortest + 1 < len(lengths) else shortest]
    return borders


def nearest(cues: Sequence[Sentence], borders: Sequence[float]) -> list[list[Sentence]]:
    """Sort sentences into the pieces between borders, by where most of a sentence lies."""
    pieces: list[list[Sentence]] = [[] for _ in borders[1:]]
    inner = np.array(borders[1:-1])
    for sentence in cues:
        pieces[int(np.searchsorted(inner, (sentence.start + sentence.end) / 2, side="right"))].append(sentence)
    return pieces
