"""Search over talks: queries in their own words, and queries that mean the same in others."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from statistics import fmean

from pipeline.local.analysis.plugins.meaning.encoder import SentenceEncoder
from pipeline.local.analysis.plugins.meaning.models import INSTALL, find_folder, open_model
from pipeline.local.analysis.ranking.search_hits import ClipHit, hits_of_any, with_nearest
from pipeline.local.analysis.text.sentences import sentences
from pipeline.local.state import fulltext, vectors
from pipeline.local.state.tables import TABLES
from tests.bench.understanding.talks import Talk, TalkText, load_texts, talks

_INDEX = "bench"
_KINDS = ("conversation",)
_LOW = 35.0
Find = Callable[[str], Sequence[ClipHit]]


def report() -> None:
    """Print the table."""
    print("\n# Search: one index of all talks; right is a hit in the section that is asked for\n")
    began = time.process_time()
    encoder = installed_encoder()
    db = fill(encoder)
    print(f"{'by':<34}{'queries':<26}{'n':>4}{'hit@1':>8}{'hit@3':>8}{'none':>7}")
    ways: dict[str, Find] = {"words": lambda query: by_words(db, query)}
    if encoder is not None:
        ways |= {
            "nearest alone": lambda query: hits_of_any(near(db, encoder, query)),
            "words, then nearest": lambda query: with_nearest(by_words(db, query), near(db, encoder, query)),
        }
    for name, find in ways.items():
        for label, rows in measured(find).items():
            print(
                f"{name:<34}{label:<26}{len(rows):>4}{fmean(0 < r <= 1 for r in rows):>8.2f}"
                f"{fmean(0 < r <= 3 for r in rows):>8.2f}{fmean(r == 0 for r in rows):>7.2f}"
            )
    if encoder is None:
        print(f"\nnot measured: by meaning ({INSTALL})")
    print(f"\n{time.process_time() - began:.1f} s of CPU time")


def installed_encoder() -> SentenceEncoder | None:
    """Return the encoder of the wheel, if it is installed."""
    folder = find_folder("auto")
    return SentenceEncoder(open_model(folder, trusted=False)) if folder is not None else None


def fill(encoder: SentenceEncoder | None) -> sqlite3.Connection:
    """Return a database with one index of all talks, with vectors where there is an encoder."""
    db = sqlite3.connect(":memory:")
    for statement in (*fulltext.DDL, *vectors.DDL, *(part for table in TABLES for part in table.ddl)):
        db.execute(statement)
    for text, talk in zip(load_texts(), talks(), strict=True):
        said = sentences(talk.content().of("conversation"))
        fulltext.add(db, _INDEX, text.name, [("conversation", s.start, s.end, s.text) for s in said])
        if encoder is not None:
            rows = [row.tobytes() for row in encoder.encode([s.text for s in said])]
            vectors.put(db, encoder.model.id, vectors.clips_of(db, text.name), rows)
    return db


def by_words(db: sqlite3.Connection, query: str) -> list[ClipHit]:
    """Return what a search without a model returns."""
    return [hit for hit in hits_of_any(fulltext.matches(db, _INDEX, _KINDS, query)) if hit.score >= _LOW]


def near(db: sqlite3.Connection, encoder: SentenceEncoder, query: str) -> list[fulltext.ClipMatch]:
    """Return the nearest clips."""
    return vectors.nearest(db, _INDEX, _KINDS, encoder.model.id, encoder.encode([query])[0].tobytes())


def measured(find: Find) -> dict[str, list[int]]:
    """Return the rank of the first right hit of each query, 0 without one, by kind of query."""
    found: dict[str, list[int]] = {}
    for text, talk in zip(load_texts(), talks(), strict=True):
        for number, section in enumerate(text.sections):
            for kind, queries in (("own words", section.literal), ("other words", section.synonyms)):
                label = f"{kind}, {'English' if text.language == 'en' else 'other languages'}"
                for query in queries:
                    found.setdefault(label, []).append(_rank(find(query), text, talk, number))
    return dict(sorted(found.items(), reverse=True))


def _rank(hits: Sequence[ClipHit], text: TalkText, talk: Talk, section: int) -> int:
    first, last = talk.borders[section : section + 2]
    right = (n for n, hit in enumerate(hits, 1) if hit.video_id == text.name and first <= hit.start + 0.05 < last)
    return next(right, 0)
