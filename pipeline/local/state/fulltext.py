"""The full-text index: words clip by clip, in SQLite's FTS5.

Stems are English (Porter).
A hit's score counts words: 100 is a clip that has all of the query's words. Rare words count more, and words that are
nowhere in the index count most, since they speak against every clip. bm25 decides between clips that have the same words.
Nothing here knows synonyms; see :mod:`pipeline.local.state.vectors`.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pipeline.local.stopwords import STOP_WORDS

DDL = (
    "CREATE TABLE IF NOT EXISTS clips (seq INTEGER PRIMARY KEY, index_id TEXT NOT NULL, video_id TEXT NOT NULL,"
    " kind TEXT NOT NULL, start REAL NOT NULL, until REAL NOT NULL, text TEXT NOT NULL) STRICT",
    "CREATE INDEX IF NOT EXISTS clips_video ON clips (video_id)",
    "CREATE INDEX IF NOT EXISTS clips_index ON clips (index_id, kind)",
    "CREATE VIRTUAL TABLE IF NOT EXISTS clip_words USING fts5(text, content='clips', content_rowid='seq',"
    " tokenize='porter unicode61 remove_diacritics 2')",
    "CREATE TRIGGER IF NOT EXISTS clips_added AFTER INSERT ON clips BEGIN"
    " INSERT INTO clip_words(rowid, text) VALUES (new.seq, new.text); END",
    "CREATE TRIGGER IF NOT EXISTS clips_dropped AFTER DELETE ON clips BEGIN"
    " INSERT INTO clip_words(clip_words, rowid, text) VALUES ('delete', old.seq, old.text); END",
)
Mode: TypeAlias = Literal["stems", "words", "phrase"]
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_MOST_TERMS = 64
_TIE = 0.15  # share of a score that bm25 may take


@dataclass(frozen=True, slots=True)
class ClipMatch:
    """A clip that fits a query; ``score`` is 0 to 100."""

    video_id: str
    kind: str  #: conversation, text_in_video; visual or logo in the words of a model
    start: float
    end: float
    text: str
    score: float
    by_meaning: bool = False  #: it need not have any of the words


@dataclass(slots=True)
class _Seen:
    video_id: str
    kind: str
    start: float
    end: float
    text: str
    terms: set[str] = field(default_factory=set)
    bm25: float = 0.0


def add(db: sqlite3.Connection, index_id: str, video_id: str, clips: Iterable[tuple[str, float, float, str]]) -> None:
    """Take in a video's clips (kind, start, end, text) inside the caller's transaction."""
    db.executemany(
        "INSERT INTO clips (index_id, video_id, kind, start, until, text) VALUES (?, ?, ?, ?, ?, ?)",
        [(index_id, video_id, *clip) for clip in clips],
    )


def drop(db: sqlite3.Connection, video_id: str) -> None:
    """Forget a video's clips."""
    db.execute("DELETE FROM clips WHERE video_id = ?", [video_id])


def videos_with(db: sqlite3.Connection, index_id: str, kind: str) -> frozenset[str]:
    """Return the videos of an index that have clips of a kind."""
    rows = db.execute("SELECT DISTINCT video_id FROM clips WHERE index_id = ? AND kind = ?", [index_id, kind])
    return frozenset(str(video) for (video,) in rows)


def query_terms(text: str) -> list[str]:
    """Return the words a query is about, each once.

    The small words count only where there are no others.

    >>> query_terms("The greatest player in the game")
    ['greatest', 'player', 'game']
    """
    found = list(dict.fromkeys(split_words(text)))
    return ([word for word in found if word not in STOP_WORDS] or found)[:_MOST_TERMS]


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case.

    >>> split_words("Usain BOLT's race")
    ['usain', "bolt's", 'race']
    """
    return [word.casefold().replace("’", "'") for word in _WORD.findall(text)]


def matches(
    db: sqlite3.Connection, index_id: str, kinds: Sequence[str], query: str, mode: Mode = "stems"
) -> list[ClipMatch]:
    """Return the clips of an index that fit a query, best first.

    Args:
        db: a connection with :data:`DDL`.
        index_id: the index.
        kinds: which words count: ``conversation``, ``text_in_video``, ``visual``, ``logo``.
        query: any text.
        mode: ``stems`` takes a clip for any word of the query, in any form; ``words`` for all of them, as they are
            written; ``phrase`` for the whole query, word for word and in this order.
    """
    terms = query_terms(query)
    if not terms or not kinds:
        return []
    found: dict[int, _Seen] = {}
    count: dict[str, int] = {}
    wanted = [" ".join(split_words(query))] if mode == "phrase" else terms
    for term in wanted:
        count[term] = _collect(db, index_id, kinds, term, found)
    seen = [each for each in found.values() if _fits(each.text, query, terms, mode)]
    if not seen:
        return []
    total = _size(db, index_id, kinds)
    weight = {term: math.log(1 + total / max(0.5, count[term])) for term in wanted}
    whole, best = sum(weight.values()), max(each.bm25 for each in seen) or 1.0

    def match(each: _Seen) -> ClipMatch:
        share = sum(weight[term] for term in each.terms) / whole
        score = round(100 * share * (1 - _TIE + _TIE * each.bm25 / best), 2)
        return ClipMatch(each.video_id, each.kind, each.start, each.end, each.text, score)

    return sorted(map(match, seen), key=lambda m: (-m.score, m.video_id, m.start))


def _collect(db: sqlite3.Connection, index_id: str, kinds: Sequence[str], term: str, found: dict[int, _Seen]) -> int:
    """Add the clips that have a term; return how many there are."""
    rows = db.execute(
        "SELECT c.seq, c.video_id, c.kind, c.start, c.until, c.text, bm25(clip_words) FROM clip_words"
        # CROSS: the words lead. Left to itself SQLite goes through all clips of the index and asks the words about each.
        f" CROSS JOIN clips c ON c.seq = clip_words.rowid WHERE clip_words MATCH ? AND c.index_id = ?"
        f" AND c.kind IN ({', '.join('?' * len(kinds))})",
        [f'"{term}"', index_id, *kinds],
    )
    number = 0
    for seq, video_id, kind, start, end, text, rank in rows:
        clip = found.setdefault(seq, _Seen(video_id, kind, start, end, text))
        clip.terms.add(term)
        clip.bm25 -= rank  # SQLite's bm25 is negative, the better the lower
        number += 1
    return number


def _size(db: sqlite3.Connection, index_id: str, kinds: Sequence[str]) -> int:
    (number,) = db.execute(
        f"SELECT count(*) FROM clips WHERE index_id = ? AND kind IN ({', '.join('?' * len(kinds))})", [index_id, *kinds]
    ).fetchone()
    return int(number)


def _fits(text: str, query: str, terms: Sequence[str], mode: Mode) -> bool:
    """True if a stem match has the very words that the mode wants."""
    words = split_words(text)
    if mode == "phrase":
        return f" {' '.join(split_words(query))} " in f" {' '.join(words)} "
    return mode == "stems" or set(terms) <= set(words)
