"""How many bytes the step at work has moved, for people."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Transfer:
    """Bytes of one file on their way; resent parts count again."""

    moved: int = 0
    before: int = 0  #: bytes that were there when it began
    total: int = 0  #: 0 while nobody knows


#: Of the step that runs in this context; what it starts inherits it.
CURRENT: ContextVar[Transfer | None] = ContextVar("transfer", default=None)


def moved(count: int) -> None:
    """Count bytes that were handed on."""
    transfer = CURRENT.get()
    if transfer is not None:
        transfer.moved += count


def stands_at(count: int, total: int = 0, *, before: bool = False) -> None:
    """Take note of how far a file is; ``before``: already at the start."""
    transfer = CURRENT.get()
    if transfer is not None:
        transfer.total = total or transfer.total
        if before:
            transfer.before, transfer.moved = count, 0
        else:
            transfer.moved = count
