"""Rows for arrays of objects: chapters, highlights, cues, slide lines, shots, or passages that answer a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.core.model import Json
from pipeline.local.analysis.answer.free_text import passages
from pipeline.local.analysis.answer.prompt_hints import Count, count_of, request
from pipeline.local.analysis.answer.property_names import Kind, kind_of, subject_of
from pipeline.local.analysis.text.content_summary import ContentSummary, headline

_NOUNS: dict[Kind, tuple[str, ...]] = {
    "chapters": ("chapter", "section", "part", "segment"),
    "highlights": ("highlight", "moment", "clip", "quote", "key"),
    "topics": ("topic", "phrase", "keyword", "theme", "short", "noun"),
    "hashtags": ("hashtag", "tag", "word", "single", "joined"),
    "points": ("point", "bullet", "takeaway", "fact", "sentence", "item"),
    "summary": ("sentence",),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a list: seconds, a short title and the words."""

    start: float
    end: float
    title: str
    text: str
    number: int  #: from 1


def wanted(section: str, prompt: str, kind: Kind) -> Count | None:
    """Return how many entries are asked for, in the property's own lines or else anywhere in the prompt."""
    nouns = _NOUNS.get(kind, ())
    return count_of(section, nouns, bare=kind != "summary") or count_of(prompt if not section else "", nouns)


def list_kind(name: str, item: Mapping[str, Json]) -> Kind:
    """Return which list an array is, by its name, else by the names inside its items; empty if neither tells."""
    kind = kind_of(name)
    if kind in ("chapters", "highlights", "transcript", "screen", "shots", "topics", "hashtags", "points", "questions"):
        return kind
    inside = [subject_of(each) for each in item.get("properties", {})]
    return next((found for found in inside if found), "")


def rows(summary: ContentSummary, kind: Kind, name: str, section: str, count: Count | None) -> list[Row]:
    """Return the entries of a list; for a list of unknown kind the passages that answer what its lines ask."""
    most = count.most if count and count.most > 0 else 0
    if kind == "chapters":
        found = summary.chapters(most, count.exact if count else 0) if most else summary.chapters()
        return [Row(c.start, c.end, c.title, c.summary, n) for n, c in enumerate(found, 1)]
    if kind == "highlights":
        return [Row(h.start, h.end, h.headline, h.text, n) for n, h in enumerate(summary.highlights(most or 5), 1)]
    if kind == "transcript":
        return [Row(s.start, s.end, headline(s.text), s.text, n) for n, s in enumerate(summary.sentences, 1)]
    if kind == "screen":
        return [Row(e.start, e.end, e.text, e.text, n) for n, e in enumerate(summary.shown, 1)]
    if kind == "shots":
        shots = [e for e in summary.evidence if e.kind == "shot"]
        return [Row(e.start, e.end, e.text.rstrip("."), e.text, n) for n, e in enumerate(shots, 1)]
    if kind == "points":
        chosen = summary.key_sentences(most or 5)
        return [Row(s.start, s.end, headline(s.text), s.text, n) for n, s in enumerate(chosen, 1)]
    if kind == "questions":
        asked = [s for s in summary.sentences if s.text.rstrip("\"'”’").endswith("?")]
        return [Row(s.start, s.end, headline(s.text), s.text, n) for n, s in enumerate(asked, 1)]
    if kind in ("topics", "hashtags"):
        words = summary.topics(most or 5) if kind == "topics" else summary.hashtags(most or 10)
        return [_where(summary, word, n) for n, word in enumerate(words, 1)]
    question = request(section, name) or name.replace("_", " ")
    return [
        Row(p.start, p.end, headline(p.text), p.text, n)
        for n, p in enumerate(passages(summary, question, most or 5), 1)
    ]


def _where(summary: ContentSummary, word: str, number: int) -> Row:
    """Return a topic with the first sentence that names it."""
    named = word.lstrip("#").casefold()
    for sentence in summary.sentences:
        if named in sentence.text.casefold().replace(" ", "") or named in sentence.text.casefold():
            return Row(sentence.start, sentence.end, word, sentence.text, number)
    return Row(summary.start, summary.end, word, word, number)
