"""The sentences a text turns on, and a choice that covers it.

The ranking is TextRank (Mihalcea and Tarau 2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.local.analysis.text.quoting import is_question, leans, links
from pipeline.local.analysis.text.sentences import Sentence
from pipeline.local.languages import Language

Floats: TypeAlias = npt.NDArray[np.float64]
_BLOCK = 500  # sentences ranked against each other at once; bounds the matrix
_SHORT, _LONG = 14, 26  # words; what has fewer or more says too little, or too much at once
_LINKED = 0.8  # worth of a sentence that begins with "but"
_CROWDED = 0.6  # worth of a second sentence of the same part
_FAR = 0.1  # cosine of what has nothing in common
_REPEATS = 0.6  # share of its words that a sentence may have in common with one already chosen


def centrality(found: Sequence[Sentence], language: Language, meaning: Floats | None = None) -> Floats:
    """Return each sentence's centrality, 0 to 1.

    It is weighted by how well the sentence can be quoted alone; 0 where it cannot.

    Long texts are ranked in blocks, so that memory stays bounded.

    Args:
        found: sentences in time order.
        language: what they are in.
        meaning: their vectors, each of length one; without them sentences are alike by their words alone.
    """
    scores = np.zeros(len(found))
    for first in range(0, len(found), _BLOCK):
        block = found[first : first + _BLOCK]
        edges = _overlaps(block)
        if meaning is not None:
            near = meaning[first : first + len(block)]
            edges = _even(edges) + _even(np.maximum(0, near @ near.T - _FAR) * (1 - np.eye(len(block))))
        scores[first : first + len(block)] = _ranked(edges)
    worth = np.array([_worth(sentence, language) for sentence in found])
    result: Floats = scores * worth
    return result


def choose(found: Sequence[Sentence], weights: Sequence[float], count: int, start: float, end: float) -> list[Sentence]:
    """Return up to ``count`` sentences of the greatest weight, in time order.

    None repeats another, and each further one of the same part of the time, of ``count`` equal parts, counts less. Sentences
    that cannot be quoted alone (weight 0) are taken only where there are no others.
    """
    pool = [n for n, weight in enumerate(weights) if weight > 0] or list(range(len(found)))
    value = {n: weights[n] for n in pool}
    part = {n: int((found[n].start - start) / max(0.1, end - start) * count) for n in pool}
    chosen: list[int] = []
    while value and len(chosen) < count:
        best = max(value, key=lambda n: (value[n], -n))
        chosen.append(best)
        del value[best]
        for n in [n for n in value if alike(found[n], found[best]) > _REPEATS]:
            del value[n]
        for n in value:
            value[n] *= _CROWDED if part[n] == part[best] else 1.0
    return [found[n] for n in sorted(chosen)]


def alike(one: Sentence, other: Sentence) -> float:
    """Return the overlap of two sentences' stems, 0 to 1 (of the shorter)."""
    a, b = set(one.stems), set(other.stems)
    return len(a & b) / max(1, min(len(a), len(b)))


def _overlaps(block: Sequence[Sentence]) -> Floats:
    """Return how many stems each two sentences share, less for long ones."""
    bags = [set(sentence.stems) for sentence in block]
    column = {stem: n for n, stem in enumerate(sorted(set().union(*bags)))}
    table = np.zeros((len(block), max(1, len(column))))
    for row, bag in enumerate(bags):
        table[row, [column[stem] for stem in bag]] = 1.0
    size = np.log(np.maximum(1.0, table.sum(1)))
    norm = size[:, np.newaxis] + size
    shared = table @ table.T
    np.fill_diagonal(shared, 0)
    result: Floats = np.where(norm > 0, shared / np.where(norm > 0, norm, 1), 0)
    return result


def _even(edges: Floats) -> Floats:
    """Return edges whose mean is 1, so that two kinds weigh alike."""
    mean = edges.mean() if edges.size else 0.0
    result: Floats = edges / mean if mean > 0 else edges
    return result


def _ranked(edges: Floats) -> Floats:
    total = edges.sum(1, keepdims=True)
    walk = np.where(total > 0, edges / np.where(total > 0, total, 1), 1 / len(edges))
    rank = np.full(len(edges), 1 / len(edges))
    for _ in range(60):
        rank = 0.15 / len(edges) + 0.85 * rank @ walk
    result: Floats = rank / rank.max()
    return result


def _worth(sentence: Sentence, language: Language) -> float:
    """Return how well a sentence can be quoted alone, 0 to 1."""
    if not sentence.stems or is_question(sentence.text) or leans(sentence.text, language):
        return 0.0
    count = len(sentence.text.split())
    value = min(1.0, count / _SHORT) * min(1.0, _LONG / count) ** 2
    return value * _LINKED if links(sentence.text, language) else value
