"""A world in which every paid call is held against the limits, and every entry against what was charged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pipeline.budget.dated_sums import DatedSums
from pipeline.config.settings import PricesSection
from pipeline.core.model import REFUND, fingerprint
from pipeline.views import RunReport
from tests.simulation.final_check import Reckoning
from tests.simulation.ledger import Broken, Effect, Ledger, Thing
from tests.simulation.money.schedule import MoneySchedule
from tests.simulation.vendor_v1_3 import VendorV13
from tests.simulation.world import Told, World

GRACE = 5.0  #: seconds after midnight, or after a jump of the clock, in which a call may count where it was decided
_RATES = PricesSection()


class Entry(NamedTuple):
    """An entry of our ledger."""

    key: str
    what: str
    usd: float
    minutes: float
    subject: str
    doubtful: bool
    at: float
    estimate: float
    jobs: str
    run: str


class GreedyVendor(VendorV13):
    """Counts more tokens than a request allows, now and then."""

    def billed(self, room: int, thing: Thing) -> int:
        allowed = super().billed(room, thing)
        if len(self.things) % 2:
            return allowed
        thing.data["excess"] = room * _RATES.output_1000_tokens / 1000
        return room * 2


class MoneyLedger(Ledger):
    """The platform's ledger, held against the limits at every entry."""

    limits: Mapping[str, float]
    entries: Callable[[], list[Entry]]
    owners: Callable[[Effect], tuple[int, float]]  #: the run and the time that a call counts for

    def accept(self, effect: Effect) -> None:
        """Enter an effect.

        Raises:
            Broken: the platform has charged more than a limit.
        """
        super().accept(effect)
        if not price_of(effect):
            return
        effect.thing.data["counts"] = self.owners(effect)
        for name, limit in self.limits.items():
            mine = window_of(name, effect)
            charged = sum(price_of(each) - excess_of(each) for each in self._paid() if window_of(name, each) == mine)
            if charged > limit + 1e-6:
                raise Broken(
                    f"charged {charged:.4f} USD, above the limit of {limit:.2f} per {name} ({mine}): {effect.key}"
                )

    def _paid(self) -> Iterable[Effect]:
        return (each for each in self.effects if "counts" in each.thing.data)

    def _covered(self, effect: Effect) -> None:
        paid = [each for each in self.effects if price_of(each)]
        charged, ours = sum(price_of(each) - excess_of(each) for each in paid), sum(each.usd for each in self.entries())
        if charged > ours + 1e-6:
            raise Broken(f"charged {charged:.4f} USD, which is more than our ledger holds: {ours:.4f}")


def price_of(effect: Effect) -> float:
    """Return what the platform charges, by its own rule."""
    if effect.kind == "analysis":
        return float(effect.thing.data["usd"])
    return _RATES.index_minute if effect.kind == "indexed" else 0.0


def excess_of(effect: Effect) -> float:
    """Return what it charges beyond what the request allowed."""
    return float(effect.thing.data.get("excess", 0.0))


def window_of(name: str, effect: Effect) -> object:
    """Return the run, day or month that an effect counts for."""
    run, at = effect.thing.data["counts"]
    date = datetime.fromtimestamp(at, UTC)
    return run if name == "run" else date.date() if name == "day" else (date.year, date.month)


class MoneyWorld(World):
    """Runs with limits, one after another."""

    schedule: MoneySchedule

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if self.schedule.greedy:
            self.greedy = True
            self.vendor = GreedyVendor(
                self.elapsed, self.schedule.habits, self.vendor._rng, self.ledger, self.accidents.fate
            )
            self.vendor.one_call = self.schedule.one_call
        self.runs: dict[str, int] = {}  #: id of a run -> number of its life

    def new_ledger(self) -> Ledger:
        base = super().new_ledger()
        ledger = MoneyLedger(base.spends, base.spent, base.uploads_billed)
        ledger.limits = {
            name.removeprefix("max_usd_per_"): usd for name, usd in self.schedule.sections["budget"].items()
        }
        ledger.entries, ledger.owners = self.entered, self._owner
        return ledger

    def build(self, *args: Any) -> Any:
        session = super().build(*args)
        while session.run_id in self.runs:  # it names the second and the process: here all have one number
            self.loop.jump(1.0)
            session = super().build(*args)
        self.runs[session.run_id] = self.life.number
        return session

    def entered(self) -> list[Entry]:
        """Return our ledger."""
        return [Entry(*row) for row in self.database._spends.values()]

    def _owner(self, effect: Effect) -> tuple[int, float]:
        """Return the run and the time for which a call counts: those of its sending, but for the exceptions."""
        ours = [
            each for each in self.entered() if key_of(effect, each.key) and not each.key.endswith(("/settled", REFUND))
        ]
        newest = ours[-1]  # what is not in our ledger is noticed before
        decided = self.runs[newest.run], newest.at
        if newest.doubtful:
            return decided
        on_its_way = effect.sent % 86_400 < GRACE or self._jumped(effect)
        return (effect.life, decided[1] if on_its_way else effect.sent)

    def _jumped(self, effect: Effect) -> bool:
        return any(0 <= self.elapsed() - at < GRACE + 2 * self.vendor.habits.arrive + 200 for at in self.jumps)

    @property
    def jumps(self) -> list[float]:
        """When the clock has jumped, seconds since the world began."""
        return [fault.at for fault in self.accidents.fired if fault.site == "clock"]

    def _ended(self, task: Any, died: bool) -> Any:
        ended = super()._ended(task, died)
        if isinstance(ended, RunReport) and ended.exit_code in (0, 3, 5, 6):
            self._check_sums(self.life.session)
        return ended

    def _check_sums(self, session: Any) -> None:
        """Hold what a run has counted in memory against the ledger."""
        spending, ledger = session.components.spending, self.entered()
        if spending.guard is not None:  # what it has had no reason to look at
            spending.update(self.database._entered_since(spending.seen))
        mine = sum(each.usd for each in ledger if each.run == session.run_id)
        if abs(spending._entered - mine) > 1e-6:
            raise Broken(f"the run counts {spending._entered:.4f} USD of its own, the ledger {mine:.4f}")
        days = DatedSums()
        for each in ledger:
            days.add(each.at, each.usd)
        if any(abs(spending._sums._days[day] - usd) > 1e-6 for day, usd in days._days.items()):
            raise Broken("the run counts days otherwise than the ledger")

    async def go(self) -> Told:
        """Live through all runs; then calm, and the books are checked."""
        self.loop.jump(self.schedule.begin)
        for night, gap in enumerate(self.schedule.gaps):
            await self._night(night)
            self.loop.jump(gap)
        self.accidents.calm = True
        assert isinstance(self.ledger, MoneyLedger)
        self.ledger.limits = {}
        self.note("calm")
        if self.schedule.steady:
            await Reckoning(self, len(self.schedule.nights) - 1).settle()
        self.vendor.catch_up()
        self._check_calls()
        return self.told()

    def _check_calls(self) -> None:
        """Hold our ledger against what was charged, call by call."""
        ours, charged = self.entered(), [each for each in self.ledger.effects if price_of(each)]
        for effect in charged:
            mine = [each for each in ours if key_of(effect, each.key)]
            paid = [each for each in charged if key_of(each, mine[0].key)]
            usd, booked = sum(map(price_of, paid)), sum(each.usd for each in mine)
            settled = any(each.key.endswith("/settled") for each in mine)
            short = usd - booked - (0.0 if settled and len(paid) == 1 else sum(map(excess_of, paid)))
            if short > 1e-6:
                raise Broken(f"freed, and charged: {effect.key} has cost {usd:.4f} USD, our ledger holds {booked:.4f}")
        for key in {re.split("/(?:moved-|again|settled|refused)", each.key)[0] for each in ours}:
            usd = sum(each.usd for each in ours if each.key == key or each.key.startswith(key + "/"))
            if usd < -1e-6:
                raise Broken(f"freed twice: {key} has {usd:.4f} USD in our ledger")


def key_of(effect: Effect, key: str) -> bool:
    """Return True if an entry of our ledger is of this call."""
    if effect.kind == "indexed":
        index, asset = effect.base.split("/")
        return key.startswith("index/") and f"/{index}/{fingerprint(asset)[:8]}" in key
    return key == effect.key or key.startswith(effect.key + "/")
