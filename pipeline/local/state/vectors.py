"""Vectors of clips, and the clips nearest to a query.

A number is one signed byte. Vectors are compared one by one: a hundred thousand clips, some hundred hours of speech, take about
a third of a second.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Container, Sequence
from typing import TypeAlias

import numpy as np

from pipeline.local.state.fulltext import ClipMatch

DDL = (
    "CREATE TABLE IF NOT EXISTS clip_vectors"
    " (seq INTEGER PRIMARY KEY, model TEXT NOT NULL, vector BLOB NOT NULL) STRICT",
    "CREATE TRIGGER IF NOT EXISTS clips_forgotten AFTER DELETE ON clips BEGIN"
    " DELETE FROM clip_vectors WHERE seq = old.seq; END",
)
LEAST_LIKE = 0.2  #: cosine below which nothing is near
_AT_ONCE = 4096  # vectors in memory
_DIGITS = 3  # of a cosine; further ones differ between machines
_SCALE = 127.0 * 127.0
_LEAST_SCORE, _SPAN = 45.0, 14.99  # of a nearest clip: "low" whatever the cosine, but above a few common words


Numbered: TypeAlias = tuple[int, str]  #: a clip: its number, which may be given again once it is free, and its text


def put(db: sqlite3.Connection, model: str, clips: Sequence[Numbered], rows: Sequence[bytes]) -> None:
    """Keep vectors of clips, one each; a clip that is gone gets none."""
    db.executemany(
        "INSERT OR REPLACE INTO clip_vectors (seq, model, vector) SELECT seq, ?, ? FROM clips WHERE seq = ? AND text = ?",
        [(model, row, seq, text) for (seq, text), row in zip(clips, rows, strict=True)],
    )


def clips_of(db: sqlite3.Connection, video_id: str) -> list[Numbered]:
    """Return a video's clips, as they were added."""
    rows = db.execute("SELECT seq, text FROM clips WHERE video_id = ? ORDER BY seq", [video_id])
    return [(int(seq), str(text)) for seq, text in rows]


def has_clips(db: sqlite3.Connection) -> bool:
    """True if there is any clip that could have a vector."""
    return db.execute("SELECT 1 FROM clips LIMIT 1").fetchone() is not None


def missing(db: sqlite3.Connection, model: str, after: int, most: int) -> list[Numbered]:
    """Return clips of indexes without a vector of this model.

    They come in the order of their numbers, from the one behind ``after``.
    """
    rows = db.execute(
        "SELECT c.seq, c.text FROM clips c LEFT JOIN clip_vectors v ON v.seq = c.seq AND v.model = ?"
        " WHERE c.seq > ? AND v.seq IS NULL AND c.video_id IN (SELECT id FROM videos) ORDER BY c.seq LIMIT ?",
        [model, after, most],
    )
    return [(int(seq), str(text)) for seq, text in rows]


def nearest(
    db: sqlite3.Connection,
    index_id: str,
    kinds: Sequence[str],
    model: str,
    query: bytes,
    *,
    videos: Container[str] | None = None,
    most: int = 10,
) -> list[ClipMatch]:
    """Return the clips of an index that are nearest to a query, best first.

    Their score, 48 to 60, is a low one: that they are the nearest does not mean that they are near.

    Args:
        db: a connection with :data:`DDL` and that of the clips.
        index_id: the index.
        kinds: of clips.
        model: that has made the query's vector.
        query: the vector.
        videos: whose clips count; all of the index by default.
        most: clips at most.
    """
    wanted = np.frombuffer(query, dtype=np.int8).astype(np.float32)
    rows = db.execute(
        "SELECT c.seq, c.video_id, v.vector FROM clips c JOIN clip_vectors v ON v.seq = c.seq"
        f" WHERE c.index_id = ? AND c.kind IN ({', '.join('?' * len(kinds))}) AND v.model = ?",
        [index_id, *kinds, model],
    )
    best: list[tuple[float, int]] = []
    while chunk := rows.fetchmany(_AT_ONCE):
        table = np.frombuffer(b"".join(vector for *_, vector in chunk), dtype=np.int8).reshape(len(chunk), -1)
        likeness = np.round(table.astype(np.float32) @ wanted / _SCALE, _DIGITS)
        near = [n for n in np.flatnonzero(likeness >= LEAST_LIKE) if videos is None or chunk[n][1] in videos]
        best = heapq.nsmallest(most, [*best, *((-float(likeness[n]), int(chunk[n][0])) for n in near)])
    return [_match(db, seq, -minus) for minus, seq in best]


def _match(db: sqlite3.Connection, seq: int, likeness: float) -> ClipMatch:
    video_id, kind, start, until, text = db.execute(
        "SELECT video_id, kind, start, until, text FROM clips WHERE seq = ?", [seq]
    ).fetchone()
    score = round(_LEAST_SCORE + _SPAN * min(1.0, likeness), 2)
    return ClipMatch(video_id, kind, start, until, text, score, by_meaning=True)
