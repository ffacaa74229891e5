"""The port of indexes: their videos, search and classification, in one vocabulary.

What an API version has no call for raises ``Permanent`` with code ``not_in_this_api`` and says what to use instead.
Searches are paid calls that only ask; later pages are free. Conformance suite: ``tests/conformance/test_index_api.py``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from pipeline.core.model import Json


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """An index to make. ``models`` are (name, options); v1.2 calls them engines."""

    name: str
    models: Sequence[tuple[str, tuple[str, ...]]] = ()  #: empty: the dialect's default
    addons: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """An existing index. Times are the platform's own RFC 3339 strings."""

    id: str
    name: str
    models: Sequence[tuple[str, tuple[str, ...]]]
    addons: Sequence[str]
    videos: int
    seconds: float
    created: str = ""
    updated: str = ""
    expires: str = ""


@dataclass(frozen=True, slots=True)
class IndexedVideo:
    """One video in an index. v1.3: an indexed asset."""

    id: str
    filename: str
    seconds: float
    width: int = 0
    height: int = 0
    fps: float = 0.0
    size: int = 0  #: bytes
    status: str = "ready"
    asset_id: str = ""
    created: str = ""
    indexed: str = ""
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IndexingStatus:
    """How far an indexing is; unknown words of the provider are ``working``."""

    state: Literal["working", "ready", "failed", "gone"]
    word: str = ""  #: the provider's own word
    message: str = ""
    look_again: float = 10.0  #: seconds
    video: IndexedVideo | None = None


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which videos or indexes to list. Bounds are inclusive; None does not narrow."""

    filename: str = ""
    name: str = ""
    created_since: str = ""  #: RFC 3339
    seconds: tuple[float | None, float | None] = (None, None)
    width: tuple[int | None, int | None] = (None, None)
    height: tuple[int | None, int | None] = (None, None)
    size: tuple[int | None, int | None] = (None, None)
    metadata: Mapping[str, str] = field(default_factory=dict)
    sort_by: Literal["created_at", "updated_at"] = "created_at"
    sort: Literal["asc", "desc"] = "desc"


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A search. v1.2 options: visual, conversation, text_in_video, logo; v1.3: visual, audio, transcription."""

    index_id: str
    text: str = ""
    images: Sequence[Path | str] = ()  #: v1.3: files or addresses, at most 10
    options: Sequence[str] = ()
    speech: Sequence[str] = ()  #: v1.2: one of semantic, exact_match; v1.3: lexical, semantic
    operator: Literal["or", "and"] = "or"
    group_by: Literal["clip", "video"] = "clip"
    threshold: str = ""  #: v1.2: high, medium, low, none
    sort: Literal["", "score", "clip_count"] = ""  #: v1.2
    filter: Mapping[str, Json] = field(default_factory=dict)
    limit: int = 50  #: most hits to fetch over all pages


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One moment that was found: ``score`` (v1.2) or ``rank`` (v1.3).

    ``score`` goes from 0 to 100; ``rank`` 1 is best.
    """

    video_id: str
    start: float  #: seconds
    end: float
    score: float | None = None
    rank: int | None = None
    confidence: str = ""
    text: str = ""
    sources: Sequence[str] = ()  #: which options found it
    thumbnail: str = ""


@dataclass(frozen=True, slots=True)
class SearchResults:
    """What a search found, best first."""

    hits: Sequence[SearchHit]
    total: int  #: by the provider's count
    pool_videos: int
    pool_seconds: float
    raw: Sequence[Json] = ()  #: the pages as received


@dataclass(frozen=True, slots=True)
class ClassSpec:
    """A class to look for, by prompts."""

    name: str
    prompts: Sequence[str]
    options: Sequence[str] = ()
    speech: str = ""  #: semantic or exact_match


@dataclass(frozen=True, slots=True)
class ClassifyQuery:
    """A classification of an index or named videos by classes. v1.2 only.

    On v1.3 use the job ``classify``.
    """

    classes: Sequence[ClassSpec]
    index_id: str = ""
    video_ids: Sequence[str] = ()
    options: Sequence[str] = ("visual",)
    speech: str = ""
    threshold: Mapping[str, float] | int | None = None  #: both shapes that the platform has had
    clips: bool = False
    detailed: bool = False
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How well a class fits a video."""

    name: str
    score: float  #: 0-100
    duration_ratio: float  #: share of the video, 0-1
    detailed: Mapping[str, float] = field(default_factory=dict)
    clips: Sequence[SearchHit] = ()


@dataclass(frozen=True, slots=True)
class ClassifiedVideo:
    """One video with its classes."""

    video_id: str
    classes: Sequence[ClassScore]


class IndexApi(Protocol):
    """Index-wide calls; they raise only ``pipeline.core.errors``.

    The platform's own code and words are in the detail.
    """

    @property
    def identity(self) -> str:
        """Name and dialect, as ``VideoApi.identity``."""
        ...

    def indexes(self, which: ListFilter) -> AsyncIterator[IndexInfo]:
        """Yield all indexes that fit, page by page."""
        ...

    async def index(self, id_or_name: str) -> IndexInfo:
        """Return one index; Permanent ``resource_not_exist`` if there is none."""
        ...

    async def create_index(self, spec: IndexSpec) -> str:
        """Return the id of the index of that name, made if absent.

        The name is unique, so this is repeatable.
        """
        ...

    async def delete_index(self, index_id: str) -> None:
        """Delete an index with the videos in it; absent is done."""
        ...

    def videos(self, index_id: str, which: ListFilter) -> AsyncIterator[IndexedVideo]:
        """Yield the videos of an index that fit."""
        ...

    async def delete_video(self, index_id: str, video_id: str) -> None:
        """Delete a video from an index; absent is done."""
        ...

    async def search(self, query: SearchQuery) -> SearchResults:
        """Search; fetches as many pages as ``limit`` needs."""
        ...

    async def classify(self, query: ClassifyQuery) -> Sequence[ClassifiedVideo]:
        """Classify; fetches all pages up to ``limit``."""
        ...

    async def index_asset(self, index_id: str, asset_id: str, metadata: Mapping[str, str | int | float | bool]) -> str:
        """Index an uploaded asset; return the entry's id. Paid.

        See :meth:`find_indexed`.
        """
        ...

    async def find_indexed(self, index_id: str, asset_id: str) -> str | None:
        """Return the id of this asset's entry in this index, or None."""
        ...

    async def indexed(self, index_id: str, video_id: str) -> IndexedVideo:
        """Return one indexed video with its status; Permanent ``resource_not_exist`` if there is none."""
        ...

    async def indexing(self, index_id: str, video_id: str) -> IndexingStatus:
        """Return how far an indexing is.

        ``working``, ``ready`` or ``failed``; thousands of tasks share a few list calls.

        Raises:
            Permanent: code ``resource_not_exist``: the index has no such video.
        """
        ...
