"""The names of folders do what a dictionary of them does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.sink.homes import Homes

TAILS = st.integers(0, 5000).map(lambda number: f"{number:08}")
SLUGS = st.sampled_from(["a", "b-c", "\u00e4\u4e2d", "00000001--"])


@given(st.lists(st.tuples(st.booleans(), TAILS, SLUGS), max_size=60))
def test_they_are_found_by_their_ends(steps: list[tuple[bool, str, str]]) -> None:
    """The last name that was kept of each; nothing of others."""
    homes, names = Homes(), dict[str, str]()
    for puts, tail, slug in steps:
        assert homes.get(tail) == names.get(tail, "")
        if puts:
            homes.put(tail, f"{slug}--{tail}")
            names[tail] = f"{slug}--{tail}"


def test_there_may_be_any_number() -> None:
    """Many more than it begins with."""
    homes = Homes()
    for number in range(5_000):
        homes.put(f"{number:08}", f"film-{number}--{number:08}")
    assert [homes.get(f"{number:08}") for number in (0, 700, 4_999, 5_000)] == [
        "film-0--00000000", "film-700--00000700", "film-4999--00004999", "",
    ]  # fmt: skip
