"""Fewer accidents with the same end: leave them out one at a time for as long as something still breaks."""

from __future__ import annotations

from pathlib import Path

from tests.simulation.run import Failed, one
from tests.simulation.schedule import Schedule
from tests.simulation.world import World


def shrunk(schedule: Schedule, error: Failed, folder: Path, make: type[World] = World) -> tuple[Schedule, Failed]:
    """Return the smallest schedule found that still breaks, and how it breaks."""
    index = 0
    while index < len(schedule.faults):
        smaller = schedule.without(index)
        try:
            one(smaller, folder, make=make)
        except Failed as still:
            schedule, error = smaller, still
        else:
            index += 1
    return schedule, error
