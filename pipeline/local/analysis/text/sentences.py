"""Sentences of captions, the most central ones, and key phrases.

It selects words and never composes them.
Stop words, endings and abbreviations are English; other languages written with spaces work with less taste.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.local.analysis.evidence import Evidence
from pipeline.local.stopwords import DETERMINERS, STOP_WORDS, WEAK_STARTS

Floats: TypeAlias = npt.NDArray[np.float64]
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+(?=[\"'“‘(\[¿¡\-–—]*[A-Z0-9À-ÞЀ-Я])|[。！？]+")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|cf|Fig|No|Vol|approx|Inc|Ltd|Jr|Sr)|(?:[A-Z]\.|[A-Z][a-z]+ )[A-Z])\.$"
)
_SOUND = re.compile(r"^[\s\-–]*(?:[\[(（].*[\])）]|[♪♫#].*)$")
_BLOCK = 500  # sentences ranked against each other at once; bounds the matrix
_PAUSE = 1.2  # seconds of silence that end a thought where nobody wrote full stops
_RUN = 14  # words of a piece of unpunctuated speech


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as it was said or shown, exact words and seconds."""

    start: float
    end: float
    text: str
    stems: tuple[str, ...]  #: of the words that carry meaning


@dataclass(frozen=True, slots=True)
class Phrase:
    """One to three words for what a text is about, as most often spelled."""

    text: str
    stems: tuple[str, ...]
    count: int
    score: float


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return [word.lower().replace("’", "'") for word in _WORD.findall(text)]


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return a word without its commonest English endings: ``bees`` as ``bee``."""
    base = word.removesuffix("'s")
    for ending, rest in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")):
        if base.endswith(ending) and len(base) > len(ending) + 2:
            return base[: -len(ending)] + rest
    if base.endswith("s") and not base.endswith(("ss", "us", "is")) and len(base) > 3:
        base = base[:-1]
    for ending in ("ing", "ed"):
        if base.endswith(ending) and len(base) > len(ending) + 2:
            base = base[: -len(ending)]
            return base[:-1] if base[-1] == base[-2] and base[-1] not in "lsz" else base.removesuffix("e")
    return base.removesuffix("e") if len(base) > 3 else base


def stems(text: str) -> tuple[str, ...]:
    """Return the stems of the words that carry meaning."""
    return tuple(stem(word) for word in words(text) if word not in STOP_WORDS and (len(word) > 1 or word.isdigit()))


def sentences(cues: Sequence[Evidence]) -> list[Sentence]:
    """Put cues of one source together and cut them into sentences with times.

    Speech without punctuation is cut at pauses and cue borders. Sounds in brackets and bare notes are left out.
    """
    spoken = [cue for cue in cues if not _SOUND.match(cue.text)]
    if not spoken:
        return []
    offsets, at = [], 0
    for cue in spoken:
        offsets.append(at)
        at += len(cue.text) + 1
    text = " ".join(cue.text for cue in spoken)
    spans = _written(text) if _punctuated(text) else _spoken(spoken, offsets)
    timed = (_timed(text, first, last, spoken, offsets) for first, last in spans)
    return [sentence for sentence in timed if sentence is not None]


def _punctuated(text: str) -> bool:
    marks = len(re.findall(r"[.!?…。！？]", text))
    return marks * 45 >= len(text.split())


def _written(text: str) -> Iterator[tuple[int, int]]:
    """Yield spans of characters from full stop to full stop."""
    first = 0
    for match in _END.finditer(text):
        stop = match.start() + len(match.group().rstrip())
        if _ABBREVIATION.search(text[max(first, match.start() - 12) : match.start() + 1]):
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


def _timed(text: str, first: int, last: int, cues: Sequence[Evidence], offsets: Sequence[int]) -> Sentence | None:
    part = text[first:last]
    stripped = part.strip().lstrip("->–— ")
    if not any(map(str.isalnum, stripped)):
        return None
    first += part.index(stripped)
    start, end = (_time_of(at, cues, offsets) for at in (first, first + len(stripped)))
    return Sentence(round(start, 2), round(max(end, start + 0.1), 2), stripped, stems(stripped))


def _time_of(at: int, cues: Sequence[Evidence], offsets: Sequence[int]) -> float:
    """Return when the character at this offset is said, seconds."""
    index = max(0, bisect_right(offsets, at) - 1)
    cue = cues[index]
    share = min(1.0, (at - offsets[index]) / max(1, len(cue.text)))
    return cue.start + share * (cue.end - cue.start)


def vectors(bags: Sequence[Iterable[str]]) -> Floats:
    """Return one unit-length tf-idf row per bag of stems."""
    counts = [Counter(bag) for bag in bags]
    seen = Counter(word for count in counts for word in count)
    index = {word: column for column, word in enumerate(seen)}
    table = np.zeros((len(bags), max(1, len(index))))
    for row, count in enumerate(counts):
        for word, number in count.items():
            table[row, index[word]] = number * np.log(1 + len(bags) / seen[word])
    length = np.linalg.norm(table, axis=1, keepdims=True)
    normal: Floats = table / np.where(length > 0, length, 1)
    return normal


def centrality(found: Sequence[Sentence]) -> Floats:
    """Return each sentence's centrality (LexRank), 0 to 1.

    It is weighted by how well the sentence stands alone.
    Long texts are ranked in blocks, so that memory stays bounded.
    """
    scores = np.zeros(len(found))
    for first in range(0, len(found), _BLOCK):
        block = found[first : first + _BLOCK]
        scores[first : first + len(block)] = _lexrank(vectors([sentence.stems for sentence in block]))
    fitness = np.array([_fitness(sentence) for sentence in found])
    result: Floats = scores * fitness
    return result


def _lexrank(table: Floats) -> Floats:
    alike = table @ table.T
    np.fill_diagonal(alike, 0)
    total = alike.sum(1, keepdims=True)
    walk = np.where(total > 0, alike / np.where(total > 0, total, 1), 1 / len(alike))
    rank = np.full(len(alike), 1 / len(alike))
    for _ in range(60):
        rank = 0.15 / len(alike) + 0.85 * rank @ walk
    result: Floats = rank / rank.max()
    return result


def _fitness(sentence: Sentence) -> float:
    """Return how well a sentence can be quoted alone."""
    count = len(sentence.text.split())
    if not sentence.stems:
        return 0.01
    value = min(1.0, count / 7) * min(1.0, 34 / count)
    first = words(sentence.text)[:1]
    if first and first[0] in WEAK_STARTS:
        value *= 0.6
    if sentence.text.rstrip("\"'”’").endswith("?"):
        value *= 0.5
    return value


def stands_alone(text: str) -> bool:
    """True for a statement that does not lean on the one before it."""
    return not text.rstrip("\"'”’").endswith("?") and not (set(words(text)[:1]) & WEAK_STARTS)


def alike(one: Sentence, other: Sentence) -> float:
    """Return the overlap of two sentences' stems, 0 to 1 (of the shorter)."""
    a, b = set(one.stems), set(other.stems)
    return len(a & b) / max(1, min(len(a), len(b)))


def key_phrases(texts: Sequence[str], limit: int) -> list[Phrase]:
    """Return the key phrases of texts, best first, as most often spelled."""
    forms: dict[tuple[str, ...], Counter[str]] = {}
    spread: dict[tuple[str, ...], set[int]] = {}
    named: Counter[tuple[str, ...]] = Counter()
    for number, text in enumerate(texts):
        for key, form, after_determiner in _candidates(text):
            forms.setdefault(key, Counter())[form] += 1
            spread.setdefault(key, set()).add(number)
            named[key] += after_determiner
    phrases = []
    for key, spellings in forms.items():
        count = spellings.total()
        if len(key) > 1 and count < 2:
            continue
        weight = (1.0, 1.9, 2.4)[len(key) - 1] * (0.55 + 0.45 * named[key] / count)
        verbal = len(key) == 1 and spellings.most_common(1)[0][0].lower().endswith(("ing", "ed", "ly"))
        score = weight * count**0.7 * len(spread[key]) ** 0.5 * (0.4 if verbal else 1.0)
        phrases.append(Phrase(_spelling(spellings), key, count, float(score)))
    return _distinct(sorted(phrases, key=lambda phrase: (-phrase.score, phrase.text)), limit)


def _candidates(text: str) -> Iterator[tuple[tuple[str, ...], str, bool]]:
    """Yield (stems, spelling, follows a determiner) for up to three meaningful words."""
    found = list(_WORD.finditer(text))
    good = [m.group().lower() not in STOP_WORDS and len(m.group()) > 2 and not m.group().isdigit() for m in found]
    for first in range(len(found)):
        before = found[first - 1].group().lower() if first else ""
        for size in (1, 2, 3):
            last = first + size - 1
            if last >= len(found) or not good[last]:
                break
            if size > 1 and text[found[last - 1].end() : found[last].start()] != " ":
                break
            form = text[found[first].start() : found[last].end()]
            yield tuple(stem(m.group().lower()) for m in found[first : last + 1]), form, before in DETERMINERS


def _spelling(forms: Counter[str]) -> str:
    """Return the most frequent spelling; on a tie lower case, then the shorter."""
    return min(forms, key=lambda form: (-forms[form], form != form.lower(), len(form), form))


def _distinct(ranked: Sequence[Phrase], limit: int) -> list[Phrase]:
    """Leave out phrases that only repeat a better one."""
    kept: list[Phrase] = []
    for phrase in ranked:
        rivals = [other for other in kept if set(phrase.stems) & set(other.stems)]
        inside = any(set(phrase.stems) < set(other.stems) and phrase.count < 2 * other.count for other in rivals)
        around = any(set(other.stems) < set(phrase.stems) and phrase.count * 3 < other.count for other in rivals)
        crossing = any(not set(other.stems) < set(phrase.stems) and len(phrase.stems) > 1 for other in rivals)
        if not (inside or around or crossing):
            kept.append(phrase)
        if len(kept) >= limit:
            break
    return kept


def telling(text: str) -> bool:
    """True if a line says anything.

    A lone "the" is left over from lettering that OCR could not read.

    >>> telling("the"), telling("the waggle dance"), telling("42 %")
    (False, True, True)
    """
    words = re.findall(r"[^\W_]+", text.casefold())
    return any(word not in STOP_WORDS for word in words)
