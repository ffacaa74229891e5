"""The nouns: frozen values that every layer may use; no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from json import JSONEncoder
from typing import Any, Literal, TypeAlias


def fingerprint(*parts: Json) -> str:
    """Return 16 hex characters, equal for equal values whatever the order of keys."""
    # Half a surrogate pair, of a file name that is not UTF-8, counts like any other character.
    return sha256(_canonical(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


_canonical = JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=list).encode
#: Anything ``json.dumps`` writes. Task data, result bodies and events are made of it and of nothing else.
Json: TypeAlias = Any


class State(StrEnum):
    """What the engine knows about a task; the same six states for every type."""

    PENDING = "pending"  #: waits for its due time
    RUNNING = "running"  #: a worker holds the lease
    DONE = "done"
    FAILED = "failed"  #: will not be tried again by itself
    CANCELLED = "cancelled"  #: an operator stopped it
    HELD = "held"  #: a person must decide, because going on may pay twice

    @property
    def terminal(self) -> bool:
        """True where only an operator or a restart moves the task again."""
        return self not in (State.PENDING, State.RUNNING)


class Lane(StrEnum):
    """A queue of its own width: a slow lane never starves a fast one."""

    FETCH = "fetch"  #: read the media, preflight, hash
    DOWNLOAD = "download"  #: from a site that must be asked politely: parked as a whole when it refuses us
    UPLOAD = "upload"  #: bytes to the provider
    POLL = "poll"  #: ask how far the provider is
    BATCH = "batch"  #: packed into a batch, or part of one
    ANALYZE = "analyze"  #: paid analysis requests
    WRITE = "write"  #: results to disk


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write a task's outcome.

    ``token`` grows with each claim, so a stale worker is fenced out.
    """

    owner: str
    token: int
    until: float  #: epoch seconds


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something did not work, as data: stored, shown by ``why``, selected by ``retry --class``."""

    code: str  #: stable machine word, e.g. ``video_too_short``; the value of ``retry --class``
    message: str  #: one plain sentence
    remedy: str = ""  #: what the operator can do next
    detail: str = ""  #: the other side's words as received, redacted, at most a few hundred characters

    def as_json(self) -> dict[str, str]:
        """Return the four fields as a JSON object."""
        return {"code": self.code, "message": self.message, "remedy": self.remedy, "detail": self.detail}

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> Trouble:
        """Read back what :meth:`as_json` wrote; missing fields become empty."""
        return cls(data["code"], data["message"], data.get("remedy", ""), data.get("detail", ""))


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to submit; its identity is ``(kind, key)``, however often submitted.

    ``restart_at`` names the stage at which an existing task of the same identity starts again: a done one becomes
    pending there; a running one does so when it next ends as done; a pending one stays where it is. Failed ones restart
    only with ``restart_failed``; cancelled and held ones never. ``None`` leaves any existing task as it is. If the task
    restarts at once or is pending, ``data`` is merged over its data; a running task keeps its own.
    """

    kind: str
    key: str
    stage: str
    data: Mapping[str, Json] = field(default_factory=dict)
    subject: str = ""
    due: float = 0.0
    restart_at: str | None = None
    restart_failed: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """A new task with the lane and rank of its stage. Made by ``TaskTypes.place``."""

    new: NewTask
    lane: Lane
    rank: int
    restart_lane: Lane | None = None
    restart_rank: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """One durable piece of work.

    ``state`` belongs to the engine; ``stage`` is the task type's own cursor, which stores never interpret. ``wake_at`` is
    due time while pending, lease expiry while running and ``None`` once terminal: one indexed column.
    """

    id: int
    kind: str
    key: str
    stage: str
    data: Mapping[str, Json]
    state: State
    lane: Lane
    rank: int  #: later stages have the higher rank and are claimed first
    subject: str = ""  #: key of the video this is about; empty until known
    attempt: int = 0  #: failed or lost attempts at the present stage
    claims: int = 0  #: how often the present stage was claimed; 1 = nobody can have acted before
    wake_at: float | None = 0.0
    stage_since: float = 0.0  #: when the present stage was entered, epoch seconds: deadlines count from here
    created: float = 0.0
    updated: float = 0.0
    lease: Lease | None = None
    trouble: Trouble | None = None  #: the last error, kept until the task succeeds

    @property
    def fresh(self) -> bool:
        """True when nobody can have acted in this stage before."""
        return self.claims <= 1


@dataclass(frozen=True, slots=True)
class Result:
    """A finished answer. ``(subject, job, fingerprint)`` is its identity; a second write of it changes nothing."""

    subject: str
    job: str  #: job name, or ``_answer`` for a provider answer exactly as received
    fingerprint: str
    body: Json
    meta: Mapping[str, Json] = field(default_factory=dict)  #: provider, model, usage, times, ids, cost
    created: float = 0.0


REFUND = "/refused"  #: how the keys of entries end that take others back
SETTLED = "/settled"  #: of entries that add what the answer or the true length makes a call cost, more or less
MOVED = "/moved-"  #: before the number of an entry that counts an unsent call in another run or on another day
SETTLEMENTS = (SETTLED, "/length")  #: the second is of older databases
DOUBT = "/doubt"  #: of entries without an amount, which only tell that something is possibly paid twice


@dataclass(frozen=True, slots=True)
class Spend:
    """One paid effect in the ledger, written with the intent, before the call.

    Entries are never changed. A second one takes a call back that was surely refused (:attr:`refund`), or settles what
    was booked (:attr:`settlement`); it has the time and the run of the first, so that each sum stays true.
    """

    key: str  #: our key of the effect; the ledger holds each key once
    what: str  #: ``analyze``, ``index``, ``upload``, ``search``
    usd: float  #: what counts: the most that the call can cost, until it is settled; by the configured prices
    minutes: float = 0.0  #: billed input minutes
    subject: str = ""
    doubtful: bool = False  #: made again although the call before may have been accepted: possibly paid twice
    at: float = 0.0
    estimate: float = 0.0  #: USD that ``plan`` expects of it
    jobs: str = ""  #: that one analysis answers, by name, separated by commas
    run: str = ""  #: id of the run that booked it; empty in older databases

    @property
    def refund(self) -> bool:
        """True for an entry that takes another one back; its amounts are negative."""
        return self.key.endswith(REFUND)

    @property
    def settlement(self) -> bool:
        """True for an entry that corrects another one."""
        return self.key.endswith(SETTLEMENTS)

    @property
    def calls(self) -> int:
        """How many calls this entry adds to a sum."""
        return -1 if self.refund else 0 if self.key.endswith((*SETTLEMENTS, DOUBT)) else 1


#: How an item stands as a whole: by itself until it is done, then by the worst task of its video.
Standing: TypeAlias = Literal["done", "working", "failed", "held", "cancelled"]
#: A fact of a task's data: its kind and its place there, e.g. ``("publish", "$.folder")``.
FactPath: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ItemQuery:
    """Which items are meant, and in which order. Empty fields do not narrow."""

    standing: tuple[Standing, ...] = ()
    mentions: tuple[str, ...] = ()  #: texts that a name of the item or of its results must hold, all of them; as below
    begins: str = ""  #: how the items' keys begin
    ignored: Sequence[int] = ()  #: ids of stopped tasks that do not count where results are written
    order: Sequence[FactPath] = ()  #: by the first of these texts that is not empty; none: the newest first
    facts: Sequence[FactPath] = ()  #: what to read of other tasks of the video


@dataclass(frozen=True, slots=True)
class ListedItem:
    """An item as a whole."""

    item: Task
    standing: Standing
    facts: Sequence[Json]  #: as asked for; None where there is nothing
    usd: float  #: of its video, with what was possibly paid twice
    doubtful: int  #: calls of its video that were possibly paid twice


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item of a list.

    Field names are ``--json`` keys and the columns of ``--csv``, in this order.
    """

    state: Standing | Literal["skipped"]
    title: str
    source: str  #: as the user gave it; an address without what may be a key
    place: str  #: the line of a list that named it, or the argument
    id: str  #: the user's own
    tags: Sequence[str]
    seconds: float | None  #: length of the video
    usd: float  #: paid for its video so far
    possibly_twice: int  #: calls among them that were possibly paid twice
    folder: str  #: of its results in the output folder; empty: none yet
    created: float  #: when a run saw it first, epoch seconds
    updated: float  #: when its own task changed last
    key: str  #: names it in any command; an address without what may be a key


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Which items to list. Empty fields do not narrow."""

    text: str = ""  #: that title, source, folder or id hold
    states: Sequence[str] = ()
    tags: Sequence[str] = ()  #: any of them
    source: str = ""  #: file, url, youtube; a list; a folder or the beginning of an address
    by_title: bool = False  #: else the newest first


@dataclass(frozen=True, slots=True)
class ForgetRow:
    """One item that is forgotten, and what goes with it."""

    item: str  #: as it was named
    key: str
    source: str
    tasks: int  #: rows of the queue
    results: int  #: stored answers
    folder: str = ""  #: of its results, in the output folder
    files: Sequence[str] = ()  #: that go, within the folder
    kept: Sequence[str] = ()  #: that a person has added or changed: they stay
    shared: int = 0  #: other lines of the same video: its results stay for them
    usd: float = 0.0  #: paid for it; that stays in the ledger
    place: str = ""  #: the line of a list that named it
    account: Sequence[str] = ()  #: what goes from the account: sort and id of each
    at_work: int = 0  #: analyses that the platform may be at work on; they are cancelled there first
    left_running: int = 0  #: analyses of that sort that go on there


@dataclass(frozen=True, slots=True)
class Recalled:
    """What came of telling the platform that analyses are cancelled."""

    cancelled: int = 0  #: that it has ended without an answer
    answered: int = 0  #: that it had answered before
    going_on: int = 0  #: that it carries out all the same
    in_batches: int = 0  #: that go on in a batch with others
    sought: int = 0  #: calls without an answer that it does not show so far: it may still accept them
    absent: int = 0  #: calls without an answer that it has not shown for as long as such calls are looked for
    untold: int = 0  #: of which it could not be told now
    usd: float = 0.0  #: that the ledger counts for those that were cancelled alone
    trouble: Trouble | None = None  #: why some go on, or it could not be told


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What is forgotten; ``done`` False: nothing was taken out."""

    rows: Sequence[ForgetRow]
    done: bool = False
    unwritten: str = ""  #: why index or page still name it; the next run writes them
    refused: Sequence[str] = ()  #: what the platform does not let go of, and why
    platform: Recalled | None = None  #: what it said of analyses that it was at work on


#: What the ledger can be summed up by.
CostKey: TypeAlias = Literal["job", "day", "month", "source", "run", "kind"]


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A provider answer as received, without its text."""

    id: int
    subject: str
    fingerprint: str
    size: int  #: bytes that it takes


@dataclass(frozen=True, slots=True)
class ChangedVideo:
    """A video whose results were written or forgotten lately."""

    mark: int  #: the place of the change among all of them
    key: str


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Bytes of the database's file."""

    size: int
    unused: int  #: of them: kept for later rows, and no use to others


@dataclass(frozen=True, slots=True)
class CostGroup:
    """A sum over ledger entries. What was possibly paid twice stands apart."""

    name: str  #: a job's, a day (``2026-11-28``), an item's key ...; empty where nobody noted it
    calls: int = 0  #: that were not refused, the doubtful repeats among them
    settled: int = 0  #: calls whose true cost is known
    estimate: float = 0.0  #: USD expected beforehand, without the doubtful ones
    usd: float = 0.0  #: USD settled, or reserved where nothing is settled; without the doubtful ones
    minutes: float = 0.0  #: billed input minutes, all calls
    doubtful: int = 0  #: calls that were possibly paid twice
    doubtful_usd: float = 0.0  #: their price
    videos: int = 0  #: that the entries are about
    unpriced: int = 0  #: answers of ``ask`` that have a price which nobody has configured: they count as nothing

    @property
    def total_usd(self) -> float:
        """USD with the doubtful ones."""
        return self.usd + self.doubtful_usd


@dataclass(frozen=True, slots=True)
class SpentWindow:
    """What was spent in the day or month of now, UTC, and its limit."""

    name: str  #: day or month
    usd: float
    limit: float | None = None  #: None: no limit


@dataclass(frozen=True, slots=True)
class Parked:
    """A lane that takes no new work until a time; survives restarts."""

    scope: str  #: a lane's name; followed by ``@`` and a host's, it rests on that host only
    until: float  #: epoch seconds
    trouble: Trouble

    @property
    def lane(self) -> str:
        """The name of the lane."""
        return self.scope.partition("@")[0]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tasks are meant. Empty fields do not narrow."""

    kinds: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    stages: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()  #: trouble codes
    limit: int = 0  #: 0 = all
    after_id: int = 0  #: for reading page by page: only ids above this
    since: float = 0.0  #: only what was changed at this time or later, epoch seconds
    #: Texts of which a name of the task holds one: key, source, place, id, title, tags, folder, ids at the platform. ASCII
    #: letters in any case.
    mentions: tuple[str, ...] = ()
    begins: str = ""  #: how subjects begin


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tasks there are: ``by[kind][state]`` and ``in_lane[lane]`` = pending and running ones."""

    by: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    in_lane: Mapping[str, int] = field(default_factory=dict)
    troubles: Mapping[str, int] = field(default_factory=dict)  #: failed and held tasks by trouble code


@dataclass(frozen=True, slots=True)
class Stopped:
    """What failed or is held, in numbers."""

    items: int = 0  #: videos, and lines without a video, that count
    classes: Mapping[str, int] = field(default_factory=dict)  #: of those: trouble code -> tasks
    away: int = 0  #: tasks that do not count


@dataclass(frozen=True, slots=True)
class PendingGroup:
    """Pending tasks that are alike, all due or all asleep."""

    items: int  #: videos, or lines whose video is not known yet
    due: float  #: the earliest due time, epoch seconds
    until: float  #: the latest
    example: Task  #: the one that was submitted first


@dataclass(frozen=True, slots=True)
class RunNote:
    """One line of the run history."""

    id: str
    started: float
    ended: float | None = None
    exit_code: int | None = None
    summary: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class About:
    """All that is stored of one video, each sort oldest first."""

    tasks: Sequence[Task]
    results: Sequence[Result]
    spends: Sequence[Spend]
