"""Whether a model's answer can be believed. Pure.

The schema holds, times exist, quotes occur. What was seen in pictures cannot be checked so, nor can words of the model's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pipeline.core.model import Json
from pipeline.core.text import plain, stamp
from pipeline.kit.answers import seconds
from pipeline.kit.schema_profile import mismatch
from pipeline.local.analysis.answer.property_names import kind_of, parts
from pipeline.local.analysis.protocol import Brief

_SLACK = 0.5  # seconds by which a time may be rounded over the edge
_QUOTED = re.compile(r"[“\"„«]([^“”\"„«»]{2,}?)[”\"“»]")
_FEWEST = 3  # words: fewer in quotes are a name or irony
_QUOTE_NAMES = frozenset({"quote", "quotes", "quotation", "evidence", "verbatim"})
_STAMP = re.compile(r"(?<![\d:.])(?:(\d{1,2}):)?(\d{1,3}):(\d{2})(?![\d:])")


def find_problem(value: Json, schema: Mapping[str, Json] | None, brief: Brief) -> str:
    """Return why an answer is not believed, in one sentence; empty if it is.

    ``value`` is the parsed JSON, or the text where no schema was asked for.
    """
    if schema is not None and (wrong := mismatch(value, schema)):
        return f"The schema does not hold: {wrong}."
    if schema is not None and (wrong := next(_wrong_times(value, brief), "")):
        return wrong
    said = _Said(brief)
    for name, text in _texts(value):
        if schema is None and (wrong := next(_wrong_stamps(text, brief), "")):
            return wrong
        quotes = [text] if _QUOTE_NAMES & set(parts(name)) else [found[1] for found in _QUOTED.finditer(text)]
        for quote in quotes:
            if not said.holds(quote):
                return f"These words are quoted, and the evidence does not have them: {plain(quote, 80)}."
    return ""


class _Said:
    """All words of the evidence, for looking quotes up."""

    def __init__(self, brief: Brief) -> None:
        kinds: dict[str, list[str]] = {}
        for clip in brief.clips:
            kinds.setdefault(clip.kind, []).append(clip.text)
        self._texts = [_bare(" ".join(texts)) for texts in kinds.values()]

    def holds(self, quote: str) -> bool:
        """True if each piece of a quote was said or shown.

        Dots part pieces; a few words are no quote.
        """
        pieces = [_bare(piece) for piece in re.split(r"…|\.\.\.|\[[^\]]*\]", quote)]
        return all(
            len(piece.split()) < _FEWEST or any(f" {piece} " in f" {text} " for text in self._texts) for piece in pieces
        )


def _bare(text: str) -> str:
    """Return words only, so that neither case nor punctuation counts."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def _texts(value: Json, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text with the name of its property."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, name)


def _wrong_times(value: Json, brief: Brief) -> Iterator[str]:
    """Yield what is wrong with the times in a value, at any depth."""
    if isinstance(value, list):
        for inner in value:
            yield from _wrong_times(inner, brief)
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        at = seconds(inner) if kind_of(name) in ("start", "end") else None
        if at is not None and not brief.start - _SLACK <= at <= brief.end + _SLACK:
            yield f"A `{name}` of {at:g} s lies outside of {brief.start:g} to {brief.end:g} s."
        yield from _wrong_times(inner, brief)
    begin, end = _time_of(value, "start"), _time_of(value, "end")
    if begin is not None and end is not None and end < begin:
        yield f"An entry ends at {end:g} s, before it begins at {begin:g} s."


def _time_of(value: Json, kind: str) -> float | None:
    found = (
        (seconds(inner) for name, inner in value.items() if kind_of(name) == kind) if isinstance(value, dict) else ()
    )
    return next((at for at in found if at is not None), None)


def _wrong_stamps(text: str, brief: Brief) -> Iterator[str]:
    """Yield a time in plain text that lies behind the end."""
    for found in _STAMP.finditer(text):
        at = int(found[1] or 0) * 3600 + int(found[2]) * 60 + int(found[3])
        if at > brief.end + 1:
            yield f"The time {found[0]} lies behind the end of the video, {stamp(brief.end, form='clock')}."
