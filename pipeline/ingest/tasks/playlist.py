"""Task type ``listing``: expands a playlist, channel or handle, as a subscription.

::

    expand ──▶ done, its videos enqueued like lines of a manifest

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
from pipeline.ingest.payloads import PlaylistData
from pipeline.ingest.stored_json import changed
from pipeline.ports.playlists import PlaylistLister, build_item, find_removed, merge_rules, select_entries
from pipeline.ports.source import Item

_log = log.get("listing")
#: Takes items like lines of a manifest: decides about each, queues what needs it.
EnqueueListed = Callable[[Sequence[Item]], Awaitable[None]]
_TOLD = 50  #: ids of disappeared videos that are kept


def playlist_task(item: Item) -> NewTask:
    """Return the task for a list; every run lists it again."""
    data = PlaylistData.from_item(item).to_json()
    return NewTask("listing", item.key, "expand", data, restart_at="expand", restart_failed=True)


class PlaylistTaskType:
    """The one step of a list."""

    def __init__(self, lister: PlaylistLister | None, rules: ListsSection) -> None:
        self._lister = lister
        self._rules = rules
        self._enqueue_listed: EnqueueListed | None = None

    def enqueue_with(self, enqueue_listed: EnqueueListed) -> None:
        """Say who takes the items; it is made later than the task types."""
        self._enqueue_listed = enqueue_listed

    def task_type(self, policy: Policy) -> TaskType:
        """Return the task type for the engine; listings go before downloads."""
        return TaskType.of("listing", self, self.STAGES, policy, base=5)

    async def expand(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """List, leave out the unwanted, hand over the rest, note what has gone."""
        data = PlaylistData.of(task)
        playlist = data.to_item(task.key)
        try:
            rules = merge_rules(self._rules, playlist.line.metadata)
        except ConfigError as error:
            return Fail(replace(error.trouble, code="list_rules"))
        assert self._lister is not None
        assert self._enqueue_listed is not None
        most = rules.max_items if not rules.last else min(rules.max_items, 3 * rules.last + 20)
        listing = await self._lister.list(playlist, data.channel, most)
        chosen = select_entries(listing, rules)
        await self._enqueue_listed([build_item(entry, playlist, rules) for entry in chosen.entries])
        present = [entry.id for entry in listing.entries]
        # A list that comes back empty was refused rather than emptied: nothing is concluded from it.
        known = [each for each in data.gone if each not in present]
        gone = [*known, *(each for each in find_removed(data.seen, present) if each not in known)]
        counts = {str(name).replace(" ", "_"): number for name, number in chosen.left_out.items()}
        _log.info("list.read", list=task.key, entries=len(present), wanted=len(chosen.entries), **counts)
        if len(gone) > len(known):
            _log.warning("list.gone", list=task.key, videos=gone[len(known) :][:_TOLD], kept="their results stay")
        data = changed(
            data,
            list_title=listing.title,
            channel=listing.channel or data.channel,
            wanted=len(chosen.entries),
            left_out=dict(chosen.left_out),
            seen=present or data.seen,
            gone=gone[-_TOLD:],
        )
        return Done(data=data.to_json())

    STAGES = (StageSpec("expand", Lane.DOWNLOAD, expand),)
