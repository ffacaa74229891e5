"""The spending limits of a run, a day and a month, over the ledger."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pipeline.budget.dated_sums import DatedSums, day_of, month_of
from pipeline.config.settings import BudgetSection
from pipeline.core.clock import Clock
from pipeline.core.log import get
from pipeline.core.model import Spend, SpentWindow, Trouble
from pipeline.ports.store import Database

_log = get("budget")
_EARLY = "spending.early"  #: under which the journal keeps what was counted before its day
_CALLS = {"analyze": "analysis", "index": "indexing"}  #: what a call is named, where not as in the ledger
_AGAIN = {"run": "run again", "day": "run again after midnight UTC", "month": "run again next month (UTC)"}


async def spent_windows(database: Database | None, budget: BudgetSection, now: float) -> list[SpentWindow]:
    """Return what this day and this month have spent; reads only. None: nothing yet."""
    sums = await _read_sums(database) if database is not None else DatedSums()
    return [
        SpentWindow("day", sums.day(now), budget.max_usd_per_day),
        SpentWindow("month", sums.month(now), budget.max_usd_per_month),
    ]


async def _read_sums(database: Database) -> DatedSums:
    return DatedSums(await database.daily(), await database.load(_EARLY))


class SpendingLimits:
    """Grants or refuses spending. A grant counts at once: parallel steps cannot overdraw.

    What is granted is pending until its entry is in the ledger; from then on the ledger's amounts count, and only they can
    take something back. So a step that is repeated reserves nothing twice, and what a crash has reserved is free again.
    """

    def __init__(self, budget: BudgetSection, clock: Clock, run_id: str = "") -> None:
        self._budget = budget
        self._clock = clock
        self._run_id = run_id
        self._sums = DatedSums()
        self._pending: dict[str, float] = {}  # USD by the key of an entry that is not written yet
        self._entered = 0.0

    async def open(self, database: Database) -> None:
        """Take over what was already spent."""
        self._sums = await _read_sums(database)
        before, now = self._sums.as_json(), self._clock.now()
        self._sums.day(now)
        if self._sums.as_json() != before:
            await database.save(_EARLY, self._sums.as_json())
            _log.warning(
                "clock_was_set_back",
                why=f"{_usd(self._sums.ahead(now))} of the ledger are dated after today: they count for today, too",
            )

    @property
    def run(self) -> float:
        """USD admitted in this run."""
        return self._entered + sum(self._pending.values())

    @property
    def day(self) -> float:
        """USD of this day, UTC, and what is admitted."""
        return self._sums.day(self._clock.now()) + sum(self._pending.values())

    @property
    def month(self) -> float:
        """USD of this month, UTC, and what is admitted."""
        return self._sums.month(self._clock.now()) + sum(self._pending.values())

    def reserve(self, spend: Spend, instead: Spend | None = None) -> Trouble | None:
        """Reserve the entry's amount and return None, or return the limit that refuses it.

        A free call passes no limit, even where one is passed already: nothing would ever end its wait.
        ``instead``: an entry of the ledger that is taken back by the same writing.
        """
        self._pending.pop(spend.key, None)  # its step is repeated: the entry of the first time was never written
        for name, limit, counted in self._limits():
            spent = counted - (instead.usd if instead is not None and self._counts(instead, name) else 0.0)
            if spend.usd > 0 and spent + spend.usd > limit + 1e-9:
                return _refusal(_CALLS.get(spend.what, spend.what), spend.usd, name, limit, spent)
        self._pending[spend.key] = spend.usd
        return None

    def entered(self, spends: Sequence[Spend]) -> None:
        """Take note of what is in the ledger now."""
        for spend in spends:
            self._pending.pop(spend.key, None)
            self._sums.add(spend.at, spend.usd)
            self._entered += spend.usd if spend.run == self._run_id else 0.0

    def outdated(self, booked: float, run: str) -> bool:
        """Return True if another run's or day's limit counts than when this was booked."""
        budget = self._budget
        if budget.max_usd_per_run is not None and run != self._run_id:
            return True
        limited = budget.max_usd_per_day is not None or budget.max_usd_per_month is not None
        return limited and day_of(booked) != day_of(self._clock.now())

    def _counts(self, spend: Spend, name: str) -> bool:
        """Return True if an entry is of this run, day or month."""
        now = self._clock.now()
        same = {"run": spend.run == self._run_id, "day": day_of(spend.at) == day_of(now)}
        return same.get(name, month_of(day_of(spend.at)) == month_of(day_of(now)))

    def _limits(self) -> Iterator[tuple[str, float, float]]:
        """Yield (name, limit, spent) of each limit that is set."""
        budget = self._budget
        if budget.max_usd_per_run is not None:
            yield "run", budget.max_usd_per_run, self.run
        if budget.max_usd_per_day is not None:
            yield "day", budget.max_usd_per_day, self.day
        if budget.max_usd_per_month is not None:
            yield "month", budget.max_usd_per_month, self.month


def _refusal(call: str, usd: float, name: str, limit: float, spent: float) -> Trouble:
    """Return the trouble of a limit, which may be below a single call."""
    if usd > limit + 1e-9:
        enough = math.ceil(usd * 100 - 1e-9) / 100
        return Trouble(
            "budget",
            f"One {call} alone (up to {_usd(usd)}) would pass the limit of {_usd(limit)} per {name}; no run can make it.",
            f"raise [budget] max_usd_per_{name} to {_usd(enough)} or more; finished work is kept",
        )
    return Trouble(
        "budget",
        f"The next {call} (up to {_usd(usd)}) would pass the limit of {_usd(limit)} per {name}; "
        f"{_usd(spent)} spent so far.",
        f"raise [budget] max_usd_per_{name}, or {_AGAIN[name]}: finished work is kept",
    )


def _usd(amount: float) -> str:
    """Return an amount with cents, or two digits where it is smaller."""
    return f"${amount:.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.2g}"
