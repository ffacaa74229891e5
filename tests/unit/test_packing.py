"""Answers come out of the database as they went in, in fewer bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import StoreError
from pipeline.store.encoding import to_json
from pipeline.store.sqlite.packing import pack, unpack

VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
ANSWER = {
    "chapters": [
        {
            "start_time": 12.5 * number,
            "end_time": 12.5 * (number + 1),
            "title": f"Part {number}",
            "summary": "Bees fly.",
        }
        for number in range(20)
    ]
}


@given(VALUES, st.dictionaries(st.text(), VALUES))
def test_what_is_packed_comes_out_as_it_was(body: Any, meta: Any) -> None:
    """Any JSON, whatever its size and its characters."""
    row = ("video", "job", "print", to_json(body), to_json(meta), 1.5)
    packed = pack(row)
    assert unpack(packed) == row
    assert (packed[6] is None) == (packed[3] != "")


def test_an_answer_takes_a_quarter() -> None:
    """A long one; a short one stays readable."""
    row = ("video", "_answer", "print", to_json(ANSWER), to_json({"provider": "twelvelabs/v1.3"}), 1.5)
    assert len(pack(row)[6]) < len(row[3]) / 4
    short = ("video", "gist", "print", "{}", "{}", 1.5)
    assert pack(short) == (*short, None)


def test_what_cannot_be_read_is_told() -> None:
    """Torn, changed in one byte, of another form, or empty: the database is damaged."""
    row = pack(("video", "_answer", "print", json.dumps(ANSWER), "{}", 1.5))
    changed = bytes([*row[6][:-1], row[6][-1] ^ 1])
    for packed in (row[6][:40], changed, b"\xff" + row[6][1:], b"", b"\x01nonsense"):
        with pytest.raises(StoreError) as told:
            unpack((*row[:6], packed))
        assert told.value.trouble.code == "database_damaged"
