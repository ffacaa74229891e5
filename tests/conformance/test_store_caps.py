"""Every database: what all processes together may have at work is counted where a claim is made."""

from __future__ import annotations

import pytest

from pipeline.core.model import Lane, State
from pipeline.ports.store import Database, LaneCap
from tests.conformance.store_kit import NOW, each_pair, moved, placed

CAPS = {Lane.UPLOAD: LaneCap(Lane.POLL, 3)}
SLOTS = {Lane.UPLOAD: 10, Lane.FETCH: 10}


two = each_pair()


@pytest.mark.asyncio
async def test_a_lane_gives_no_more_than_its_cap_leaves(two: list[Database]) -> None:
    """What runs there counts, and what waits or runs beyond, whoever has it; not what waits before it. Other lanes give all."""
    here, there = two
    await here.submit([placed(f"u{number}", lane=Lane.UPLOAD) for number in range(6)], 0.0)
    await here.submit([placed("p", lane=Lane.POLL, due=NOW + 500), placed("f")], 0.0)
    first = await here.claim(SLOTS, "a:1", NOW, NOW + 60, CAPS)
    assert sorted(task.key for task in first) == ["f", "u0", "u1"], "one waits beyond, so that two are left"
    assert await there.claim(SLOTS, "b:1", NOW, NOW + 60, CAPS) == []
    uploaded = next(task for task in first if task.key == "u0")
    await here.apply(moved(uploaded, State.PENDING, stage="settle", lane=Lane.POLL, wake_at=NOW), NOW)
    assert await there.claim(SLOTS, "b:1", NOW, NOW + 60, CAPS) == [], "it is in the provider's hands now"
    polled = await there.claim({Lane.POLL: 1}, "b:1", NOW, NOW + 60, CAPS)
    assert [task.key for task in polled] == ["u0"]
    assert await here.claim(SLOTS, "a:1", NOW, NOW + 60, CAPS) == []
    await there.apply(moved(polled[0]), NOW)
    assert [task.key for task in await there.claim(SLOTS, "b:1", NOW, NOW + 60, CAPS)] == ["u2"]
    assert [task.key for task in await there.claim(SLOTS, "b:1", NOW, NOW + 60)] == ["u3", "u4", "u5"]
    assert await here.claim(SLOTS, "a:1", NOW, NOW + 60, CAPS) == [], "more than the cap is at work: nothing is left"
