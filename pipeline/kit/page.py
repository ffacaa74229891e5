"""What a job may put on the gallery's page: blocks, never HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pipeline.core.model import Json


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


def default_blocks(value: Mapping[str, Json]) -> list[PageBlock]:
    """Return how a result is shown whose job has no ``page`` of its own."""
    return [Value(dict(value))]
