"""Worlds in which the limits have a fault, to prove that the proof can fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.core.model import REFUND, Spend, Trouble
from pipeline.ports.store import Applied, ApplyAnswer
from tests.simulation.money.world import MoneyWorld
from tests.simulation.watch import Watched


class ReservesNothing(MoneyWorld):
    """Steps beside each other reserve the same money; no fault, because the database looks before it enters anything."""

    def build(self, *args: Any) -> Any:
        session = super().build(*args)
        session.components.spending._pending = _Nothing()
        return session


class CountsWhatIsWritten(ReservesNothing):
    """Money counts only once its entry is in the ledger, and the database does not look: steps beside each other overdraw."""

    def build(self, *args: Any) -> Any:
        session = super().build(*args)
        session.components.spending._why_over = lambda call, spends: None
        return session


class _Nothing(dict[str, float]):
    def __setitem__(self, key: str, usd: float) -> None:
        """Keep nothing."""


class ForgetsEarlierRuns(MoneyWorld):
    """A run does not read what the runs before it have spent."""

    def build(self, *args: Any) -> Any:
        session = super().build(*args)
        spending = session.components.spending

        async def opens_nothing(database: Any) -> None:
            spending._seen, spending._opened = (await database.daily()).last, 0.0

        spending.open = opens_nothing
        return session


class MovesNothing(MoneyWorld):
    """What waited unsent into another run or day is sent on the money of the one before."""

    def build(self, *args: Any) -> Any:
        session = super().build(*args)
        session.components.spending.outdated = lambda booked, run: False
        return session


class _FreesAll(Watched):
    async def apply(self, applied: Applied, now: float) -> ApplyAnswer:
        booked = [spend for spend in applied.move.spend if spend.calls == 1]
        back = [replace(spend, key=spend.key + REFUND, usd=-spend.usd) for spend in booked]
        return await super().apply(
            replace(applied, move=replace(applied.move, spend=[*applied.move.spend, *back])), now
        )


class FreesWhatIsCharged(MoneyWorld):
    """Every reservation is given back at once."""

    def new_database(self) -> Watched:
        return _FreesAll(self.disk.published)


class FreesWhatWasCancelled(MoneyWorld):
    """What is cancelled at the platform counts as free, although nobody says that it is."""

    def build(self, *args: Any) -> Any:
        session = super().build(*args)
        costs = session.components.analysis.costs
        reckon = costs.reckon

        async def freeing(task: Any, data: Any, status: Any, factor: Any) -> Any:
            return await reckon(task, data, status, 1.0 if status.state == "canceled" else factor)

        costs.reckon = freeing
        return session


class RefusesWhatIsFree(MoneyWorld):
    """A call that costs nothing waits, too, once half of a limit is spent."""

    def build(self, *args: Any) -> Any:
        session = super().build(*args)
        spending = session.components.spending
        reserve = spending.reserve

        def refusing(spend: Spend, instead: Spend | None = None) -> Trouble | None:
            spent = any(counted > limit / 2 for _, limit, counted in spending._limits())
            return Trouble("budget", "Half is spent.") if spent and not spend.usd else reserve(spend, instead)

        spending.reserve = refusing
        return session


#: Every planted fault, how the proof words what it sees, and the seed from which on it is looked for.
PLANTED: Sequence[tuple[type[MoneyWorld], str, int]] = (
    (CountsWhatIsWritten, "above the limit", 1),
    (ForgetsEarlierRuns, "above the limit", 1),
    (MovesNothing, "above the limit", 19),
    (FreesWhatIsCharged, "more than our ledger holds", 1),
    (FreesWhatWasCancelled, "freed, and charged", 32),
    (RefusesWhatIsFree, "waits for money", 8),
)
