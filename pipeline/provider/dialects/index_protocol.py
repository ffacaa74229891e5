"""What an API version has to know about indexes, search and classification, without I/O: the other half of a dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pipeline.core.model import Json
from pipeline.ports.index_api import (
    ClassifiedVideo,
    ClassifyQuery,
    IndexedVideo,
    IndexInfo,
    IndexSpec,
    ListFilter,
    SearchHit,
    SearchQuery,
)
from pipeline.provider.dialects.protocol import Page, Request, Response

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TokenPage(Generic[T]):
    """One page of a list whose next page is fetched by a token; an empty token ends it."""

    entries: Sequence[T]
    token: str
    total: int  #: entries on all pages, by the platform's count
    raw: Json
    pool: tuple[int, float] = (0, 0.0)  #: videos searched, and their seconds


class IndexDialect(Protocol):
    """Indexes, what is in them, search and classification. What cannot be asked raises Permanent ``not_in_this_api``."""

    default_models: Sequence[tuple[str, tuple[str, ...]]]
    page_size: int

    def create(self, spec: IndexSpec) -> Request:
        """Make an index."""
        ...

    def many(self, which: ListFilter, page: int) -> Request:
        """List indexes."""
        ...

    def read_indexes(self, response: Response) -> Page[IndexInfo]:
        """Return a page of indexes."""
        ...

    def one(self, index_id: str) -> Request:
        """Ask about one index."""
        ...

    def read_index(self, response: Response) -> IndexInfo:
        """Return the index."""
        ...

    def delete(self, index_id: str) -> Request:
        """Delete an index with all that is in it."""
        ...

    def videos(self, index_id: str, which: ListFilter, page: int) -> Request:
        """List the videos of an index."""
        ...

    def read_videos(self, response: Response) -> Page[IndexedVideo]:
        """Return a page of videos."""
        ...

    def video(self, index_id: str, video_id: str) -> Request:
        """Ask about one video of an index."""
        ...

    def read_video(self, response: Response) -> IndexedVideo:
        """Return the video."""
        ...

    def delete_video(self, index_id: str, video_id: str) -> Request:
        """Take a video out of an index."""
        ...

    def search_options(self, index: IndexInfo) -> Sequence[str]:
        """Return all that can be searched in this index."""
        ...

    def search(self, query: SearchQuery) -> Request:
        """Search; paid."""
        ...

    def search_page(self, token: str) -> Request:
        """Fetch a later page; free."""
        ...

    def read_search(self, response: Response) -> TokenPage[SearchHit]:
        """Return a page of hits; those grouped by video are laid flat."""
        ...

    def classify(self, sorting: ClassifyQuery) -> Request:
        """Classify; paid."""
        ...

    def classify_page(self, token: str) -> Request:
        """Fetch a later page; free."""
        ...

    def read_classify(self, response: Response) -> TokenPage[ClassifiedVideo]:
        """Return a page of classified videos."""
        ...

    def put(self, index_id: str, asset_id: str, metadata: Mapping[str, str | int | float | bool]) -> Request:
        """Put an uploaded asset into an index; paid."""
        ...

    def places(self, asset_id: str, page: int) -> Request:
        """List the indexes that an asset was put into."""
        ...

    def read_places(self, response: Response) -> Page[tuple[str, str]]:
        """Return (index id, indexed asset's id) pairs."""
        ...
