"""Replay a seed, or soak many. See ``python -m tests.simulation --help``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from tests.simulation.run import Failed, one, quietly
from tests.simulation.schedule import Schedule, draw, draw_alone, with_hosts
from tests.simulation.shrink import shrunk
from tests.simulation.world import World


def main(module: str, draw: Callable[[int], Schedule], world: type[World]) -> int:
    """Run what the command line says; return 1 if a promise was broken."""
    command = f"python -m {module}"
    parser = argparse.ArgumentParser(prog=command, description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this one")
    parser.add_argument("--from", dest="first", type=int, default=1, help="first seed of a soak")
    parser.add_argument("--seeds", type=int, default=300, help="how many")
    parser.add_argument("--verbose", action="store_true", help="tell every request")
    parser.add_argument("--shrink", action="store_true", help="leave out what is not needed to fail")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    parser.add_argument("--hosts", type=int, help="so many machines in every seed, where they may share a database")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30 if given.verbose else 50))
    seeds = [given.seed] if given.seed is not None else range(given.first, given.first + given.seeds)
    failures, began = 0, time.process_time()
    lives = deaths = requests = repeated = done = lost = forgotten = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            schedule = draw(seed) if given.hosts is None else with_hosts(draw_alone(seed), given.hosts)
            try:
                told = one(schedule, Path(folder), print if given.verbose else quietly, world)
            except Failed as error:
                failures += 1
                if given.shrink:
                    schedule, error = shrunk(schedule, error, Path(folder), world)
                    if given.verbose:
                        print(f"\nwith what is needed only: {schedule.told()}")
                        with suppress(Failed):
                            one(schedule, Path(folder), print, world)
                print(f"BROKEN {error}\n{schedule.told()}\nreplay: {command} --seed {seed} --verbose\n")
                if not given.keep_going:
                    return 1
                continue
            done += 1
            lives, deaths = lives + told.lives, deaths + told.deaths
            requests, repeated = requests + told.requests, repeated + told.repeated
            lost, forgotten = lost + told.lost, forgotten + told.forgotten
            if given.seed is not None:
                print(told)
    spent = time.process_time() - began
    print(
        f"{done} seeds good, {failures} broken; {lives} lives, {deaths} deaths, {requests} requests, "
        f"{repeated} calls made twice and told, as the policy allows; {lost} state folders lost, and "
        f"{forgotten} calls made again that nobody could find; {spent:.1f} s CPU"
    )
    return 1 if failures else 0


def replayable(module: str) -> None:
    """Start this process again with the order of sets that a replay needs."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]])


if __name__ == "__main__":
    replayable("tests.simulation")
    sys.exit(main("tests.simulation", draw, World))
