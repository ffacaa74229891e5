"""What a property's name says about what belongs there."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal[
    "title", "summary", "topics", "hashtags", "chapters", "highlights", "points", "transcript", "screen", "shots", "questions",
    "answer", "start", "end", "length", "number", "share", "",
]  # fmt: skip

LIST_KINDS: frozenset[Kind] = frozenset(
    {"chapters", "highlights", "transcript", "screen", "shots", "topics", "hashtags", "points", "questions"}
)

#: looked for from the last word of a name to the first: ``video_summary`` is a summary, ``summary_title`` a title
_WORDS: dict[str, Kind] = {
    "title": "title", "headline": "title", "heading": "title",
    "summary": "summary", "description": "summary", "overview": "summary", "synopsis": "summary", "abstract": "summary",
    "recap": "summary", "summarization": "summary",
    "topic": "topics", "keyword": "topics", "phrase": "topics", "theme": "topics", "tag": "topics", "subject": "topics",
    "hashtag": "hashtags",
    "chapter": "chapters", "section": "chapters", "outline": "chapters", "agenda": "chapters", "segment": "chapters",
    "highlight": "highlights", "moment": "highlights", "quote": "highlights", "clip": "highlights",
    "point": "points", "takeaway": "points", "bullet": "points", "sentence": "points", "fact": "points",
    "transcript": "transcript", "transcription": "transcript", "caption": "transcript", "subtitle": "transcript",
    "speech": "transcript", "cue": "transcript", "ocr": "screen", "screen": "screen", "slide": "screen",
    "shot": "shots", "cut": "shots", "question": "questions",
    "answer": "answer", "response": "answer", "reply": "answer", "result": "answer", "output": "answer", "text": "answer",
    "content": "answer",
    "start": "start", "begin": "start", "from": "start", "end": "end", "until": "end", "duration": "length",
    "length": "length", "index": "number", "number": "number", "position": "number",
    "confidence": "share", "score": "share", "probability": "share",
}  # fmt: skip

_PHRASES: dict[str, Kind] = {
    "start_time": "start", "end_time": "end", "start_sec": "start", "end_sec": "end", "start_seconds": "start",
    "end_seconds": "end", "time_start": "start", "time_end": "end", "timestamp": "start", "time": "start", "gist": "summary",
    "text_in_video": "screen", "on_screen_text": "screen", "onscreen_text": "screen", "screen_text": "screen",
    "key_words": "topics", "hash_tags": "hashtags", "duration_seconds": "length", "seconds": "length",
    "table_of_contents": "chapters", "toc": "chapters", "key_events": "highlights", "main_points": "points",
}  # fmt: skip


def parts(name: str) -> list[str]:
    """Return the words of a property's name in lower case.

    ``keyMoments`` and ``key_moments`` are the same.

    >>> parts("keyMoments")
    ['key', 'moments']
    """
    return [word for word in re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()) if word]


def kind_of(name: str) -> Kind:
    """Return what a known name stands for, else an empty text.

    >>> kind_of("chapter_title"), kind_of("keyMoments"), kind_of("winner")
    ('title', 'highlights', '')
    """
    words = parts(name)
    if (whole := _PHRASES.get("_".join(words))) is not None:
        return whole
    if words[:1] == ["answer"]:
        return "answer"  # ``answer_<name>``: a question of its own, whatever it is called
    return next((found for word in reversed(words) if (found := _kind_of_word(word))), "")


def list_of(name: str) -> Kind:
    """Return which list an item's property belongs to: ``chapter_title`` to chapters, ``highlight`` to highlights."""
    return next((found for word in parts(name) if (found := _kind_of_word(word)) in LIST_KINDS - {"questions"}), "")


def _kind_of_word(word: str) -> Kind:
    return _WORDS.get(word) or _WORDS.get(word.removesuffix("s")) or ""
