"""Classification by words: how well classes, described by prompts, fit videos. Pure.

It counts words and judges nothing. A clip scores as in a search by the prompt (100 = it has all of the prompt's words), a
class scores as its best clip, and the duration ratio is the share of the video that its clips take. What can be told by
sight only is refused before it comes here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.local.state.fulltext import ClipMatch, Mode

MODES: dict[str, Mode] = {"semantic": "stems", "exact_match": "phrase"}


@dataclass(frozen=True, slots=True)
class WantedClass:
    """A class to look for; missing options are the whole request's."""

    name: str
    prompts: tuple[str, ...]
    options: tuple[str, ...]
    mode: Mode


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a class must reach: scores 0 to 100, a share 0 to 1."""

    video: float = 75.0
    clip: float = 30.0
    ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class ClassClip:
    """A clip that fits a prompt of a class."""

    match: ClipMatch
    prompt: str


@dataclass(frozen=True, slots=True)
class ClassFit:
    """How well a class fits a video."""

    name: str
    score: float
    ratio: float
    pieces: tuple[ClassClip, ...]  #: best first

    @property
    def mean(self) -> float:
        """The average score of the clips."""
        return round(sum(piece.match.score for piece in self.pieces) / len(self.pieces), 2)


def fits(
    classes: Iterable[WantedClass],
    lengths: Mapping[str, float],
    search: Callable[[WantedClass, str], Iterable[ClipMatch]],
    least: Thresholds,
) -> list[tuple[str, list[ClassFit]]]:
    """Return the videos that any class fits, with their classes, best first.

    Args:
        classes: what to look for.
        lengths: seconds of each video that counts.
        search: the clips of all videos that fit a prompt of a class.
        least: what to leave out.
    """
    found: dict[str, list[ClassFit]] = {}
    for each in classes:
        pieces: dict[str, list[ClassClip]] = {}
        for prompt in each.prompts:
            for match in search(each, prompt):
                if match.video_id in lengths and match.score >= least.clip:
                    pieces.setdefault(match.video_id, []).append(ClassClip(match, prompt))
        for video_id, own in pieces.items():
            fit = _fit(each.name, own, lengths[video_id])
            if fit.score >= least.video and fit.ratio >= least.ratio:
                found.setdefault(video_id, []).append(fit)
    ordered = {key: sorted(own, key=lambda fit: (-fit.score, -fit.ratio)) for key, own in found.items()}
    return sorted(ordered.items(), key=lambda pair: (-pair[1][0].score, -pair[1][0].ratio, pair[0]))


def _fit(name: str, pieces: Sequence[ClassClip], seconds: float) -> ClassFit:
    best_first = tuple(sorted(pieces, key=lambda piece: (-piece.match.score, piece.match.start)))
    covered, until = 0.0, 0.0
    for start, end in sorted((piece.match.start, piece.match.end) for piece in pieces):
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    ratio = round(min(1.0, covered / seconds), 2) if seconds else 0.0
    return ClassFit(name, best_first[0].match.score, ratio, best_first)


def shares(own: Sequence[ClassFit]) -> dict[str, float]:
    """Return a video's classes as a distribution that adds up to 100 (softmax)."""
    best = max(fit.score for fit in own)
    powers = {fit.name: math.exp((fit.score - best) / 10) for fit in own}
    return {name: round(100 * power / sum(powers.values()), 2) for name, power in powers.items()}
