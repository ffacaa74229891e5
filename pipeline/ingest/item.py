"""Kind ``item``: one manifest line's video, found, looked into and handed over.

::

    resolve ──▶ done, and a ``video`` task for what was found

The same content under two names becomes one ``video``: its key is the content's hash. Lane: fetch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.kit import Done, Fail, Json, Kind, Lane, NewTask, Outcome, Policy, Stage, Still, Task, Trouble
from pipeline.model import State
from pipeline.ports import Ceilings, Item, Line, MediaFacts, Source

#: Looks at the facts and the platform's ceilings; a Trouble says why the platform would refuse the video.
Preflight = Callable[[MediaFacts, Ceilings], Trouble | None]


def item_data(item: Item) -> dict[str, Json]:
    """Return what an item's task remembers of its line."""
    line = item.line
    return {
        "source": line.source,
        "place": line.place,
        "type": item.kind,
        "locator": item.locator,
        "line": {
            "id": line.id,
            "title": line.title,
            "tags": list(line.tags),
            "jobs": list(line.jobs),
            "prompt": line.prompt,
            "metadata": dict(line.metadata),
        },
    }


def item_task(item: Item, *, again: bool = False) -> NewTask:
    """Return the task for an item; ``again`` starts a finished one anew with the line's present words."""
    return NewTask("item", item.key, "resolve", item_data(item), rearm="resolve" if again else None, revive=again)


def as_task(item: Item) -> Task:
    """Return a task value for an item that is not in the database, to ask the desk about its wishes."""
    return Task(0, "item", item.key, "resolve", item_data(item), State.PENDING, Lane.FETCH, 0)


def item_of(task: Task) -> Item:
    """Return the item that a task was made from."""
    data, line = task.data, task.data["line"]
    words = Line(
        source=data["source"],
        place=data["place"],
        id=line["id"],
        title=line["title"],
        tags=tuple(line["tags"]),
        jobs=tuple(line["jobs"]),
        prompt=line["prompt"],
        metadata=line["metadata"],
    )
    return Item(task.key, data["type"], data["locator"], words)


class ItemKind:
    """The steps of an item."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        ceilings: Ceilings,
        preflight: Preflight,
        workdir: Path,
        *,
        external: bool = False,
    ) -> None:
        self._sources = sources
        self._external = external  # the platform fetches YouTube addresses itself (v1.2)
        self._ceilings = ceilings
        self._preflight = preflight
        self._workdir = workdir

    def kind(self, policy: Policy) -> Kind:
        """Return the kind for the engine."""
        return Kind("item", [Stage("resolve", Lane.FETCH, self.resolve, policy)])

    async def resolve(self, task: Task, still: Still) -> Outcome:
        """Find the file, hash it, look into it, and refuse what the platform would refuse."""
        item = item_of(task)
        if item.kind == "url":
            return self._hand_over(task, item.key, {"url": item.locator})
        if item.kind == "youtube" and self._external:
            return self._hand_over(task, item.key, {"external": item.locator, "title": item.line.title})
        source = self._sources.get(item.kind)
        if source is None:
            return Fail(Trouble("unsupported_source", f"Sources of type '{item.kind}' cannot be fetched."))
        facts = await source.fetch(item, self._workdir)
        trouble = self._preflight(facts, self._ceilings)
        if trouble is not None:
            return Fail(trouble, data={**task.data, **stat_of(facts)})
        key = f"sha256:{facts.sha256}" if item.kind == "file" else item.key
        return self._hand_over(task, key, facts_data(facts))

    def _hand_over(self, task: Task, key: str, facts: Mapping[str, Any]) -> Done:
        video = NewTask("video", key, "place", facts, subject=key, rearm="fan_out")
        kept = {name: facts[name] for name in ("size", "mtime_ns", "seconds") if name in facts}
        return Done(spawn=[video], data={**task.data, **kept}, subject=key)


def stat_of(facts: MediaFacts) -> dict[str, Json]:
    """Return what tells a changed file from an unchanged one."""
    return {"size": facts.size, "mtime_ns": facts.mtime_ns}


def facts_data(facts: MediaFacts) -> dict[str, Json]:
    """Return facts as task data."""
    return {
        "path": str(facts.path),
        "size": facts.size,
        "seconds": facts.seconds,
        "width": facts.width,
        "height": facts.height,
        "container": facts.container,
        "video_codec": facts.video_codec,
        "audio_codec": facts.audio_codec,
        "mime": facts.mime,
        "sha256": facts.sha256,
        "mtime_ns": facts.mtime_ns,
        "captions": [str(path) for path in facts.captions],
    }
