"""Search hits from clips that match: options combined, ordered, filtered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.core.model import Json
from pipeline.local.errors import ApiError
from pipeline.local.state.fulltext import ClipMatch
from pipeline.local.state.tables import VideoRow

_LEVELS = (("high", 80.0), ("medium", 60.0), ("low", 35.0))
_NUMBERS = ("duration", "width", "height", "size", "fps")


@dataclass(frozen=True, slots=True)
class ClipHit:
    """A moment, seconds, and the clips that made it one.

    ``score`` is 0 to 100.
    """

    video_id: str
    start: float
    end: float
    score: float
    by: tuple[ClipMatch, ...]

    @property
    def by_meaning(self) -> bool:
        """True where the words of the query need not be in it."""
        return any(match.by_meaning for match in self.by)

    @property
    def text(self) -> str:
        """The words that were found."""
        return " ".join(match.text for match in self.by)


def confidence(score: float, adjust: float = 0.5) -> str:
    """Return the confidence for a score; ``adjust`` 1 is strict, 0 lenient."""
    return next((name for name, least in _LEVELS if score >= _border(least, adjust)), "extremely low")


def least_score(level: str, adjust: float = 0.5) -> float:
    """Return the score from which on a threshold lets pass."""
    return next((_border(least, adjust) for name, least in _LEVELS if name == level), 0.0)


def _border(least: float, adjust: float) -> float:
    return min(100.0, least * adjust * 2)


def hits_of_any(found: Iterable[ClipMatch]) -> list[ClipHit]:
    """Return every clip as a hit of its own, best first."""
    return _ordered(ClipHit(m.video_id, m.start, m.end, m.score, (m,)) for m in found)


def hits_of_all(found: Iterable[ClipMatch], kinds: Sequence[str]) -> list[ClipHit]:
    """Return the times at which all kinds match, best first.

    The score is the clips' mean.
    """
    sides: dict[str, dict[str, list[ClipMatch]]] = {}
    for match in found:
        sides.setdefault(match.video_id, {}).setdefault(match.kind, []).append(match)
    hits: list[ClipHit] = []
    for video_id, side in sides.items():
        if set(kinds) - set(side):
            continue
        part = [ClipHit(video_id, m.start, m.end, m.score, (m,)) for m in side[kinds[0]]]
        for kind in kinds[1:]:
            part = [joined for hit in part if (joined := _joined(hit, side[kind])) is not None]
        hits += part
    return _ordered(hits)


def with_nearest(by_words: Iterable[ClipHit], nearest: Iterable[ClipMatch]) -> list[ClipHit]:
    """Return word hits and the clips nearest by meaning, best first.

    Clips with all or most of the words come first, by their scores. One that has words and is near counts once.
    """
    found: dict[tuple[str, str, float, float, str], ClipHit] = {}
    for hit in _ordered([*by_words, *hits_of_any(nearest)]):
        found.setdefault((hit.video_id, hit.by[0].kind, hit.start, hit.end, hit.text), hit)
    return list(found.values())


def _joined(hit: ClipHit, others: Sequence[ClipMatch]) -> ClipHit | None:
    """Return the hit narrowed to its best overlapping clip, or None."""
    near = [other for other in others if min(hit.end, other.end) > max(hit.start, other.start)]
    if not near:
        return None
    best = max(near, key=lambda other: other.score)
    by = (*hit.by, best)
    mean = round(sum(match.score for match in by) / len(by), 2)
    return replace(hit, start=max(hit.start, best.start), end=min(hit.end, best.end), score=mean, by=by)


def _ordered(hits: Iterable[ClipHit]) -> list[ClipHit]:
    return sorted(hits, key=lambda hit: (-hit.score, hit.video_id, hit.start))


def group_by_video(hits: Sequence[ClipHit], *, most_clips_first: bool = False) -> list[tuple[str, list[ClipHit]]]:
    """Return hits grouped by video: best hit first, or most hits first."""
    groups: dict[str, list[ClipHit]] = {}
    for hit in hits:
        groups.setdefault(hit.video_id, []).append(hit)
    found = list(groups.items())
    return sorted(found, key=lambda group: -len(group[1])) if most_clips_first else found


def parse_filter(wanted: Json) -> Mapping[str, Json]:
    """Return a usable ``filter``; raises ApiError (400) for one that means nothing."""
    if wanted is None:
        return {}
    if not isinstance(wanted, dict):
        raise _bad("It must be an object.")
    for name, rule in wanted.items():
        if isinstance(rule, dict):
            if not rule or set(rule) - {"gte", "lte"} or not all(_number(bound) for bound in rule.values()):
                raise _bad(f"The range of {name[:64]!r} may have gte and lte, which are numbers.")
        elif isinstance(rule, list):
            if name != "id" or not all(isinstance(entry, str) for entry in rule):
                raise _bad("Only 'id' may be a list, and of strings.")
        elif not isinstance(rule, str | int | float | bool):
            raise _bad(f"The value of {name[:64]!r} must be a string, number or boolean, or a range.")
    return wanted


def matches_filter(wanted: Mapping[str, Json], video: VideoRow) -> bool:
    """True if a video passes a checked filter of system fields and user metadata."""
    return all(_fits(rule, _value(name, video)) for name, rule in wanted.items())


def _value(name: str, video: VideoRow) -> Json:
    if name == "id":
        return video.id
    if name in ("filename", "title"):
        return video.title
    return getattr(video, name) if name in _NUMBERS else video.user_metadata.get(name)


def _fits(rule: Json, value: Json) -> bool:
    if isinstance(rule, dict):
        low, high = rule.get("gte", float("-inf")), rule.get("lte", float("inf"))
        return _number(value) and bool(low <= value <= high)
    if isinstance(rule, list):
        return value in rule
    if isinstance(rule, bool) or isinstance(value, bool):
        return rule is value
    return bool(rule in value if isinstance(value, list) else rule == value)


def _number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bad(why: str) -> ApiError:
    return ApiError(400, "search_filter_invalid", f"The filter parameter cannot be used. {why}")
