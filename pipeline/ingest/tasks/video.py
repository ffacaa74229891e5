"""Task type ``video``: uploads a file, a paid call, and spawns its analyses.

::

                 ┌─ (price) ──▶ upload ◀──── again ───┐
    place ───────┤   (intent)     │ stopped midway    │ not there
                 │                └──────▶ find ──────┤
                 │                                    ├──▶ settle ──▶ fan_out ──▶ done
                 └──▶ open ──▶ send ──────────────────┘    (poll)
                        ▲        │ session expired
                        └────────┘

What ``find`` looks for is our unique name. On v1.2 an upload is its video's entry in the index, too: the platform bills it,
and ``price`` reserves the money. A multipart session's id is stored before the first byte; chunks can be sent
again, because the server knows which are in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.time_windows import TimeWindow
from pipeline.core.backoff import Backoff
from pipeline.core.errors import InputError, Permanent
from pipeline.core.lifecycle import Policy
from pipeline.core.log import get
from pipeline.core.model import Lane, NewTask, Selection, Task, Trouble
from pipeline.core.outcome import Advance, Done, Fail, Outcome, Snooze
from pipeline.core.task_types import LeaseCheck, StageSpec, TaskType
from pipeline.ingest.adoption import Adoption, Trace
from pipeline.ingest.file_identity import FileStamp, is_available, locate
from pipeline.ingest.job_requests import JobPlanner, JobRequest
from pipeline.ingest.paid_call import (
    Billing,
    CallPolicy,
    CallRefused,
    Cost,
    OnAmbiguous,
    PaidCall,
    Stages,
)
from pipeline.ingest.payloads import AnalysisData, ItemData, SessionData, VideoData, captions_digest
from pipeline.ingest.remote_names import build_upload_name, parse_upload_name
from pipeline.ingest.request_builder import analysis_key, group_requests, missing_requests
from pipeline.ingest.services import Services
from pipeline.ingest.stored_json import changed
from pipeline.ingest.tasks.failed_upload import failed_upload, gave_up, restart_if_index_gone
from pipeline.ingest.tasks.indexing import ConfiguredIndex, has_indexing, indexing_task
from pipeline.ingest.tasks.item import ReadCaptions, Release
from pipeline.ingest.tasks.publish import publish_task
from pipeline.ingest.tasks.restart_data import fetch_again
from pipeline.ingest.transcripts.task import has_transcript, transcript_task
from pipeline.ingest.upload_search import NAMELESS, Method, build_upload, file_paths, nameless_upload, with_file
from pipeline.ports.video_api import NewUpload, UploadSession

_log = get("video")


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """How videos are uploaded, and with what they are analysed."""

    model: str
    temperature: float
    attempts: int
    on_ambiguous: OnAmbiguous = "look"


class VideoTaskType:
    """The steps of a video."""

    def __init__(
        self,
        services: Services,
        planner: JobPlanner,
        options: VideoOptions,
        *,
        adoption: Adoption,
        billing: Billing,
        price: Callable[[float], float],
        read_captions: ReadCaptions | None = None,
        index: ConfiguredIndex | None = None,
        release: Release | None = None,
    ) -> None:
        self._api = services.api
        self._host = services.host
        self._records = services.records
        self._clock = services.clock
        self._rng = services.rng
        self._planner = planner
        self._options = options
        self._index = index
        self._index_first = "index_first" in services.api.features  # an upload is an entry in the index, and is billed
        self._fuse = planner.fuse and "fuse" in services.api.features
        self._read_captions = read_captions
        self._release = release
        self._adoption = adoption
        self._backoff = Backoff(2.0, 300.0)
        self._paid: PaidCall[VideoData] = PaidCall(
            Stages("place", "upload", "find", held="price", book="price" if self._index_first else ""),
            CallPolicy(options.attempts, options.on_ambiguous),
            services.looks,
            billing,
            services.clock,
            services.rng,
            gave_up=gave_up("upload"),
            renew=lambda data: changed(data, doubtful=data.doubtful + 1),
        )
        self._price = price

    def task_type(self, policy: Policy) -> TaskType:
        """Return the task type for the engine."""
        return TaskType.of("video", self, self.STAGES, policy, base=10)

    # ------------------------------------------------------------------------------------------------ uploading

    async def place(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Choose the method by size; store the intent under a unique name."""
        data = VideoData.of(task)
        if not await self._is_available(data):
            return await self._fetch_again(task)
        method = self._method(data)
        if method is None:
            most = self._api.ceilings.multipart_bytes / 1e9
            return Fail(
                Trouble("file_too_large", f"The file has {data.size:,} bytes; the platform takes {most:.0f} GB.")
            )
        name = build_upload_name(task.key, data.generation, data.path)
        index_id = data.index_id
        if self._index is not None and self._index_first:
            index_id = await self._index.id()
        placed = changed(data, method=method, provider=self._api.identity, index_id=index_id)
        if self._read_captions is not None:
            placed = changed(placed, heard=captions_digest(await self._items(task)))
        if (adopted := await self._adopt(task, data, placed, name)) is not None:
            return adopted
        if method != "multipart" and placed == data and parse_upload_name(data.name) == parse_upload_name(name):
            return self._paid.intend(changed(data, again=0), None, given_up=True)
        placed = changed(placed, name=name, since=self._clock.now(), doubtful=0)
        if method == "multipart":
            return Advance("open", placed.to_json())
        if self._index_first:
            return Advance("price", placed.to_json())
        return self._paid.intend(placed, None, given_up=False)

    async def price(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Reserve a billed upload's money; one let go on may be paid twice."""
        data = VideoData.of(task)
        if data.provider != self._api.identity:  # the intent is of an earlier configuration
            return Advance("place", task.data)
        cost = self._cost(task, data) if self._index_first else None
        data = changed(data, since=data.since if data.again else self._clock.now())  # a first call may come even now
        return self._paid.intend(data, cost, given_up=False, repeated=data.doubtful)

    def _cost(self, task: Task, data: VideoData) -> Cost:
        """What the upload costs; an address counts as the longest possible."""
        if not self._index_first:
            return Cost(data.name, "upload", subject=task.key)
        minutes = (data.length or self._api.ceilings.assumed_seconds) / 60
        return Cost(data.name, "index", self._price(minutes), minutes, task.key)

    async def _adopt(self, task: Task, data: VideoData, placed: VideoData, name: str) -> Outcome | None:
        """Go on with an upload of this content that is there, or None.

        Where this database has sent it there, it may be one that came after another was made in its place.
        """
        ours = bool(data.name) and data.provider == self._api.identity
        if (ours and not data.doubtful) or (self._index_first and placed.method in NAMELESS):
            return None
        sought, complete = data.name if ours else name, placed.method == "multipart"
        found = await self._adoption.upload(task.key, sought, placed.index_id, complete=complete, late=ours)
        if found is None or (ours and found.id == data.media_id):
            return None
        _log.info("upload.adopted", key=task.key, id=found.id, name=found.name)
        return self._use(changed(placed, doubtful=0), found, yields=not ours)

    def _use(self, data: VideoData, found: Trace, *, yields: bool = True) -> Advance:
        """Go on with an upload; ``yields``: whoever has made it goes first."""
        data = changed(
            data, media_id=found.id, name=found.name, generation=found.generation, adopted=True, yields=yields
        )
        if self._read_captions is not None and found.heard is not None:
            data = changed(data, heard=found.heard)
        return Advance("settle", changed(data, since=found.created or self._clock.now()).to_json())

    async def _agree(self, task: Task, data: VideoData) -> VideoData | Outcome:
        """Agree with other runs at work on one upload of this video.

        Then all ask the same, under one key.
        """
        if data.adopted or data.settled:
            return data
        complete = data.method == "multipart"
        chosen = await self._adoption.elect(task.key, data.media_id, data.generation, complete=complete)
        if chosen is None:
            return data
        _log.info("upload.shared", key=task.key, id=chosen.id, ours=data.media_id)
        if chosen.id == data.media_id:
            return changed(data, adopted=True)
        return self._use(data, chosen)

    async def _fetch_again(self, task: Task) -> Outcome:
        """Have the file fetched: our copy was removed, or never there."""
        items = [item for item in await self._items(task) if ItemData.of(item).type == "youtube"]
        if not items:
            raise InputError("The fetched file is gone, and nothing names its source any more.", code="file_missing")
        again = NewTask(
            "item", items[0].key, "download", fetch_again(), task.key, restart_at="download", restart_failed=True
        )
        return Done(spawn=[again])

    @restart_if_index_gone
    async def upload(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Upload directly or by URL, once."""
        data = VideoData.of(task)
        if data.provider != self._api.identity:  # the intent is of an earlier configuration
            return Advance("place", task.data)
        if task.fresh and data.fetched and not await self._is_available(data):  # sent by nobody, and not here any more
            return await self._fetch_again(task)

        async def send() -> str:
            upload, _ = await self._new_upload(task, data)
            return await self._api.create_asset(upload, ensure_fresh)

        try:
            made = await self._paid.act(task, data, self._cost(task, data), send)
        except (Permanent, InputError) as error:
            if error.trouble.code == "resource_not_exist":
                raise
            return self._paid.refused(data, error)
        return Advance("settle", changed(data, media_id=made).to_json()) if isinstance(made, str) else made

    @restart_if_index_gone
    async def find(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Look for an upload without an answer; act again only if absent."""
        data = VideoData.of(task)

        async def find() -> str | None:
            return await self._api.find_asset(await self._asked_for(task, data))

        try:
            found = await self._paid.look(task, data, self._cost(task, data), find)
        except CallRefused as error:
            if error.trouble.code == "resource_not_exist":
                raise
            return self._paid.refused(data, error)
        return Advance("settle", changed(data, media_id=found, looks=0).to_json()) if isinstance(found, str) else found

    async def open(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Open a multipart session; a lost one costs nothing and expires."""
        data = VideoData.of(task)
        if data.provider != self._api.identity:  # the intent is of an earlier configuration
            return Advance("place", task.data)
        if data.fetched and not await self._is_available(data):
            return await self._fetch_again(task)
        upload, stamp = await self._new_upload(task, data)
        session = await self._api.open_session(upload, ensure_fresh)
        return Advance("send", changed(data, session=SessionData.from_session(session), stamp=stamp).to_json())

    async def send(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Send the missing chunks of the session's very file."""
        data = VideoData.of(task)
        assert data.session is not None
        session = data.session.to_session()
        if data.fetched and not await self._is_available(data):
            return await self._completed(data, session) or await self._fetch_again(task)
        path, _ = await locate(data, file_paths(await self._items(task), self._host), self._host)
        try:
            if not session.fits(data.size):  # of an earlier version, which did not check it when it was opened
                raise Permanent("the platform opened an upload for a file of another size", code="bad_session")
            await self._api.send_chunks(session, path, lambda _bytes: None)
        except Permanent as error:
            if error.trouble.code not in ("session_expired", "bad_session"):
                raise
            return await self._reopen(data, session, error.trouble)
        return Advance("settle", changed(data, media_id=session.asset_id).to_json())

    async def _completed(self, data: VideoData, session: UploadSession) -> Outcome | None:
        """Return how a session goes on that may be complete, or None."""
        status = await self._api.media(session.asset_id)
        if status.state == "ready":
            return Advance("settle", changed(data, media_id=session.asset_id).to_json())
        if status.state == "working" and not status.word:  # the platform was not asked, or may not know it yet
            return Snooze(status.look_again, asked=False)
        return None

    async def _reopen(self, data: VideoData, session: UploadSession, trouble: Trouble) -> Outcome:
        """Open another session, unless this one was completed without our knowing."""
        if (completed := await self._completed(data, session)) is not None:
            return completed
        again = data.again + 1
        if again >= self._options.attempts:
            return Fail(trouble, stage="place", data=changed(data, again=0).to_json())
        _log.warning("upload.begins_anew", path=data.path, why=trouble.message, detail=trouble.detail)
        data = changed(data, session=None, stamp=None, again=again)
        return Advance("open", data.to_json(), after=self._backoff.delay(again, self._rng))

    # ------------------------------------------------------------------------------------------------- settling

    async def settle(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Wait until the platform has looked at the file."""
        data = VideoData.of(task)
        status = await self._api.media(data.media_id)
        if status.state == "working":
            return Snooze(status.look_again, asked=bool(status.word))
        if status.state == "ready":
            agreed = await self._agree(task, data)
            if not isinstance(agreed, VideoData):
                return agreed
            data, reserved = agreed, self._cost(task, agreed)
            data = changed(
                data,
                seconds=status.facts.get("duration") or data.length,
                answer_id=status.facts.get("video_id") or data.media_id,
                again=0,
                settled=True,
                waiting=None,
            )
            cost = self._cost(task, data)
            if cost.minutes < reserved.minutes and cost.what == "index" and not data.adopted:
                spend = await self._paid.billing.settle(cost, expected=False)
                return Advance("fan_out", data.to_json(), spend=spend)
            # What is missing is asked of our own database: no reason for a commit in between.
            return await self._fan_out(task, data)
        if status.state == "gone" and (found := await self._renamed(task, data)):
            return Advance("settle", changed(data, media_id=found, again=data.again + 1).to_json())
        next_upload = changed(data, generation=data.generation + 1, settled=False, adopted=False, yields=False)
        if status.state == "gone" or data.adopted:
            return self._upload_again(task, next_upload)
        return failed_upload(data, status, next_upload, self._clock.now())

    async def _renamed(self, task: Task, data: VideoData) -> str | None:
        """Return another id under which the account lists our upload, or None."""
        if data.method in NAMELESS or data.again + 1 >= self._options.attempts:
            return None
        found = await self._api.find_asset(build_upload(task, data))
        return found if found != data.media_id else None

    def _upload_again(self, task: Task, data: VideoData) -> Outcome:
        """Upload again what the platform does not have any more."""
        again = data.again + 1
        if again >= self._options.attempts:
            why = task.trouble or gave_up("settle")
            return Fail(why, stage="place", data=changed(data, again=0).to_json())
        return Advance("place", changed(data, again=again).to_json())

    # -------------------------------------------------------------------------------------------------- fan-out

    async def fan_out(self, task: Task, ensure_fresh: LeaseCheck) -> Outcome:
        """Ask for what is wanted and missing; have the results written."""
        return await self._fan_out(task, VideoData.of(task))

    async def _fan_out(self, task: Task, data: VideoData) -> Outcome:
        known = await self._records.about(task.key)
        items = [entry for entry in known.tasks if entry.kind == "item"]
        requests = self._planner.requests(items)
        missing = missing_requests(known, requests, data.length, self._api.ceilings.window_seconds)
        index = None if self._index_first else self._index
        if index is not None and 0 < data.length < self._api.ceilings.indexed_min_seconds:
            _log.info("index.too_short", key=task.key, seconds=data.length)
            index = None  # analysed all the same
        index_id = await index.id() if index is not None else ""
        # Other captions lie beside the file than the upload carries: it serves for nothing more.
        outdated = self._read_captions is not None and data.heard != captions_digest(items)
        if outdated and (missing or index_id or self._index_first):
            anew = changed(data, generation=data.generation + 1, settled=False, adopted=False, yields=False)
            return Advance("place", anew.to_json())
        elsewhere = data.provider != self._api.identity  # uploaded there, in an earlier configuration
        # With every answer and a place in the index, an upload here would serve nothing; with neither wanted, it is all.
        served = not missing and (has_indexing(known.tasks, index_id) if index_id else bool(requests))
        if elsewhere and not served:
            return self._upload_again(task, changed(data, settled=False, adopted=False, yields=False))
        if self._release is not None and data.fetched and data.settled:
            await self._release(Path(data.path))  # proved: the platform has looked at it
        groups = group_requests(missing, fuse=self._fuse)
        if data.adopted:
            groups = await self._adoption.group(task.key, missing, data.media_id, fuse=self._fuse)
        spawn = [self._analysis(task, data, wanted) for wanted in groups]
        if not spawn:  # otherwise the answers have it written
            spawn = [publish_task(task.key)]
        if index is not None and not elsewhere:
            spawn.append(indexing_task(task.key, data, index_id, index.name))
        heard = elsewhere or has_transcript(known.results, data.media_id)
        if self._planner.transcripts and "transcripts" in self._api.features and not heard:
            spawn.append(transcript_task(task.key, data))
        return Done(spawn=spawn, data=changed(data, wanted=self._planner.combined_fingerprint(requests)).to_json())

    def _analysis(self, task: Task, data: VideoData, requests: Sequence[JobRequest]) -> NewTask:
        window = requests[0].window or TimeWindow(0.0)
        analysis = AnalysisData(
            requests=[request.to_data() for request in requests],
            media_id=data.answer_id or data.media_id,
            seconds=data.length,
            start=window.start,
            end=window.end or 0.0,
            clock_start=data.clock_start,
            model=self._options.model,
            temperature=self._options.temperature,
            adopted=data.adopted,
            yields=data.yields,
        )
        key = analysis_key(task.key, requests)
        return NewTask("analysis", key, "price", analysis.to_json(), subject=task.key, restart_at="price")

    # --------------------------------------------------------------------------------------------------- helpers

    def _method(self, data: VideoData) -> Method | None:
        if data.external and "external" in self._api.features:
            return "external"
        if data.url:
            return "url"
        if data.size <= self._api.ceilings.direct_bytes:
            return "direct"
        return "multipart" if data.size <= self._api.ceilings.multipart_bytes else None

    async def _new_upload(self, task: Task, data: VideoData) -> tuple[NewUpload, FileStamp]:
        upload = build_upload(task, data)
        if upload.method in ("url", "external"):
            return upload, []
        items = await self._items(task)
        path, stamp = await locate(data, file_paths(items, self._host), self._host)
        return with_file(upload, path, data, items, self._read_captions), stamp

    async def _asked_for(self, task: Task, data: VideoData) -> NewUpload:
        if not (self._index_first and data.method in NAMELESS):
            return build_upload(task, data)
        return await nameless_upload(task, data, self._records, self._clock.now())

    async def _is_available(self, data: VideoData) -> bool:
        return await is_available(data, external="external" in self._api.features, host=self._host)

    async def _items(self, task: Task) -> list[Task]:
        return await self._records.tasks(Selection(kinds=("item",), subjects=(task.key,)))

    STAGES = (
        StageSpec("place", Lane.UPLOAD, place),
        StageSpec("price", Lane.ANALYZE, price),
        StageSpec("open", Lane.UPLOAD, open),
        StageSpec("upload", Lane.UPLOAD, upload),
        StageSpec("find", Lane.UPLOAD, find),
        StageSpec("send", Lane.UPLOAD, send),
        StageSpec("settle", Lane.POLL, settle),
        StageSpec("fan_out", Lane.POLL, fan_out),
    )
