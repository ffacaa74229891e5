"""What the platform said of analyses that were cancelled, as lines."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.core.model import Recalled
from pipeline.present.formatting import clean, count, money


def recalled_lines(told: Recalled, *, forgotten: bool = False) -> Iterator[str]:
    """Yield a line for each thing that came of it.

    ``forgotten``: no command can name the items any more.
    """
    why = clean(told.trouble.message) if told.trouble is not None else ""
    if told.cancelled:
        kept = f"; it does not say that this is free: {money(told.usd)} stay counted" if told.usd > 0 else ""
        yield f"{_analyses(told.cancelled)} cancelled at the platform{kept}"
    if told.answered:
        kept = "" if forgotten else "; `reelmill retry` brings it, with no further call"
        yield f"{_analyses(told.answered)} answered before it could be cancelled: paid, and kept by the platform{kept}"
    if told.in_batches:
        yield f"{_analyses(told.in_batches)} in a batch with others: that goes on, and they with it"
    if told.going_on:
        yield f"{_analyses(told.going_on)} at work at the platform all the same: {why}"
    if told.absent:
        yield f"{_unheard(told.absent)}, and the platform does not show: counted, as it may have been paid"
    if told.sought:
        yield f"{_unheard(told.sought)}, and the platform does not show so far: counted, as it may still accept it"
        yield "  → the next run looks for it again, and cancels it; so does the same command"
    if told.untold:
        yield f"{_analyses(told.untold)} not cancelled at the platform yet: {why or 'it was made elsewhere'}"
        yield "  → the next run tells it, and so does the same command"


def _unheard(number: int) -> str:
    return f"{_analyses(number)} whose call was never answered"


def _analyses(number: int) -> str:
    return count(number, "analysis", "analyses")
