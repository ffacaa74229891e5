"""Sentences of captions, each with its time. Nothing is composed."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.local.analysis.evidence import Evidence
from pipeline.local.languages import Language, language_of
from pipeline.local.stopwords import STOP_WORDS

_END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+(?=[\"'“‘(\[¿¡\-–—]*[A-Z0-9À-ÞЀ-Я])|[。！？]+")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|cf|Fig|No|Vol|approx|Inc|Ltd|Jr|Sr)|(?:[A-Z]\.|[A-Z][a-z]+ )[A-Z])\.$"
)
_ORDINAL = re.compile(r"\b\d{1,2}\.$")
_ORDINALS = frozenset({"cs", "da", "de", "et", "fi", "hr", "hu", "lv", "no", "pl", "sk", "sl"})  # write 3. for third
_SOUND = re.compile(r"^[\s\-–]*(?:[\[(（].*[\])）]|[♪♫#].*)$")
_PAUSE = 1.2  # seconds of silence that end a thought where nobody wrote full stops
_RUN = 14  # words of a piece of unpunctuated speech


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as it was said or shown, exact words and seconds."""

    start: float
    end: float
    text: str
    stems: tuple[str, ...]  #: of the words that carry meaning


def sentences(cues: Sequence[Evidence], language: Language | None = None) -> list[Sentence]:
    """Put cues of one source together and cut them into sentences with times.

    Speech without punctuation is cut at pauses and cue borders. Sounds in brackets and bare notes are left out.
    The language, where it is not given, is that of the words.
    """
    spoken = [cue for cue in cues if not _SOUND.match(cue.text)]
    if not spoken:
        return []
    offsets, at = [], 0
    for cue in spoken:
        offsets.append(at)
        at += len(cue.text) + 1
    text = " ".join(cue.text for cue in spoken)
    spoken_in = language or language_of(text)
    spans = _written(text, spoken_in) if _punctuated(text) else _spoken(spoken, offsets)
    timed = (_timed(text, first, last, spoken, offsets, spoken_in) for first, last in spans)
    return [sentence for sentence in timed if sentence is not None]


def _punctuated(text: str) -> bool:
    marks = len(re.findall(r"[.!?…。！？]", text))
    return marks * 45 >= len(text.split())


def _written(text: str, language: Language) -> Iterator[tuple[int, int]]:
    """Yield spans of characters from full stop to full stop."""
    first = 0
    for match in _END.finditer(text):
        stop = match.start() + len(match.group().rstrip())
        before = text[max(first, match.start() - 12) : match.start() + 1]
        if _ABBREVIATION.search(before) or (language.code in _ORDINALS and _ORDINAL.search(before)):
            continue
        yield first, stop
        first = match.end()
    yield first, len(text)


def _spoken(cues: Sequence[Evidence], offsets: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield spans of whole cues, cut at pauses and after enough words."""
    first, count = 0, 0
    for index, cue in enumerate(cues):
        count += len(cue.text.split())
        last = offsets[index] + len(cue.text)
        pause = index + 1 < len(cues) and cues[index + 1].start - cue.end > _PAUSE
        if pause or count >= _RUN or index + 1 == len(cues):
            yield first, last
            first, count = last + 1, 0


def _timed(
    text: str, first: int, last: int, cues: Sequence[Evidence], offsets: Sequence[int], language: Language
) -> Sentence | None:
    part = text[first:last]
    stripped = part.strip().lstrip("->–— ")
    if not any(map(str.isalnum, stripped)):
        return None
    first += part.index(stripped)
    start, end = (_time_of(at, cues, offsets) for at in (first, first + len(stripped)))
    return Sentence(round(start, 2), round(max(end, start + 0.1), 2), stripped, language.stems(stripped))


def _time_of(at: int, cues: Sequence[Evidence], offsets: Sequence[int]) -> float:
    """Return when the character at this offset is said, seconds."""
    index = max(0, bisect_right(offsets, at) - 1)
    cue = cues[index]
    share = min(1.0, (at - offsets[index]) / max(1, len(cue.text)))
    return cue.start + share * (cue.end - cue.start)


def telling(text: str) -> bool:
    """True if a line says anything.

    A lone "the" is left over from lettering that OCR could not read.

    >>> telling("the"), telling("the waggle dance"), telling("42 %")
    (False, True, True)
    """
    words = re.findall(r"[^\W_]+", text.casefold())
    return any(word not in STOP_WORDS for word in words)
