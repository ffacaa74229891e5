"""The spending limits of a run and a day, over the ledger."""

from __future__ import annotations

import math

from pipeline.config.settings import BudgetSection
from pipeline.core.clock import Clock
from pipeline.core.model import Trouble
from pipeline.ports.store import Records

_DAY = 86_400.0


class SpendingLimits:
    """Grants or refuses spending. A grant counts at once: parallel steps cannot overdraw."""

    def __init__(self, budget: BudgetSection, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._today = self._day()
        self.run = 0.0  #: USD admitted in this run
        self.minutes = 0.0  #: minutes of video in them
        self.day = 0.0  #: USD in the ledger since midnight UTC, and what was admitted since

    async def open(self, records: Records) -> None:
        """Take over what was already spent today."""
        self._today = self._day()
        self.day, _, _ = await records.spent(since=self._today)

    def reserve(self, usd: float, minutes: float, what: str = "analysis") -> Trouble | None:
        """Reserve ``usd`` and return None, or return the limit that refuses it."""
        self._turn_day()
        for name, spent, limit in (
            ("run", self.run, self._budget.max_usd_per_run),
            ("day", self.day, self._budget.max_usd_per_day),
        ):
            if limit is not None and spent + usd > limit + 1e-9:
                if usd > limit + 1e-9:
                    return _hopeless(what, usd, name, limit)
                again = "run again" if name == "run" else "run again after midnight UTC"
                return Trouble(
                    "budget",
                    f"The next {what} (about {_usd(usd)}) would pass the limit of {_usd(limit)} per {name}; "
                    f"{_usd(spent)} spent so far.",
                    f"raise [budget] max_usd_per_{name}, or {again}: finished work is kept",
                )
        self.add(usd, minutes)
        return None

    def add(self, usd: float, minutes: float) -> None:
        """Count ``usd`` and ``minutes`` whatever the limits; negative ones are taken back."""
        self._turn_day()
        self.minutes += minutes
        self.run += usd
        self.day += usd

    def _turn_day(self) -> None:
        if self._day() != self._today:
            self._today, self.day = self._day(), 0.0

    def _day(self) -> float:
        return self._clock.now() // _DAY * _DAY


def _hopeless(what: str, usd: float, name: str, limit: float) -> Trouble:
    """Return the trouble of a limit that can never admit even one call."""
    enough = math.ceil(usd * 100 - 1e-9) / 100
    message = (
        f"One {what} alone (about {_usd(usd)}) would pass the limit of {_usd(limit)} per {name}; no run can make it."
    )
    return Trouble(
        "budget", message, f"raise [budget] max_usd_per_{name} to {_usd(enough)} or more; finished work is kept"
    )


def _usd(amount: float) -> str:
    """Return an amount with cents, or two digits where it is smaller."""
    return f"${amount:.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.2g}"
