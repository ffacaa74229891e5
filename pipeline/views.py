"""The results of commands: ``present`` renders them; the contract of ``--json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.core.model import Json, Parked, Result, Spend, SpentWindow, Task, Trouble
from pipeline.ports.index_api import ClassScore, IndexedVideo, IndexInfo, SearchHit
from pipeline.ports.inventory import RemoteObject
from pipeline.ports.quota import QuotaGauge
from pipeline.ports.source import Item


@dataclass(frozen=True, slots=True)
class BadLine:
    """A manifest line that cannot be used. It stops nothing else (unless ``--strict``)."""

    place: str  #: ``list.csv:17`` or ``argument 2``
    source: str  #: as written, cut to 200 characters
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class LeftOut(BadLine):
    """Files in a folder or pattern that are no videos; only told."""

    counts: Mapping[str, int]  #: why -> number


@dataclass(frozen=True, slots=True)
class MissingFile(BadLine):
    """A line that names a missing file; no failure for finished videos."""

    item: Item
    video: bool  #: by its ending; else it could have been a folder or a list


@dataclass(frozen=True, slots=True)
class LaneView:
    """One lane at this moment."""

    lane: str
    running: int
    waiting: int  #: pending in this lane, due or not
    width: int  #: how many may run at once
    finished: int  #: steps finished in this run
    rate: float  #: steps per minute over the last minute


@dataclass(frozen=True, slots=True)
class WorkView:
    """One thing that is worked on at this moment."""

    doing: str  #: reading, downloading, uploading, asking, writing; at the platform: processing, analysing, indexing
    name: str  #: the user's own word for the video
    moved: int = 0  #: bytes so far, where bytes move
    total: int = 0  #: bytes in all; 0 where nobody knows
    rate: float = 0.0  #: bytes per second over the last seconds


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a run stands, for the live display."""

    elapsed: float  #: seconds since the start
    items_total: int  #: items of this run read so far
    items_done: int
    items_failed: int
    reading: bool  #: the manifest is still being read
    lanes: Sequence[LaneView]
    spent_usd: float
    minutes: float  #: length of the videos finished in this run, minutes
    eta: float | None  #: seconds until the end; None where nobody can say
    working: Sequence[WorkView] = ()
    parked: Sequence[Parked] = ()
    stopping: bool = False


#: A live display: given a way to look at the run, shows it for as long as the context lasts.
Watch = Callable[[Callable[[], Snapshot]], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class QueryReport:
    """What became of a standing query in a run."""

    name: str
    state: Literal["done", "failed", "skipped"]
    found: int = 0  #: hits, or videos sorted into a class
    file: Path | None = None
    trouble: Trouble | None = None  #: why it failed, or was not asked
    exit_code: int = 0  #: what the run should end with for this one


@dataclass(frozen=True, slots=True)
class NamedItems:
    """Items with the same fate in a run."""

    count: int
    names: Sequence[str] = ()  #: the first few, by the user's own words


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended."""

    run_id: str
    started: float
    ended: float
    exit_code: int
    items: Mapping[str, int]  #: done, failed, held, cancelled, working -> number of items in the database
    lines: int  #: usable manifest lines read in this run
    bad_lines: Sequence[BadLine]
    bad_count: int  #: all bad lines; ``bad_lines`` holds the first few
    analyses: int  #: paid analyses that the platform took in this run, or may have taken
    published: int  #: videos whose results were written in this run
    usd: float  #: spend of this run: by its answers, and the most that it can be where there is no answer yet
    minutes: float  #: billed minutes of this run
    doubtful: int  #: calls of this run that were possibly paid twice
    output: Path
    provider: str  #: e.g. ``local/v1.3``
    troubles: Sequence[tuple[str, Trouble]] = ()  #: (item, why) of what failed or is held and is listed, the first few
    troubled: int = 0  #: all these items
    videos: Mapping[str, int] = field(default_factory=dict)  #: as ``items``, where sources of one content count once
    queries: Sequence[QueryReport] = ()  #: the standing queries, in the order of the configuration
    resume_at: float | None = None  #: epoch seconds, for exit 6
    note: str = ""  #: why it stopped early, one sentence
    duplicates: int = 0  #: lines that named a video which an earlier line had named
    edited: Sequence[str] = ()  #: results that somebody had changed: where they were kept, below ``output``
    doubtful_total: int = 0  #: doubtful calls in the whole ledger: those of a run that was killed are told as well
    left_out: Sequence[LeftOut] = ()  #: by folder or pattern, the first few
    indexed: int = 0  #: calls that put a video into an index, and were accepted or may have been; they cost, too
    page: Path | None = None  #: over the results; None if it was not made
    page_trouble: Trouble | None = None  #: why it could not be written; the next run writes it
    untold: Sequence[Delivery] = ()  #: who of ``[watch]`` could not be told of this run; nobody yet when they are told
    #: Fate -> items: new, asked_again, rewritten, unchanged, skipped, failed, held, still_failed, cancelled (earlier),
    #: waiting. None is empty.
    this_run: Mapping[str, NamedItems] = field(default_factory=dict)
    price_notes: Sequence[str] = ()  #: as in :class:`Plan`
    estimate_usd: float = 0.0  #: what its calls were expected to cost, as ``plan`` reckons
    time_up: bool = False  #: it ended because of ``max_time``, with something left to do


@dataclass(frozen=True, slots=True)
class PruneLine:
    """What of one sort goes, or went."""

    what: str  #: answers, runs, downloads, page files
    count: int
    size: int  #: bytes
    kept: int = 0  #: as old, and needed


@dataclass(frozen=True, slots=True)
class Pruned:
    """What nothing needs any more, and what became of it."""

    lines: Sequence[PruneLine]
    database_size: int  #: bytes, before
    database_unused: int  #: bytes of it, before
    done: bool = False  #: it was taken away
    given_back: int = 0  #: bytes of the database that the disk has again
    note: str = ""  #: why the database gave nothing back


@dataclass(frozen=True, slots=True)
class GalleryMade:
    """The page over the results, as it was written."""

    page: Path
    address: str  #: ``file:``, for a browser
    videos: int  #: with results
    open_items: int  #: without: failed, held, waiting, cancelled


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of telling somebody in one configured way."""

    way: Literal["ping", "post_json", "on_end", "textfile", "notify"]  #: the key in ``[watch]``
    to: str  #: whom, as far as it may be shown
    sent: bool
    seconds: float  #: it took
    why: str = ""  #: it was not sent


@dataclass(frozen=True, slots=True)
class WaitView:
    """What waits for one reason."""

    code: str  #: of the trouble or the pause; ``stage`` for the usual course; ``due`` for what waits for a run only
    why: str  #: one sentence
    items: int
    due: float | None  #: when the first goes on, epoch seconds; None: with the next run
    until: float | None  #: when the last does
    parked: bool  #: its whole lane is paused
    example: str  #: one of the items, by the user's own word


@dataclass(frozen=True, slots=True)
class BatchView:
    """A batch of analyses on its way to the platform, or there."""

    id: str  #: the platform's; empty before it has accepted it
    stage: str  #: submit, look, await
    analyses: int
    counts: Mapping[str, int]  #: items by the platform's status words, as last seen
    since: float  #: when it was accepted, else packed, epoch seconds


@dataclass(frozen=True, slots=True)
class StatusView:
    """The database in one page."""

    items: Mapping[str, int]
    tasks: Mapping[str, Mapping[str, int]]  #: kind -> state -> number
    troubles: Mapping[str, int]  #: trouble code -> tasks that failed or are held, of what lists name
    attention: Sequence[tuple[str, str, Trouble]]  #: (state, item, why) of failed and held items, the first few
    parked: Sequence[Parked]
    running: str  #: who runs on this state folder right now; empty if nobody
    runs: Sequence[Mapping[str, Json]]
    usd_total: float
    minutes_total: float
    videos: Mapping[str, int] = field(default_factory=dict)  #: as ``items``, where sources of one content count once
    waiting: Mapping[str, int] = field(default_factory=dict)  #: lane -> tasks that are pending or running in it
    doubtful_total: int = 0  #: calls in the whole ledger that were possibly paid twice
    waits: Sequence[WaitView] = ()  #: the same by reason, with its end
    unlisted: Sequence[tuple[str, str, Trouble]] = ()  #: as ``attention``, of what no list names any more
    unlisted_tasks: int = 0  #: all of them
    troubled: int = 0  #: all items of ``attention``
    stopped: Trouble | None = None  #: why the last run stopped and nothing goes on before a person acts
    bad_lines: Sequence[BadLine] = ()  #: of the last run's lists, the first few
    bad_count: int = 0  #: all of them
    spent: Sequence[SpentWindow] = ()  #: today and this month, UTC
    quota: Sequence[QuotaGauge] = ()  #: how full each window of each limit is; empty where none is kept
    batches: Sequence[BatchView] = ()  #: those that have not ended


@dataclass(frozen=True, slots=True)
class CorrectedItem:
    """What a command of the operator did to one item."""

    item: str  #: as it was named
    key: str
    tasks: int  #: that changed
    left: str  #: why nothing changed; empty if something did


@dataclass(frozen=True, slots=True)
class Corrected:
    """What a command of the operator changed."""

    verb: Literal["retry", "cancel"]
    tasks: int = 0  #: that changed
    lanes: Sequence[str] = ()  #: that were parked and are open again
    items: Sequence[CorrectedItem] = ()  #: those that were named
    nothing: str = ""  #: why nothing changed, where no item was named
    limits: int = 0  #: that the platform had named, and that are forgotten now


@dataclass(frozen=True, slots=True)
class ItemView:
    """Everything known about one item."""

    item: Task
    title: str
    source: str
    state: str
    tasks: Sequence[Task]  #: the item's own and its video's, in order
    results: Sequence[Result]
    spends: Sequence[Spend]
    folder: Path | None
    explanation: str  #: one plain sentence: where it stands and why
    next_step: str  #: what the operator can do, or what happens by itself


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of ``doctor``."""

    name: str
    state: Literal["ok", "warn", "bad"]
    value: str
    costs: str = ""  #: what the lack costs, and what to do
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VideoRef:
    """A video that the platform named; without ``key`` it is foreign."""

    id: str  #: the provider's
    title: str
    key: str = ""
    source: str = ""
    folder: Path | None = None  #: of its results
    link: Path | None = None  #: the file of its results to look into first


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked what, and when."""

    provider: str  #: e.g. ``local/v1.3``
    index_id: str
    index_name: str
    query: Mapping[str, Json]  #: what was given, by the names of the configuration
    at: float  #: epoch seconds
    usd: float  #: by the configured prices


@dataclass(frozen=True, slots=True)
class SearchView:
    """What a search found, best first."""

    asked: Asked
    hits: Sequence[SearchHit]
    videos: Mapping[str, VideoRef]  #: by the provider's id
    total: int  #: by the provider's count
    pool_videos: int  #: how many videos were searched
    pool_seconds: float
    unread_videos: int = 0  #: of the index, with no words to search; only the local platform tells


@dataclass(frozen=True, slots=True)
class VideoClasses:
    """One video with the classes it fits."""

    video: VideoRef
    classes: Sequence[ClassScore]


@dataclass(frozen=True, slots=True)
class ClassifyView:
    """What a classification found."""

    asked: Asked
    videos: Sequence[VideoClasses]


@dataclass(frozen=True, slots=True)
class IndexedView:
    """One video of an index, and what we know of it."""

    video: IndexedVideo
    ours: VideoRef


@dataclass(frozen=True, slots=True)
class IndexView:
    """The videos of an index."""

    index: IndexInfo
    videos: Sequence[IndexedView]


@dataclass(frozen=True, slots=True)
class Leftover:
    """An object in the account that carries our mark and is no longer needed."""

    verdict: str  #: superseded, cancelled; stray: this database has not made it
    holding: RemoteObject
    key: str = ""  #: of the video or analysis that it was made for, where the database knows it
    item: str = ""  #: the user's own word for that video


@dataclass(frozen=True, slots=True)
class Vanished:
    """A video that is done here but missing at the platform."""

    key: str
    media_id: str
    item: str
    repair: Literal["file", "fetch", "address", "none"]  #: where its bytes would come from; none: the file is gone, too
    size: int = 0  #: bytes to be uploaded again
    seconds: float = 0.0
    usd: float = 0.0  #: what uploading it again costs by the configured prices: only where that means indexing


@dataclass(frozen=True, slots=True)
class Expiring:
    """Something of ours at the platform that will expire."""

    what: Literal["answer", "index"]
    id: str
    item: str
    until: float  #: epoch seconds; may be past


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An incomplete multipart upload. It costs nothing and expires by itself."""

    id: str
    state: Literal["in use", "left behind", "foreign"]
    item: str
    size: int  #: bytes
    until: float  #: epoch seconds; 0 = not said


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The database compared with the account, and what would be done about it."""

    account: str  #: name and dialect
    at: float
    counts: Mapping[str, Mapping[str, int]]  #: sort of thing -> verdict -> how many; foreign ones are only counted
    orphans: Sequence[Leftover]  #: to be deleted, in this order
    strays: Sequence[Leftover]  #: to be deleted only where that is asked for
    vanished: Sequence[Vanished]
    expiring: Sequence[Expiring]
    sessions: Sequence[OpenUpload]
    left_out: int = 0  #: leftovers and vanished videos beyond the limit: run it again for those
    not_found: Sequence[str] = ()  #: ids that were asked for and that this plan has nothing to do with

    @property
    def repairable(self) -> Sequence[Vanished]:
        """Vanished videos that can be uploaded again."""
        return [each for each in self.vanished if each.repair != "none"]


@dataclass(frozen=True, slots=True)
class Agreed:
    """What somebody has agreed to; ``declined`` if they refused something."""

    delete: Sequence[Leftover] = ()
    repair: Sequence[Vanished] = ()
    declined: bool = False


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was done of a plan."""

    plan: Reconciliation
    deleted: Sequence[RemoteObject] = ()
    gone: Sequence[RemoteObject] = ()  #: were not there any more
    changed: Sequence[RemoteObject] = ()  #: were not what the plan had seen any more, and were left alone
    refused: Sequence[tuple[RemoteObject, Trouble]] = ()  #: the platform does not let go of them
    rearmed: Sequence[Vanished] = ()  #: are uploaded again by the next run
    declined: bool = False  #: somebody was asked and said no to something

    @property
    def clean(self) -> bool:
        """True if nothing that was agreed to was left undone."""
        return not (self.changed or self.refused)
