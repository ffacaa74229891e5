"""From a seed to runs that follow each other, with limits and accidents that cost money. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from random import Random
from typing import Any

from tests.simulation.schedule import CALL_DEATHS, HIDDEN, LATE, LOSSES, Fault, Schedule, draw_alone
from tests.support.clock import EPOCH

DAY = 86_400.0
MONTH_END = datetime(2027, 2, 1, tzinfo=UTC).timestamp() - EPOCH  #: seconds after the epoch of all tests
_GAPS = (60.0, 60.0, 900.0, 7_500.0, 40_000.0, DAY, 9 * DAY, 31 * DAY)
_JUMPS = (90.0, -90.0, 3_600.0, -3_600.0, DAY, -DAY, 40 * DAY, -40 * DAY)
_CENTS = {"run": (6, 8, 12, 20, 35), "day": (8, 12, 20, 35, 60), "month": (15, 25, 40, 70, 120)}


@dataclass(frozen=True, slots=True)
class MoneySchedule(Schedule):
    """``begin``: seconds after the epoch; ``gaps``: seconds after each run; ``greedy``: bills more than is allowed."""

    begin: float = 0.0
    gaps: tuple[float, ...] = ()
    greedy: bool = False

    @property
    def steady(self) -> bool:
        """True where the clock jumps by hours at most."""
        return not any(abs(fault.size) >= DAY for fault in self.faults if fault.site == "clock")


def draw_money(seed: int) -> MoneySchedule:
    """Return the schedule of a seed: that of the same seed, with less to do and more to pay."""
    rng, base = Random(f"money {seed}"), draw_alone(seed)
    runs = rng.choice((2, 3, 4, 6))
    lines = [tuple(line for line in night if line.sort != "youtube") for night in base.nights]
    nights = tuple(lines[min(number, len(lines) - 1)] for number in range(runs))
    prompts = tuple(base.prompts[min(number, len(base.prompts) - 1)] for number in range(runs))
    begin = rng.choice((MONTH_END, MONTH_END, MONTH_END - 5 * DAY)) - rng.choice((20.0, 300.0, 2_000.0, 9_000.0))
    sections = {**base.sections, "provider": {**base.sections["provider"], "api": "v1.3"}, "budget": _budget(rng)}
    sections.pop("queries", None)
    if rng.random() < 0.7:
        sections.pop("index", None)
    if rng.random() < 0.5:
        sections["jobs"] = {**sections["jobs"], "fuse": False}
    faults = (
        *(fault for fault in base.faults if fault.site != "clock" and fault.what not in LOSSES),
        *_faults(rng, begin),
    )
    kept = {field.name: getattr(base, field.name) for field in fields(Schedule)}
    kept |= {"nights": nights, "prompts": prompts, "sections": sections, "faults": faults}
    gaps = tuple(rng.choice(_GAPS) for _ in range(runs))
    return MoneySchedule(**kept, begin=begin, gaps=gaps, greedy=seed % 8 == 0)


def _budget(rng: Random) -> dict[str, Any]:
    named = [name for name in _CENTS if rng.random() < 0.6] or ["run", "day"]
    return {f"max_usd_per_{name}": rng.choice(_CENTS[name]) / 100 for name in named}


def _faults(rng: Random, begin: float) -> tuple[Fault, ...]:
    """Return deaths and lost answers at paid calls, and jumps of the clock."""
    at_pay = (*LATE, *HIDDEN, *CALL_DEATHS * 4)
    paid = [
        Fault("pay", rng.randint(1, 25), rng.choice(at_pay), rng.choice((8.0, 170.0))) for _ in range(rng.randint(0, 5))
    ]
    jumps = [
        Fault("clock", int(begin) + rng.randint(1, 900), "jump", rng.choice(_JUMPS))
        for _ in range(rng.choice((0, 0, 1, 2)))
    ]
    return (*paid, *jumps)
