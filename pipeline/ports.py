"""The seams, on one page. Every protocol here has one conformance suite that all its implementations pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from pipeline.lifecycle import Transition
from pipeline.model import About, Counts, Json, Lane, Parked, Placed, Result, RunNote, Selection, Spend, Task, Trouble


class Clock(Protocol):
    """Time, injected. Tests bring a virtual one."""

    def now(self) -> float:
        """Return epoch seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait ``seconds``."""
        ...


# --------------------------------------------------------------------------------------------------------------- store


@dataclass(frozen=True, slots=True)
class Applied:
    """A decided transition with the places that the engine has worked out for the task and what it spawns."""

    task: Task
    move: Transition
    lane: Lane
    rank: int
    spawn: Sequence[Placed] = ()


class Store(Protocol):
    """The engine's side of the database: intentions, not SQL. ``now`` is epoch seconds and always comes from outside."""

    async def submit(self, tasks: Sequence[Placed], now: float) -> int:
        """Put tasks into the queue in one transaction; return how many were new or re-armed. Idempotent by (kind, key).

        An existing task with ``new.rearm`` set: if done (or failed, with ``new.revive``), it becomes pending at the
        re-arm stage, due at ``new.due``, with fresh counters and ``new.data`` merged over its data; if running, it does
        so at the moment its attempt ends as done (data kept); if pending, only ``new.data`` is merged.
        """
        ...

    async def claim(self, room: Mapping[Lane, int], owner: str, now: float, until: float) -> list[Task]:
        """Take at most ``room[lane]`` due tasks per lane, highest rank first, then longest due; atomically.

        A claimed task is running, its ``claims`` grew by one, its lease has a new token and ends at ``until``.
        Parked lanes give nothing.
        """
        ...

    async def renew(self, tasks: Sequence[Task], until: float) -> frozenset[int]:
        """Extend the leases of these running tasks; return the ids that are still ours."""
        ...

    async def apply(self, applied: Applied, now: float) -> bool:
        """Write state, results, spawned tasks and spend in one transaction, only if the lease still holds.

        Return False, with nothing written, when the task was claimed by another, cancelled or is no longer running.
        """
        ...

    async def expired(self, now: float | None) -> list[Task]:
        """Return running tasks whose lease ended before ``now``; with None, all running ones (their owner is dead)."""
        ...

    async def next_due(self, lanes: Sequence[Lane]) -> float | None:
        """Return the smallest due time of pending tasks in these lanes that are not parked, or None."""
        ...

    async def command(self, verb: Literal["cancel", "retry"], which: Selection, now: float) -> int:
        """Carry out an operator's word on the selected tasks; return how many changed.

        ``cancel``: pending, running, held → cancelled. ``retry``: failed, held, cancelled → pending, due now, attempts
        fresh, trouble kept; and ``claims``: what was cancelled may have acted, so the provider is asked first.
        """
        ...

    async def park(self, parked: Parked) -> None:
        """Remember that a scope takes no new work until a time; a later time for the same scope replaces the earlier."""
        ...

    async def unpark(self, scopes: Sequence[str], classes: Sequence[str], now: float) -> int:
        """Forget these, and let pending tasks wait no longer whose trouble is of these classes: due later, they are due now.
        In one transaction; return how many tasks.
        """
        ...

    async def aclose(self) -> None:
        """Close the database. Idempotent."""
        ...


class Records(Protocol):
    """The reading side. Opened read-only by ``status`` and ``report``, which never block a run."""

    async def tasks(self, which: Selection) -> list[Task]:
        """Return the selected tasks in the order they were first submitted."""
        ...

    async def results(self, subjects: Sequence[str]) -> list[Result]:
        """Return all results of these videos, oldest first."""
        ...

    async def about(self, subject: str) -> About:
        """Return all of one video at once: three questions for the price of one."""
        ...

    async def subjects(self, after: str, limit: int) -> list[str]:
        """Return up to ``limit`` video keys that have results, in key order, above ``after``."""
        ...

    async def counts(self) -> Counts:
        """Count tasks by kind, state, lane and trouble."""
        ...

    async def tally(self) -> Mapping[str, int]:
        """Count items (tasks of kind ``item``) by how they stand as a whole: done, failed, held, cancelled, working.

        An item that is not itself done counts by its own state (pending and running are ``working``). A done one counts
        by the worst of all tasks with its subject: held, then failed, then working, then done.
        """
        ...

    async def parked(self, now: float) -> list[Parked]:
        """Return the scopes that are parked at ``now``."""
        ...

    async def spent(self, since: float = 0.0) -> tuple[float, float, int]:
        """Return (USD, minutes, number of doubtful entries) in the ledger since ``since``."""
        ...

    async def spends(self, subjects: Sequence[str]) -> list[Spend]:
        """Return the ledger entries of these videos."""
        ...

    async def runs(self, limit: int) -> list[RunNote]:
        """Return the newest runs first."""
        ...


class Journal(Protocol):
    """Small durable facts that are not tasks: run history, the memory of the shared limits, what no task has paid for."""

    async def note_run(self, note: RunNote) -> None:
        """Insert or replace a run's line."""
        ...

    async def load(self, name: str) -> Json | None:
        """Return the remembered value, or None."""
        ...

    async def save(self, name: str, value: Json) -> None:
        """Remember a value under a name."""
        ...

    async def enter(self, spend: Spend) -> None:
        """Enter a paid effect that no task stands for into the ledger, before the call is made; each key once."""
        ...


class Database(Store, Records, Journal, Protocol):
    """What ``store.sqlite`` and ``store.memory`` both are."""


# ------------------------------------------------------------------------------------------------------------ provider


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What the platform takes, so that a video is refused before a byte moves. Bytes, seconds, pixels."""

    direct_bytes: int = 200 * 1000 * 1000
    multipart_bytes: int = 10 * 1000**3
    url_bytes: int = 4 * 1000**3
    min_seconds: float = 4.0
    max_seconds: float = 7200.0
    min_side: int = 360
    max_width: int = 5184
    max_height: int = 2160
    max_aspect: float = 2.4


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What we want to put there. ``name`` is unique and deterministic: it is how a lost upload is found again."""

    name: str
    road: Literal["direct", "multipart", "url", "external"]  #: external: the platform fetches a YouTube address (v1.2)
    mime: str = "video/mp4"
    size: int = 0  #: bytes; 0 for a URL
    path: Path | None = None
    url: str = ""
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    since: float = 0.0  #: epoch seconds at which the intent was stored: nothing older can be ours
    index_id: str = ""  #: where a dialect uploads into an index (v1.2)
    title: str = ""  #: of an external video: all that can tell its task from another's
    taken: frozenset[str] = frozenset()  #: media ids and upload names that belong to other videos of ours


@dataclass(frozen=True, slots=True)
class Session:
    """An open multipart upload: everything needed to go on after a crash."""

    upload_id: str
    asset_id: str
    chunk_size: int
    total_chunks: int
    expires_at: float  #: epoch seconds
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MediaStatus:
    """How far an uploaded video is. ``state`` is ours: ``unknown`` words of the provider are ``working``."""

    state: Literal["working", "ready", "failed", "gone"]
    word: str = ""  #: the provider's own word; empty where nobody was asked yet
    message: str = ""
    look_again: float = 10.0  #: seconds
    trouble: Trouble | None = None  #: of a failed one, where the platform gives a reason with a class of ours
    later: float | None = None  #: seconds after which a failed one can be handed over again; None: never by itself
    #: duration, size, width, height as the provider sees them; ``video_id`` where analysis needs another id than upload
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """One analysis request, in neutral words: what every dialect can turn into its own calls."""

    key: str  #: ``custom_id`` and ``Idempotency-Key``: at most 64 of [A-Za-z0-9_-]
    media_id: str
    prompt: str
    schema: Mapping[str, Json] | None  #: None asks for free text
    max_tokens: int
    temperature: float
    model: str
    legacy: Mapping[str, Json] | None = None  #: ``path`` and ``body`` for a dialect without schemas (v1.2)
    since: float = 0.0  #: epoch seconds at which the intent was stored
    minutes: float = 0.0  #: length of the video, for the limits that count minutes


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished analysis, exactly as received in ``raw``."""

    text: str  #: the answer text; JSON text where a schema was asked for
    finish_reason: str  #: ``stop`` is success; ``length`` is not
    raw: Json
    usage: Mapping[str, int] = field(default_factory=dict)
    warning: str = ""


@dataclass(frozen=True, slots=True)
class AnalysisStatus:
    """How far an analysis is; ``answer`` is there once ``state`` is ``ready``."""

    state: Literal["working", "ready", "failed", "canceled", "gone"]
    word: str = ""  #: as above
    message: str = ""
    code: str = ""
    look_again: float = 10.0
    answer: Answer | None = None


class VideoApi(Protocol):
    """The platform, in our verbs. Errors are ours only (``pipeline.errors``).

    Calls that create or bill something come in pairs: ``find_…`` asks for what the paired call may have left behind.
    """

    @property
    def identity(self) -> str:
        """Name and dialect for result fingerprints, e.g. ``twelvelabs/v1.3`` or ``local/v1.3``."""
        ...

    @property
    def features(self) -> frozenset[str]:
        """What the dialect can do: ``fuse`` (many jobs in one request), ``multipart``, ``index_first`` (uploads go into
        an index), ``external`` (fetches YouTube addresses itself) …
        """
        ...

    @property
    def ceilings(self) -> Ceilings:
        """What the platform takes."""
        ...

    @property
    def grace(self) -> float:
        """Seconds to wait after a lost answer before asking, so that what was accepted can be seen."""
        ...

    async def create_asset(self, upload: NewUpload, still_ours: Callable[[], None]) -> str:
        """Upload directly or by URL and return the asset id. Not repeatable: see :meth:`find_asset`.

        ``still_ours`` is called right before the request is sent and raises LostLease.
        """
        ...

    async def find_asset(self, upload: NewUpload) -> str | None:
        """Return the id of an asset that carries exactly this unique name, or None.

        Raises:
            Ambiguous: the dialect cannot tell: several could be ours, or nothing can be asked.
        """
        ...

    async def open_session(self, upload: NewUpload, still_ours: Callable[[], None]) -> Session:
        """Open a multipart session. An unused one costs nothing and expires within a day."""
        ...

    async def send_chunks(self, session: Session, path: Path, progress: Callable[[int], None]) -> None:
        """Send what the server's chunk state says is missing, as byte ranges of the file, in parallel; repeatable.

        Raises:
            Permanent: code ``session_expired`` when the session cannot be used any more (open another one).
            InputError: code ``file_changed`` when the file's size no longer fits the session.
        """
        ...

    async def media(self, media_id: str) -> MediaStatus:
        """Return how far an upload is; thousands of askers share a few list calls."""
        ...

    async def submit_analysis(self, question: Question, still_ours: Callable[[], None]) -> str | Answer:
        """Ask. Return the provider's task id, or the answer where the dialect answers at once. Paid."""
        ...

    async def find_analysis(self, question: Question) -> str | None:
        """Return the provider's task id of this very question, or None.

        Raises:
            Ambiguous: where the dialect has no way to ask.
        """
        ...

    async def analysis(self, question: Question, task_id: str) -> AnalysisStatus:
        """Return how far an analysis is; shares list calls like :meth:`media`."""
        ...

    async def check(self) -> Mapping[str, Json]:
        """Make one cheap read-only call; return facts for ``doctor``. Raises what is wrong."""
        ...

    async def aclose(self) -> None:
        """Close connections. Idempotent."""
        ...


class Limiter(Protocol):
    """Shared politeness: requests, minutes of video and tokens per minute, hour and day, per endpoint group."""

    async def admit(self, group: str, *, minutes: float = 0.0, tokens: float = 0.0) -> None:
        """Take room in every bucket of the group, sleeping at most a second for it.

        Raises:
            Throttled: when the wait would be longer; ``after`` says how long.
        """
        ...

    def learn(self, group: str, *, wait: float | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Take over what the other side said: a wait after a 429, or the counters of its headers."""
        ...


# ------------------------------------------------------------------------------------------------------- source, sink


@dataclass(frozen=True, slots=True)
class Line:
    """One wish of the user: a source and what to do with it. ``place`` is file and line, for messages."""

    source: str  #: as written
    place: str = ""
    id: str = ""
    title: str = ""
    tags: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()  #: empty = as configured
    prompt: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """A line's video, with its canonical key, e.g. ``file:/films/a.mp4`` or ``youtube:video:<id>``; or a list of videos."""

    key: str
    kind: Literal["file", "url", "youtube", "youtube_list"]
    locator: str  #: absolute path, or address
    line: Line
    bounds: Mapping[str, Json] = field(default_factory=dict)  #: what its list takes, as ``listings.bounds_of`` says it


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What a look into the file found, before a byte moves."""

    path: Path
    size: int  #: bytes
    seconds: float
    width: int
    height: int
    container: str
    video_codec: str
    audio_codec: str  #: empty: silent
    mime: str
    sha256: str = ""  #: of the whole content
    mtime_ns: int = 0
    captions: tuple[Path, ...] = ()  #: .srt/.vtt files found beside it
    picture: Path | None = None  #: the thumbnail that was fetched with it
    about: Mapping[str, Json] = field(default_factory=dict)  #: what the site says of a fetched video: title, channel …
    fetched: bool = False  #: the file is our own copy: to be removed once its upload is proved

    @property
    def aspect(self) -> float:
        """Long side over short side."""
        return max(self.width, self.height) / max(1, min(self.width, self.height))


class Source(Protocol):
    """Turns an item into a file on this machine (or leaves it a URL), and says what it is."""

    kind: str

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        """Return the facts of a readable media file, content hash included.

        Raises:
            InputError: this item cannot be used (missing, empty, unreadable, no video stream).
            Transient: try later.
        """
        ...


@dataclass(frozen=True, slots=True)
class OutFile:
    """One file to be written: a name inside the video's folder, and its whole content."""

    name: str
    content: str | bytes


class Sink(Protocol):
    """Results on disk. Every file is written whole or not at all."""

    def folder(self, subject: str, title: str) -> str:
        """Return the folder name for a video: a slug of the title and eight characters of the key."""
        ...

    async def write(self, folder: str, files: Sequence[OutFile]) -> Mapping[str, int]:
        """Write the files into the folder and remove ours that are no longer wanted; return name → size in bytes."""
        ...

    async def add(self, folder: str, files: Sequence[OutFile]) -> None:
        """Write the files into a folder that several writers share; everything else in it stays."""
        ...

    async def missing(self, folder: str, sizes: Mapping[str, int]) -> bool:
        """Return True if any of the files is absent or has another size."""
        ...

    async def write_index(self, lines: AsyncIterator[str]) -> None:
        """Write ``results.jsonl`` from a stream of lines, whole or not at all."""
        ...

    async def has_index(self) -> bool:
        """Return True if ``results.jsonl`` is there."""
        ...
