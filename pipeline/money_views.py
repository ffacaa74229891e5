"""Plans and costs: results of commands, and the contract of ``--json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import inf
from typing import Final, Literal

from pipeline.core.model import CostGroup, CostKey, SpentWindow
from pipeline.ports.quota import QuotaGauge
from pipeline.views import BadLine, LeftOut

PlanAction = Literal[
    "new", "unfinished", "analyze", "moved", "rewrite", "restore", "nothing", "cancelled", "failed", "held"
]
#: Actions that a plan counts, and has no row for.
UNLISTED: Final = ("nothing", "cancelled")


@dataclass(frozen=True, slots=True)
class PlanRow:
    """What a run would do for one item."""

    source: str
    title: str
    #: moved: known content under another name; rewrite: only its words or its jobs have changed. Both cost nothing.
    #: analyze without jobs: only the index is new.
    action: PlanAction
    jobs: Sequence[str]  #: jobs that would be asked
    seconds: float | None  #: length of the video, None where it is not known before a fetch
    upload_bytes: int
    usd: float
    problem: str = ""
    elsewhere: str = ""  #: why the vendor would refuse it, where the platform of this run takes it
    looks_at: float | None = None  #: seconds of it that are asked about; None: no length is known, or nothing is asked


@dataclass(frozen=True, slots=True)
class FileChange:
    """What a run would do to one file."""

    change: Literal["write", "change", "remove"]
    path: str  #: below the output folder; ``*`` stands for what nobody knows yet


@dataclass(frozen=True, slots=True)
class PricePart:
    """One kind of cost in a plan."""

    kind: str  #: analysis minutes, answer tokens, indexing minutes, queries
    model: str  #: empty: by the default prices
    amount: float  #: minutes, tokens or queries
    usd: float  #: expected
    usd_most: float


@dataclass(frozen=True, slots=True)
class PlannedLane:
    """How the analyses of a plan are asked."""

    lane: Literal["task", "batch"]
    why: str
    analyses: int
    batches: int  #: 0: asked alone
    task_hours: float  #: that they take alone, at the configured limits
    batch_hours: float | None  #: the same by batches; None: no batch takes them
    saves_usd: float  #: that batches cost less


@dataclass(frozen=True, slots=True)
class Plan:
    """The difference between what the configuration wants and what exists, with its price."""

    rows: Sequence[PlanRow]  #: the first ``limit`` rows that need something
    counts: Mapping[str, int]  #: action -> items
    usd: float  #: expected
    minutes: float  #: of video to be analysed
    upload_bytes: int
    unknown: int  #: items whose length is not known, so that the price leaves them out
    bad_lines: Sequence[BadLine]
    bad_count: int
    provider: str
    budget_usd: float | None = None
    queries: int = 0  #: standing queries that the run would ask at its end
    queries_usd: float = 0.0  #: their share of ``usd``
    left_out: Sequence[LeftOut] = ()  #: by folder or pattern, the first few
    price_notes: Sequence[str] = ()  #: models without a price, each in a sentence
    usd_most: float = 0.0  #: with every answer as long as it may be: what a run reserves
    parts: Sequence[PricePart] = ()  #: of ``usd``, by kind and model
    unknown_usd_most: float | None = 0.0  #: what videos of unknown length add at most; None: lists may hold any number
    spent: Sequence[SpentWindow] = ()  #: today and this month, UTC, before this run
    seconds: float | None = None  #: that its calls take at the configured limits; None: there are none
    quota: Sequence[QuotaGauge] = ()  #: limits per hour and day of which earlier runs have used something
    files: Sequence[FileChange] | None = None  #: the first of them; None: not asked for
    file_counts: Mapping[str, int] = field(default_factory=dict)  #: write, change, remove -> files
    refused_elsewhere: int = 0  #: videos that the vendor would refuse, and the platform of this run takes
    lane: PlannedLane | None = None  #: None: batches are off, or nothing is asked

    @property
    def highest_usd(self) -> float:
        """USD that the run can cost: long answers, and videos of unknown length."""
        return inf if self.unknown_usd_most is None else self.usd_most + self.unknown_usd_most


@dataclass(frozen=True, slots=True)
class AgainRow:
    """One finished item, and what would be asked of it again."""

    item: str  #: as it was named
    key: str
    jobs: Sequence[str] = ()  #: to be asked again
    already: Sequence[str] = ()  #: were set before, and no answer has come since
    seconds: float | None = None  #: length of the video, None where it is not known
    usd: float = 0.0  #: expected of all of these jobs
    left: str = ""  #: why nothing is asked; empty if something is


@dataclass(frozen=True, slots=True)
class Again:
    """What is asked again, with its price; ``agreed`` False: nothing was changed."""

    rows: Sequence[AgainRow]
    usd: float  #: expected
    usd_most: float  #: with every answer as long as it may be: what a run reserves
    parts: Sequence[PricePart] = ()
    agreed: bool = False

    @property
    def jobs(self) -> int:
        """How many answers are to be asked for."""
        return sum(len(row.jobs) for row in self.rows)


@dataclass(frozen=True, slots=True)
class CostsView:
    """The ledger in groups."""

    by: CostKey
    since: float  #: epoch seconds; 0: all of it
    groups: Sequence[CostGroup]  #: days, months and runs in order, others dearest first

    @property
    def total(self) -> CostGroup:
        """All groups together; a video of several groups counts in each."""
        sums = [sum(getattr(group, each.name) for group in self.groups) for each in fields(CostGroup)[1:]]
        return CostGroup("", *sums)
