"""What waits, by reason, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.app.operator.attention import item_names
from pipeline.app.operator.hosts import explain_absence
from pipeline.core.model import PendingGroup
from pipeline.ingest.waiting import waiting_words
from pipeline.ports.store import Database
from pipeline.views import HostView, WaitView


async def find_waits(
    database: Database, now: float, *, running: bool, stopped: bool = False, hosts: Sequence[HostView] = ()
) -> list[WaitView]:
    """Return what is pending, each reason once.

    The reasons are hosts that are not there, or too old, pauses of a lane, troubles, the usual course, and what is only due.

    ``running``: a run is at work, and takes what is due in its turn. ``stopped``: a person must act before the next one.
    """
    next_run = "waits for the next run; see first what needs attention" if stopped else "goes on with the next run"
    only_due = WaitView("due", "waits for its turn" if running else next_run, 0, None, None, False, "")
    parked = {each.lane: each for each in await database.parked(now)}
    groups = [group for group in await database.pending(now) if group.example.kind != "batch"]  # its analyses wait
    names = await item_names(database, [group.example for group in groups])
    found: dict[tuple[str, str, bool], WaitView] = {}
    for group in groups:
        park = parked.get(group.example.lane.value)
        away = explain_absence(group.example, hosts)
        if away is not None:
            one = WaitView(away.code, f"{away.message} Next: {away.remedy}", group.items, None, None, False, "")
        elif park is not None:
            ends = max(park.until, group.due), max(park.until, group.until)
            one = WaitView(park.trouble.code, park.trouble.message, group.items, *ends, True, "")
        else:
            one = _asleep(group) if group.due > now else replace(only_due, items=group.items)
        key = (one.code, one.why, one.parked)
        found[key] = _joined(found.get(key), replace(one, example=names[group.example.id]))
    return sorted(found.values(), key=lambda each: (each.due is None, not each.parked, each.due or 0.0))


def _asleep(group: PendingGroup) -> WaitView:
    trouble = group.example.trouble
    code, why = ("stage", waiting_words(group.example)) if trouble is None else (trouble.code, trouble.message)
    return WaitView(code, why, group.items, group.due, group.until, False, "")


def _joined(one: WaitView | None, other: WaitView) -> WaitView:
    """Return two groups of the same reason as one."""
    if one is None:
        return other
    items = one.items + other.items
    if one.due is None or other.due is None or one.until is None or other.until is None:
        return replace(one, items=items)
    return replace(one, items=items, due=min(one.due, other.due), until=max(one.until, other.until))
