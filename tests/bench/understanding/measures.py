"""Measures of borders and of selected sentences, and the plain methods to beat."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import log


def hits(found: Sequence[float], true: Sequence[float], seconds: float) -> int:
    """Return how many inner borders lie within a tolerance of true ones, each true one taken once."""
    left, count = list(true[1:-1]), 0
    for border in found[1:-1]:
        near = min(left, key=lambda other: abs(other - border), default=None)
        if near is not None and abs(near - border) <= seconds:
            left.remove(near)
            count += 1
    return count


def window_diff(found: Sequence[float], true: Sequence[float]) -> float:
    """Return WindowDiff (Pevzner and Hearst 2002) on a grid of seconds, 0 is perfect."""
    end = int(true[-1])
    width = max(2, round(true[-1] / (len(true) - 1) / 2))

    def inside(borders: Sequence[float], start: int) -> int:
        return sum(start < border <= start + width for border in borders[1:-1])

    places = range(max(1, end - width))
    return sum(inside(found, at) != inside(true, at) for at in places) / len(places)


def equal_split(end: float, parts: int) -> list[float]:
    """Return borders at equal distances."""
    return [end * number / parts for number in range(parts + 1)]


def rouge(found: str, gold: str, size: int = 1) -> float:
    """Return ROUGE-N (Lin 2004), F1, of lower-case words."""

    def grams(text: str) -> Counter[tuple[str, ...]]:
        words = re.findall(r"[^\W_]+", text.lower())
        return Counter(tuple(words[at : at + size]) for at in range(len(words) - size + 1))

    one, other = grams(found), grams(gold)
    both = (one & other).total()
    return 2 * both / (one.total() + other.total()) if both else 0.0


Chooser = Callable[[Sequence[str], int], list[int]]


def lead(texts: Sequence[str], count: int) -> list[int]:
    """Choose the first sentences."""
    return list(range(min(count, len(texts))))


def spread(texts: Sequence[str], count: int) -> list[int]:
    """Choose the first sentence of each equal part."""
    return [len(texts) * number // count for number in range(count)]


def by_chance(seed: int) -> Chooser:
    """Return a chooser that draws sentences."""
    return lambda texts, count: sorted(random.Random(seed).sample(range(len(texts)), min(count, len(texts))))


def text_rank(bags: Sequence[Iterable[str]], count: int) -> list[int]:
    """Choose by TextRank (Mihalcea and Tarau 2004) over bags of stems: the plain reference."""
    sets = [set(bag) for bag in bags]
    size = len(sets)
    alike = [[0.0] * size for _ in sets]
    for a in range(size):
        for b in range(size):
            norm = log(len(sets[a]) or 1) + log(len(sets[b]) or 1)
            if a != b and norm > 0:
                alike[a][b] = len(sets[a] & sets[b]) / norm
    total = [sum(row) or 1.0 for row in alike]
    rank = [1.0] * size
    for _ in range(50):
        rank = [0.15 + 0.85 * sum(alike[b][a] / total[b] * rank[b] for b in range(size)) for a in range(size)]
    return sorted(sorted(range(size), key=lambda at: (-rank[at], at))[:count])


def sections_of(starts: Iterable[float], borders: Sequence[float]) -> set[int]:
    """Return the true parts in which moments lie."""
    spans = list(pairwise(borders))
    return {n for at in starts for n, (a, b) in enumerate(spans) if a <= at + 0.05 < b}
