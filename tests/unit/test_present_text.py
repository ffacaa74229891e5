"""Foreign words on a terminal: cleaned, cut by display width, and amounts in the units people use."""

from __future__ import annotations

import doctest
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pipeline.present import formatting
from pipeline.present.formatting import ASCII, clean, fit, money, size, span, when


def test_the_examples_in_the_docstrings_hold() -> None:
    """What the documentation shows is what the functions return."""
    found = doctest.testmod(formatting)
    assert found.failed == 0
    assert found.attempted >= 8


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\nb\r\n\tc", "a b c"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;new title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;unfinished", ""),
        ("\x9b31mred", "red"),
        ("a\x00b\x7fc", "abc"),
        ("left\u202eright\u2066x", "leftrightx"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("\udcff.mp4", ".mp4"),
        ("👩\u200d👩\u200d👧 ok", "👩\u200d👩\u200d👧 ok"),
        ("[red]not markup[/red]", "[red]not markup[/red]"),
        (None, "None"),
    ],
)
def test_clean_removes_what_a_terminal_would_obey(given: object, shown: str) -> None:
    """Escape sequences, control and direction characters vanish; letters, joiners and brackets stay."""
    assert clean(given) == shown


@given(st.text(max_size=60) | st.text(alphabet="\x1b[]0;m\x07\x9ba\u202e\n\\", max_size=60))
def test_clean_text_is_one_harmless_line(given: str) -> None:
    """Whatever comes in, no control, format (but joiners) or surrogate character and no line break goes out."""
    shown = clean(given)
    assert all(char in "\u200c\u200d" or unicodedata.category(char)[0] != "C" for char in shown)
    assert len(shown.splitlines()) <= 1
    assert clean(shown) == shown or shown.strip() != shown


@given(st.text(max_size=60), st.integers(0, 30))
def test_fit_never_takes_more_cells_than_it_was_given(given: str, width: int) -> None:
    """Wide and combining characters count by the cells they take, the ellipsis included."""
    assert cell_len(fit(given, width)) <= max(width, 0)


def test_fit_leaves_short_text_alone_and_marks_a_cut() -> None:
    """Only a cut is marked."""
    assert fit("short", 5) == "short"
    assert fit("longer", 5) == "long…"


def test_a_title_of_ten_thousand_characters_is_cut() -> None:
    """A manifest may hold such a title; a table must not."""
    assert cell_len(fit("日" * 10_000, 40)) <= 40


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (0.0, "$0.00"),
        (0.00001, "<$0.0001"),
        (0.00123, "$0.0012"),
        (0.0999, "$0.10"),
        (0.00999, "$0.010"),
        (12.345, "$12.35"),
    ],
)
def test_money_shows_small_amounts_too(given: float, shown: str) -> None:
    """A video of a minute costs less than a cent's worth of rounding: it must not be shown as free."""
    assert money(given) == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [(-1.0, "0.0 s"), (59.4, "59 s"), (59.9, "1 min 00 s"), (3599.9, "1 h 00 min"), (86_400.0, "1 d 0 h")],
)
def test_spans_carry_over_at_their_borders(given: float, shown: str) -> None:
    """No 60 seconds and no 60 minutes are ever shown, and no negative duration."""
    assert span(given) == shown


@pytest.mark.parametrize(
    ("given", "shown"), [(0, "0 B"), (1000, "1 kB"), (999_600, "1 MB"), (2_500_000_000_000_000, "2500 TB")]
)
def test_sizes_are_decimal(given: int, shown: str) -> None:
    """Bytes are shown in the units in which the platform states its limits."""
    assert size(given) == shown


def test_a_time_says_how_far_away_it_is() -> None:
    """A resume time is RFC 3339 with its distance, before and after."""
    assert when(1_000_060.0, 1_000_000.0) == "1970-01-12T13:47:40Z (in 1 min 00 s)"
    assert when(1_000_000.0, 1_000_060.0).endswith("(1 min 00 s ago)")


def test_the_ascii_forms_take_the_same_room() -> None:
    """Each typographic character has one ASCII character, so that columns stay aligned."""
    assert all(len(to) == 1 and to.isascii() for to in ASCII.values())
