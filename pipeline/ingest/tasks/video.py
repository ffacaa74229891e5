"""Kind ``video``: from a file to analyses. Every creating call is intent, ask, act.

::

                 ┌───────────── upload ◀──── again ───┐
    place ───────┤   (intent)     │ stopped midway    │ not there
                 │                └──────▶ find ──────┤
                 │                                    ├──▶ settle ──▶ fan_out ──▶ done
                 └──▶ open ──▶ send ──────────────────┘    (poll)
                        ▲        │ session expired
                        └────────┘

``upload`` acts only when its stage is fresh: nobody can have acted before. In any other case it goes to ``find``, which
asks the provider for our unique name, and only an asset that is not there is uploaded again. A multipart session's id is
stored before the first byte; chunks are repeatable, the server knows which are in. What was given up under a name and is
taken up again under the same one goes from ``place`` to ``find`` as well.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from random import Random
from typing import Literal, TypeVar

from pipeline.core.backoff import Backoff
from pipeline.core.clock import Clock
from pipeline.core.errors import Ambiguous, InputError, Permanent
from pipeline.core.lifecycle import Policy  # fmt: skip
from pipeline.core.log import get
from pipeline.core.model import About, Json, Lane, NewTask, Selection, State, Task, Trouble
from pipeline.core.outcome import Advance, Done, Fail, Hold, Outcome, Retry, Snooze
from pipeline.core.task_types import LeaseCheck, StageSpec, TaskType
from pipeline.ingest.file_identity import FileStamp, is_available, locate
from pipeline.ingest.job_requests import JobPlanner, JobRequest
from pipeline.ingest.remote_names import parse_upload_name, upload_digest
from pipeline.ingest.request_builder import analysis_key, group_requests
from pipeline.ingest.tasks.indexing import ConfiguredIndex, has_indexing, indexing_task
from pipeline.ingest.tasks.item import ReadCaptions, Release
from pipeline.ports.store import Records
from pipeline.ports.video_api import MediaStatus, NewUpload, UploadSession, VideoApi

log = get("video")


S = TypeVar("S")


def restart_if_index_gone(
    step: Callable[[S, Task, LeaseCheck], Awaitable[Outcome]],
) -> Callable[[S, Task, LeaseCheck], Awaitable[Outcome]]:
    """Return the step with one more end: the index that its intent names is gone, and a retry stores another intent."""

    @wraps(step)
    async def whole(owner: S, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        try:
            return await step(owner, task, ensure_fresh)
        except Permanent as error:
            if error.trouble.code != "resource_not_exist":
                raise
            return Fail(error.trouble, stage="place")

    return whole


class VideoTaskType:
    """The steps of a video."""

    def __init__(
        self,
        api: VideoApi,
        records: Records,
        planner: JobPlanner,
        clock: Clock,
        rng: Random,
        *,
        model: str,
        temperature: float,
        tries: int,
        on_ambiguous: Literal["hold", "resubmit"] = "hold",
        read_captions: ReadCaptions | None = None,
        index: ConfiguredIndex | None = None,
        release: Release | None = None,
    ) -> None:
        self._release = release
        self._api = api
        self._records = records
        self._planner = planner
        self._clock = clock
        self._rng = rng
        self._asking = {"model": model, "temperature": temperature}
        self._tries = tries
        self._on_ambiguous = on_ambiguous
        self._index = index
        self._fuse = planner.fuse and "fuse" in api.features
        self._backoff = Backoff(2.0, 300.0)
        self._read_captions = read_captions

    def task_type(self, policy: Policy) -> TaskType:
        """Return the task type for the engine."""
        return TaskType.of("video", self, self.STAGES, policy, base=10)

    # ------------------------------------------------------------------------------------------------ uploading

    async def place(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Choose the road by size and store the intent: the unique name under which the upload can be found."""
        data = dict(task.data)
        if not await is_available(data, external="external" in self._api.features):
            return await self._fetched_again(task)
        method = self._method(data)
        if method is None:
            most = self._api.ceilings.multipart_bytes / 1e9
            return Fail(
                Trouble("file_too_large", f"The file has {data['size']:,} bytes; the platform takes {most:.0f} GB.")
            )
        generation = int(data.get("generation", 0))
        name = _name(task.key, generation, data)
        where = {"road": method, "generation": generation, "provider": self._api.identity}
        if self._index is not None and "index_first" in self._api.features:
            where["index_id"] = await self._index.id()
        same = where == {each: data.get(each) for each in where}
        again = same and parse_upload_name(data.get("name", "")) == parse_upload_name(name)
        if again and method != "multipart":
            # Given up once and taken up again: what never seemed to arrive may have arrived since, under this very name.
            return Advance("find", {**data, "again": 0})
        data |= {**where, "name": name, "since": self._clock.now()}
        return Advance("open" if method == "multipart" else "upload", data)

    async def _fetched_again(self, task: Task) -> Outcome:
        """Our copy was removed once its upload was proved, or we never had one: have it fetched (once more)."""
        items = [item for item in await self._items(task) if item.data.get("type") == "youtube"]
        if not items:
            raise InputError("The fetched file is gone, and nothing names its source any more.", code="file_missing")
        again = NewTask(
            "item", items[0].key, "download", {"refetch": True}, task.key, restart_at="download", restart_failed=True
        )
        return Done(spawn=[again])

    @restart_if_index_gone
    async def upload(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Upload directly or by URL, once."""
        if task.data["provider"] != self._api.identity:  # the intent is of an earlier configuration
            return Advance("place", task.data)
        if not task.fresh:
            return Advance("find", task.data, after=self._api.grace)
        asset_id = await self._api.create_asset((await self._new_upload(task))[0], ensure_fresh)
        return Advance("settle", {**task.data, "media_id": asset_id})

    @restart_if_index_gone
    async def find(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Ask whether an upload whose answer we never saw arrived; go back to act only if it did not."""
        try:
            found = await self._api.find_asset(await self._asked_for(task))
        except Ambiguous as error:
            if self._on_ambiguous == "hold":
                return Hold(error.trouble, stage="upload")
            found = None
        if found is not None:
            return Advance("settle", {**task.data, "media_id": found})
        again = int(task.data.get("again", 0)) + 1
        if again >= self._tries:
            return Fail(_give_up("upload", task), stage="place", data={**task.data, "again": 0})
        return Advance("upload", {**task.data, "again": again}, after=self._backoff.delay(again, self._rng))

    async def open(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Open a multipart session. One that is lost costs nothing and expires by itself within a day."""
        if task.data["provider"] != self._api.identity:  # the intent is of an earlier configuration
            return Advance("place", task.data)
        upload, mark = await self._new_upload(task)
        session = await self._api.open_session(upload, ensure_fresh)
        return Advance("send", {**task.data, "session": _session_data(session), "mark": mark})

    async def send(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Send the chunks that the server does not have yet, of the very file that the session was opened for."""
        session = _session_of(task.data["session"])
        path, _ = await locate(task.data, _names(await self._items(task)))
        try:
            await self._api.send_chunks(session, path, lambda _bytes: None)
        except Permanent as error:
            if error.trouble.code != "session_expired":
                raise
            return await self._reopen(task, session, error.trouble)
        return Advance("settle", {**task.data, "media_id": session.asset_id})

    async def _reopen(self, task: Task, session: UploadSession, trouble: Trouble) -> Outcome:
        """Begin anew with another session, unless this one was completed and forgotten before we heard of it."""
        status = await self._api.media(session.asset_id)
        if status.state == "ready":
            return Advance("settle", {**task.data, "media_id": session.asset_id})
        if status.state == "working" and not status.word:  # the platform was not asked, or may not know it yet
            return Snooze(status.look_again, asked=False)
        again = int(task.data.get("again", 0)) + 1
        if again >= self._tries:
            return Fail(trouble, stage="place", data={**task.data, "again": 0})
        log.warning("upload.begins_anew", path=task.data["path"], why=trouble.message, detail=trouble.detail)
        kept = {name: value for name, value in task.data.items() if name not in ("session", "mark")}
        return Advance("open", {**kept, "again": again}, after=self._backoff.delay(again, self._rng))

    # ------------------------------------------------------------------------------------------------- settling

    async def settle(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Wait until the platform has looked at the file."""
        status = await self._api.media(task.data["media_id"])
        if status.state == "working":
            return Snooze(status.look_again, asked=bool(status.word))
        if status.state == "ready":
            seconds = status.facts.get("duration") or task.data.get("seconds", 0.0)
            answer_id = status.facts.get("video_id") or task.data["media_id"]
            known = {"seconds": seconds, "answer_id": answer_id, "again": 0, "settled": True, "waiting": {}}
            # What is missing is asked of our own database: no reason for a commit in between.
            return await self.fan_out(replace(task, data={**task.data, **known}), ensure_fresh)
        afresh = {**task.data, "generation": int(task.data.get("generation", 0)) + 1, "settled": False}
        if status.state == "gone":
            return self._afresh(task, afresh)
        return handle_failed_upload(task, status, afresh, self._clock.now())

    def _afresh(self, task: Task, data: dict[str, Json]) -> Outcome:
        """Upload again what the platform does not have any more."""
        again = int(task.data.get("again", 0)) + 1
        if again >= self._tries:
            return Fail(_give_up("settle", task), stage="place", data={**data, "again": 0})
        return Advance("place", {**data, "again": again})

    # -------------------------------------------------------------------------------------------------- fan-out

    async def fan_out(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Ask for what is wanted and neither there nor on its way; have the results written."""
        known = await self._records.about(task.key)
        items = [entry for entry in known.tasks if entry.kind == "item"]
        requests = self._planner.requests(items)
        missing = _missing(known, requests)
        index = None if "index_first" in self._api.features else self._index
        index_id = await index.id() if index is not None else ""
        elsewhere = task.data.get("provider") != self._api.identity  # uploaded there, in an earlier configuration
        # With every answer and a place in the index, an upload here would serve nothing; with neither wanted, it is all.
        served = not missing and (has_indexing(known.tasks, index_id) if index_id else bool(requests))
        if elsewhere and not served:
            return self._afresh(task, {**task.data, "settled": False})
        if self._release is not None and task.data.get("fetched") and task.data.get("settled"):
            await self._release(Path(task.data["path"]))  # proved: the platform has looked at it
        spawn = [self._analysis(task, wanted) for wanted in group_requests(missing, fuse=self._fuse)]
        if not spawn:  # otherwise the answers have it written
            spawn = [
                NewTask("publish", task.key, "write", {}, subject=task.key, restart_at="write", restart_failed=True)
            ]
        if index_id and not elsewhere:
            lost = int(task.data.get("indexing_lost", 0))
            spawn.append(indexing_task(task.key, task.data["media_id"], float(task.data["seconds"]), index_id, lost))
        return Done(spawn=spawn, data={**task.data, "wanted": self._planner.combined_fingerprint(items)})

    def _analysis(self, task: Task, requests: Sequence[JobRequest]) -> NewTask:
        data = {
            "wishes": [request.as_json() for request in requests],
            "media_id": task.data.get("answer_id") or task.data["media_id"],
            "seconds": task.data.get("seconds", 0.0),
            **self._asking,
        }
        key = analysis_key(task.key, requests)
        return NewTask("analysis", key, "price", data, subject=task.key, restart_at="price")

    # --------------------------------------------------------------------------------------------------- helpers

    def _method(self, data: dict[str, Json]) -> str | None:
        if data.get("external") and "external" in self._api.features:
            return "external"
        if data.get("url"):
            return "url"
        if data["size"] <= self._api.ceilings.direct_bytes:
            return "direct"
        return "multipart" if data["size"] <= self._api.ceilings.multipart_bytes else None

    async def _new_upload(self, task: Task) -> tuple[NewUpload, FileStamp]:
        described = _described(task)
        if described.method in ("url", "external"):
            return described, []
        items = await self._items(task)
        path, mark = await locate(task.data, _names(items))
        metadata = dict(described.metadata)
        if self._read_captions is not None:
            text = self._read_captions([Path(name) for name in task.data.get("captions", [])])
            if text:
                metadata["captions"] = text
        title = next((item.data["line"]["title"] for item in items if item.data["line"]["title"]), "")
        metadata["source_name"] = path.name[:200]
        title = title or str(task.data.get("about", {}).get("title", ""))
        if title:
            metadata["title"] = title[:200]
        return replace(described, path=path, metadata=metadata), mark

    async def _asked_for(self, task: Task) -> NewUpload:
        """Return what to look for. What the platform fetches itself for a v1.2 index carries no name of ours: only its
        time tells it from others, so it must be the only one of ours in doubt.

        Raises:
            Ambiguous: another video of ours is in doubt as well, and either could have left what would be found; or our
                clock was put back, so that time tells nothing.
        """
        nameless = ("external", "url") if "index_first" in self._api.features else ()
        if task.data["road"] not in nameless:
            return _described(task)
        if self._clock.now() < task.data["since"]:
            raise Ambiguous(
                "This machine's clock was put back while the address was on its way; time cannot tell its task from others.",
                code="ambiguous",
                remedy="look into the platform's list of tasks, then `reelmill retry` if it is not there",
            )
        others = [other for other in await self._records.tasks(Selection(kinds=("video",))) if other.id != task.id]
        if any(_in_doubt(other) for other in others if other.data.get("road") in nameless):
            raise Ambiguous(
                "Several addresses were on their way when the run was cut off; the platform does not say which arrived.",
                code="ambiguous",
                remedy="look into the platform's list of tasks, then `reelmill retry` what is not there",
            )
        return replace(_described(task), taken=frozenset(mark for other in others for mark in _marks(other)))

    async def _items(self, task: Task) -> list[Task]:
        return await self._records.tasks(Selection(kinds=("item",), subjects=(task.key,)))

    STAGES = (
        StageSpec("place", Lane.UPLOAD, place, "waits to be uploaded"),
        StageSpec("open", Lane.UPLOAD, open, "waits to be uploaded"),
        StageSpec("upload", Lane.UPLOAD, upload, "waits to be uploaded"),
        StageSpec(
            "find",
            Lane.UPLOAD,
            find,
            "waits until the provider has been asked whether an interrupted call arrived",
        ),
        StageSpec("send", Lane.UPLOAD, send, "is being uploaded in parts"),
        StageSpec("settle", Lane.POLL, settle, "is uploaded; the platform is looking at the file"),
        StageSpec("fan_out", Lane.POLL, fan_out, "is uploaded and waits for its analyses to be started"),
    )


def _missing(known: About, requests: Sequence[JobRequest]) -> list[JobRequest]:
    """Return what is wanted and neither there nor on its way."""
    have = {(result.job, result.fingerprint) for result in known.results}
    # What was asked for and did not come is the operator's to retry.
    under_way = {
        (request["name"], request["print"])
        for analysis in known.tasks
        if analysis.kind == "analysis" and analysis.state is not State.DONE
        for request in analysis.data["wishes"]
    }
    return [request for request in requests if (request.name, request.fingerprint) not in have | under_way]


def _names(items: Sequence[Task]) -> list[str]:
    """Return the paths under which a video's content was found."""
    return [item.data["locator"] for item in items if item.data.get("type") == "file"]


def _name(key: str, generation: int, data: Mapping[str, Json]) -> str:
    """Return the unique name of an upload: fit for people who look into the account, and found again by its last part."""
    path = Path(data.get("path") or "video")
    suffix = path.suffix.lower()
    ending = suffix if suffix[1:].isalnum() and len(suffix) <= 6 else ".mp4"
    words = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:60].rstrip("-") or "video"
    return f"{words}-{upload_digest(key)}-{generation}{ending}"


def _described(task: Task) -> NewUpload:
    data = task.data
    return NewUpload(
        name=data["name"],
        method=data["road"],
        mime=data.get("mime", "video/mp4"),
        size=data.get("size", 0),
        url=data.get("external") or data.get("url", ""),
        index_id=data.get("index_id", ""),
        title=data.get("title", ""),
        metadata={"reelmill_key": task.key[:200]},
        since=data["since"],
    )


def _give_up(stage: str, task: Task) -> Trouble:
    return task.trouble or Trouble(
        "gave_up", f"Stage '{stage}' was tried again and again without success.", "See the log, then `reelmill retry`."
    )


def _session_data(session: UploadSession) -> dict[str, Json]:
    return {
        "upload_id": session.upload_id,
        "asset_id": session.asset_id,
        "chunk_size": session.chunk_size,
        "total_chunks": session.total_chunks,
        "expires_at": session.expires_at,
        "headers": dict(session.headers),
    }


def _session_of(data: dict[str, Json]) -> UploadSession:
    return UploadSession(**data)


def _marks(video: Task) -> Iterator[str]:
    """Yield what tells that a task of the platform belongs to this video: its id, and the names of its uploads, if it has
    any of its own; the id of one that has just arrived is not known yet.
    """
    if "media_id" in video.data:
        yield video.data["media_id"]
    if video.data.get("road") == "direct":
        yield from (_name(video.key, past, video.data) for past in range(int(video.data.get("generation", 0)) + 1))


def _in_doubt(video: Task) -> bool:
    """True for an external upload that may have been accepted without our knowing. What an earlier one left, if it was
    lost and is made anew, clears nobody.
    """
    if video.state is State.CANCELLED:
        return False
    return video.state is State.HELD or video.stage == "find" or (video.stage == "upload" and video.claims > 0)


_PREMIERE_SECONDS = 14 * 86_400.0  #: seconds for which a premiere is waited for in all


def handle_failed_upload(task: Task, status: MediaStatus, afresh: dict[str, Json], now: float) -> Outcome:
    """Fail the video, unless the platform says that it can be had later: then it is handed over once more at that time.

    ``afresh``: the task's data with which it is handed over anew, by an operator's retry or by ourselves.
    """
    trouble = status.trouble or Trouble(
        "asset_failed",
        "The platform could not read the uploaded file.",
        "Check that the file plays; transcode it to H.264/AAC in MP4; then `reelmill retry`.",
        status.message,
    )
    media_id = task.data["media_id"]
    waiting = task.data.get("waiting", {})
    if waiting.get("for") == media_id:  # its time has come
        return Advance("place", {**afresh, "waiting": {"since": waiting["since"]}})
    since = float(waiting.get("since", now))
    if status.later is None or now - since >= _PREMIERE_SECONDS:
        return Fail(trouble, stage="place", data={**afresh, "waiting": {}})
    data = {**task.data, "waiting": {"since": since, "for": media_id}}
    return Retry(trouble, after=status.later, counted=False, data=data)
