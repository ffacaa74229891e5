"""Rate limits as values: what an answer says, how full a window is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What a limit counts.
QuotaKind = Literal["requests", "minutes", "tokens"]
#: How long its window is; empty: nobody said.
QuotaSpan = Literal["", "minute", "hour", "day"]


@dataclass(frozen=True, slots=True)
class QuotaNote:
    """What one answer says about one limit."""

    kind: QuotaKind = "requests"
    span: QuotaSpan = ""
    limit: float | None = None
    left: float | None = None
    resets: float | None = None  #: epoch seconds, by our clock
    reached: bool = False  #: the call was refused because of it


@dataclass(frozen=True, slots=True)
class QuotaGauge:
    """How full one window of one endpoint group is."""

    group: str
    window: str  #: e.g. ``minutes_per_day``
    used: float
    limit: float
    room_at: float = 0.0  #: when there is room again, epoch seconds; 0: there is some now
    learned_at: float = 0.0  #: when an answer last named this limit; 0: it is the configured one
    unnamed: bool = False  #: no answer names it: since ``learned_at``, calls are known to be refused from here on
