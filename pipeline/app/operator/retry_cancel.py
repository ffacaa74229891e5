"""``retry`` and ``cancel``: what an operator corrects in the database, and in the pauses that a site has caused."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal

from pipeline.app.operator.status import NAMED, find
from pipeline.app.wiring.state_folder import claimed, need_database, reading, writing
from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.core.model import Lane, Selection, State, Task
from pipeline.ports.store import Database
from pipeline.views import Reopened

_KINDS = ("item", "listing", "video", "analysis", "publish", "indexing")

Verb = Literal["cancel", "retry"]


async def command(settings: Settings, verb: Verb, items: Sequence[str], classes: Sequence[str], failed: bool) -> int:
    """Cancel or retry; return how many tasks changed. ``items`` empty: all (``failed``/``classes`` narrow).

    Raises:
        Busy: a run is going on; its own signal handling is the way to stop it.
        ConfigError: an item is not known.
    """
    need_database(settings)  # before a folder is made for the lock
    with claimed(settings):
        async with reading(settings) as check:
            which = [await find(check, item) for item in items]
        async with writing(settings) as database:
            opened = 0
            if verb == "retry" and classes and not items and not failed:
                opened = (await _reopen(settings, database, classes)).tasks
            return opened + await _carry_out(database, verb, which, classes, failed)


async def reopen(settings: Settings, classes: Sequence[str]) -> Reopened:
    """Open what is parked, or only what is parked for these classes of trouble, before its time.

    Raises:
        Busy: a run is going on; what it has parked itself it would not notice.
        ConfigError: there is no database yet.
    """
    need_database(settings)
    with claimed(settings):
        async with writing(settings) as database:
            return await _reopen(settings, database, classes)


async def _reopen(settings: Settings, database: Database, classes: Sequence[str]) -> Reopened:
    """Lift YouTube's pause, then open the lanes in one transaction: cut off in between, the same word does the rest."""
    from pipeline.app.wiring.downloads import pace_of

    clock = SystemClock()
    lifted = await pace_of(settings, database, clock, Random()).lift(classes)
    parked = [each for each in await database.parked(clock.now()) if not classes or each.trouble.code in classes]
    scopes = {each.scope for each in parked} | ({Lane.DOWNLOAD.value} if lifted else set())
    met = {*classes, *lifted, *(each.trouble.code for each in parked)}  # a premiere waits without any pause
    tasks = await database.unpark(sorted(scopes), sorted(met), clock.now())
    return Reopened(sorted(scopes), tasks)


async def _carry_out(
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
