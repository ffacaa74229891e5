"""What an index holds, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.core.model import Json
    from pipeline.ports.index_api import ClassScore, IndexedVideo, IndexInfo, SearchHit


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
