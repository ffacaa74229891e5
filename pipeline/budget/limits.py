"""The spending limits of a run, a day and a month, over the ledger."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from threading import Lock

from pipeline.budget.dated_sums import DatedSums, day_of, month_of
from pipeline.config.settings import BudgetSection
from pipeline.core.clock import Clock
from pipeline.core.log import get
from pipeline.core.model import Spend, SpentWindow, Trouble
from pipeline.ports.budget import BudgetGuard, CountedEntry, LedgerReader
from pipeline.ports.store import Database

_log = get("budget")
_EARLY = "spending.early"  #: under which the journal keeps what was counted before its day
_CENT = 1e-9  #: USD by which a sum may be above a limit: binary fractions
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
    return DatedSums((await database.daily()).usd, await database.load(_EARLY))


class SpendingLimits:
    """Grants or refuses spending (``ports.budget.BudgetGuard``). A grant counts at once: parallel steps cannot overdraw.

    What is granted is pending until its entry is handed to the database. There it is held against the ledger once more, in
    the transaction that enters it: so no other process can have spent the same money. From then on the ledger's amounts
    count, and only they can take something back. A step that is repeated reserves nothing twice, and what a crash has
    reserved is free again.

    ``shared``: other runs spend at the same time, each within its own limit per run.
    """

    def __init__(self, budget: BudgetSection, clock: Clock, run_id: str = "", *, shared: bool = False) -> None:
        self._budget = budget
        self._clock = clock
        self._run_id = run_id
        self._shared = shared
        self._lock = Lock()  # a transaction may be in another thread
        self._sums = DatedSums()
        self._pending: dict[str, float] = {}  # USD by the key of an entry that is not handed in yet
        self._admitted: dict[str, Spend] = {}  # by key: handed in, and not seen in the ledger yet
        self._refused: dict[str, Trouble] = {}  # by key: what the ledger has no room for, until that is told
        self._entered = 0.0
        self._seen = 0
        self._opened: float | None = None

    async def open(self, database: Database) -> None:
        """Take over what was already spent."""
        if self._opened is not None and self.guard is not None:
            await self.look(database)
            return
        ledger, early = await database.daily(), await database.load(_EARLY)
        with self._lock:
            self._sums, self._seen = DatedSums(ledger.usd, early), ledger.last
            self._opened = now = self._clock.now()
            before = self._sums.as_json()
            self._sums.day(now)
            after, ahead = self._sums.as_json(), self._sums.ahead(now)
        if after != before:
            await database.save(_EARLY, after)
            _log.warning(
                "clock_was_set_back",
                why=f"{_usd(ahead)} of the ledger are dated after today: they count for today, too",
            )

    @property
    def guard(self) -> BudgetGuard | None:
        """What the database asks before it enters something; None: there is no limit."""
        return self if any(limit is not None for _, limit in self._budget) else None

    @property
    def run(self) -> float:
        """USD admitted in this run."""
        with self._lock:
            return self._counted("run")

    @property
    def day(self) -> float:
        """USD of this day, UTC, and what is admitted."""
        with self._lock:
            return self._counted("day")

    @property
    def month(self) -> float:
        """USD of this month, UTC, and what is admitted."""
        with self._lock:
            return self._counted("month")

    def reserve(self, spend: Spend, instead: Spend | None = None) -> Trouble | None:
        """Reserve the entry's amount and return None, or return the limit that refuses it.

        A free call passes no limit, even where one is passed already: nothing would ever end its wait.
        ``instead``: an entry of the ledger that is taken back by the same writing.
        """
        with self._lock:
            self._pending.pop(spend.key, None)  # its step is repeated: the entry of the first time was never written
            for name, limit, counted in self._limits():
                spent = counted - (instead.usd if instead is not None and self._counts(instead, name) else 0.0)
                if spend.usd > 0 and spent + spend.usd > limit + _CENT:
                    return _refusal(_CALLS.get(spend.what, spend.what), spend.usd, name, limit, spent)
            self._pending[spend.key] = spend.usd
            return None

    def entered(self, spends: Sequence[Spend]) -> None:
        """Take note of what is in the ledger now.

        Where there is a limit, the ledger itself is looked at.
        """
        if self.guard is not None:
            return
        with self._lock:
            for spend in spends:
                self._pending.pop(spend.key, None)
                self._sums.add(spend.at, spend.usd)
                self._entered += spend.usd if spend.run == self._run_id else 0.0

    # --------------------------------------------------------------------------------------- within a transaction

    @property
    def seen(self) -> int:
        return self._seen

    def update(self, entries: Sequence[CountedEntry]) -> None:
        with self._lock:
            self._see(entries)
            self._admitted.clear()

    def admits(self, spends: Sequence[Spend]) -> bool:
        with self._lock:
            why = next(filter(None, (self._why_over(each, spends) for each in spends)), None)
            for spend in spends:
                self._pending.pop(spend.key, None)
            if why is None:
                self._admitted.update((spend.key, spend) for spend in spends)
            else:
                self._refused[spends[0].key] = why
            return why is None

    def refusal(self, spends: Sequence[Spend]) -> Trouble:
        with self._lock:
            return self._refused.pop(spends[0].key)

    async def look(self, ledger: LedgerReader) -> bool:
        entries = await ledger.entered_since(self._seen)
        with self._lock:
            return self._see(entries)

    def _see(self, entries: Sequence[CountedEntry]) -> bool:
        """Count entries of the ledger, each once; return whether one takes something back."""
        new = [entry for entry in entries if entry.number > self._seen]
        for entry in new:
            self._seen = entry.number
            self._sums.add(entry.at, entry.usd)
            self._entered += entry.usd if entry.run == self._run_id else 0.0
            self._pending.pop(entry.key, None)
            self._admitted.pop(entry.key, None)
        return any(entry.usd < 0 for entry in new)

    def _why_over(self, call: Spend, spends: Sequence[Spend]) -> Trouble | None:
        """Return the limit that forbids a call, which is written together with other entries.

        What corrects an entry no limit forbids.
        """
        if call.calls != 1 or call.usd <= 0:
            return None
        for name, limit in self._set_limits():
            if name == "run" and call.run != self._run_id:
                continue
            spent = self._in_ledger(name, call.at)
            spent += sum(each.usd for each in self._admitted.values() if _same_window(name, each, call))
            total = spent + sum(each.usd for each in spends if _same_window(name, each, call))
            if total > limit + _CENT:
                return _refusal(_CALLS.get(call.what, call.what), call.usd, name, limit, total - call.usd)
        return None

    # ------------------------------------------------------------------------------------------------ what counts

    def outdated(self, booked: float, run: str) -> bool:
        """Return True if another run's or day's limit counts than when this was booked.

        What a run beside this one has booked since this one began counts within that one's limit.
        """
        budget = self._budget
        beside = self._shared and self._opened is not None and booked >= self._opened
        if budget.max_usd_per_run is not None and run != self._run_id and not beside:
            return True
        limited = budget.max_usd_per_day is not None or budget.max_usd_per_month is not None
        return limited and day_of(booked) != day_of(self._clock.now())

    def _counts(self, spend: Spend, name: str) -> bool:
        """Return True if an entry is of this run, day or month."""
        return _same_window(name, spend, Spend("", "", 0.0, at=self._clock.now(), run=self._run_id))

    def _counted(self, name: str) -> float:
        """Return what counts of this run, day or month.

        What is on its way into the ledger counts, too.
        """
        under_way = (
            each.usd for each in self._admitted.values() if self._counts(each, name) or (each.usd > 0 and name != "run")
        )
        return self._in_ledger(name, self._clock.now()) + sum(under_way) + sum(self._pending.values())

    def _in_ledger(self, name: str, at: float) -> float:
        """Return what the ledger holds of this run, day or month."""
        if name == "run":
            return self._entered
        return self._sums.day(at) if name == "day" else self._sums.month(at)

    def _set_limits(self) -> Iterator[tuple[str, float]]:
        """Yield (name, limit) of each limit that is set."""
        for name in ("run", "day", "month"):
            limit: float | None = getattr(self._budget, f"max_usd_per_{name}")
            if limit is not None:
                yield name, limit

    def _limits(self) -> Iterator[tuple[str, float, float]]:
        """Yield (name, limit, spent) of each limit that is set."""
        return ((name, limit, self._counted(name)) for name, limit in self._set_limits())


def _same_window(name: str, one: Spend, other: Spend) -> bool:
    """Return True if two entries are of one run, day or month."""
    if name == "run":
        return one.run == other.run
    days = day_of(one.at), day_of(other.at)
    return days[0] == days[1] if name == "day" else month_of(days[0]) == month_of(days[1])


def _refusal(call: str, usd: float, name: str, limit: float, spent: float) -> Trouble:
    """Return the trouble of a limit, which may be below a single call."""
    if usd > limit + _CENT:
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
