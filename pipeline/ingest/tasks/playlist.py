"""Kind ``listing``: a playlist, channel or handle as a subscription.

::

    expand ──▶ done, its videos handed to the feeder like lines of a manifest

One flat listing a run; what is known already is looked at like any other line, what is new is queued. Nothing that
disappears from a list is removed here: it is told, and its results stay.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from pipeline.config.youtube import ListsSection
from pipeline.core import log
from pipeline.core.errors import ConfigError
from pipeline.core.lifecycle import Policy
from pipeline.core.model import Lane, NewTask, Task
from pipeline.core.outcome import Done, Fail, Outcome
from pipeline.core.task_types import LeaseCheck, StageSpec, TaskType
from pipeline.ingest.tasks.item import item_data, item_of
from pipeline.ports.playlists import PlaylistLister, build_item, find_removed, merge_rules, select_entries
from pipeline.ports.source import Item

_log = log.get("listing")
#: Takes items as the feeder takes lines: decides about each, queues what needs it.
EnqueueListed = Callable[[Sequence[Item]], Awaitable[None]]

_TOLD = 50  #: ids of disappeared videos that are kept


def playlist_task(item: Item) -> NewTask:
    """Return the task for a list; every run lists it again."""
    return NewTask("listing", item.key, "expand", item_data(item), restart_at="expand", restart_failed=True)


class PlaylistTaskType:
    """The one step of a list."""

    def __init__(self, lister: PlaylistLister | None, rules: ListsSection) -> None:
        self._lister = lister
        self._rules = rules
        self._consider: EnqueueListed | None = None

    def enqueue_with(self, enqueue_listed: EnqueueListed) -> None:
        """Say who takes the items; the feeder exists later than the kinds."""
        self._consider = enqueue_listed

    def task_type(self, policy: Policy) -> TaskType:
        """Return the task type for the engine. Listings go before downloads: they say what there is to do."""
        return TaskType.of("listing", self, self.STAGES, policy, base=5)

    async def expand(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """List, leave out what is not wanted, hand over the rest, and note what has gone since last time."""
        request = item_of(task)
        try:
            rules = merge_rules(self._rules, request.line.metadata)
        except ConfigError as error:
            return Fail(replace(error.trouble, code="list_rules"))
        assert self._lister is not None
        assert self._consider is not None
        most = rules.max_items if not rules.last else min(rules.max_items, 3 * rules.last + 20)
        listing = await self._lister.list(request, str(task.data.get("channel", "")), most)
        chosen = select_entries(listing, rules)
        await self._consider([build_item(entry, request, rules) for entry in chosen.entries])
        present = [entry.id for entry in listing.entries]
        before = task.data.get("seen", [])
        # A list that comes back empty was refused rather than emptied: nothing is concluded from it.
        gone = find_removed(before, present)
        known = [each for each in task.data.get("gone", []) if each not in present]
        gone = [*known, *(each for each in gone if each not in known)]
        _log.info(
            "list.read", list=task.key, entries=len(present), wanted=len(chosen.entries), **_words(chosen.left_out)
        )
        if len(gone) > len(known):
            _log.warning("list.gone", list=task.key, videos=gone[len(known) :][:_TOLD], kept="their results stay")
        told = {"title": listing.title, "channel": listing.channel or task.data.get("channel", "")}
        counts = {"wanted": len(chosen.entries), "left_out": dict(chosen.left_out)}
        return Done(data={**task.data, **told, **counts, "seen": present or before, "gone": gone[-_TOLD:]})

    STAGES = (StageSpec("expand", Lane.DOWNLOAD, expand, "waits to be listed"),)


def _words(counts: object) -> dict[str, int]:
    return {str(name).replace(" ", "_"): int(number) for name, number in dict(counts).items()}  # type: ignore[call-overload]
