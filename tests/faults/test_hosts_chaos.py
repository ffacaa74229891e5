"""A sample of what ``python -m tests.faults.hosts`` does with many seeds."""

from __future__ import annotations

import random

import pytest

from tests.faults.hosts import CASES


@pytest.mark.slow(seconds=25)
def test_whatever_happens_to_hosts_nothing_is_lost_or_twice() -> None:
    """One is killed, one freezes, the server crashes, all are stopped, one starts: the platform's ledger has each once."""
    assert CASES["everything"](random.Random(1), 9) == []
