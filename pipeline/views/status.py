"""The database in one page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.core.model import Json, Parked, SpentWindow, Trouble
    from pipeline.ports.quota import QuotaGauge
    from pipeline.views.cluster import HostView
    from pipeline.views.lines import BadLine


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
    hosts: Sequence[HostView] = ()  #: that share the database; empty for a file
