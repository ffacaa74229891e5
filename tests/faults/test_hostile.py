"""A small part of ``python -m tests.faults.hostile``: a real run over real HTTP meets answers of every sort."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.hostile.__main__ import all_of, judged, table
from tests.faults.hostile.playing import CALLS, cases

#: One of each sort that ends by itself: refused after acting, memory, ids, lists, broken transports, redirects; at ``ask``:
#: a stream that does not end, an id, a list.
FEW = (
    "upload: 451 empty after", "upload: gzip bomb, 15 MB of objects after", "analysis: id: a path",
    "analysis: two lengths after", "asset read: every list {}", "analysis read: 307 to a file",
    "look for an analysis: gzip, unasked but whole", "answer: stream: no end after", "place: id: a path",
    "stores: every list {}",
)  # fmt: skip


@pytest.mark.slow(seconds=30)
def test_hostile_answers_over_real_http_cost_nothing_twice_and_can_be_cured(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """After each, ``retry`` and ``run`` finish the video; the platform's ledger knows no silent repeat; memory is bounded."""
    every = {case.name: case for call in CALLS for case in cases(call)}
    seen = asyncio.run(all_of([every[name] for name in FEW], tmp_path, 4, math.inf))
    print(table(seen))
    record_property("scenarios", len(seen))
    assert {one.case.name: broken for one in seen if (broken := judged(one))} == {}
    assert all(one.given for one in seen)


def test_there_are_many_answers_under_different_names() -> None:
    """At least 133, as the independent proof had; each case has a name of its own."""
    for call in CALLS:
        names = [case.name for case in cases(call)]
        assert len(names) == len(set(names))
        assert len({case.answer.name for case in cases(call)}) >= 133
