"""What tasks store in the database, typed; it names the stored keys.

The store merges the data of a restart over what is stored (``NewTask.data``): such data names every key that it means
to change, defaults too: ``ingest.tasks.restart_data`` builds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pipeline.core.errors import StoreError
from pipeline.core.model import Json, Task, Trouble
from pipeline.ingest.stored_json import StoredJson, stored

if TYPE_CHECKING:
    from pipeline.ports.source import FoundCaptions, Item
    from pipeline.ports.video_api import UploadSession

_EARLIER = 8  #: digests of captions that are remembered
_KNOWN = 5000  #: requests that are kept of other videos
VERSION = 1  #: of every payload; data without a version is of this one


@dataclass(frozen=True, kw_only=True)
class TaskData(StoredJson):
    """The payload of a task."""

    version: int = VERSION

    @classmethod
    def of(cls, task: Task) -> Self:
        """Read a task's payload.

        Raises:
            StoreError: a later release has written it in a form that this one does not know.
        """
        data = cls.from_json(task.data)
        if data.version > VERSION:
            raise StoreError(
                f"Task {task.key} was written by a later release of Reelmill",
                code="newer_database",
                remedy="use that release, or another state folder",
            )
        return data


@dataclass(frozen=True, kw_only=True)
class TroubleData(StoredJson):
    """What is wrong, as a task remembers it."""

    code: str = stored("", always=True)
    message: str = stored("", always=True)
    remedy: str = stored("", always=True)
    detail: str = stored("", always=True)

    @classmethod
    def from_trouble(cls, trouble: Trouble) -> Self:
        """Return what a task remembers of a trouble."""
        return cls(code=trouble.code, message=trouble.message, remedy=trouble.remedy, detail=trouble.detail)

    def to_trouble(self) -> Trouble:
        """Return the trouble."""
        return Trouble(self.code, self.message, self.remedy, self.detail)


#: Why nobody knows what became of a call: its process ended; its answer was lost; it was refused, or told to come later,
#: by an answer that proves nothing.
Doubt = Literal["ended", "lost", "refused", "throttled"]


@dataclass(frozen=True, kw_only=True)
class PaidData(TaskData):
    """The payload of a task that makes a paid call: where the call stands."""

    since: float = 0.0  #: when the intent was stored, epoch seconds
    again: int = 0  #: times in a row that the call was found not to have arrived
    looks: int = 0  #: times that a call without an answer was looked for in vain
    doubtful: int = 0  #: calls that were made again although nobody could tell whether the one before had arrived
    booked: float = 0.0  #: when the money of the next call was reserved, epoch seconds; 0: ``since``
    run: str = ""  #: id of the run that reserved it
    doubt: Doubt = "ended"
    doubted: float = 0.0  #: since when the call is in doubt, epoch seconds
    agreed: bool = False  #: a person has let the call be made again if it cannot be found
    refusal: TroubleData | None = stored(None, read=TroubleData.from_json, write=TroubleData.to_json)


# ----------------------------------------------------------------------------------------------- what users ask for


@dataclass(frozen=True, kw_only=True)
class RequestData(StoredJson):
    """One wanted result, as a task remembers it."""

    name: str = stored("", always=True)
    job: str = stored("", always=True)
    params: Mapping[str, Json] = stored(dict, always=True)
    fingerprint: str = stored("", key="print", always=True)
    whole: str = ""  #: fingerprint of the question that this is a part of; empty: it is no part

    @property
    def identity(self) -> tuple[str, str]:
        """What tells one wanted result of a video from another."""
        return self.name, self.fingerprint

    @property
    def question(self) -> tuple[str, str]:
        """What a line wants: the identity of the whole, of a part."""
        return self.name, self.whole or self.fingerprint


@dataclass(frozen=True, kw_only=True)
class LineData(StoredJson):
    """A manifest line's own words."""

    id: str = stored("", always=True)
    title: str = stored("", always=True)
    tags: tuple[str, ...] = stored((), always=True, read=tuple, write=list)
    jobs: tuple[str, ...] = stored((), always=True, read=tuple, write=list)
    prompt: str = stored("", always=True)
    metadata: Mapping[str, str] = stored(dict, always=True)
    window: str = ""


@dataclass(frozen=True, kw_only=True)
class SkippedData(TroubleData):
    """Why a video was skipped, with what the look has found."""

    day: str = stored("", always=True)  #: of publication, ``YYYYMMDD``
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class CaptionsData(StoredJson):
    """The caption files beside a video when they were last looked at."""

    stamp: str = stored("", always=True)
    #: Of the words of the one that is used; empty: none was ever used; ``removed``: one was; ``unknown``: earlier releases
    #: took no note of it.
    digest: str = ""
    files: Sequence[str] = ()
    spoken: str = ""
    looked: float = 0.0  #: when, epoch seconds
    earlier: Sequence[str] = ()  #: digests before, the latest first: their answers stay until new ones are there

    def replaced_by(self, found: FoundCaptions, now: float) -> Self:
        """Return what a further look has found."""
        digest = found.digest or ("removed" if self.digest else "")
        files = [str(path) for path in found.files]
        earlier = self.earlier if digest == self.digest else [self.digest, *self.earlier][:_EARLIER]
        return type(self)(
            stamp=found.stamp, digest=digest, files=files, spoken=found.spoken, looked=now, earlier=earlier
        )


@dataclass(frozen=True, kw_only=True)
class ItemData(TaskData):
    """One manifest line's video (or list, see :class:`PlaylistData`) and what was found of it."""

    source: str = stored("", always=True)
    place: str = stored("", always=True)
    type: str = stored("", always=True)
    locator: str = stored("", always=True)
    line: LineData = stored(LineData, always=True, read=LineData.from_json, write=LineData.to_json)
    bounds: Mapping[str, Json] | None = None
    size: int | None = None
    mtime_ns: int | None = None
    seconds: float | None = None
    about: Mapping[str, Json] | None = None  #: what the site says of a fetched video, or the file of itself
    skipped: SkippedData | None = stored(None, read=SkippedData.from_json, write=SkippedData.to_json)
    refetch: bool = False  #: fetch it although it is uploaded already
    takes: Mapping[str, Sequence[str]] = stored(dict)  #: fingerprint of a question -> when it was asked again
    #: None: an earlier release took no note of them, or the platform does not read them.
    captions: CaptionsData | None = stored(None, read=CaptionsData.from_json, write=CaptionsData.to_json)
    host: str = ""  #: on whose disk the file is, where several hosts work; the database gives it to that one
    host_gone: bool = False  #: it does not come back

    @property
    def title(self) -> str:
        """The user's title, else the file's or site's, else empty."""
        return str(self.line.title or (self.about or {}).get("title") or "")

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """Return what an item's task remembers of its line."""
        line = item.line
        words = LineData(
            id=line.id,
            title=line.title,
            tags=line.tags,
            jobs=line.jobs,
            prompt=line.prompt,
            metadata=dict(line.metadata),
            window=line.window,
        )
        return cls(
            source=line.source,
            place=line.place,
            type=item.kind,
            locator=item.locator,
            line=words,
            bounds=dict(item.bounds) if item.kind == "youtube" else None,
            host=item.host,
        )

    def to_item(self, key: str) -> Item:
        """Return the item that a task was made from."""
        from pipeline.ports.source import Item, ManifestLine  # for runs: a command that reads does without

        line = self.line
        words = ManifestLine(
            self.source, self.place, line.id, line.title, line.tags, line.jobs, line.prompt, line.metadata, line.window
        )
        return Item(key, self.type, self.locator, words, self.bounds or {}, self.host)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class PlaylistData(ItemData):
    """A playlist or channel, and what its last reading found."""

    list_title: str = stored("", key="title")
    channel: str = ""
    wanted: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    seen: Sequence[str] = ()
    gone: Sequence[str] = ()


# ------------------------------------------------------------------------------------------------------ the video


@dataclass(frozen=True, kw_only=True)
class WaitingData(StoredJson):
    """A video that the platform will take later."""

    since: float = stored(0.0, always=True)
    media_id: str = stored("", key="for")


def _read_waiting(value: Mapping[str, Json]) -> WaitingData | None:
    return WaitingData.from_json(value) if value else None


@dataclass(frozen=True, kw_only=True)
class SessionData(StoredJson):
    """An open multipart upload."""

    upload_id: str = stored("", always=True)
    asset_id: str = stored("", always=True)
    chunk_size: int = stored(0, always=True)
    total_chunks: int = stored(0, always=True)
    expires_at: float = stored(0.0, always=True)
    headers: Mapping[str, str] = stored(dict, always=True)

    @classmethod
    def from_session(cls, session: UploadSession) -> Self:
        """Return what a task remembers of a session."""
        return cls(**{**asdict(session), "headers": dict(session.headers)})

    def to_session(self) -> UploadSession:
        """Return the session."""
        from pipeline.ports.video_api import UploadSession

        return UploadSession(
            self.upload_id, self.asset_id, self.chunk_size, self.total_chunks, self.expires_at, self.headers
        )


@dataclass(frozen=True, kw_only=True)
class VideoData(PaidData):
    """A video on its way to the platform: file or address, intent, outcome."""

    _SHOWN: ClassVar = (
        "sha256", "size", "seconds", "width", "height", "container", "video_codec", "audio_codec", "url",
    )  # fmt: skip

    path: str = ""
    size: int = 0
    seconds: float | None = None
    mime: str = "video/mp4"
    sha256: str = ""
    mtime_ns: int = 0
    captions: Sequence[str] = ()
    fetched: bool = False  #: the file is our own copy
    about: Mapping[str, Json] = field(default_factory=dict)
    url: str = ""
    external: str = ""  #: the address of a site that the platform fetches from by itself
    title: str = ""

    method: str = stored("", key="road")
    generation: int = stored(0, also="gen")  #: of the unique name: one more for each further upload
    provider: str = ""
    index_id: str = ""
    name: str = ""
    session: SessionData | None = stored(None, read=SessionData.from_json, write=SessionData.to_json)
    stamp: list[int] | None = stored(None, key="mark")  #: of the file that the session was opened for

    media_id: str = ""
    answer_id: str = ""  #: by which analyses name it; empty: by ``media_id``
    settled: bool = False
    waiting: WaitingData | None = stored(None, read=_read_waiting, write=WaitingData.to_json)
    wanted: str = ""  #: fingerprint of all that was wanted when its analyses were last spawned
    indexing_lost: int = 0  #: times that the platform denied an asset of it, or the index, to indexing
    indexing_denied: str = ""  #: the last of them, as ``IndexingData.place``; empty: nobody knows which
    adopted: bool = False  #: the upload was found in the account; what was made of it may be there as well
    yields: bool = False  #: another run has made the upload, and may be at work: it goes first
    heard: str = ""  #: digest of the captions that the upload carries, as ``CaptionsData.digest``
    clock_start: float = 0.0  #: where the clock inside the file starts, seconds
    host: str = ""  #: as that of an item
    host_gone: bool = False

    @property
    def length(self) -> float:
        """Seconds; 0 while nobody has measured it."""
        return self.seconds or 0.0

    @property
    def asked_of(self) -> str:
        """The id by which an analysis names the upload."""
        return self.answer_id or self.media_id

    def media(self) -> dict[str, Json]:
        """Return what is known of the media, for ``video.json``."""
        return {name: self.raw[name] for name in self._SHOWN if name in self.raw}


# ------------------------------------------------------------------------------------------- what comes of a video


@dataclass(frozen=True, kw_only=True)
class AnalysisData(PaidData):
    """One analysis request of one video."""

    requests: Sequence[RequestData] = stored(
        (),
        key="wishes",
        always=True,
        read=lambda value: [RequestData.from_json(each) for each in value],
        write=lambda value: [each.to_json() for each in value],
    )
    media_id: str = stored("", always=True)
    seconds: float = stored(0.0, always=True)
    temperature: float = stored(0.0, always=True)
    model: str = stored("", always=True)
    correction: str = ""  #: why an earlier answer was refused
    legacy: bool = False  #: asked by the calls of a dialect without schemas
    generation: int = stored(0, key="gen", also="generation")  #: of the custom id: one more for each new question
    doublings: int = 0  #: of the room for the answer
    task_id: str = ""
    useless: Sequence[str] = ()  #: ids under this key whose answers are of no use
    sought: bool = False  #: no other id under this key was found
    lost: int = 0  #: times in a row that the platform denied the asset
    given_up: str = ""  #: the custom id of a request that never seemed to arrive
    superseded: bool = False
    answer: str = ""  #: fingerprint of the stored raw answer
    adopted: bool = False  #: looked for in the account before it is paid; afterwards: found there
    yields: bool = False  #: another run has made the upload, and may be at work: it goes first
    yielded: bool = False  #: it had its time
    keyed_by_body: bool = False  #: the idempotency key stands for the whole request; before, for the custom id alone
    cancelled: bool = False  #: the platform may have been told to cancel it
    replaced: bool = False  #: all that it asks is asked in other words now
    alone: bool = False  #: never again part of a batch
    unfinished: int = 0  #: batches that ended before it was answered
    #: The part that it looks at, seconds as a player counts them; ``end`` 0: to the end of the video.
    start: float = 0.0
    end: float = 0.0
    clock_start: float = 0.0  #: where the clock inside the file starts

    @property
    def windowed(self) -> bool:
        """True if only a part of the video counts."""
        return self.start > 0 or self.end > 0

    @property
    def looks_at(self) -> float:
        """Seconds of video that it looks at, and that are billed."""
        return max(0.0, (self.end or self.seconds) - self.start) if self.windowed else self.seconds


@dataclass(frozen=True, kw_only=True)
class IndexingData(PaidData):
    """One upload's entry in one index."""

    asset_id: str = stored("", always=True)
    index_id: str = stored("", always=True)
    seconds: float = stored(0.0, always=True)
    index_name: str = ""  #: empty in older databases
    lost: int = 0  #: times that the platform denied asset or index to earlier tasks of this video
    video_id: str = ""  #: of the entry
    given_up: bool = False
    index_gone: bool = False
    indexed: str = ""  #: when, as the platform says
    adopted: bool = False  #: looked for in the account before it is paid
    yields: bool = False  #: as that of an analysis
    superseded: bool = False

    @property
    def place(self) -> str:
        """Name of the asset's place in the index."""
        return f"{self.index_id}/{self.asset_id}"


@dataclass(frozen=True, kw_only=True)
class PublishData(TaskData):
    """What was written of one video."""

    folder: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    title: str = ""
    present: Mapping[str, str] = field(default_factory=dict)  #: name of a result -> its fingerprint
    sources: Sequence[Json] = ()
    seconds: float | None = None
    files: Mapping[str, Sequence[str]] = field(default_factory=dict)  #: name of a result -> its files
    earlier: Sequence[str] = ()  #: results that nobody asked for any more
    missing: Sequence[str] = ()  #: results that were asked for and not there yet
    first: float = 0.0  #: when this video's results were first written, epoch seconds; 0: not known
    answered: float = 0.0  #: when an answer was last written that had come since the time before
    at: float = 0.0  #: when they were last written


def read_requests(task: Task, known: dict[tuple[str, ...], RequestData]) -> Iterator[RequestData]:
    """Yield what an analysis asks; ``known`` keeps what many ask alike."""
    for raw in task.data.get("wishes", ()):
        # A fingerprint stands for job and parameters.
        key = (raw.get("name", ""), raw.get("print", ""), raw.get("whole", ""))
        if key not in known:
            if len(known) >= _KNOWN:
                known.clear()
            known[key] = RequestData.from_json(raw)
        yield known[key]


def chosen_captions(items: Iterable[Task]) -> CaptionsData | None:
    """Return the captions that count for a video: those looked at last."""
    known = [(found.looked, -item.id, found) for item in items if (found := ItemData.of(item).captions) is not None]
    return max((each for each in known if each[2].digest), key=lambda each: each[:2], default=(0, 0, None))[2]


def captions_digest(items: Iterable[Task]) -> str:
    """Return the digest of the captions that count; empty without any."""
    chosen = chosen_captions(items)
    return "" if chosen is None else chosen.digest


def remote_ids(task: Task) -> Iterator[str]:
    """Yield the ids by which the platform may name a task's video."""
    for key in ("video_id", "answer_id", "media_id", "asset_id"):
        if found := task.data.get(key):
            yield found
