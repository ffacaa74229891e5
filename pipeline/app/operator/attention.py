"""What failed or is held, and whether a list still names it.

A run knows what its lists name. What they do not name any more stays in the database, and its ids are noted at the end of
the run, so that ``status`` and a run without a list tell the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pipeline.app.operator.display_names import display_source
from pipeline.core.model import Lane, Selection, State, Task, Trouble
from pipeline.core.text import TextSet
from pipeline.ingest.payloads import ItemData
from pipeline.ports.store import Database, Records, read_pages

NAMED = ("item", "listing")  #: kinds that a manifest line has made
_KINDS = (*NAMED, "video", "analysis", "indexing", "publish")
_NOTE = "unlisted"  #: name of the note with the ids of stopped tasks that the last list did not name
_PAGE = 500

#: Says of a stopped task, given the items and the publish task of its video, whether it counts.
DoesCount: TypeAlias = Callable[[Task, Sequence[Task]], bool]


@dataclass(slots=True)
class Attention:
    """Failed and held tasks: what counts, and what no list names.

    ``shown`` and ``unlisted`` hold the first few of each.
    """

    shown: list[tuple[str, str, Trouble]] = field(default_factory=list)  #: (state, item, why)
    total: int = 0  #: items that count
    classes: Mapping[str, int] = field(default_factory=dict)  #: of those: trouble code -> tasks
    unlisted: list[tuple[str, str, Trouble]] = field(default_factory=list)
    unlisted_total: int = 0  #: tasks


async def find_attention(
    records: Records, counts: DoesCount, limit: int, away: Callable[[int], object], unlisted: Callable[[str], bool]
) -> Attention:
    """Return what stopped, held first; at most ``limit`` of each sort are described.

    ``away`` is told the id of each task that does not count. Items whose key is ``unlisted`` do not, and of the many that
    there may be, only some are read.
    """
    found, members, classes = Attention(), TextSet(), Counter[str]()

    def overlook(number: int, key: str) -> bool:
        if len(found.unlisted) < limit or not unlisted(key):
            return False
        found.unlisted_total += 1
        away(number)
        return True

    async for task, near in stopped(records, overlook):
        counting = counts(task, near)
        if counting:
            members.add(task.subject or task.key)
            classes[reason(task).code] += 1
        else:
            found.unlisted_total += 1
            away(task.id)
        _describe(found, task, near, limit, counting=counting)
    found.total, found.classes = len(members), classes
    return found


async def noted_attention(database: Database, limit: int) -> Attention:
    """Return the same, by what the last list named.

    The database counts; only what is described is read.
    """
    away = await unlisted_ids(database)
    numbers = await database.stopped(_KINDS, away)
    found = Attention(total=numbers.items, classes=numbers.classes, unlisted_total=numbers.away)
    counts = _noted(away)
    left = {True: sum(numbers.classes.values()), False: numbers.away}  # tasks that were not looked at yet
    async for task, near in stopped(database):
        counting = counts(task, near)
        left[counting] -= 1
        _describe(found, task, near, limit, counting=counting)
        if all(
            not left[each] or len(listed) >= limit for each, listed in ((True, found.shown), (False, found.unlisted))
        ):
            break
    return found


def _describe(found: Attention, task: Task, near: Sequence[Task], limit: int, *, counting: bool) -> None:
    listed = found.shown if counting else found.unlisted
    if len(listed) < limit and (entry := (task.state.value, name_of(task, near), reason(task))) not in listed:
        listed.append(entry)


async def find_lanes(records: Records, lanes: Collection[Lane], is_named: Callable[[Task], bool]) -> set[Lane]:
    """Return those lanes in which something waits for a named item."""
    found: set[Lane] = set()
    for kind in _KINDS:
        async for page in read_pages(records, Selection((kind,), states=(State.PENDING,), limit=_PAGE)):
            waiting = [task for task in page if task.lane in lanes and task.lane not in found]
            near = await _near(records, {task.subject for task in waiting if kind not in NAMED and task.subject})
            for task in waiting:
                if any(map(is_named, [task] if kind in NAMED else near[task.subject])):
                    found.add(task.lane)
            if found == set(lanes):
                return found
    return found


async def stopped(
    records: Records, overlook: Callable[[int, str], bool] | None = None
) -> AsyncIterator[tuple[Task, Sequence[Task]]]:
    """Yield failed and held tasks, each with its items and publish task.

    ``overlook`` says of an item, by its id and key, that it need not be read.
    """
    for state in (State.HELD, State.FAILED):
        for kind in _KINDS:  # one of each keeps to the order of an index, so that a page costs only its own rows
            which = Selection((kind,), states=(state,), limit=_PAGE)
            pages = _pages(records, which, overlook if kind in NAMED else None)
            async for page in pages:
                near = await _near(records, {task.subject for task in page if kind not in NAMED and task.subject})
                for task in page:
                    yield task, [task] if kind in NAMED else near[task.subject]


async def _pages(
    records: Records, which: Selection, overlook: Callable[[int, str], bool] | None
) -> AsyncIterator[list[Task]]:
    if overlook is None:
        async for page in read_pages(records, which):
            yield page
        return
    while found := await records.keys(which):
        which = replace(which, after_id=found[-1][0])
        if left := tuple(key for number, key in found if not overlook(number, key)):
            yield await records.tasks(Selection(which.kinds, left, states=which.states))


async def _near(records: Records, subjects: set[str]) -> defaultdict[str, list[Task]]:
    near: defaultdict[str, list[Task]] = defaultdict(list)
    if subjects:
        for task in await records.tasks(Selection(("item", "publish"), subjects=tuple(subjects))):
            near[task.subject].append(task)
    return near


def name_of(task: Task, near: Sequence[Task]) -> str:
    """Return the user's own name of a task, an item's source."""
    item = next((each for each in near if each.kind in NAMED), None)
    return display_source(ItemData.of(item).source) if item is not None else task.key


async def item_names(records: Records, tasks: Sequence[Task]) -> dict[int, str]:
    """Return the user's own name of each task, an item's source, by task id."""
    near = await _near(records, {task.subject for task in tasks if task.kind not in NAMED and task.subject})
    return {task.id: name_of(task, [task] if task.kind in NAMED else near[task.subject]) for task in tasks}


def reason(task: Task) -> Trouble:
    """Return why a task stands where it does."""
    return task.trouble or Trouble("unknown", "No reason was recorded.")


async def noted(database: Database) -> DoesCount:
    """Return what the last list decided: only what it named counts."""
    return _noted(await unlisted_ids(database))


def _noted(away: Sequence[int]) -> DoesCount:
    unlisted = frozenset(away)
    return lambda task, near: task.id not in unlisted and any(each.kind in NAMED for each in near)


async def unlisted_ids(database: Database) -> Sequence[int]:
    """Return the ids of stopped tasks that the last list did not name."""
    return await database.load(_NOTE) or ()


async def note_unlisted(database: Database, ids: Sequence[int]) -> None:
    """Remember which stopped tasks a list does not name any more."""
    if ids or await database.load(_NOTE):
        await database.save(_NOTE, ids)
