"""Task type ``item``: finds one line's video and hands it over.

::

    resolve ───┐
    download ──┼──▶ done, and a ``video`` task for what was found
    again ─────┘    (an operator has questions asked again)

The same content under two names becomes one ``video``: its key is the content's hash, or the site's id for what is
fetched from a site. A video that is uploaded already is not fetched again. Downloads have a lane of their own, which is
parked as a whole when a site refuses us.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import anyio

from pipeline.core import log
from pipeline.core.errors import InputError, Unwanted
from pipeline.core.lifecycle import Policy
from pipeline.core.model import Json, Lane, NewTask, Placed, Result, Selection, State, Task, Trouble
from pipeline.core.outcome import Done, Fail, Outcome
from pipeline.core.task_types import LeaseCheck, StageSpec, TaskType
from pipeline.ingest.file_identity import LOST_FILE, check_here
from pipeline.ingest.payloads import CaptionsData, ItemData, SkippedData
from pipeline.ingest.services import Services
from pipeline.ingest.stored_json import changed
from pipeline.ingest.tasks.restart_data import address_facts, asked_again, external_facts, file_facts, on_disk_of
from pipeline.ports.source import Item, MediaFacts, Source
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
_AGAIN = "again"
_SETTLED = 3.0  #: seconds after which a file that was touched is taken to be complete


def item_task(item: Item, *, restart: bool = False, unknown_captions: bool = False) -> NewTask:
    """Return the task for an item; ``restart`` starts a finished one again.

    ``unknown_captions``: it was asked about with other captions than those beside it now, nobody knows which.
    """
    stage = "download" if item.kind == "youtube" else "resolve"
    given = ItemData.from_item(item)
    data = changed(given, captions=CaptionsData(digest="unknown") if unknown_captions else None).to_json()
    if item.host:  # it is back
        data = {**data, **on_disk_of(item.host)}
    return NewTask("item", item.key, stage, data, restart_at=stage if restart else None, restart_failed=restart)


def unsaved_task(item: Item) -> Task:
    """Return a task for an item that is not in the database."""
    return Task(0, "item", item.key, "resolve", ItemData.from_item(item).to_json(), State.PENDING, Lane.FETCH, 0)


def item_again(item: Task, takes: Mapping[str, Sequence[str]]) -> Placed:
    """Return what has the questions of a finished item asked as ``takes`` says."""
    rank = [stage.name for stage in ItemTaskType.STAGES].index(_AGAIN)
    new = NewTask("item", item.key, item.stage, asked_again(takes), item.subject, restart_at=_AGAIN)
    return Placed(new, item.lane, item.rank, Lane.FETCH, rank)


def is_set_again(item: Task) -> bool:
    """Return True for an item that waits to be asked again."""
    return item.stage == _AGAIN and item.state is State.PENDING


class ItemTaskType:
    """The steps of an item."""

    def __init__(
        self,
        services: Services,
        sources: Mapping[str, Source],
        preflight: Preflight,
        workdir: Path,
        *,
        read_captions: ReadCaptions | None = None,
        read_picture: ReadPicture | None = None,
        release: Release | None = None,
    ) -> None:
        self._host = services.host
        self._records = services.records
        self._clock = services.clock
        self._ceilings = services.api.ceilings
        self._external = "external" in services.api.features  # the platform fetches YouTube addresses by itself
        self._sources = sources
        self._preflight = preflight
        self._workdir = workdir
        self._read_captions = read_captions
        self._read_picture = read_picture
        self._release = release
        self._lost_files: Mapping[str, str] | None = None

    def task_type(self, policy: Policy) -> TaskType:
        """Return the task type for the engine."""
        patient = replace(policy, deadline=max(policy.deadline, _PREMIERE_SECONDS))
        return TaskType.of("item", self, self.STAGES, policy, policies={"download": patient})

    async def resolve(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Find the file, hash it, and refuse what the platform would refuse."""
        data = ItemData.of(task)
        item = data.to_item(task.key)
        if item.kind == "url":
            return self._hand_over(data, item.key, address_facts(item.locator))
        source = self._sources.get(item.kind)
        if source is None:
            return _unsupported(item)
        try:
            check_here(data, self._host)
            facts = await source.fetch(item, self._workdir)
        except InputError as error:
            if error.trouble.code in LOST_FILE and task.subject:
                return self._hand_over(data, task.subject, {})  # known; its upload asks for the file if it needs it
            return await self._refused(data, error)
        trouble = self._preflight(facts, self._ceilings)
        if trouble is not None:
            return Fail(trouble, data=changed(data, size=facts.size, mtime_ns=facts.mtime_ns).to_json())
        key = f"sha256:{facts.sha256}"
        lost_at = (await self._videos_without_file()).get(key, "")
        data = changed(data, captions=self._heard(data, facts, known=task.subject == key))
        return self._hand_over(data, key, self._file_facts(facts, data.host), facts, restart_at=lost_at)

    def _file_facts(self, facts: MediaFacts, host: str) -> dict[str, Json]:
        """Return the data of a video whose file is on that host's disk."""
        return {**file_facts(facts), **(on_disk_of(host) if self._host else {})}

    def _heard(self, data: ItemData, facts: MediaFacts, *, known: bool) -> CaptionsData | None:
        """Return the captions beside a file, if they are read."""
        if facts.beside is None:
            return data.captions
        found = (data.captions or CaptionsData()).replaced_by(facts.beside, self._clock.now())
        # An earlier release took no note of the captions that it read; they have not changed since.
        return changed(found, digest="") if data.captions is None and known else found

    async def _refused(self, data: ItemData, error: InputError) -> Fail:
        """Fail with the file's size and time, by which it is seen mended."""
        try:
            check_here(data, self._host)
            found = await anyio.Path(data.locator).stat()
        except (OSError, ValueError, InputError):
            raise error from None
        # Perhaps it changed while it was read: then the next run looks at it again.
        settled = self._clock.now() - max(found.st_mtime, found.st_ctime) > _SETTLED
        return Fail(
            error.trouble, data=changed(data, size=found.st_size, mtime_ns=settled * found.st_mtime_ns).to_json()
        )

    async def download(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Fetch a video from its site, unless the platform fetches or has it."""
        data = ItemData.of(task)
        item = data.to_item(task.key)
        if self._external:
            return self._hand_over(data, item.key, external_facts(item.locator, item.line.title))
        video = await self._video(item.key)
        if video is not None and video.state is not State.FAILED and not data.refetch:
            return self._hand_over(data, item.key, {})
        source = self._sources.get(item.kind)
        if source is None:
            return _unsupported(item)
        try:
            facts = await source.fetch(item, self._workdir)
        except Unwanted as error:
            return _skipped(task, data, error)
        trouble = self._preflight(facts, self._ceilings)
        if trouble is not None:
            if self._release is not None:
                await self._release(facts.path)
            return Fail(trouble, data=changed(data, about=dict(facts.about)).to_json())
        restart_at = "place" if video is not None else ""
        done = self._hand_over(data, item.key, self._file_facts(facts, self._host), facts, restart_at=restart_at)
        return replace(done, results=[*self._captions(item.key, facts), *self._picture(item.key, facts)])

    async def again(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Have the video ask what is new: the file itself is not needed."""
        return self._hand_over(ItemData.of(task), task.subject, {})

    async def _video(self, key: str) -> Task | None:
        return next(iter(await self._records.tasks(Selection(kinds=("video",), keys=(key,)))), None)

    def _captions(self, key: str, facts: MediaFacts) -> list[Result]:
        """Keep the captions as a result: their file is removed with the video's."""
        text = self._read_captions(facts.captions) if self._read_captions is not None else ""
        if not text:
            return []
        body = {"name": f"captions{facts.captions[0].suffix}", "text": text}
        return [Result(key, "_captions", facts.sha256[:16], body, {}, self._clock.now())]

    def _picture(self, key: str, facts: MediaFacts) -> list[Result]:
        """Keep the thumbnail, for the same reason."""
        read = self._read_picture(facts.thumbnail) if self._read_picture is not None else None
        if read is None:
            return []
        body = {"name": read[0], "base64": base64.b64encode(read[1]).decode("ascii")}
        return [Result(key, "_thumbnail", facts.sha256[:16], body, {}, self._clock.now())]

    async def _videos_without_file(self) -> Mapping[str, str]:
        """Return key → stage of the videos whose file was lost, asked once."""
        if self._lost_files is None:
            which = Selection(kinds=("video",), states=(State.FAILED,), classes=LOST_FILE)
            self._lost_files = {task.key: task.stage for task in await self._records.tasks(which)}
        return self._lost_files

    def _hand_over(
        self,
        item: ItemData,
        key: str,
        video: Mapping[str, Json],
        facts: MediaFacts | None = None,
        *,
        restart_at: str = "",
    ) -> Done:
        """Submit the video.

        ``restart_at``: the stage from which it has to be uploaded, from this file.
        """
        spawn = NewTask(
            "video",
            key,
            "place",
            video,
            subject=key,
            restart_at=restart_at or "fan_out",
            restart_failed=bool(restart_at),
        )
        item = changed(item, skipped=None, refetch=False)
        if facts is not None:
            about = dict(facts.about) or None
            item = changed(item, size=facts.size, mtime_ns=facts.mtime_ns, seconds=facts.seconds, about=about)
        return Done(spawn=[spawn], data=item.to_json(), subject=key)

    STAGES = (
        StageSpec("resolve", Lane.FETCH, resolve),
        StageSpec("download", Lane.DOWNLOAD, download),
        StageSpec(_AGAIN, Lane.FETCH, again),
    )


def _unsupported(item: Item) -> Fail:
    return Fail(Trouble("unsupported_source", f"Sources of type '{item.kind}' cannot be fetched."))


def _skipped(task: Task, data: ItemData, error: Unwanted) -> Done:
    """Finish an item without a video; what the look found is kept."""
    trouble = error.trouble
    _log.info("item.skipped", key=task.key, code=trouble.code, why=trouble.message)
    skipped = SkippedData(
        code=trouble.code,
        message=trouble.message,
        remedy=trouble.remedy,
        detail=trouble.detail,
        day=error.day,
        seconds=error.seconds,
    )
    return Done(data=changed(data, skipped=skipped).to_json())
