"""Where a talk turns to another topic, from what is said and when.

A border is worth more behind a longer pause, and where the words before it and after it differ; none lies before a sentence
that leans on the one before. Pieces of like length are preferred, so that without any sign the borders are those of an equal
split, moved to where a thought begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from pipeline.local.analysis.text.centrality import Floats
from pipeline.local.analysis.text.quoting import leans, links
from pipeline.local.analysis.text.sentences import Sentence
from pipeline.local.languages import Language

_Block: TypeAlias = Sequence[Sentence]
_MAX_BLOCKS = 240  # of sentences, between which borders are looked for
_REACH, _REACH_OF_MEANING = 2.0, 1.0  # sentences over which words, and vectors, are spread to their neighbours
_WORDS, _LENGTHS, _LEANING = 30.0, 3.0, 3.0  # worth of unlike words and of like lengths beside a pause of one deviation
_USUAL = 40  # sentences at which these were weighed
_SHORTEST = 8.0  # seconds, but at most half of what an equal split would give
_CONTRAST = 0.1  # cosine by which words within pieces must be more alike than across borders
_LONG_PAUSE = 4.0  # deviations; longer ones say no more


def topic_borders(
    found: Sequence[Sentence],
    language: Language,
    start: float,
    end: float,
    most: int,
    exactly: int = 0,
    meaning: Floats | None = None,
) -> list[float]:
    """Return borders from ``start`` to ``end``, seconds.

    Each inner one is where a sentence begins.

    Args:
        found: sentences in time order.
        language: what they are in.
        start, end: the part that counts.
        most: pieces at most.
        exactly: pieces that are asked for, where the length allows.
        meaning: the sentences' vectors, each of length one; they are looked at instead of words.
    """
    blocks = _blocks(found, language)
    if len(blocks) < 4 or max(most, exactly) < 2:
        return [start, end]
    near = _near_by_words(blocks) if meaning is None else _near_by_meaning(blocks, meaning)
    alike = near @ near.T
    cuts = _cuts(blocks, language, alike, (start, end), (exactly or most) + 1)
    if exactly:
        count = max((pieces for pieces in cuts if pieces <= exactly), default=1)
    else:
        count = _turning_point({pieces: worth for pieces, (worth, _) in cuts.items()}, most)
        if count > 1 and _contrast(alike, [0, *cuts[count][1], len(blocks)]) < _CONTRAST:
            count = 1
    return [start, *(blocks[cut][0].start for cut in cuts.get(count, (0.0, ()))[1]), end]


def _blocks(found: Sequence[Sentence], language: Language) -> Sequence[_Block]:
    """Put sentences together into blocks, each begun by one that does not lean."""
    size = -(-len(found) // _MAX_BLOCKS)
    blocks: list[list[Sentence]] = []
    for sentence in found:
        full = not blocks or len(blocks[-1]) >= size
        if full and (size == 1 or not blocks or len(blocks[-1]) >= 2 * size or not _leans(sentence, language)):
            blocks.append([])
        blocks[-1].append(sentence)
    return blocks


def _leans(sentence: Sentence, language: Language) -> bool:
    return leans(sentence.text, language) or links(sentence.text, language)


def _near_by_meaning(blocks: Sequence[_Block], meaning: Floats) -> Floats:
    """Return a row of length one for each block, spread to the neighbours."""
    first = np.cumsum([0, *(len(block) for block in blocks[:-1])])
    return _spread(_unit(np.add.reduceat(meaning, first, axis=0)), _REACH_OF_MEANING)


def _near_by_words(blocks: Sequence[_Block]) -> Floats:
    """Return a row of length one for each block; rare words count more."""
    bags = [Counter(stem for sentence in block for stem in sentence.stems) for block in blocks]
    seen = Counter(stem for bag in bags for stem in bag)
    column = {stem: number for number, stem in enumerate(sorted(stem for stem, times in seen.items() if times > 1))}
    table = np.zeros((len(blocks), max(1, len(column))))
    for row, bag in enumerate(bags):
        for stem, times in bag.items():
            if stem in column:
                table[row, column[stem]] = times * np.log(1 + len(blocks) / seen[stem])
    return _spread(_unit(table), _REACH)


def _spread(rows: Floats, reach: float) -> Floats:
    """Return rows that take in their neighbours, the nearer the more."""
    place = np.arange(len(rows))
    return _unit(np.exp(-np.abs(np.subtract.outer(place, place)) / reach) @ rows)


def _unit(table: Floats) -> Floats:
    length = np.linalg.norm(table, axis=1, keepdims=True)
    result: Floats = table / np.where(length > 0, length, 1)
    return result


def _cuts(
    blocks: Sequence[_Block], language: Language, alike: Floats, span: tuple[float, float], most: int
) -> dict[int, tuple[float, list[int]]]:
    """Return the best pieces by their number: worth, and the later ones' first blocks."""
    count, (start, end) = len(blocks), span
    begins = np.array([start, *(block[0].start for block in blocks[1:]), end])
    length = begins[np.newaxis, :] - begins[:, np.newaxis]
    inside = _cohesion(alike) * _WORDS * np.sqrt(count / _USUAL) / count
    inside[:count] += _pauses(blocks, language)[:, np.newaxis]
    found: dict[int, tuple[float, list[int]]] = {1: (float(inside[0, count]), [])}
    for pieces in range(2, min(most, count // 2) + 1):
        mean = (end - start) / pieces
        worth = inside - _LENGTHS * (length / mean - 1) ** 2
        worth[(length < min(_SHORTEST, mean / 2)) | (length <= 0)] = -np.inf
        best, came = np.full(count + 1, -np.inf), []
        best[0] = 0.0
        for _ in range(pieces):
            totals = best[:, np.newaxis] + worth
            came.append(totals.argmax(0))
            best = totals.max(0)
        if not np.isfinite(best[count]):
            break
        found[pieces] = float(best[count]), _way_back(came, count)
    return found


def _way_back(came: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.intp]]], last: int) -> list[int]:
    cuts: list[int] = []
    for step in reversed(came[1:]):
        last = int(step[last])
        cuts.append(last)
    return cuts[::-1]


def _cohesion(alike: Floats) -> Floats:
    """Return how alike blocks ``i`` to ``j`` are, times their number."""
    spread = float(alike.std())
    even = (alike - alike.mean()) / (spread if spread > 1e-6 else 1.0)
    count = len(alike)
    upto = np.zeros((count + 1, count + 1))
    upto[1:, 1:] = even.cumsum(0).cumsum(1)
    corner = np.diag(upto)
    total = corner[np.newaxis, :] - upto - upto.T + corner[:, np.newaxis]
    place = np.arange(count + 1)
    result: Floats = total / np.maximum(1, place[np.newaxis, :] - place[:, np.newaxis])
    return result


def _pauses(blocks: Sequence[_Block], language: Language) -> Floats:
    """Return what speaks for a border before each block, in deviations of pauses."""
    worth = np.zeros(len(blocks))
    gaps = np.array([max(0.0, after[0].start - before[-1].end) for before, after in pairwise(blocks)])
    logs = np.log(gaps + 0.1)
    usual = np.median(logs)
    deviation = 1.4826 * np.median(np.abs(logs - usual))
    if deviation > 0.05:  # else captions without gaps
        worth[1:] = np.clip((logs - usual) / max(deviation, 0.2), -_LONG_PAUSE, _LONG_PAUSE)
    worth[1:] -= [_LEANING * _leans(block[0], language) for block in blocks[1:]]
    return worth


def _turning_point(worth: Mapping[int, float], most: int) -> int:
    """Return the number of pieces after which more gain much less."""
    gains = {pieces: worth[pieces] - worth[pieces - 1] for pieces in worth if pieces > 1}
    bends = {n: (gains[n] - gains[n + 1]) * n**0.5 for n in gains if n + 1 in gains and n <= most}
    return max(bends, key=lambda pieces: (bends[pieces], -pieces), default=max(worth) if most > 1 else 1)


def _contrast(alike: Floats, cuts: Sequence[int]) -> float:
    """Return how much more alike words are within pieces than across borders."""
    pieces = [slice(a, b) for a, b in pairwise(cuts)]
    within = np.mean([alike[piece, piece].mean() for piece in pieces])
    across = np.mean([alike[a, b].mean() for a, b in pairwise(pieces)])
    return float(within - across)
