"""How a run goes, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.core.model import Parked, Trouble
    from pipeline.views.lines import BadLine, LeftOut


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
class Delivery:
    """What became of telling somebody in one configured way."""

    way: Literal["ping", "post_json", "on_end", "textfile", "notify"]  #: the key in ``[watch]``
    to: str  #: whom, as far as it may be shown
    sent: bool
    seconds: float  #: it took
    why: str = ""  #: it was not sent


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
