"""The table of a run's CPU: each cost is somebody's, and together they are all there is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.bench.parts import LOOP, shares

RUN, ENGINE, HTTP, JSON = (
    ("/python/asyncio/base_events.py", 1, "_run_once"),
    ("/x/pipeline/engine/pool.py", 5, "_work"),
    ("/x/site-packages/httpx/_client.py", 7, "send"),
    ("/python/json/encoder.py", 9, "encode"),
)


def test_what_all_use_is_paid_by_who_called_it() -> None:
    """Calls, own and whole seconds, and callers, as ``pstats`` has them."""
    stats = SimpleNamespace(
        stats={
            RUN: (1, 1, 1.0, 10.0, {}),
            ENGINE: (1, 1, 2.0, 5.0, {RUN: (1, 1, 2.0, 5.0)}),
            HTTP: (1, 1, 3.0, 4.0, {RUN: (1, 1, 3.0, 4.0)}),
            JSON: (2, 2, 4.0, 4.0, {ENGINE: (1, 1, 3.0, 3.0), HTTP: (1, 1, 1.0, 1.0)}),
        }
    )
    found = shares(stats)
    assert found == pytest.approx({"engine: claims, leases, verdicts": 0.5, "httpx, httpcore, h11": 0.4, LOOP: 0.1})
