"""The machine's own clock: monotonic time counts what the machine sleeps."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from pipeline.core.clock import SystemClock


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a file that says so")
def test_time_runs_on_while_the_machine_sleeps() -> None:
    """The kernel's own count since the boot holds every sleep: ours stands where that one does."""
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert SystemClock().monotonic() == pytest.approx(uptime, abs=5.0)


def test_where_the_kernel_does_not_know_that_clock_pythons_own_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old kernel or a sandbox: the run goes on, and the wall clock tells of a sleep."""

    def refused(number: int) -> float:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(time, "clock_gettime", refused)
    assert SystemClock().monotonic() == pytest.approx(time.monotonic(), abs=5.0)
