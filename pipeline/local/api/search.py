"""Search over what is said and written, as both dialects do it.

Sight and sound are refused, never answered by no hits.
A score counts words, see :mod:`pipeline.local.state.fulltext`; it cannot be compared with the vendor's. With a sentence model,
what is nearest by meaning follows the clips with all or most of the words, and is called so.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Container, Mapping
from sqlite3 import Connection
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.analysis.protocol import SentenceVectors
from pipeline.local.analysis.ranking import search_hits
from pipeline.local.analysis.ranking.search_hits import ClipHit
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import Body
from pipeline.local.api.http.fields import NOT_BLANK, ONE_OF, OR_DEFAULT, REQUIRED, PageLimit, require
from pipeline.local.api.http.forms import read_form
from pipeline.local.api.http.pagination import page_at, page_view, store_pages
from pipeline.local.api.http.responses import json_response
from pipeline.local.api.index_lookup import SHOWN, find_index
from pipeline.local.api.model_options import find_unread, refuse_unread, resolve_options
from pipeline.local.errors import ApiError, unsupported
from pipeline.local.state import fulltext, vectors
from pipeline.local.state.fulltext import Mode
from pipeline.local.state.tables import VIDEOS, IndexRow, ResultPagesRow, VideoRow

#: At most what the vendor's 500 tokens hold.
SearchText = Annotated[str, Field(max_length=2000), NOT_BLANK, REQUIRED]


class SearchRequest(Body):
    """What a search asks in either dialect."""

    kinds: ClassVar[Mapping[str, tuple[str, ...]]]  #: the dialect's options and the words they stand for

    index_id: SearchText
    search_options: Annotated[list[str], require("The search_options parameter must be a list of strings.")]
    operator: Annotated[Literal["or", "and"], ONE_OF, OR_DEFAULT] = "or"
    group_by: Annotated[Literal["clip", "video"], ONE_OF, OR_DEFAULT] = "clip"
    page_limit: PageLimit = 10
    filter: Annotated[Json, AfterValidator(search_hits.parse_filter)] = Field(default_factory=dict)

    @property
    @abstractmethod
    def text(self) -> str:
        """The words to look for."""

    @property
    @abstractmethod
    def mode(self) -> Mode:
        """How speech is matched."""

    @property
    @abstractmethod
    def least(self) -> float:
        """The least score of a hit."""

    @property
    def most_clips_first(self) -> bool:
        """True if groups are in order of their hits."""
        return False


NEAREST = "nearest by meaning"  #: what a hit is called that need not have the words
View: TypeAlias = Callable[[IndexRow, VideoRow, ClipHit, int], dict[str, Json]]


async def read_search_form(context: ApiContext, request: Request) -> dict[str, Json]:
    """Read the fields of a search form; a picture in it is refused."""
    received = context.state.incoming()
    try:
        form = await read_form(request, received, context.limits.direct_bytes, "query_media_file", many=True)
    finally:
        received.unlink(missing_ok=True)
    fields = form.fields("search_options", "transcription_options")
    if form.file_size >= 0 or any(fields.get(name) for name in ("query_media_type", "query_media_url")):
        raise unsupported("searches by picture", "Search by words, or use the Twelve Labs API.")
    return {**fields, "filter": _parse_json(fields.get("filter"))}


def _parse_json(text: str | None) -> Json:
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        raise ApiError(400, "search_filter_invalid", "The filter parameter must be JSON text.") from None


async def run_search(context: ApiContext, request: Request, search: SearchRequest, view: View) -> Response:
    """Search, keep what has more than one page, and return the first."""
    now, limits = context.clock.now(), context.limits
    every = search.operator == "and" and len(set(search.search_options)) > 1
    wants_meaning = context.meaning is not None and search.mode == "stems" and not every
    meant = await context.meaning.query(search.text) if context.meaning is not None and wants_meaning else None

    def work(db: Connection) -> ResultPagesRow:
        index = find_index(db, search.index_id)
        kinds = resolve_options(search.search_options, index, search.kinds, sees=context.sees)
        videos = {video.id: video for video in VIDEOS.select(db, f"index_id = ? AND {SHOWN}", [index.id])}
        unread = find_unread(db, index.id, kinds, videos.values())
        refuse_unread(kinds, unread.values())
        asked = {video.id for video in videos.values() if search_hits.matches_filter(search.filter, video)}
        hits = _hits(db, search, kinds, asked, meant)[: limits.most_hits]
        views = [view(index, videos[hit.video_id], hit, rank) for rank, hit in enumerate(hits, 1)]
        data, info = _grouped(search, hits, views) if search.group_by == "video" else (views, {})
        read = [video for video in videos.values() if set(kinds) - unread[video.id]]  # others were not searched
        pool: Json = {
            "total_count": len(read),
            "total_duration": round(sum(video.duration for video in read), 3),
            "index_id": index.id,
        }
        found = store_pages(
            db, "search", data, limit=search.page_limit, head={"search_pool": pool}, info=info, now=now,
            seconds=limits.page_seconds,
        )  # fmt: skip
        context.record(db, request, "search", found.id, search.text)
        return found

    return json_response(page_view(await context.write(work), 0, request.url.path))


def turn_search_page(context: ApiContext, request: Request, db: Connection, token: str) -> Response:
    """Return another page of a search."""
    return json_response(page_view(*page_at(db, "search", token, context.clock.now()), request.url.path))


def thumbnail_view(context: ApiContext, index: IndexRow, video_id: str, start: float, end: float) -> dict[str, Json]:
    """Return the address of a clip's middle, if the index has pictures."""
    if "thumbnail" not in index.addons:
        return {}
    return {"thumbnail_url": context.thumbnail(video_id, (start + end) / 2)}


def _hits(
    db: Connection, search: SearchRequest, kinds: list[str], videos: Container[str], meant: SentenceVectors | None
) -> list[ClipHit]:
    """Return the hits in these videos, best first."""
    found = []
    for kind in kinds:
        mode = search.mode if kind == "conversation" else "stems"
        found += fulltext.matches(db, search.index_id, [kind], search.text, mode)
    every = search.operator == "and" and len(set(search.search_options)) > 1
    hits = search_hits.hits_of_all(found, kinds) if every else search_hits.hits_of_any(found)
    if meant is not None:
        near = vectors.nearest(db, search.index_id, kinds, meant.model, meant.rows[0], videos=videos)
        hits = search_hits.with_nearest(hits, near)
    return [hit for hit in hits if hit.score >= search.least and hit.video_id in videos]


def _grouped(
    search: SearchRequest, hits: list[ClipHit], views: list[dict[str, Json]]
) -> tuple[list[Json], dict[str, Json]]:
    """Return the views by video, and what ``page_info`` has beside."""
    of_hit = {id(hit): view for hit, view in zip(hits, views, strict=True)}
    groups: list[Json] = [
        {"id": key, "clips": [of_hit[id(hit)] for hit in clips]}
        for key, clips in search_hits.group_by_video(hits, most_clips_first=search.most_clips_first)
    ]
    return groups, {"total_inner_matches": len(hits)}
