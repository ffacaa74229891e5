"""Captions: SubRip and WebVTT as they are found, not as they are specified.

Read from arrow to arrow, because numbers, blank lines and headers cannot be relied on. Automatic captions roll: each cue
repeats the line before it; what was just shown is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import unescape
from itertools import zip_longest
from typing import NamedTuple

from pipeline.media.caption_times import looks_like_span, parse_span

MAX_CHARACTERS = 8_000_000  #: of one caption text; about 150 hours of speech. What lies beyond is not read
MAX_CUES = 100_000  #: of one video; further cues are not read
_MAX_CUE = 1_000  # characters of one cue; longer is no caption
_MAX_RAW = 20_000  # characters of one cue with its markup
_MAX_ROLL = 20  # lines that a cue can repeat of the one before; on a screen there is room for four
_SECONDS_PER_CUE = 5.0  # how long a cue without a usable end stands at most
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|<[\d:.]{1,20}>|\{\\[^{}]*\}")
_OVERRIDE = re.compile(r"((?<!\\)\{[^{}]*\})")
_DRAWING = re.compile(r"\\p(\d+)")
_BREAK = re.compile(r"\\[Nn]|\r\n?|\u2028")
#: What may be markup, or end a line; a text without any of these is what it shows.
_MARKED = re.compile(r"[<{}&\\\r]")
#: No character has so long a number; Python refuses to read numbers of thousands of digits.
_NO_CHARACTER = re.compile(r"&#(?:\d{8,}|[xX][0-9a-fA-F]{8,});?")
#: Comments and styles; and where segments of a broadcast were joined, the header of the next one.
_BLOCK = re.compile(r"^(?:NOTE|STYLE|REGION|WEBVTT|X-TIMESTAMP-MAP)\b")


class Cue(NamedTuple):
    """A line of captions: start and end in seconds, and the words."""

    start: float
    end: float
    text: str


def strip_markup(text: str) -> str:
    """Return the words without tags, positions and entities; lines stay lines.

    >>> strip_markup("{\\\\an8}<i>Salt &amp; water</i>")
    'Salt & water'
    """
    if text.isascii() and not _MARKED.search(text):
        return _plain_words(text)
    bare = _NO_CHARACTER.sub("", _TAG.sub("", _BREAK.sub("\n", _without_drawings(text[:_MAX_RAW]))))
    return _plain_words(unescape(bare).replace("\\h", " "))


def _plain_words(text: str) -> str:
    """Return what is shown of text without markup: no blank lines, no wide gaps."""
    text = text[:_MAX_RAW].strip()
    if text.isprintable():  # one line, as most are
        return " ".join(text.split())
    lines = text.split("\n")
    if not all(map(str.isprintable, lines)):
        lines = ["".join(char for char in line if char.isprintable() or char.isspace()) for line in lines]
    return "\n".join([words for line in lines if (words := " ".join(line.split()))])


def strip_ass(event: bytes) -> str:
    """Return the words of an ASS event: its ninth field, without overrides."""
    return strip_overrides(event.decode("utf-8", "replace").split(",", 8)[-1])


def strip_overrides(text: str) -> str:
    """Return the words of an ASS event's text; lines stay lines."""
    bare = _OVERRIDE.sub("", _without_drawings(text[:_MAX_RAW]))
    return strip_markup(bare.replace("\\{", "{").replace("\\}", "}"))


def _without_drawings(text: str) -> str:
    """Leave out ``{\\p1}`` to ``{\\p0}``: the strokes of a picture, not words."""
    if "\\p" not in text:
        return text
    kept: list[str] = []
    drawing = False
    for part in _OVERRIDE.split(text):
        if part.startswith("{") and (modes := _DRAWING.findall(part)):
            drawing = modes[-1].strip("0") != ""
        if part.startswith("{") or not drawing:
            kept.append(part)
    return "".join(kept)


def count_lost(text: str) -> int:
    """Return how many lines are meant as times and cannot be read."""
    return sum(looks_like_span(line) and parse_span(line) is None for line in text[:MAX_CHARACTERS].splitlines())


def parse(text: str) -> list[Cue]:
    """Parse SubRip or WebVTT text into cues in time order.

    A text without an arrow has none.
    At most MAX_CHARACTERS and MAX_CUES are read. Cues without words are left out.
    """
    lines = text[:MAX_CHARACTERS].lstrip("\ufeff").splitlines()
    # Most texts are plain: asked once for all of it, that costs a tenth.
    whole = "\n".join(lines)
    words_of = _plain_words if whole.isascii() and not _MARKED.search(whole) else strip_markup
    raw: list[Cue] = []
    for start, end, shown in _blocks(lines):
        words = words_of("\n".join(shown))[:_MAX_CUE]
        if words:
            raw.append(Cue(start, end, words))
        if len(raw) >= MAX_CUES:
            break
    return tidy(raw)


def tidy(raw: Iterable[Cue]) -> list[Cue]:
    """Sort cues, repair ends, and drop what rolling captions repeat."""
    ordered = sorted(raw, key=lambda cue: cue.start)
    return list(_unroll(_mend(ordered)))


def _blocks(lines: Sequence[str]) -> Iterator[tuple[float, float, list[str]]]:
    """Yield (start, end, lines) from arrow to arrow.

    What stands below times that cannot be read belongs to no other cue.
    """
    spans = [
        (number, span)
        for number, line in enumerate(lines)
        if (">" in line or not line.isascii()) and ((span := parse_span(line)) is not None or looks_like_span(line))
    ]
    has_notes = bool(spans) and any(map(_BLOCK.match, lines[spans[0][0] :]))
    for (number, span), following in zip_longest(spans, spans[1:]):
        shown = list(lines[number + 1 : following[0] if following is not None else None])
        if following is not None:
            shown = _without_label(shown)
        if span is not None:
            yield *span, _without_notes(shown) if has_notes else shown


def _without_label(lines: list[str]) -> list[str]:
    """Drop the number or name right above the next arrow."""
    if not lines or not lines[-1].strip():
        return lines
    alone = len(lines) == 1 or not lines[-2].strip()
    if (alone and len(lines) > 1) or lines[-1].strip().isdigit():
        return lines[:-1]
    return lines


def _without_notes(lines: list[str]) -> list[str]:
    """Drop comment and style blocks, which run to the next blank line."""
    kept: list[str] = []
    inside = False
    for above, line in zip(["", *lines], lines, strict=False):
        inside = bool(line.strip()) and (inside or (bool(kept) and not above.strip() and bool(_BLOCK.match(line))))
        if not inside:
            kept.append(line)
    return kept


def _mend(ordered: Sequence[Cue]) -> Iterator[Cue]:
    """Give cues that end before they start an end."""
    for cue, following in zip_longest(ordered, ordered[1:]):
        if cue.end > cue.start:
            yield cue
            continue
        limit = cue.start + _SECONDS_PER_CUE
        end = min(limit, following.start) if following is not None and following.start > cue.start else limit
        yield cue._replace(end=end)


def _unroll(cues: Iterable[Cue]) -> Iterator[Cue]:
    """Drop lines that the cue before has shown.

    A cue that only repeats extends that one.
    """
    pending: Cue | None = None
    shown: list[str] = []
    for cue in cues:
        rolling = pending is not None and cue.start <= pending.end + 0.15
        if cue.text and not rolling and "\n" not in cue.text:  # as most are
            if pending is not None:
                yield pending
            pending, shown = cue, [cue.text]
            continue
        lines = cue.text.split("\n")
        fresh = lines[_overlap(shown, lines) :] if rolling else lines
        shown = lines
        words = " ".join(fresh)
        if pending is None:
            pending = Cue(cue.start, cue.end, words)
        elif not words:
            pending = pending._replace(end=max(pending.end, cue.end))
        elif rolling and words.startswith(pending.text + " "):
            pending = Cue(pending.start, max(pending.end, cue.end), words)  # live captions: the line grows word by word
        else:
            # A rolling cue stays on the screen while the next is spoken; its words end where the next begin.
            heard = max(pending.start + 0.01, min(pending.end, cue.start))
            yield pending._replace(end=heard) if rolling else pending
            pending = Cue(cue.start, cue.end, words)
    if pending is not None:
        yield pending


def _overlap(shown: Sequence[str], lines: Sequence[str]) -> int:
    """Return how many lines at the top of a cue were shown before."""
    for count in range(min(len(shown), len(lines), _MAX_ROLL), 0, -1):
        if list(shown[-count:]) == list(lines[:count]):
            return count
    return 0
