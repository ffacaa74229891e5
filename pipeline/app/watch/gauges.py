"""What the database tells a monitor: outcome, items, money, waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from pipeline.config.settings import Settings
from pipeline.core.model import Selection, State
from pipeline.ports.store import Database
from pipeline.provider.http.rate_limits import NAME, read_usage
from pipeline.watch.metrics import Family, render

_RUNS = 1000  #: looked through for the last good one
_DAY = 86_400.0


async def read_gauges(settings: Settings, database: Database | None, exit_code: int | None, now: float) -> bytes:
    """Return the textfile's content.

    ``exit_code``: of a run that ended just now and may not be in the history; None: the newest there.
    """
    return render([family async for family in _families(settings, database, exit_code, now)])


async def _families(
    settings: Settings, database: Database | None, exit_code: int | None, now: float
) -> AsyncIterator[Family]:
    for window in ("run", "day", "month"):
        limit = getattr(settings.budget, f"max_usd_per_{window}", None)
        if limit is not None:
            yield Family("usd_limit", "Spending limit, USD.", [((window,), limit)], ("window",))
    if database is None:
        return
    runs = [note for note in await database.runs(_RUNS) if note.ended is not None]
    ok = settings.watch.ping_ok
    good = next((note.ended for note in runs if note.exit_code in ok or note.summary.get("time_up")), None)
    last = exit_code if exit_code is not None else next((note.exit_code for note in runs), None)
    yield Family("last_success_timestamp_seconds", "When a run last ended well.", [] if good is None else [((), good)])
    yield Family("last_exit_code", "Exit code of the newest run.", [] if last is None else [((), last)])
    tally = await database.tally()
    yield Family("items", "Items by state.", [((state,), number) for state, number in tally.items()], ("state",))
    spent = await database.spent()
    yield Family("usd", "Spent by the configured prices, USD.", [
        (("run",), float(runs[0].summary.get("usd", 0.0)) if runs else 0.0),
        (("day",), (await database.spent(since=now // _DAY * _DAY))[0]),
        (("month",), (await database.spent(since=_month(now)))[0]),
        (("total",), spent[0]),
    ], ("window",))  # fmt: skip
    parked = [((each.scope, each.trouble.code), each.until) for each in await database.parked(now)]
    yield Family("parked_until_seconds", "Until when a lane is paused.", parked, ("lane", "cause"))
    kept = await database.load(NAME)
    used = read_usage(settings.limits, kept, now) if kept is not None else []
    shares = [((each.group, each.window), each.used / each.limit) for each in used]
    yield Family("quota_used_ratio", "Share of a limit in use, 0 to 1.", shares, ("group", "window"))
    oldest = await database.tasks(Selection(states=(State.PENDING,), limit=1))
    waits = max(0.0, now - oldest[0].created) if oldest else 0.0
    yield Family("oldest_pending_seconds", "Age of the oldest task that waits.", [((), waits)])
    done = (await database.counts()).by.get("analysis", {}).get(State.DONE.value, 0)
    yield Family("analyses_total", "Analyses that were answered.", [((), done)])
    yield Family("doubtful_total", "Calls that were possibly paid twice.", [((), spent[2])])


def _month(now: float) -> float:
    """Return the first moment of the month (UTC)."""
    return datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
