"""What polling costs: list requests per minute with many in flight, from the status board itself, in virtual time.

Every one of them looks as the engine does, until it is ready after one to ten minutes. Uploads, then analyses, then half
of each sharing one allowance. "Late" is how long after it was ready the last or the middle one knew it.
"""

from __future__ import annotations

import argparse
from random import Random
from typing import Any

import anyio

from pipeline.provider.status_board import Pacer, StatusBoard
from tests.support.clock import VirtualClock, run_virtual
from tests.unit.test_status_board import Platform, most_in_a_minute, wait_for


async def _measure(name: str, number: int, spacing: float, per_minute: float) -> None:
    clock = VirtualClock()
    platform, rng = Platform(clock), Random(4)
    pacer = Pacer(per_minute, spacing, clock)
    boards: dict[str, list[StatusBoard[Any]]] = {
        "uploads": [platform.media(pacer=pacer, spacing=spacing)],
        "analyses": [platform.analyses(pacer=pacer, spacing=spacing)],
    }
    used = boards.get(name) or [*boards["uploads"], *boards["analyses"]]
    platform.ready_at = {f"id{each}": rng.uniform(60, 600) for each in range(number)}
    ended: dict[str, tuple[str, float]] = {}
    async with anyio.create_task_group() as group:
        for each, key in enumerate(platform.ready_at):
            group.start_soon(wait_for, used[each % len(used)], clock, key, ended)
    late = sorted(at - platform.ready_at[key] for key, (_, at) in ended.items())
    print(
        f"{name:<10} {most_in_a_minute(platform.lists):3} list requests in the busiest minute, {len(platform.lists):,} in all",
        f"{len(platform.singles):,} asked for by themselves",
        f"late: {late[len(late) // 2]:.1f} s in the middle, {late[-1]:.1f} s at most",
        sep="; ",
    )


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description="List requests per minute with many in flight.")
    parser.add_argument("--in-flight", type=int, default=1000)
    parser.add_argument("--spacing", type=float, default=10.0, help="[provider] poll_spacing, seconds")
    parser.add_argument("--per-minute", type=float, default=60.0, help="[provider] poll_requests_per_minute")
    given = parser.parse_args()
    print(f"{given.in_flight:,} in flight, {given.spacing:g} s spacing, virtual time")
    for name in ("uploads", "analyses", "both"):
        run_virtual(_measure(name, given.in_flight, given.spacing, given.per_minute))
