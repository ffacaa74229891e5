"""``status``: the database in one page."""

from __future__ import annotations

from dataclasses import asdict

from pipeline.app.operator.attention import noted_attention
from pipeline.app.operator.hosts import list_hosts
from pipeline.app.operator.last_run import read_last_run
from pipeline.app.operator.waiting import find_waits
from pipeline.app.wiring.database import open_read_only, who_works
from pipeline.budget.limits import spent_windows
from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.core.model import Selection, State
from pipeline.ingest.batches.payload import BatchData
from pipeline.ports.store import Database
from pipeline.provider.http.rate_limits import NAME, read_usage
from pipeline.views import BatchView, StatusView


async def _batches(database: Database) -> list[BatchView]:
    """Return the batches that have not ended."""
    open_ones = await database.tasks(Selection(kinds=("batch",), states=(State.PENDING, State.RUNNING)))
    found = []
    for task in open_ones:
        data = BatchData.of(task)
        if task.stage in ("submit", "look", "await"):
            since = data.accepted or data.since
            found.append(BatchView(data.batch_id, task.stage, data.size, data.counts, since))
    return found


async def status(settings: Settings, *, limit: int = 20) -> StatusView:
    """Return the database in one page; never blocks a run.

    Raises:
        ConfigError: there is no database yet.
    """
    async with open_read_only(settings) as database:
        now, running, hosts = SystemClock().now(), await who_works(settings), await list_hosts(settings)
        counts = await database.counts()
        stopped = await noted_attention(database, limit)
        last = await read_last_run(database)
        usd, minutes, doubtful = await database.spent()
        kept = await database.load(NAME)
        return StatusView(
            items=await database.tally(),
            videos=await database.tally(by_video=True),
            tasks=counts.by,
            waiting=counts.in_lane,
            troubles=dict(stopped.classes),
            attention=stopped.shown,
            waits=await find_waits(database, now, running=bool(running), stopped=last.stopped is not None, hosts=hosts),
            unlisted=stopped.unlisted,
            unlisted_tasks=stopped.unlisted_total,
            troubled=stopped.total,
            parked=await database.parked(now),
            running=running,
            runs=[asdict(note) for note in await database.runs(10)],
            usd_total=usd,
            minutes_total=minutes,
            doubtful_total=doubtful,
            stopped=last.stopped if any(counts.in_lane.values()) and not running else None,
            bad_lines=last.bad_lines,
            bad_count=last.bad_count,
            spent=await spent_windows(database, settings.budget, now),
            quota=read_usage(settings.limits, kept, now) if kept is not None else (),
            batches=await _batches(database),
            hosts=hosts,
        )
