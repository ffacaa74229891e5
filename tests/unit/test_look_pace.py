"""How soon a pool looks again for work that is due and is not given out."""

from __future__ import annotations

from pipeline.engine.store_retry import LookPace


def test_looks_in_vain_become_seldomer() -> None:
    """From a millisecond to a quarter of a second; a wait for what is not due yet is as long as that takes, and begins anew."""
    pace = LookPace()
    waits = [pace.wait(0.0) for _ in range(12)]
    assert waits[:3] == [0.001, 0.002, 0.004]
    assert max(waits) == waits[-1] == 0.256
    assert pace.wait(30.0) == 30.0
    assert pace.wait(0.0) == 0.001
