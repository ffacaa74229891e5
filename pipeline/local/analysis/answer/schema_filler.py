"""Fill a JSON schema from the evidence.

The schema decides; nothing here knows our own jobs.
A value that cannot be known is left out where the schema allows it (not required, or null in ``anyOf``), else the whole is
refused with the property's name. Understood: the subset of the platform (see :func:`fill`), and lists of types.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.core.model import Json
from pipeline.core.text import stamp
from pipeline.local.analysis.answer.free_text import NOT_SUPPORTED, passages, reply, sentences_wanted
from pipeline.local.analysis.answer.prompt_hints import about, request
from pipeline.local.analysis.answer.property_names import Kind, kind_of, parts
from pipeline.local.analysis.answer.rows import AnswerRow, build_rows, count_wanted, list_kind
from pipeline.local.analysis.protocol import AnalysisRefused
from pipeline.local.analysis.text.content_summary import ContentSummary

_DEPTH = 24  # levels of nesting and references
_UNKNOWN = frozenset({"unknown", "unclear", "n/a", "not sure", "undetermined", "cannot tell"})
_HELP = (
    "The local platform reads captions and on-screen text and measures the picture; it does not see or judge. "
    "Leave the property out of `required`, allow null, or use the Twelve Labs API."
)


class _Unknown(Exception):
    """A value cannot be known; carries where and why."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"`{path or 'answer'}`: {why}")


def fill(schema: Mapping[str, Json], summary: ContentSummary, prompt: str) -> Json:
    """Return a value that fits the schema and holds nothing but evidence.

    Understood: object (properties, required, order kept), array (items, minItems), string (enum, const, pattern), number,
    integer (bounds), boolean, null, timestamp, anyOf, ``$ref`` into ``$defs``.

    Raises:
        AnalysisRefused: a required value cannot be known; the message names the property and what would help.
    """
    try:
        return _Filler(summary, prompt, schema).value(schema, _Spot())
    except _Unknown as unknown:
        raise AnalysisRefused(NOT_SUPPORTED, f"Cannot tell {unknown}. {_HELP}") from None


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where in the schema a value belongs."""

    name: str = ""  #: the nearest property's name
    path: str = ""
    section: str = ""  #: the lines of the prompt that speak of this property or of one around it
    depth: int = 0
    row: AnswerRow | None = None  #: the entry of a list that is being filled
    share: float | None = None  #: of the words found that speak for a sibling's enum value

    def below(self, **changes: Any) -> _Spot:
        return replace(self, depth=self.depth + 1, **changes)

    def field(self, name: str, section: str) -> _Spot:
        return self.below(name=name, path=f"{self.path}.{name}".lstrip("."), section=section or self.section)

    def unknown(self, why: str) -> _Unknown:
        return _Unknown(self.path, why)


class _Filler:
    def __init__(self, summary: ContentSummary, prompt: str, root: Mapping[str, Json]) -> None:
        self._summary, self._prompt, self._root = summary, prompt, root
        self._makers: dict[str, Callable[[Mapping[str, Json], _Spot], Json]] = {
            "object": self._object, "array": self._array, "string": self._string, "number": self._number,
            "integer": self._number, "boolean": self._boolean, "null": lambda schema, spot: None,
            "timestamp": self._timestamp,
        }  # fmt: skip

    def value(self, schema: Json, spot: _Spot) -> Json:
        """Return a value for this spot; raises _Unknown."""
        if not isinstance(schema, Mapping):
            raise spot.unknown("its schema is no object")
        if spot.depth > _DEPTH:
            raise spot.unknown("its schema is nested too deeply")
        if "$ref" in schema:
            return self.value(self._referred(schema["$ref"], spot), spot.below())
        if isinstance(choices := schema.get("anyOf"), Sequence):
            return self._first(choices, spot)
        if isinstance(types := schema.get("type"), list):
            return self._first([{**schema, "type": each} for each in types], spot)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._enum(schema["enum"], spot)
        shape = schema.get("type") or (
            "object" if "properties" in schema else "array" if "items" in schema else "string"
        )
        maker = self._makers.get(str(shape))
        if maker is None:
            raise spot.unknown(f"its type {shape!r} is not known")
        return maker(schema, spot)

    def _referred(self, reference: Json, spot: _Spot) -> Json:
        found: Json = self._root
        steps = str(reference).removeprefix("#/").split("/")
        for step in steps if str(reference).startswith("#/") else [""]:
            found = found.get(step) if isinstance(found, Mapping) else None
        if found is None:
            raise spot.unknown(f"its reference {str(reference)[:80]!r} leads nowhere")
        return found

    def _first(self, choices: Sequence[Json], spot: _Spot) -> Json:
        """Return the first choice that can be answered; null only after all others."""
        trouble: _Unknown | None = None
        for choice in sorted(choices, key=lambda c: isinstance(c, Mapping) and c.get("type") == "null"):
            try:
                return self.value(choice, spot.below())
            except _Unknown as unknown:
                trouble = trouble or unknown
        raise trouble or spot.unknown("no choice is given")

    def _object(self, schema: Mapping[str, Json], spot: _Spot) -> Json:
        properties = schema.get("properties") or {}
        required = schema.get("required") or ()
        spot = spot.below(share=self._share(properties, spot))
        filled: dict[str, Json] = {}
        trouble: _Unknown | None = None
        for name, inner in properties.items():
            try:
                filled[name] = self.value(inner, spot.field(name, about(self._prompt, name)))
            except _Unknown as unknown:
                if name in required:
                    raise
                trouble = trouble or unknown
        if properties and not filled and trouble is not None:
            raise trouble
        return filled

    def _array(self, schema: Mapping[str, Json], spot: _Spot) -> Json:
        item = schema.get("items") or {"type": "string"}
        if isinstance(item, Mapping) and "$ref" in item:
            item = self._referred(item["$ref"], spot)
        least = int(schema.get("minItems") or 0)
        if isinstance(item, Mapping) and "enum" in item:
            found: list[Json] = [label for label, hits in self._hits(item["enum"], spot) if hits]
        else:
            found = self._entries(item, spot)
        if len(found) < least:
            found = self._measured(item, spot)
        if len(found) < least:
            raise spot.unknown("nothing in the captions or on-screen text belongs there")
        return found

    def _entries(self, item: Mapping[str, Json], spot: _Spot) -> list[Json]:
        kind = list_kind(spot.name, item)
        count = count_wanted(spot.section, self._prompt, kind)
        found = build_rows(self._summary, kind, spot.name, spot.section, count)
        if not kind and not found:
            raise spot.unknown("nothing in the captions or on-screen text tells")
        if item.get("type", "string") == "string" and "properties" not in item:
            texts = [_entry(row, kind, item) for row in found]
            return [text for text in texts if text is not None]
        return [self.value(item, spot.below(path=f"{spot.path}[]", row=row, share=None)) for row in found]

    def _measured(self, item: Json, spot: _Spot) -> list[Json]:
        """Return facts about the picture where no words make the wanted topics."""
        kind = kind_of(spot.name)
        if self._summary.phrases or kind not in ("topics", "hashtags") or not isinstance(item, Mapping):
            return []
        looks = self._summary.looks
        words = [f"#{''.join(word.title() for word in look.split())}" if kind == "hashtags" else look for look in looks]
        return [word for word in (_fitting(word, item) for word in words) if word is not None]

    def _enum(self, labels: Sequence[Json], spot: _Spot) -> Json:
        if len(labels) == 1:
            return labels[0]
        hits = self._hits(labels, spot)
        if hits and hits[0][1]:
            return hits[0][0]
        for label in labels:
            if isinstance(label, str) and label.lower() in _UNKNOWN:
                return label
        raise spot.unknown("none of the allowed values is named in the captions or on-screen text")

    def _hits(self, labels: Sequence[Json], spot: _Spot) -> list[tuple[str, int]]:
        """Return (label, how often its rarest word is found), most often first."""
        text = spot.row.text if spot.row else " ".join(self._summary.texts)
        language = self._summary.language
        found = language.stems(text)
        counted = []
        for label in labels:
            wanted_stems = language.stems(label.replace("_", " ")) if isinstance(label, str) else ()
            counted.append((label, min((found.count(stem) for stem in wanted_stems), default=0)))
        return sorted(counted, key=lambda pair: -pair[1])

    def _share(self, properties: Mapping[str, Json], spot: _Spot) -> float | None:
        """Return the chosen value's share of the words found for a sibling enum."""
        for inner in properties.values():
            if isinstance(inner, Mapping) and isinstance(inner.get("enum"), Sequence) and len(inner["enum"]) > 1:
                hits = [count for _, count in self._hits(inner["enum"], spot)]
                return round(max(hits) / sum(hits), 2) if sum(hits) else None
        return None

    def _string(self, schema: Mapping[str, Json], spot: _Spot) -> Json:
        kind = kind_of(spot.name)
        if kind in ("start", "end", "length"):
            return stamp(self._seconds(kind, spot))
        if {"filmed", "recorded"} & set(parts(spot.name)) and spot.row is None and self._summary.facts.filmed:
            return self._summary.facts.filmed
        if schema.get("format"):
            raise spot.unknown(f"a {schema['format']} is nothing that can be read from it")
        text = _of_row(spot.row, spot, kind) if spot.row is not None else self._whole(kind, spot)
        fitted = _fitting(text, schema)
        if fitted is None:
            raise spot.unknown(f"what was found does not fit the pattern {schema['pattern']!r}")
        return fitted

    def _whole(self, kind: Kind, spot: _Spot) -> str:
        """Return a text about the whole video."""
        summary = self._summary
        if kind == "title":
            return summary.title
        if kind in ("summary", "points"):
            return " ".join(summary.summary_lines(sentences_wanted(spot.section or self._prompt)))
        if kind == "answer" or (not kind and about(self._prompt, spot.name)):
            return reply(summary, request(spot.section, spot.name) if spot.section else self._prompt)
        if kind in ("chapters", "highlights", "transcript", "screen", "topics", "hashtags", "questions"):
            found = build_rows(summary, kind, spot.name, spot.section, count_wanted(spot.section, self._prompt, kind))
            if found:
                lines = [row.title if kind in ("chapters", "topics", "hashtags") else row.text for row in found]
                return (", " if kind == "topics" else " " if kind == "hashtags" else "\n").join(lines)
        found_passages = [p for p in passages(summary, " ".join(parts(spot.name))) if p.fit > 0.99]
        if found_passages:
            return found_passages[0].text
        raise spot.unknown("nothing in the captions or on-screen text tells")

    def _number(self, schema: Mapping[str, Json], spot: _Spot) -> Json:
        kind = kind_of(spot.name)
        if kind in ("start", "end", "length"):
            exact = self._seconds(kind, spot)
            number = exact if schema["type"] == "number" else math.ceil(exact) if kind == "end" else math.floor(exact)
        elif kind == "number" and spot.row is not None:
            number = spot.row.number
        elif kind == "share" and spot.share is not None and schema["type"] == "number":
            number = spot.share
        else:
            number = self._measure(spot)
            number = number if schema["type"] == "number" else round(number)
        if not _within(number, schema):
            raise spot.unknown(f"{number} was measured, which is outside its bounds")
        return number

    def _measure(self, spot: _Spot) -> float:
        summary, facts, name = self._summary, self._summary.facts, set(parts(spot.name))
        if spot.row is None:
            for words, number in (
                ({"width"}, facts.width), ({"height"}, facts.height), ({"fps"}, facts.fps), ({"shots"}, len(summary.shots)),
                ({"shot", "count"}, len(summary.shots)), ({"chapter", "count"}, len(summary.chapters())),
                ({"word", "count"}, sum(len(s.text.split()) for s in summary.sentences)),
            ):  # fmt: skip
                if words <= name:
                    return number
        raise spot.unknown("it cannot be measured")

    def _boolean(self, schema: Mapping[str, Json], spot: _Spot) -> Json:
        name = "_".join(parts(spot.name))
        if name in ("has_audio", "has_sound"):
            return self._summary.facts.has_audio
        if name in ("has_captions", "has_subtitles"):
            return bool(self._summary.sentences)
        raise spot.unknown("a yes or no needs judgement")

    def _timestamp(self, schema: Mapping[str, Json], spot: _Spot) -> Json:
        kind = kind_of(spot.name)
        at = self._seconds(kind if kind in ("start", "end") else "start", spot)
        form = schema.get("format", "seconds")
        return round(at, 2) if form == "seconds" else stamp(at) if str(form).endswith("fff") else stamp(int(at))[:8]

    def _seconds(self, kind: Kind, spot: _Spot) -> float:
        start, end = (spot.row.start, spot.row.end) if spot.row else (self._summary.start, self._summary.end)
        return round({"start": start, "end": end}.get(kind, end - start), 2)


def _of_row(row: AnswerRow, spot: _Spot, kind: Kind) -> str:
    """Return the title or text that a name asks for; else refuse."""
    last = parts(spot.name)[-1:]
    if last in (["quote"], ["detail"], ["details"], ["evidence"]):
        return row.text
    if kind in ("title", "highlights", "chapters", "topics", "hashtags") or last in (["name"], ["label"]):
        return row.title
    if kind in ("summary", "answer", "points", "transcript", "screen", "shots", "questions"):
        return row.text
    raise spot.unknown("captions and on-screen text do not tell it entry by entry")


def _entry(row: AnswerRow, kind: Kind, item: Mapping[str, Json]) -> str | None:
    return _fitting(row.title if kind in ("chapters", "topics", "hashtags") else row.text, item)


def _fitting(text: str, schema: Mapping[str, Json]) -> str | None:
    """Return the text, with or without ``#``, as the pattern wants; else None."""
    pattern = schema.get("pattern")
    if not isinstance(pattern, str):
        return text
    try:
        return next(
            (form for form in (text, text.lstrip("#"), text.lstrip("#").lower()) if re.search(pattern, form)), None
        )
    except re.error:
        return None


def _within(number: float, schema: Mapping[str, Json]) -> bool:
    return bool(
        schema.get("minimum", -math.inf) <= number <= schema.get("maximum", math.inf)
        and schema.get("exclusiveMinimum", -math.inf) < number < schema.get("exclusiveMaximum", math.inf)
    )
