"""What a run, a plan or a look into the database hands to whoever shows it. Values only; ``present`` renders them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.catalog import ClassScore, Hit, IndexedVideo, IndexInfo
from pipeline.model import Json, Parked, Result, Spend, Task, Trouble


@dataclass(frozen=True, slots=True)
class BadLine:
    """A manifest line that cannot be used. It stops nothing else (unless ``--strict``)."""

    place: str  #: ``list.csv:17`` or ``argument 2``
    source: str  #: as written, cut to 200 characters
    trouble: Trouble


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
class Snapshot:
    """How a run stands, for the live display."""

    elapsed: float  #: seconds since the start
    items_total: int  #: items of this run read so far
    items_done: int
    items_failed: int
    reading: bool  #: the manifest is still being read
    lanes: Sequence[LaneView]
    spent_usd: float
    minutes: float  #: minutes of video analysed in this run
    eta: float | None  #: seconds until the end at the present rate; None while unknown
    parked: Sequence[Parked] = ()
    stopping: bool = False


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
    analyses: int  #: paid analyses submitted in this run
    published: int  #: videos whose results were written in this run
    usd: float  #: estimated spend of this run
    minutes: float  #: billed minutes of this run
    doubtful: int  #: calls of this run that were possibly paid twice
    output: Path
    provider: str  #: e.g. ``local/v1.3``
    troubles: Sequence[tuple[str, Trouble]] = ()  #: (item or video, why), the first few failed and held ones
    queries: Sequence[QueryReport] = ()  #: the standing queries, in the order of the configuration
    resume_at: float | None = None  #: epoch seconds, for exit 6
    note: str = ""  #: why it stopped early, one sentence
    duplicates: int = 0  #: lines that named a video which an earlier line had named


@dataclass(frozen=True, slots=True)
class PlanRow:
    """What a run would do for one item."""

    source: str
    title: str
    action: Literal["new", "unfinished", "analyze", "restore", "nothing", "failed", "held"]
    jobs: Sequence[str]  #: jobs that would be asked
    seconds: float | None  #: length of the video, None where it is not known before a fetch
    upload_bytes: int
    usd: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The difference between what the configuration wants and what exists, with its price."""

    rows: Sequence[PlanRow]  #: the first ``limit`` rows that need something
    counts: Mapping[str, int]  #: action -> items
    usd: float
    minutes: float  #: of video to be analysed
    upload_bytes: int
    unknown: int  #: items whose length is not known, so that the price leaves them out
    bad_lines: Sequence[BadLine]
    bad_count: int
    provider: str
    budget_usd: float | None = None
    queries: int = 0  #: standing queries that the run would ask at its end
    queries_usd: float = 0.0  #: their share of ``usd``


@dataclass(frozen=True, slots=True)
class StatusView:
    """The database in one page."""

    items: Mapping[str, int]
    tasks: Mapping[str, Mapping[str, int]]  #: kind -> state -> number
    troubles: Mapping[str, int]
    attention: Sequence[tuple[str, str, Trouble]]  #: (state, item, why) of failed and held items
    parked: Sequence[Parked]
    running: str  #: who runs on this state folder right now; empty if nobody
    runs: Sequence[Mapping[str, Json]]
    usd_total: float
    minutes_total: float


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
    """A video that the platform named, as we know it. Without ``key`` it was not ingested from this state folder."""

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
    hits: Sequence[Hit]
    videos: Mapping[str, VideoRef]  #: by the provider's id
    total: int  #: by the provider's count
    pool_videos: int  #: how many videos were searched
    pool_seconds: float


@dataclass(frozen=True, slots=True)
class SortedVideo:
    """One video with the classes it fits."""

    video: VideoRef
    classes: Sequence[ClassScore]


@dataclass(frozen=True, slots=True)
class ClassifyView:
    """What a classification found."""

    asked: Asked
    videos: Sequence[SortedVideo]


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
