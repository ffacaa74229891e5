"""Rows for arrays of objects: chapters, highlights, cues, slides, shots, answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pipeline.core.model import Json
from pipeline.local.analysis.answer.free_text import Passage, passages
from pipeline.local.analysis.answer.prompt_hints import Count, find_count, request
from pipeline.local.analysis.answer.property_names import LIST_KINDS, Kind, kind_of, list_of
from pipeline.local.analysis.text.content_summary import ContentSummary
from pipeline.local.analysis.text.headlines import headline
from pipeline.local.analysis.text.quoting import is_question
from pipeline.local.analysis.text.sentences import Sentence

_NOUNS: dict[Kind, tuple[str, ...]] = {
    "chapters": ("chapter", "section", "part", "segment"),
    "highlights": ("highlight", "moment", "clip", "quote", "key"),
    "topics": ("topic", "phrase", "keyword", "theme", "short", "noun"),
    "hashtags": ("hashtag", "tag", "word", "single", "joined"),
    "points": ("point", "bullet", "takeaway", "fact", "sentence", "item"),
    "summary": ("sentence",),
}


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One entry of a list: seconds, a short title and the words."""

    start: float
    end: float
    title: str
    text: str
    number: int  #: from 1


_Entry: TypeAlias = tuple[float, float, str, str]


def count_wanted(section: str, prompt: str, kind: Kind) -> Count | None:
    """Return how many entries the property's lines, or else the prompt, ask for."""
    nouns = _NOUNS.get(kind, ())
    return find_count(section, nouns, bare=kind != "summary") or find_count(prompt if not section else "", nouns)


def list_kind(name: str, item: Mapping[str, Json]) -> Kind:
    """Return which list an array is; empty if no name tells."""
    kind = kind_of(name)
    if kind in LIST_KINDS:
        return kind
    inside = (list_of(each) for each in item.get("properties", {}))
    return next((found for found in inside if found), "")


def build_rows(summary: ContentSummary, kind: Kind, name: str, section: str, count: Count | None) -> list[AnswerRow]:
    """Return a list's entries; for an unknown kind, passages that answer its lines."""
    return [AnswerRow(*entry, n) for n, entry in enumerate(_entries(summary, kind, name, section, count), 1)]


def _entries(summary: ContentSummary, kind: Kind, name: str, section: str, count: Count | None) -> Iterable[_Entry]:
    most = count.most if count and count.most > 0 else 0
    match kind:
        case "chapters":
            found = summary.chapters(most, count.exact if count else 0) if most else summary.chapters()
            return ((c.start, c.end, c.title, c.summary) for c in found)
        case "highlights":
            return ((h.start, h.end, h.headline, h.text) for h in summary.highlights(most or 5))
        case "screen":
            return ((e.start, e.end, e.text, e.text) for e in summary.shown)
        case "shots":
            return ((e.start, e.end, e.text.rstrip("."), e.text) for e in summary.evidence if e.kind == "shot")
        case "topics":
            return (_named(summary, topic) for topic in summary.topics(most or 5))
        case "hashtags":
            return (_named(summary, tag) for tag in summary.hashtags(most or 10))
        case "transcript":
            return _quoted(summary, summary.sentences)
        case "points":
            return _quoted(summary, summary.key_sentences(most or 5))
        case "questions":
            return _quoted(summary, (s for s in summary.sentences if is_question(s.text)))
        case _:
            return _quoted(summary, passages(summary, request(section, name) or name.replace("_", " "), most or 5))


def _quoted(summary: ContentSummary, found: Iterable[Sentence | Passage]) -> Iterator[_Entry]:
    return ((each.start, each.end, headline(each.text, summary.language), each.text) for each in found)


def _named(summary: ContentSummary, word: str) -> _Entry:
    """Return a topic with the first sentence that names it."""
    named = word.lstrip("#").casefold()
    for sentence in summary.sentences:
        text = sentence.text.casefold()
        if named in text or named in text.replace(" ", ""):
            return sentence.start, sentence.end, word, sentence.text
    return summary.start, summary.end, word, word
