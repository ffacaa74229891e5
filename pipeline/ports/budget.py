"""Spending limits, and what they see of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pipeline.core.model import Spend, Trouble


class CountedEntry(NamedTuple):
    """What a spending limit counts of an entry."""

    number: int  #: grows in the order in which entries were committed, whoever has written them
    key: str
    usd: float
    at: float  #: epoch seconds
    run: str


@dataclass(frozen=True, slots=True)
class LedgerDays:
    """The whole ledger at one moment."""

    usd: Mapping[int, float]  #: by the day, numbered since 1970, UTC; days without an entry are left out
    last: int  #: number of the last entry; 0: there is none


class LedgerReader(Protocol):
    """What is read to keep up with other processes."""

    async def entered_since(self, number: int) -> list[CountedEntry]:
        """Return the entries behind this one, in their order."""
        ...


class BudgetGuard(Protocol):
    """Spending limits, asked inside the transaction that enters a spend.

    A database calls ``update`` with what was entered since ``seen``, by whichever process, while nobody else can enter
    anything; then ``admits`` for one outcome after the other. It does so again where it repeats the transaction, and may do
    it in another thread, but never twice at a time.
    """

    @property
    def seen(self) -> int:
        """The number of the last entry that is counted."""
        ...

    def update(self, entries: Sequence[CountedEntry]) -> None:
        """Count what was entered since.

        Of what was admitted before, nothing else is in the ledger.
        """
        ...

    def admits(self, spends: Sequence[Spend]) -> bool:
        """Return whether no limit forbids these entries together; they count from now on."""
        ...

    def refusal(self, spends: Sequence[Spend]) -> Trouble:
        """Return which limit has forbidden these entries."""
        ...

    async def look(self, ledger: LedgerReader) -> bool:
        """Count what was entered since, outside of any transaction.

        Return whether something was taken back.
        """
        ...
