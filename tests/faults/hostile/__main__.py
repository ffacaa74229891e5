"""``python -m tests.faults.hostile``: every hostile answer at the calls of a run, over real HTTP.

A server before the local platform answers one call with something odd, for as long as the run asks; it has let the
platform act before, or not. Then it is honest, and ``reelmill retry`` and ``reelmill run`` must finish the video. The
platform's ledger is the truth. Exit code 1 if an item is lost, a call is paid twice in silence, a run says what it should
not, or a process needs more memory than it may.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from tests.faults.hostile.case import tried
from tests.faults.hostile.playing import CALLS, HostileCase, Seen, cases

#: Megabytes that a run may need, whatever it is answered.
MOST = 250
#: What is asked about if nothing is named: the calls of an ordinary run, and the look for a lost answer.
USUAL = tuple(CALLS)[:6]


def judged(seen: Seen) -> list[str]:
    """Return how a case broke a promise."""
    found = list(dict.fromkeys(seen.faults))
    if seen.lost:
        found.append(f"{seen.lost} items lost")
    if seen.silent:
        found.append(f"{seen.silent} calls repeated in silence: {seen.calls}")
    if seen.peak > MOST * 1024 * 1024:
        found.append(f"{seen.peak >> 20} MB")
    return found


async def all_of(
    chosen: Sequence[HostileCase], folder: Path, jobs: int, times: float, *, kind: str = "local", verbose: bool = False
) -> list[Seen]:
    """Play the cases, so many at once; tell at once what is broken."""
    seen: list[Seen] = []
    waiting = iter(enumerate(chosen))

    async def work() -> None:
        for number, case in waiting:
            place = folder / str(number)
            place.mkdir()
            one = await tried(case, place, times, kind)
            seen.append(one)
            broken = judged(one)
            if broken or verbose:
                print(
                    f"{'BROKEN' if broken else 'good  '} {case.name}: {one.codes} {one.peak >> 20} MB {'; '.join(broken)}",
                    flush=True,
                )
            if not broken:
                shutil.rmtree(place)

    await asyncio.gather(*(work() for _ in range(jobs)))
    return seen


def table(seen: Sequence[Seen]) -> str:
    """Return the figures by call, as lines."""
    lines = [f"{'call':<22} answers  cured  paid  told  silent  lost  never given  peak MB"]
    for call in (*dict.fromkeys(one.case.call for one in seen), "all"):
        some = [one for one in seen if call in (one.case.call, "all")]
        paid, told = sum(one.calls.paid for one in some), sum(one.calls.told for one in some)
        cured = sum(len(one.codes) > 1 and not one.lost for one in some)
        lines.append(
            f"{call:<22} {len(some):>7} {cured:>6} {paid:>5} {told:>5} {sum(one.silent for one in some):>7}"
            f" {sum(one.lost for one in some):>5} {sum(not one.given for one in some):>12}"
            f" {max(one.peak for one in some) >> 20:>8}"
        )
    different = {one.case.answer.name for one in seen if one.given}
    return "\n".join([*lines, f"{len(different)} different answers"])


def main() -> int:
    """Do what the command line says; return 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.hostile", description=__doc__)
    parser.add_argument("words", nargs="*", help="only the cases whose names hold one of these")
    parser.add_argument("--call", action="append", choices=list(CALLS), help="only at this call; may be repeated")
    parser.add_argument(
        "--every", type=int, default=1, help="only every nth answer at each call, other ones at the next"
    )
    parser.add_argument(
        "--times", type=float, default=math.inf, help="how often the answer is given; as often as asked"
    )
    parser.add_argument(
        "--kind",
        choices=("local", "twelvelabs"),
        default="local",
        help="twelvelabs: with the vendor's limits and waits",
    )
    parser.add_argument("--jobs", type=int, default=6, help="cases at once")
    parser.add_argument("--keep", type=Path, help="folder that keeps what broken cases left")
    parser.add_argument("--verbose", action="store_true", help="tell every case")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    calls = given.call or USUAL
    chosen = [
        case for first, call in enumerate(calls) for case in list(cases(call))[first % given.every :: given.every]
    ]
    chosen = [case for case in chosen if not given.words or any(word in case.name for word in given.words)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = given.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        seen = asyncio.run(all_of(chosen, place, given.jobs, given.times, kind=given.kind, verbose=given.verbose))
    broken = sum(bool(judged(one)) for one in seen)
    print(table(seen), f"{broken} of {len(seen)} cases broken, {time.monotonic() - began:.0f} s", sep="\n")
    return 1 if broken or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
