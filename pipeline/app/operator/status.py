"""``status``: the database in one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from pipeline.app.operator.display_names import display_source
from pipeline.app.wiring.state_folder import lock_holder, open_read_only
from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.core.model import Selection, State, Task, Trouble
from pipeline.ingest.payloads import ItemData
from pipeline.ports.store import Records
from pipeline.views import StatusView

NAMED = ("item", "listing")  #: kinds that a manifest line has made


async def status(settings: Settings, *, limit: int = 20) -> StatusView:
    """Return the database in one page; never blocks a run.

    Raises:
        ConfigError: there is no database yet.
    """
    async with open_read_only(settings.run.state) as database:
        counts = await database.counts()
        stopped = Selection(states=(State.FAILED, State.HELD), limit=limit)
        troubled = await database.tasks(stopped) if limit else []  # to the store, 0 means all
        usd, minutes, doubtful = await database.spent()
        names = await item_names(database, troubled)
        return StatusView(
            items=await database.tally(),
            tasks=counts.by,
            waiting=counts.in_lane,
            troubles=counts.troubles,
            attention=[(task.state.value, names[task.id], reason(task)) for task in troubled],
            parked=await database.parked(SystemClock().now()),
            running=lock_holder(settings.run.state),
            runs=[asdict(note) for note in await database.runs(10)],
            usd_total=usd,
            minutes_total=minutes,
            doubtful_total=doubtful,
        )


async def item_names(records: Records, tasks: Sequence[Task]) -> dict[int, str]:
    """Return the user's own name of each task: the source of an item with its video."""
    subjects = tuple({task.subject for task in tasks if task.subject})
    items = await records.tasks(Selection(kinds=("item",), subjects=subjects)) if subjects else []
    by_subject = {item.subject: display_source(ItemData.of(item).source) for item in reversed(items)}
    return {
        task.id: display_source(ItemData.of(task).source)
        if task.kind in NAMED
        else by_subject.get(task.subject, task.key)
        for task in tasks
    }


def reason(task: Task) -> Trouble:
    """Return why a task stands where it does."""
    return task.trouble or Trouble("unknown", "No reason was recorded.")
