"""A dialect's second part: indexes, search and classification. No I/O."""

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
from pipeline.provider.dialects.protocol import Call, Page

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class TokenPage(Generic[T_co]):
    """One page of a list; an empty token ends it."""

    entries: Sequence[T_co]
    token: str
    total: int  #: entries on all pages, by the platform's count
    raw: Json
    pool: tuple[int, float] = (0, 0.0)  #: videos searched, and their seconds


class IndexDialect(Protocol):
    """Indexes and what is in them.

    What an API version cannot do raises Permanent ``not_in_this_api``.
    """

    default_models: Sequence[tuple[str, tuple[str, ...]]]

    def create_index(self, spec: IndexSpec) -> Call[str]:
        """Make an index; read its id."""
        ...

    def indexes(self, which: ListFilter, page: int) -> Call[Page[IndexInfo]]:
        """List indexes."""
        ...

    def index(self, index_id: str) -> Call[IndexInfo]:
        """Ask about one index."""
        ...

    def delete_index(self, index_id: str) -> Call[None]:
        """Delete an index with all that is in it."""
        ...

    def videos(self, index_id: str, which: ListFilter, page: int) -> Call[Page[IndexedVideo]]:
        """List the videos of an index."""
        ...

    def video(self, index_id: str, video_id: str) -> Call[IndexedVideo]:
        """Ask about one video of an index."""
        ...

    def delete_video(self, index_id: str, video_id: str) -> Call[None]:
        """Take a video out of an index."""
        ...

    def index_asset(self, index_id: str, asset_id: str, metadata: Mapping[str, str | int | float | bool]) -> Call[str]:
        """Put an uploaded asset into an index; read the indexed asset's id. Paid."""
        ...

    def placements(self, asset_id: str, page: int) -> Call[Page[tuple[str, str]]]:
        """List the indexes that an asset was put into: (index id, indexed asset's id)."""
        ...

    def search_options(self, index: IndexInfo) -> Sequence[str]:
        """Return all that can be searched in this index."""
        ...

    def search(self, query: SearchQuery) -> Call[TokenPage[SearchHit]]:
        """Search; hits grouped by video are flattened. Paid."""
        ...

    def search_page(self, token: str) -> Call[TokenPage[SearchHit]]:
        """Fetch a later page; free."""
        ...

    def classify(self, query: ClassifyQuery) -> Call[TokenPage[ClassifiedVideo]]:
        """Classify; paid."""
        ...

    def classify_page(self, token: str) -> Call[TokenPage[ClassifiedVideo]]:
        """Fetch a later page; free."""
        ...
