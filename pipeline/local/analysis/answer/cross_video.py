"""One question to many videos, answered by quoting the best of their passages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.model import Json
from pipeline.core.text import stamp
from pipeline.local.analysis.answer.free_text import speaks_of_nothing
from pipeline.local.state.fulltext import ClipMatch, query_terms

_MOST = 5  #: passages that are quoted
_LEAST = 35.0  #: score of one, as a search takes it at its lowest threshold
_NEAR_BEST = 0.6  #: share of the best score that another one must have
_ENTRY: Mapping[str, tuple[str, ...]] = {
    "video": ("string",), "start": ("number", "integer"), "end": ("number", "integer"), "quote": ("string",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PoolItem:
    """A video that is asked."""

    title: str
    readable: bool  #: it has words


@dataclass(frozen=True, slots=True)
class CrossAnswer:
    """What was found in which of the videos."""

    subject: Sequence[str]  #: the words that the question is about
    passages: Sequence[ClipMatch]  #: best first; ``video_id`` is the item's
    pool: Mapping[str, PoolItem]  #: all that were asked, by id

    def as_text(self) -> tuple[str, list[dict[str, Json]]]:
        """Return the answer in plain words, and what its markers cite."""
        if not self.passages:
            return self._nothing(), []
        text, annotations = "", list[dict[str, Json]]()
        for number, each in enumerate(self.passages, 1):
            text += ("\n" if text else "") + f"{self.pool[each.video_id].title}: “{each.text}” "
            marker = f"[{number}]"
            annotations.append(
                {
                    "type": "video_citation",
                    "start_index": len(text),
                    "end_index": len(text) + len(marker) - 1,
                    "item_id": each.video_id,
                    "start_sec": each.start,
                    "end_sec": each.end,
                    "title": self.pool[each.video_id].title,
                    "thumbnail_url": None,
                    "hls_url": None,
                }
            )
            text += marker
        return text, annotations

    def as_json(self) -> dict[str, Json]:
        """Return the answer and its citations."""
        lines = [
            f"{self.pool[each.video_id].title}, {stamp(each.start, form='clock')}: “{each.text}”"
            for each in self.passages
        ]
        return {
            "answer": "\n".join(lines) or self._nothing(),
            "citations": [
                {"video": each.video_id, "start": each.start, "end": each.end, "quote": each.text}
                for each in self.passages
            ],
        }

    def _nothing(self) -> str:
        if not self.subject:
            return "The local platform quotes captions and on-screen text: name what is looked for in them."
        unread = sum(not item.readable for item in self.pool.values())
        words = f"Nothing in these videos ({len(self.pool)}) speaks of {', '.join(self.subject)}."
        return f"{words} {unread} of them have no captions or text that could be read." if unread else words


def answer_across(
    question: str, pool: Mapping[str, PoolItem], search: Callable[[str], Iterable[ClipMatch]]
) -> CrossAnswer:
    """Quote the passages with most of the question's words, each moment once.

    ``search`` finds clips by words, best first.
    """
    subject = [word for word in query_terms(question) if not speaks_of_nothing(word)]
    found: list[ClipMatch] = []
    for match in search(" ".join(subject)) if subject else ():
        if match.video_id not in pool or match.score < max(_LEAST, found[0].score * _NEAR_BEST if found else 0.0):
            continue
        if len(found) < _MOST and not any(_same_moment(match, other) for other in found):
            found.append(match)
    return CrossAnswer(subject, found, pool)


def is_answer_form(schema: Mapping[str, Json]) -> bool:
    """Return True for the one form that can be filled: answer and citations."""
    fields = _properties(schema)
    if set(fields) != {"answer", "citations"} or _type(fields["answer"]) != "string":
        return False
    if _type(fields["citations"]) != "array":
        return False
    entry = _properties(fields["citations"].get("items"))
    return bool(entry) and all(_type(form) in _ENTRY.get(name, ()) for name, form in entry.items())


def _properties(schema: Json) -> Mapping[str, Json]:
    found = schema.get("properties") if isinstance(schema, dict) and schema.get("type") == "object" else None
    return found if isinstance(found, dict) else {}


def _type(schema: Json) -> str:
    return str(schema.get("type")) if isinstance(schema, dict) else ""


def _same_moment(one: ClipMatch, other: ClipMatch) -> bool:
    return one.video_id == other.video_id and one.start < other.end and other.start < one.end
