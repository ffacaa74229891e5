"""Kind ``item``: one manifest line's video, found, looked into and handed over.

::

    resolve ───┐
    download ──┴──▶ done, and a ``video`` task for what was found

The same content under two names becomes one ``video``: its key is the content's hash, or the site's id for what is
fetched from a site. A video that is uploaded already is not fetched again. Lanes: fetch, and download, which is parked as
a whole when a site refuses us.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import Unwanted
from pipeline.core.lifecycle import Policy
from pipeline.core.model import Json, Lane, NewTask, Result, Selection, State, Task, Trouble
from pipeline.core.outcome import Done, Fail, Outcome
from pipeline.core.task_types import LeaseCheck, StageSpec, TaskType
from pipeline.ingest.file_identity import LOST_FILE
from pipeline.ports.source import Item, ManifestLine, MediaFacts, Source
from pipeline.ports.store import Records
from pipeline.ports.video_api import Ceilings

_log = log.get("ingest")
#: Looks at the facts and the platform's ceilings; a Trouble says why the platform would refuse the video.
Preflight = Callable[[MediaFacts, Ceilings], Trouble | None]
#: Reads caption files and returns one text, or "" if there is none worth keeping.
ReadCaptions = Callable[[Sequence[Path]], str]
#: Reads a thumbnail and returns its name and content, or None if it is not worth keeping.
ReadPicture = Callable[[Path | None], tuple[str, bytes] | None]
#: Removes a fetched file whose upload is proved, or that the platform will not take.
Release = Callable[[Path], Awaitable[None]]
#: Seconds for which a premiere or a running stream is waited for.
_PREMIERE_SECONDS = 14 * 86_400.0


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
        **({"bounds": dict(item.bounds)} if item.kind == "youtube" else {}),
    }


def item_task(item: Item, *, again: bool = False) -> NewTask:
    """Return the task for an item; ``again`` starts a finished one anew with the line's present words."""
    stage = "download" if item.kind == "youtube" else "resolve"
    return NewTask("item", item.key, stage, item_data(item), restart_at=stage if again else None, restart_failed=again)


def unsaved_task(item: Item) -> Task:
    """Return a task value for an item that is not in the database, to ask the desk about its wishes."""
    return Task(0, "item", item.key, "resolve", item_data(item), State.PENDING, Lane.FETCH, 0)


def item_of(task: Task) -> Item:
    """Return the item that a task was made from."""
    data, line = task.data, task.data["line"]
    words = ManifestLine(
        source=data["source"],
        place=data["place"],
        id=line["id"],
        title=line["title"],
        tags=tuple(line["tags"]),
        jobs=tuple(line["jobs"]),
        prompt=line["prompt"],
        metadata=line["metadata"],
    )
    return Item(task.key, data["type"], data["locator"], words, data.get("bounds", {}))


class ItemTaskType:
    """The steps of an item."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        ceilings: Ceilings,
        preflight: Preflight,
        workdir: Path,
        *,
        external: bool = False,
        records: Records | None = None,
        clock: Clock | None = None,
        read_captions: ReadCaptions | None = None,
        read_picture: ReadPicture | None = None,
        release: Release | None = None,
    ) -> None:
        self._sources = sources
        self._records = records
        self._clock = clock
        self._read_captions = read_captions
        self._read_picture = read_picture
        self._release = release
        self._strayed: Mapping[str, str] | None = None
        self._external = external  # the platform fetches YouTube addresses itself (v1.2)
        self._ceilings = ceilings
        self._preflight = preflight
        self._workdir = workdir

    def task_type(self, policy: Policy) -> TaskType:
        """Return the task type for the engine."""
        patient = replace(policy, deadline=max(policy.deadline, _PREMIERE_SECONDS))
        return TaskType.of("item", self, self.STAGES, policy, policies={"download": patient})

    async def download(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Fetch a video from its site, unless the platform fetches it itself or has it already."""
        item = item_of(task)
        if self._external:
            return self._hand_over(task, item.key, {"external": item.locator, "title": item.line.title})
        video = await self._video(item.key)
        if video is not None and video.state is not State.FAILED and not task.data.get("refetch"):
            return self._hand_over(task, item.key, {})
        source = self._sources.get(item.kind)
        if source is None:
            return Fail(Trouble("unsupported_source", f"Sources of type '{item.kind}' cannot be fetched."))
        try:
            facts = await source.fetch(item, self._workdir)
        except Unwanted as error:
            return _skipped(task, error)
        trouble = self._preflight(facts, self._ceilings)
        if trouble is not None:
            if self._release is not None:
                await self._release(facts.path)
            return Fail(trouble, data={**task.data, "about": dict(facts.about)})
        done = self._hand_over(task, item.key, facts_data(facts), anew="place" if video is not None else "")
        return replace(done, results=[*self._captions(item.key, facts), *self._picture(item.key, facts)])

    async def _video(self, key: str) -> Task | None:
        if self._records is None:
            return None
        return next(iter(await self._records.tasks(Selection(kinds=("video",), keys=(key,)))), None)

    def _captions(self, key: str, facts: MediaFacts) -> list[Result]:
        """Keep the captions: their file goes with the video's, and they belong beside the results."""
        text = self._read_captions(facts.captions) if self._read_captions is not None else ""
        if not text or self._clock is None:
            return []
        body = {"name": f"captions{facts.captions[0].suffix}", "text": text}
        return [Result(key, "_captions", facts.sha256[:16], body, {}, self._clock.now())]

    def _picture(self, key: str, facts: MediaFacts) -> list[Result]:
        """Keep the thumbnail, for the same reason."""
        read = self._read_picture(facts.thumbnail) if self._read_picture is not None else None
        if read is None or self._clock is None:
            return []
        body = {"name": read[0], "base64": base64.b64encode(read[1]).decode("ascii")}
        return [Result(key, "_thumbnail", facts.sha256[:16], body, {}, self._clock.now())]

    async def resolve(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Find the file, hash it, look into it, and refuse what the platform would refuse."""
        item = item_of(task)
        if item.kind == "url":
            return self._hand_over(task, item.key, {"url": item.locator})
        source = self._sources.get(item.kind)
        if source is None:
            return Fail(Trouble("unsupported_source", f"Sources of type '{item.kind}' cannot be fetched."))
        facts = await source.fetch(item, self._workdir)
        trouble = self._preflight(facts, self._ceilings)
        if trouble is not None:
            return Fail(trouble, data={**task.data, **stat_of(facts)})
        key = f"sha256:{facts.sha256}"
        return self._hand_over(task, key, facts_data(facts), anew=(await self._stray()).get(key, ""))

    async def _stray(self) -> Mapping[str, str]:
        """Return key → stage of the videos whose file was lost; asked for once, as there is hardly ever one."""
        if self._strayed is None:
            which = Selection(kinds=("video",), states=(State.FAILED,), classes=LOST_FILE)
            found = await self._records.tasks(which) if self._records is not None else []
            self._strayed = {task.key: task.stage for task in found}
        return self._strayed

    def _hand_over(self, task: Task, key: str, facts: Mapping[str, Any], *, anew: str = "") -> Done:
        """Give the video on; ``anew``: the stage from which it has to be uploaded, from this file."""
        video = NewTask(
            "video", key, "place", facts, subject=key, restart_at=anew or "fan_out", restart_failed=bool(anew)
        )
        kept = {name: facts[name] for name in ("size", "mtime_ns", "seconds", "about") if name in facts}
        data = {name: value for name, value in task.data.items() if name != "skipped"}
        return Done(spawn=[video], data={**data, **kept, "refetch": False}, subject=key)

    STAGES = (
        StageSpec("resolve", Lane.FETCH, resolve, "waits to be looked into"),
        StageSpec("download", Lane.DOWNLOAD, download, "waits to be downloaded"),
    )


def _skipped(task: Task, error: Unwanted) -> Done:
    """Finish an item without a video; what the look has found is kept, so that the next night need not look again."""
    _log.info("item.skipped", key=task.key, code=error.trouble.code, why=error.trouble.message)
    skipped = {**error.trouble.as_json(), "day": error.day, "seconds": error.seconds}
    return Done(data={**task.data, "skipped": skipped})


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
        **({"fetched": True, "about": dict(facts.about)} if facts.fetched else {}),
    }
