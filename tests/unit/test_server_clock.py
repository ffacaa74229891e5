"""The time of a server, told by a machine whose own wall clock may be wrong."""

from __future__ import annotations

from itertools import pairwise

import anyio
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.clock import ServerClock
from tests.support.clock import VirtualClock, run_virtual


class _Machine:
    """A machine's clocks; both run on when told to."""

    def __init__(self, wall: float) -> None:
        self.wall, self.since_boot = wall, 50.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.since_boot

    async def sleep(self, seconds: float) -> None:
        self.wall += seconds
        self.since_boot += seconds


@given(wrong=st.floats(-600, 600), there=st.floats(0, 0.4), back=st.floats(0, 0.4), jump=st.floats(-1e5, 1e5))
def test_hosts_with_wrong_clocks_agree(wrong: float, there: float, back: float, jump: float) -> None:
    """Within half of what the answer took, whatever the wall clock says then or later."""
    machine = _Machine(1_000.0 + wrong)
    clock = ServerClock(machine)
    assert abs(clock.now() - machine.now()) < 1e-6
    sent = machine.since_boot
    machine.since_boot += there + back
    clock.note(1_000.0 + there, sent, machine.since_boot)
    machine.wall += jump
    assert abs(clock.now() - (1_000.0 + there + back)) <= (there + back) / 2 + 1e-6
    machine.since_boot += 100
    assert abs(clock.now() - (1_100.0 + there + back)) <= (there + back) / 2 + 1e-6


def test_a_slow_answer_is_not_taken() -> None:
    """A server that swaps, or a machine that slept meanwhile, says nothing about the time."""
    clock = ServerClock(_Machine(1_000.0))
    clock.note(9_000.0, 50.0, 52.0)
    assert clock.now() == 1_000.0


def test_what_only_the_wall_clock_has_counted_has_passed() -> None:
    """A virtual machine that was paused for ten minutes, and put right then; what the wall clock loses takes nothing away."""
    machine = _Machine(1_000.0)
    clock = ServerClock(machine)
    seen = [clock.monotonic()]
    for jump in (600.0, -30.0, 20.0, 0.5, 0.0):
        machine.wall += jump + 1
        machine.since_boot += 1
        seen.append(clock.monotonic())
    assert [after - before for before, after in pairwise(seen)] == [601.0, 1.0, 21.0, 1.0, 1.0]
    assert clock.now() == 1_005.0, "nobody knows whether it was put right, or put forward"
    clock.note(9_000.0, clock.monotonic(), clock.monotonic())
    assert clock.now() == 9_000.0


def test_the_server_is_asked_as_soon_as_the_wall_clock_has_gained() -> None:
    """And else when it is time to."""

    async def scenario() -> list[float]:
        machine = VirtualClock()
        clock, asked = ServerClock(machine), list[float]()

        async def keep() -> None:
            while True:
                await clock.doubted(60.0)
                asked.append(anyio.current_time())

        async with anyio.create_task_group() as group:
            group.start_soon(keep)
            for gain in (0.0, 5.0, 0.0, -5.0, 0.0, 0.0, 0.0):
                await anyio.sleep(20.0)
                machine.skew += gain
                clock.monotonic()
            group.cancel_scope.cancel()
        return asked

    assert run_virtual(scenario()) == [40.0, 100.0]
