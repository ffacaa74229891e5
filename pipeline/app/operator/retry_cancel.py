"""``retry`` and ``cancel``: an operator's corrections of the database and of pauses."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal

from pipeline.app.operator.attention import NAMED
from pipeline.app.operator.find_item import find_item
from pipeline.app.wiring.state_folder import lock_state_folder, open_for_writing, open_read_only, require_database
from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.core.model import Lane, Selection, State, Task
from pipeline.ports.store import Database
from pipeline.views import Reopened

_KINDS = ("item", "listing", "video", "analysis", "publish", "indexing")
Verb = Literal["cancel", "retry"]


async def retry(settings: Settings, items: Sequence[str], classes: Sequence[str] = (), *, failed: bool = False) -> int:
    """Let stopped tasks go on; return how many changed.

    No items: all, narrowed by ``failed`` and ``classes``.

        Raises:
            Busy: a run is in progress; it must be stopped first.
            ConfigError: an item is not known.
    """
    lift = bool(classes) and not items and not failed
    return await _change(settings, "retry", items, classes, failed=failed, lift=lift)


async def cancel(settings: Settings, items: Sequence[str]) -> int:
    """Stop these items, or all unfinished ones; return how many tasks changed.

    Raises:
        Busy: a run is in progress; it must be stopped first.
        ConfigError: an item is not known.
    """
    return await _change(settings, "cancel", items, ())


async def retry_parked(settings: Settings, classes: Sequence[str]) -> Reopened:
    """Open parked lanes before their time; ``classes`` of trouble narrow it.

    Raises:
        Busy: a run is in progress; it would not notice what is opened.
        ConfigError: there is no database yet.
    """
    require_database(settings.run.state)
    with lock_state_folder(settings.run.state):
        async with open_for_writing(settings.run.state) as database:
            return await _open_parked(settings, database, classes)


async def _change(
    settings: Settings,
    verb: Verb,
    items: Sequence[str],
    classes: Sequence[str],
    *,
    failed: bool = False,
    lift: bool = False,
) -> int:
    require_database(settings.run.state)  # before a folder is made for the lock
    with lock_state_folder(settings.run.state):
        async with open_read_only(settings.run.state) as check:
            which = [await find_item(check, item) for item in items]
        async with open_for_writing(settings.run.state) as database:
            opened = (await _open_parked(settings, database, classes)).tasks if lift else 0
            return opened + await _change_tasks(database, verb, which, classes, failed)


async def _open_parked(settings: Settings, database: Database, classes: Sequence[str]) -> Reopened:
    """End YouTube's pause, then open the lanes. If interrupted, repeating it does the rest."""
    from pipeline.app.wiring.downloads import site_throttle

    clock = SystemClock()
    lifted = await site_throttle(settings.youtube, database, clock, Random()).end_pause(classes)
    parked = [each for each in await database.parked(clock.now()) if not classes or each.trouble.code in classes]
    scopes = {each.scope for each in parked} | ({Lane.DOWNLOAD.value} if lifted else set())
    met = {*classes, *lifted, *(each.trouble.code for each in parked)}  # a premiere waits without any pause
    tasks = await database.unpark(sorted(scopes), sorted(met), clock.now())
    return Reopened(sorted(scopes), tasks)


async def _change_tasks(
    database: Database, verb: Verb, items: Sequence[Task], classes: Sequence[str], failed: bool
) -> int:
    now = SystemClock().now()
    states: tuple[State, ...] = (State.FAILED,) if failed else ()
    if verb == "retry" and not failed:
        states = (State.FAILED, State.HELD, State.CANCELLED)
    if not items:
        return await database.command(verb, Selection(kinds=_KINDS, states=states, classes=tuple(classes)), now)
    keys = tuple(task.key for task in items)
    subjects = tuple(task.subject for task in items if task.subject)
    changed = await database.command(verb, Selection(NAMED, keys, (), states, tuple(classes)), now)
    if subjects:
        kinds = tuple(kind for kind in _KINDS if kind not in NAMED)
        changed += await database.command(verb, Selection(kinds, (), subjects, states, tuple(classes)), now)
    return changed
