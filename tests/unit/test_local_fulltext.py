"""The full-text index: which clips fit a query, how well, and that nothing is left of what was dropped."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.local.state import fulltext

SPOKEN = [
    (0.0, 2.0, "The queen lays eggs all summer."),
    (2.0, 4.0, "Workers gather honey for the winter."),
    (4.0, 6.0, "The queen is larger than the workers."),
]
ASIDE = ["conversation"]


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    """Open a full-text index with one video of three sentences and a slide."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as found:
        for statement in fulltext.DDL:
            found.execute(statement)
        fulltext.add(found, "i", "bees", [("conversation", *clip) for clip in SPOKEN])
        fulltext.add(found, "i", "bees", [("text_in_video", 0.0, 6.0, "Queen Bee")])
        yield found


def texts(found: list[fulltext.ClipMatch]) -> list[str]:
    """Return what the matches say."""
    return [match.text for match in found]


def test_other_forms_of_a_word_are_found(db: sqlite3.Connection) -> None:
    """English stems meet: eggs and egg, gathering and gather; a clip that has all words scores 100."""
    (best, *_) = fulltext.matches(db, "i", ASIDE, "Gathering honeys")
    assert (best.text, best.score, best.start, best.end) == (SPOKEN[1][2], 100.0, 2.0, 4.0)
    assert texts(fulltext.matches(db, "i", ASIDE, "a queen's egg"))[0] == SPOKEN[0][2]


def test_rare_words_weigh_more(db: sqlite3.Connection) -> None:
    """Of two words the one that is in fewer clips decides; a word that is nowhere pulls everything down."""
    found = fulltext.matches(db, "i", ASIDE, "queen honey")
    assert texts(found)[0] == SPOKEN[1][2]
    (missing, *_) = fulltext.matches(db, "i", ASIDE, "honey submarine")
    assert missing.score < 50


def test_kinds_and_indexes_are_kept_apart(db: sqlite3.Connection) -> None:
    """A slide is not speech, and another index's clips do not count."""
    assert texts(fulltext.matches(db, "i", ["text_in_video"], "queen")) == ["Queen Bee"]
    assert len(fulltext.matches(db, "i", ["conversation", "text_in_video"], "queen")) == 3
    fulltext.add(db, "other", "x", [("conversation", 0.0, 1.0, "queen")] * 50)
    assert len(fulltext.matches(db, "i", ASIDE, "queen")) == 2
    assert fulltext.matches(db, "none", ASIDE, "queen") == fulltext.matches(db, "i", [], "queen") == []


@pytest.mark.parametrize(
    ("query", "words", "phrase"),
    [
        ("queen lays eggs", 1, 1),
        ("THE QUEEN", 2, 2),
        ("eggs queen", 1, 0),
        ("queens", 0, 0),
        ("queen workers", 1, 0),
        ("queen is larger", 1, 1),
    ],
)
def test_very_words_and_very_phrases(db: sqlite3.Connection, query: str, words: int, phrase: int) -> None:
    """``words`` wants all of them as written, ``phrase`` also in a row; stems alone are not enough."""
    assert len(fulltext.matches(db, "i", ASIDE, query, "words")) == words
    assert len(fulltext.matches(db, "i", ASIDE, query, "phrase")) == phrase


def test_small_words_count_only_where_there_are_no_others(db: sqlite3.Connection) -> None:
    """ "The queen" asks for queen; "to be or not" asks for its own words; no words at all ask for nothing."""
    assert fulltext.query_terms("The greatest player in the game, the player!") == ["greatest", "player", "game"]
    assert fulltext.query_terms("Is the the") == ["is", "the"]
    assert texts(fulltext.matches(db, "i", ASIDE, "is"))[0] == SPOKEN[2][2]
    assert fulltext.matches(db, "i", ASIDE, "?! ...") == []


def test_nothing_is_left_of_a_dropped_video(db: sqlite3.Connection) -> None:
    """Neither clips nor words; the index stays whole by SQLite's own check."""
    fulltext.add(db, "i", "ants", [("conversation", 0.0, 1.0, "the queen ant")])
    fulltext.drop(db, "bees")
    assert texts(fulltext.matches(db, "i", ASIDE, "queen")) == ["the queen ant"]
    db.execute("INSERT INTO clip_words(clip_words, rank) VALUES ('integrity-check', 1)")


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60), st.sampled_from(["stems", "words", "phrase"]))
def test_no_query_breaks_the_index(query: str, mode: fulltext.Mode) -> None:
    """Any text is a query: quotes, operators and control characters included; scores stay from 0 to 100."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for statement in fulltext.DDL:
            db.execute(statement)
        fulltext.add(
            db, "i", "v", [("conversation", 0.0, 1.0, query), ("conversation", 1.0, 2.0, "the queen AND NOT near")]
        )
        for match in fulltext.matches(db, "i", ASIDE, query, mode):
            assert 0 <= match.score <= 100
