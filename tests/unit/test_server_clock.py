"""The time of a server, told by a machine whose own wall clock may be wrong."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.clock import ServerClock


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
