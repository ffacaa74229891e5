"""The set of hashes does what a set of texts does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.text import TextSet


@given(st.lists(st.tuples(st.booleans(), st.text(max_size=2))))
def test_it_holds_what_a_set_holds(steps: list[tuple[bool, str]]) -> None:
    """What was added is there and counts once; nothing else is there."""
    marks, texts = TextSet(), set[str]()
    for adds, text in steps:
        assert (text in marks) == (text in texts)
        if adds:
            marks.add(text)
            texts.add(text)
        assert len(marks) == len(texts)


def test_it_grows() -> None:
    """Many more than it begins with."""
    marks = TextSet()
    for number in range(50_000):
        marks.add(f"{number}")
    assert len(marks) == 50_000
    assert all(f"{number}" in marks for number in range(50_000))
    assert not any(f"{number}" in marks for number in range(50_000, 60_000))
