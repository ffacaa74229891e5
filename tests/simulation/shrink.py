"""Fewer accidents with the same end: leave them out one at a time for as long as something still breaks."""

from __future__ import annotations

from pathlib import Path

from tests.simulation.run import Failed, one
from tests.simulation.schedule import Schedule
from tests.simulation.world import World


def shrunk(schedule: Schedule, error: Failed, folder: Path, make: type[World] = World) -> tuple[Schedule, Failed]:
    """Return the smallest schedule found that still breaks in the same way, and its words for that."""
    index = 0
    while index < len(schedule.faults):
        smaller = schedule.without(index)
        try:
            one(smaller, folder, make=make)
        except Failed as still:
            if _way(still) == _way(error):
                schedule, error = smaller, still
                continue
        index += 1
    return schedule, error


def _way(error: Failed) -> list[str]:
    return [word for word in str(error).split() if word.isalpha()][:3]
