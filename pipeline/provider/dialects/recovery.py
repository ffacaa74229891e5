"""Recognizing what a lost answer has left behind. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.provider.dialects.protocol import FoundObject

#: How far two clocks may disagree after the platform's Date header was taken into account, seconds.
CLOCK_SKEW = 120.0


def pick_by_label(entries: Iterable[FoundObject], label: str, since: float) -> str | None:
    """Return the id of what carries our label, best a young one.

    ``since`` is by the platform's clock, but no bound for what is alive: our clock may have been set back after the intent
    was stored, and then even what we have just left behind looks older. One that failed counts only if it is certainly
    younger; otherwise a retry of a failed upload would find the old failure again.
    """
    older: str | None = None
    fallen: str | None = None
    for entry in entries:
        if entry.label != label:
            continue
        if not entry.failed:
            if entry.created is None or entry.created >= since - CLOCK_SKEW:
                return entry.id
            older = older or entry.id
        elif fallen is None and entry.created is not None and entry.created >= int(since):
            fallen = entry.id
    return older or fallen
