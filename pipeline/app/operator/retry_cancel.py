"""``retry`` and ``cancel``: an operator's corrections of the database and of pauses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from random import Random
from typing import Literal

from pipeline.app.operator.attention import NAMED
from pipeline.app.operator.display_names import display_source
from pipeline.app.operator.find_item import find_items
from pipeline.app.operator.recall import tell_platform
from pipeline.app.wiring.database import open_for_operator
from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock, iso
from pipeline.core.model import Lane, Selection, State, Task
from pipeline.ingest.ending.note import note_recalls
from pipeline.ingest.payloads import ItemData
from pipeline.ingest.waiting import is_looking
from pipeline.ports.store import Database, read_pages
from pipeline.provider.http.rate_limits import end_waits
from pipeline.views import Corrected, CorrectedItem

Verb = Literal["cancel", "retry"]
_KINDS = ("item", "listing", "video", "analysis", "publish", "indexing", "transcript")
_FAILED = (State.FAILED,)
_UNFINISHED = (State.PENDING, State.RUNNING, State.HELD)
_STOPPED = (State.FAILED, State.HELD, State.CANCELLED)


async def retry(
    settings: Settings, items: Sequence[str], classes: Sequence[str] = (), *, failed: bool = False
) -> Corrected:
    """Let stopped tasks go on, and wake the named items' sleepers.

    No items: whatever stopped, narrowed by ``failed`` and ``classes``; pauses for these classes end, too.

    Raises:
        Busy: a run is in progress; it must be stopped first.
        ConfigError: an item is not known.
    """
    async with open_for_operator(settings) as database:
        if items:
            return await _Operator(settings, database, tuple(classes)).retry_items(items, failed=failed)
        opened = Corrected("retry")
        if classes and not failed:
            opened = await _open_parked(settings, database, classes)
        which = Selection(_KINDS, states=_FAILED if failed else _STOPPED, classes=tuple(classes))
        tasks = opened.tasks + await database.command("retry", which, SystemClock().now())
        why = "" if tasks else await _nothing_stopped(database, classes)
        return Corrected("retry", tasks, opened.lanes, nothing=why)


async def cancel(settings: Settings, items: Sequence[str], *, failed: bool = False) -> Corrected:
    """Stop these items for good; without any, all unfinished ones.

    With ``failed``, all that failed.

    Raises:
        Busy: a run is in progress; it must be stopped first.
        ConfigError: an item is not known.
    """
    async with open_for_operator(settings) as database:
        operator = _Operator(settings, database)
        if items:
            changed = await operator.cancel_items(items)
        else:
            changed = await operator.cancel_all(_FAILED if failed else _UNFINISHED)
        return replace(changed, platform=await tell_platform(settings, database))


async def retry_parked(settings: Settings, classes: Sequence[str]) -> Corrected:
    """Open parked lanes before their time; ``classes`` of trouble narrow it.

    Raises:
        Busy: a run is in progress; it would not notice what is opened.
        ConfigError: there is no database yet.
    """
    async with open_for_operator(settings) as database:
        return await _open_parked(settings, database, classes)


@dataclass(slots=True)
class _Operator:
    """Corrects items one by one, and says what was left, and why."""

    settings: Settings
    database: Database
    classes: tuple[str, ...] = ()
    now: float = field(default_factory=lambda: SystemClock().now())

    async def retry_items(self, names: Sequence[str], *, failed: bool) -> Corrected:
        """Let items go on, wake what sleeps, open the lanes they need."""
        found = await find_items(self.database, names, "retried")
        states = _FAILED if failed else (*_STOPPED, State.PENDING)
        lanes: list[str] = []
        items = []
        for name, item in found:
            tasks = await self._tasks(item)
            meant = [task for task in tasks if self._meant(task, states) and not self._looks(task)]
            changed = await self._command("retry", meant)
            opened = await self._open({task.lane for task in meant if task.state is State.PENDING})
            lanes += [lane for lane in opened if lane not in lanes]
            left = "" if changed or opened else self._why_not_retried(tasks)
            items.append(CorrectedItem(name, tasks[0].key, changed, left))
        return Corrected("retry", sum(item.tasks for item in items), lanes, items)

    async def cancel_items(self, names: Sequence[str]) -> Corrected:
        """Put items away, whatever they are; only what is finished stays as it is."""
        found = await find_items(self.database, names, "cancelled")
        items = []
        for name, item in found:
            tasks = await self._tasks(item)
            open_tasks = [task for task in tasks if self._meant(task, (*_UNFINISHED, State.FAILED))]
            lines = [task for task in tasks if task.kind in NAMED and task.state is State.DONE]
            if open_tasks or any(task.kind == "listing" for task in lines):
                open_tasks += lines  # the line itself is put away: a run leaves it alone from now on
            await note_recalls(self.database, open_tasks)
            changed = await self._command("cancel", open_tasks)
            items.append(CorrectedItem(name, tasks[0].key, changed, "" if changed else _why_not_cancelled(tasks)))
        return Corrected("cancel", sum(item.tasks for item in items), items=items)

    async def cancel_all(self, states: tuple[State, ...]) -> Corrected:
        """Put away all tasks in these states, with the lines that they came from."""
        subjects = set()
        async for page in read_pages(self.database, Selection(_KINDS, states=states, limit=1000)):
            subjects |= {task.subject for task in page if task.subject and task.kind not in NAMED}
            await note_recalls(self.database, page)
        changed = await self.database.command("cancel", Selection(_KINDS, states=states), self.now)
        if subjects:
            lines = Selection(("item",), subjects=tuple(subjects), states=(State.DONE,))
            changed += await self.database.command("cancel", lines, self.now)
        what = "failed" if states == _FAILED else "is unfinished"
        return Corrected("cancel", changed, nothing="" if changed else f"nothing {what}: there is nothing to cancel")

    async def _tasks(self, item: Task) -> list[Task]:
        """Return an item's own task as it is now, then its video's.

        Other lines that name the video are included.
        """
        own = await self.database.tasks(Selection((item.kind,), (item.key,)))
        related = await self.database.tasks(Selection(subjects=(item.subject,))) if item.subject else []
        return [*own, *(task for task in related if task.id != item.id)]

    def _meant(self, task: Task, states: Collection[State]) -> bool:
        fits = not self.classes or (task.trouble is not None and task.trouble.code in self.classes)
        return fits and task.state in states

    def _looks(self, task: Task) -> bool:
        """Return True for a task that must sleep on, looking for a paid call."""
        return task.state is State.PENDING and is_looking(task) and (task.wake_at or 0.0) > self.now

    async def _open(self, lanes: Collection[Lane]) -> list[str]:
        """Open those of these lanes that are parked; what else sleeps stays."""
        if lanes:
            await end_waits(self.database)
        wanted = {lane.value for lane in lanes}
        parked = {each.scope for each in await self.database.parked(self.now) if each.lane in wanted}
        if Lane.DOWNLOAD in lanes and await _end_pause(self.settings, self.database, ()):
            parked.add(Lane.DOWNLOAD.value)
        if parked:
            await self.database.unpark(sorted(parked), (), self.now)
        return sorted(parked)

    async def _command(self, verb: Verb, tasks: Sequence[Task]) -> int:
        changed = 0
        for kind in sorted({task.kind for task in tasks}):
            these = [task for task in tasks if task.kind == kind]
            states = tuple({task.state for task in these})
            which = Selection((kind,), tuple(task.key for task in these), states=states)
            changed += await self.database.command(verb, which, self.now)
        return changed

    def _why_not_retried(self, tasks: Sequence[Task]) -> str:
        looking = next((task for task in tasks if self._looks(task)), None)
        if looking is not None:
            until = iso(looking.wake_at or 0.0)
            return f"a paid call without an answer is looked for at {until}; an earlier look could mean paying twice"
        if any(not task.state.terminal for task in tasks):
            return "it is due already: the next run goes on with it"
        if self.classes:
            return f"it did not stop with {' or '.join(self.classes)}"
        return "it is done; a deleted result comes back by itself, a changed prompt is asked again, and --again pays once more"


def _why_not_cancelled(tasks: Sequence[Task]) -> str:
    if any(task.state is State.CANCELLED for task in tasks):
        return "it was cancelled before"
    source = display_source(ItemData.of(tasks[0]).source)
    listed = f"take {source} out of your list; " if source else ""
    return f"it is done, and its results stay; {listed}`reelmill forget` takes the results, too"


async def _nothing_stopped(database: Database, classes: Sequence[str]) -> str:
    known = (await database.counts()).troubles
    if not classes or not known:
        return "nothing has failed: there is nothing to retry"
    near = get_close_matches(classes[0], known, 1)
    meant = f"did you mean {near[0]}?" if near else f"these did: {', '.join(sorted(known))}"
    return f"nothing stopped with class {' or '.join(classes)}; {meant}"


async def _open_parked(settings: Settings, database: Database, classes: Sequence[str]) -> Corrected:
    """End YouTube's pause, then open the lanes. If interrupted, repeating it does the rest."""
    now = SystemClock().now()
    lifted = await _end_pause(settings, database, classes)
    parked = [each for each in await database.parked(now) if not classes or each.trouble.code in classes]
    scopes = {each.scope for each in parked} | ({Lane.DOWNLOAD.value} if lifted else set())
    met = {*classes, *lifted, *(each.trouble.code for each in parked)}  # a premiere waits without any pause
    limits = await end_waits(database) if parked or not classes else 0
    tasks = await database.unpark(sorted(scopes), sorted(met), now)
    nothing = "" if scopes or tasks or limits else "nothing is parked"
    return Corrected("retry", tasks, sorted(scopes), nothing=nothing, limits=limits)


async def _end_pause(settings: Settings, database: Database, classes: Sequence[str]) -> list[str]:
    from pipeline.app.wiring.downloads import site_throttle

    return await site_throttle(settings.youtube, database, SystemClock(), Random()).end_pause(classes)
