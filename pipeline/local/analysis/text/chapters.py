"""Chapter borders.

In this order: chapter marks of the container; slide changes; topic borders in the words; shots. Each border is a time at
which something really changes, so slides and words never get a border of their own invention between two changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pipeline.local.analysis.evidence import Evidence, Shot
from pipeline.local.analysis.text.centrality import Floats
from pipeline.local.analysis.text.sentences import Sentence

MOST = 12  #: chapters where nobody asked for a number
_MAX_BLOCKS = 240  # blocks of sentences that the topic search compares
_MAX_STEMS = 900


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


def by_words(found: Sequence[Sentence], start: float, end: float, most: int, exactly: int = 0) -> list[float]:
    """Return topic borders, each at the start of a sentence.

    The text is cut where the words of the pieces differ most: of all ways to cut it, the one under which the words are most
    probable if each piece draws from its own vocabulary, at the price of a fixed cost per piece (Utiyama and Isahara 2001).
    ``exactly`` asks for that many pieces where the length allows.
    """
    blocks = _blocks(found)
    wanted = min(exactly or most, max(1, len(blocks) // 2))
    if len(blocks) < 4 or wanted < 2:
        return [start, end]
    shortest = max(10.0, 0.04 * (end - start)) if not exactly else 0.0
    cuts = _cheapest(blocks, wanted, shortest, exact=bool(exactly))
    return [start, *(blocks[cut][0].start for cut in cuts), end]


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


def _blocks(found: Sequence[Sentence]) -> list[list[Sentence]]:
    """Put sentences together into at most _MAX_BLOCKS blocks of about equal length."""
    total = sum(len(sentence.stems) for sentence in found)
    size = max(6, total // _MAX_BLOCKS + 1)
    blocks: list[list[Sentence]] = []
    filled = size
    for sentence in found:
        if filled >= size:
            blocks.append([])
            filled = 0
        blocks[-1].append(sentence)
        filled += len(sentence.stems)
    return blocks


def _cheapest(blocks: Sequence[Sequence[Sentence]], wanted: int, shortest: float, *, exact: bool) -> list[int]:
    """Return the first blocks of all pieces but the first, by dynamic programming."""
    cost = _costs(blocks, shortest)
    count = len(blocks)
    best = np.full((wanted + 1, count + 1), np.inf)
    came = np.zeros((wanted + 1, count + 1), dtype=np.intp)
    best[0, 0] = 0.0
    for pieces in range(1, wanted + 1):
        totals = best[pieces - 1, :, np.newaxis] + cost
        came[pieces] = totals.argmin(0)
        best[pieces] = totals.min(0)
    price = 1.15 * np.log(max(2, sum(len(s.stems) for block in blocks for s in block)))
    ends = best[:, count] + price * np.arange(wanted + 1)
    pieces = wanted if exact and np.isfinite(ends[wanted]) else int(ends.argmin())
    cuts, at = [], count
    for left in range(pieces, 1, -1):
        at = int(came[left, at])
        cuts.append(at)
    return cuts[::-1]


def _costs(blocks: Sequence[Sequence[Sentence]], shortest: float) -> Floats:
    """Return how improbable blocks ``i`` to ``j`` are as one piece, nats."""
    counts = Counter(stem for block in blocks for sentence in block for stem in set(sentence.stems))
    column = {stem: index for index, (stem, number) in enumerate(counts.most_common(_MAX_STEMS)) if number > 1}
    table = np.zeros((len(blocks) + 1, max(1, len(column))))
    for row, block in enumerate(blocks, start=1):
        for sentence in block:
            for stem in sentence.stems:
                if stem in column:
                    table[row, column[stem]] += 1
    upto = table.cumsum(0)
    cost = np.full((len(blocks) + 1, len(blocks) + 1), np.inf)
    for first in range(len(blocks)):
        inside = upto[first + 1 :] - upto[first]
        total = inside.sum(1)
        cost[first, first + 1 :] = total * np.log(total + len(column)) - (inside * np.log(inside + 1)).sum(1)
        begin = blocks[first][0].start
        brief = np.array([block[-1].end - begin < shortest for block in blocks[first:]])
        cost[first, first + 1 :][brief] = np.inf
    return cost


def nearest(cues: Sequence[Sentence], borders: Sequence[float]) -> list[list[Sentence]]:
    """Sort sentences into the pieces between borders, by where most of a sentence lies."""
    pieces: list[list[Sentence]] = [[] for _ in borders[1:]]
    inner = np.array(borders[1:-1])
    for sentence in cues:
        pieces[int(np.searchsorted(inner, (sentence.start + sentence.end) / 2, side="right"))].append(sentence)
    return pieces
