"""What the answers about several parts of one video make together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from pipeline.core.model import Json
from pipeline.core.text import stamp


@dataclass(frozen=True, slots=True)
class Part:
    """One job's answer about a part; times are the whole video's."""

    start: float
    end: float
    value: Mapping[str, Json]

    @property
    def name(self) -> str:
        """The part in words, e.g. ``0:00–1:30:00``."""
        return _span(self.start, self.end)


def _span(start: float, end: float) -> str:
    return f"{stamp(start, form='clock')}–{stamp(end, form='clock')}"


def joined_spans(parts: Sequence[Part], key: str) -> list[dict[str, Json]]:
    """Return the spans of all parts in order, without overlap."""
    spans = sorted((dict(span) for part in parts for span in part.value[key]), key=lambda span: span["start_time"])
    found: list[dict[str, Json]] = []
    for span in spans:
        if found:
            span["start_time"] = max(span["start_time"], found[-1]["end_time"])
        found += [span] if span["start_time"] < span["end_time"] else []
    return found


def joined_words(lists: Iterable[Sequence[str]], most: int) -> list[str]:
    """Return the words of several lists, the first of each first, none twice."""
    found: dict[str, str] = {}
    for word in chain.from_iterable(zip_longest(*lists)):
        if word is not None:
            found.setdefault(word.casefold(), word)
    return list(found.values())[:most]


def told_parts(parts: Sequence[Part], key: str) -> list[dict[str, Json]]:
    """Return one property of each part, with the part's times."""
    return [{"start_time": part.start, "end_time": part.end, key: part.value[key]} for part in parts]


def part_name(told: Mapping[str, Json]) -> str:
    """Return which part an entry of :func:`told_parts` is, in words."""
    return _span(told["start_time"], told["end_time"])


def labelled(parts: Sequence[Part], key: str) -> str:
    """Return the texts of all parts, each behind the part's times."""
    return "\n\n".join(f"[{part.name}] {part.value[key]}" for part in parts)
