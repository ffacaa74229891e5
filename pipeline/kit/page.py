"""What a job may put on the gallery's page: blocks, never HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from typing import Literal, TypeAlias

from pipeline.core.model import Json
from pipeline.kit.answers import seconds


@dataclass(frozen=True, slots=True)
class Prose:
    """Paragraphs of plain text; a line break ends one."""

    text: str
    kind: Literal["prose"] = "prose"


@dataclass(frozen=True, slots=True)
class Moment:
    """A stretch of the video, in seconds from its beginning."""

    start: float
    end: float
    title: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Moments:
    """Stretches in order of time; ``chapters`` also become the bar under the player."""

    items: Sequence[Moment]
    chapters: bool = False
    kind: Literal["moments"] = "moments"


@dataclass(frozen=True, slots=True)
class Tags:
    """Short words; ``facet`` makes them a filter of the gallery under that name."""

    words: Sequence[str]
    facet: str = ""
    kind: Literal["tags"] = "tags"


@dataclass(frozen=True, slots=True)
class Value:
    """Any JSON value, shown as a readable table."""

    value: Json
    kind: Literal["value"] = "value"


PageBlock: TypeAlias = Prose | Moments | Tags | Value


def found_moments(value: Json, titles: Sequence[str]) -> list[Moment] | None:
    """Return values with start and end as moments; None for others.

    Times are seconds under ``start_time`` and ``end_time``, or ``start`` and ``end``. ``titles`` names the properties that
    may hold a title, the best first; what else a value holds stands in the moment's text.
    """
    if not isinstance(value, list) or not value or not all(isinstance(entry, Mapping) for entry in value):
        return None
    found = [_moment(entry, titles) for entry in value]
    moments = [moment for moment in found if moment is not None]
    return sorted(moments, key=lambda moment: moment.start) if len(moments) == len(found) else None


def _moment(entry: Mapping[str, Json], titles: Sequence[str]) -> Moment | None:
    start, end = (_time(entry, name) for name in ("start", "end"))
    if start is None or end is None or end < start:
        return None
    rest = {name: _words(part) for name, part in entry.items() if not name.startswith(("start", "end"))}
    told = {name: words for name, words in rest.items() if words}
    best = next((name for name in titles if name in told), next(iter(told), ""))
    title = told.pop(best, "")
    return Moment(start, end, title, " · ".join(told.values()))


def _words(part: Json) -> str:
    return part.strip() if isinstance(part, str) else "" if part is None else dumps(part, ensure_ascii=False)


def _time(entry: Mapping[str, Json], name: str) -> float | None:
    return seconds(entry.get(f"{name}_time", entry.get(name)))
