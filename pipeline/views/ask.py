"""What a question across many videos was answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.views.index import VideoRef


@dataclass(frozen=True, slots=True)
class CitedMoment:
    """A moment that an answer rests on, within a video that was asked."""

    video: VideoRef
    start: float  #: seconds
    end: float
    quote: str  #: the platform's own words


@dataclass(frozen=True, slots=True)
class AnswerView:
    """An answer with its moments."""

    question: str
    provider: str  #: e.g. ``local/v1.3``
    answer: str
    checked: bool  #: False: it did not come in our form, and nobody has checked what moments it names
    moments: Sequence[CitedMoment]
    dropped: Mapping[str, int]  #: why moments do not count -> how many
    videos: int  #: that were asked
    absent: int  #: that fit, and are not on the platform
    unread: int  #: that the platform could not read
    cut: bool  #: it ends at the platform's limit of tokens
    usage: Mapping[str, int]  #: tokens, as the platform tells them
    usd: float | None  #: by the configured prices; None: no price is known
    at: float  #: when it was asked, epoch seconds
    kept: bool = False  #: an earlier answer, shown again without a call
