"""What the page shows, as values.

Their field names are the keys of the data files, which the page's script reads.
Times are epoch seconds where a name ends in ``at``, seconds of the video in ``start``, ``end`` and ``seconds``; money is
US dollars. Every text is foreign: the page shows it as text and as nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pipeline.kit.page import PageBlock

FORMAT = 1  #: of the data files; the page refuses another

#: How a video stands: every question answered; some; none yet; stopped for good; a person must decide; put away.
VideoState = Literal["done", "partial", "waiting", "failed", "held", "cancelled"]
SourceKind = Literal["file", "youtube", "url"]


@dataclass(frozen=True, slots=True)
class WhyOpen:
    """What is wrong with a video, or what it waits for."""

    code: str
    message: str
    remedy: str = ""
    command: str = ""  #: to copy
    until_at: float | None = None


@dataclass(frozen=True, slots=True)
class CardRow:
    """One card: what the list shows, filters and sorts by."""

    number: int  #: by first publication; never changes, names the shard
    folder: str  #: below the output folder; the address of the video's view
    title: str
    seconds: float | None
    state: VideoState
    at: float  #: of the last answer
    usd: float
    source: SourceKind
    line: str = ""  #: the summary's first line
    tags: Sequence[str] = ()  #: of the manifest, and hashtags
    facets: Mapping[str, Sequence[str]] = field(default_factory=dict)  #: name of a question -> its classes
    poster: bool = False  #: ``gallery/posters/<folder>.webp`` is there
    why: WhyOpen | None = None


@dataclass(frozen=True, slots=True)
class OpenItem:
    """A card without results: what has failed, is held, put away or waits."""

    title: str
    state: VideoState
    source: SourceKind
    at: float
    tags: Sequence[str] = ()
    seconds: float | None = None
    why: WhyOpen | None = None


@dataclass(frozen=True, slots=True)
class PageResult:
    """One job's answer: its blocks, and where it came from."""

    name: str  #: as the configuration names it
    job: str
    blocks: Sequence[PageBlock]
    prompt: str = ""
    model: str = ""
    provider: str = ""
    asked_at: float | None = None
    answered_at: float | None = None
    files: Sequence[str] = ()  #: in the video's folder
    notes: Sequence[str] = ()
    current: bool = True  #: False: nobody asks for it now


@dataclass(frozen=True, slots=True)
class PageSource:
    """Where a video came from."""

    label: str  #: a name without folders that are not ours to show
    url: str = ""  #: of its page, ``https:`` only, without secrets
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaptionsRef:
    """Captions of a video: ``gallery/data/c-<folder's last eight>.js`` holds them."""

    file: str
    name: str = ""  #: of the file in the video's folder


@dataclass(frozen=True, slots=True)
class VideoEntry:
    """What a video's view shows and the search reads; one of a shard."""

    number: int
    folder: str
    results: Sequence[PageResult] = ()
    sources: Sequence[PageSource] = ()
    media: str = ""  #: a relative or ``file:`` address that plays; empty if it cannot be reached
    captions: CaptionsRef | None = None
    calls: int = 0
    minutes: float = 0.0
    doubtful: int = 0
    commands: Sequence[str] = ()  #: to copy: ask again, show
    cut: bool = False  #: its results are too large for the page; the folder holds them


class CueLine(NamedTuple):
    """One caption; a list in the file, as there are so many of them."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Captions:
    """The captions of one video."""

    folder: str
    cues: Sequence[CueLine]


# ---------------------------------------------------------------------------------------------------------- report


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in the figures."""

    started_at: float
    ended_at: float | None
    meaning: str  #: of its exit code, in words
    done: int = 0
    failed: int = 0
    waiting: int = 0
    unchanged: int = 0
    usd: float = 0.0
    minutes: float = 0.0
    doubtful: int = 0


@dataclass(frozen=True, slots=True)
class DayRow:
    """One day, UTC."""

    day: str  #: ``YYYY-MM-DD``
    usd: float
    minutes: float


@dataclass(frozen=True, slots=True)
class LimitRow:
    """How full a limit is when the page is made; its window slides."""

    message: str  #: what it limits, and by how much
    share: float  #: in use, percent
    used: float
    room_at: float | None = None  #: when there is room again; None: there is some
    named_at: float | None = None  #: when the platform last named it; None: it is the configured one


@dataclass(frozen=True, slots=True)
class CauseRow:
    """What has one cause in common, and what to do about it."""

    code: str
    message: str
    count: int
    remedy: str = ""
    command: str = ""
    names: Sequence[str] = ()  #: the first few
    until_at: float | None = None


@dataclass(frozen=True, slots=True)
class TimeSlice:
    """A slice of a run's time: what happened in it."""

    at: float  #: its beginning
    asked: int = 0  #: paid calls
    written: int = 0  #: videos published
    failed: int = 0


@dataclass(frozen=True, slots=True)
class RunsReport:
    """How the runs went."""

    sentence: str = ""  #: the last run in one
    runs: Sequence[RunRow] = ()  #: newest last, 400 at most
    days: Sequence[DayRow] = ()  #: oldest first, 400 at most, days without work left out
    usd_per_day: float | None = None  #: the limit, if there is one
    minutes_per_day: float | None = None  #: the configured limit, or a smaller one that the platform has named
    limits: Sequence[LimitRow] = ()  #: of the platform, each window of an hour or a day
    needs: Sequence[CauseRow] = ()  #: a person must act
    waits: Sequence[CauseRow] = ()  #: goes on by itself
    timeline: Sequence[TimeSlice] = ()  #: of the last run, equal slices, 120 at most
    slice_seconds: float = 0.0


# ----------------------------------------------------------------------------------------------------- the data files


@dataclass(frozen=True, slots=True)
class RowsFile:
    """A full file of rows that ``index.js`` does not hold itself."""

    file: str


@dataclass(frozen=True, slots=True)
class ShardFile:
    """A file of entries; several may share a range of 250 numbers."""

    file: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class GalleryIndex:
    """``gallery/data/index.js``, written last: what there is, the newest rows, the report."""

    made_at: float
    version: str  #: Reelmill's
    videos: int
    rows_files: Sequence[RowsFile]
    shards: Sequence[ShardFile]
    rows: Sequence[CardRow]  #: the newest, not in any rows file, by number
    open: Sequence[OpenItem] = ()  #: 500 at most
    open_count: int = 0
    report: RunsReport = field(default_factory=RunsReport)
    format: int = FORMAT
