"""Search, in both dialects, over what is said and written. Sight and sound are refused in words, never by an empty list.

A score counts words, see :mod:`pipeline.local.state.fulltext`; it cannot be compared with the vendor's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.core.model import Json
from pipeline.local.analysis.ranking.search_hits import (
    LEVELS,
    ClipHit,
    confidence,
    group_by_video,
    hits_of_all,
    hits_of_any,
    least_score,
    matches_filter,
    parse_filter,
)
from pipeline.local.api import index_lookup, result_pages
from pipeline.local.api.context import ApiContext, discard, json_body
from pipeline.local.api.forms import read_form
from pipeline.local.api.model_options import kinds_of, refuse_unread
from pipeline.local.api.responses import API, OLD, ParsedForm, flag, reply
from pipeline.local.errors import ApiError, invalid, unsupported
from pipeline.local.state import fulltext, ledger
from pipeline.local.state.fulltext import Mode
from pipeline.local.state.tables import VIDEOS, IndexRow, ResultPagesRow, VideoRow

_OLD_OPTIONS = {"visual": "", "conversation": "conversation", "text_in_video": "text_in_video", "logo": ""}

_OPTIONS = {"visual": "", "audio": "", "transcription": "conversation"}

_MODES: dict[str, Mode] = {"semantic": "stems", "exact_match": "phrase"}

View: TypeAlias = Callable[["SearchRequest", IndexRow, VideoRow, ClipHit, int], dict[str, Json]]

Entries: TypeAlias = tuple[list[Json], dict[str, Json]]  #: of a list, and what its ``page_info`` has beside

_PAGES = (f"{OLD}/search", f"{OLD}/search-v2", f"{API}/search")

_MOST_QUERY = 2000  #: characters; the vendor's 500 tokens


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A checked search. ``mode`` is how speech is matched, ``least`` a score."""

    index_id: str
    query: str
    options: list[str]
    names: Mapping[str, str]
    mode: Mode
    every: bool
    grouped: bool
    most_clips_first: bool
    limit: int
    filter: Mapping[str, Json]
    least: float
    strictness: float = 0.5
    metadata: bool = False


class SearchRoutes:
    """``/search`` of both dialects."""

    def __init__(self, desk: ApiContext) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(f"{OLD}/search", self.old, methods=["POST"]),
            Route(f"{OLD}/search-v2", self.late, methods=["POST"]),
            Route(f"{API}/search", self.new, methods=["POST"]),
            *(Route(f"{at}/{{token}}", self.turn, methods=["GET"]) for at in _PAGES),
        ]

    async def old(self, request: Request) -> Response:
        """Search as v1.2 does: JSON in; score, confidence and matches out."""
        return await self._search(request, read_old(await json_body(request)))

    async def new(self, request: Request) -> Response:
        """Search as v1.3 does: a form in; ranks out."""
        return await self._search(request, read_new(await self._form(request)))

    async def late(self, request: Request) -> Response:
        """Search as the last v1.2 clients do: a form in, and what :meth:`old` answers out."""
        return await self._search(request, read_old(_unformed(await self._form(request))))

    async def _form(self, request: Request) -> ParsedForm:
        """Read a search form; a picture in it is refused."""
        half = self._desk.state.incoming()
        try:
            form = await read_form(request, half, self._desk.limits.direct_bytes, "query_media_file", many=True)
        finally:
            discard(half)
        if form.file_size >= 0 or any(form.fields.get(name) for name in ("query_media_type", "query_media_url")):
            raise unsupported("searches by picture", "Search by words, or use the Twelve Labs API.")
        return form

    async def turn(self, request: Request) -> Response:
        """Return another page."""
        token, now = request.path_params["token"], self._desk.clock.now()
        found, number = await self._desk.state.read(lambda db: result_pages.turned(db, "search", token, now))
        return reply(result_pages.page(found, number, request.url.path))

    async def _search(self, request: Request, wish: SearchRequest) -> Response:
        now, limits = self._desk.clock.now(), self._desk.limits

        def work(db: sqlite3.Connection) -> ResultPagesRow:
            index = index_lookup.index_of(db, wish.index_id)
            kinds = kinds_of(wish.options, index, wish.names)
            videos = {v.id: v for v in VIDEOS.select(db, f"index_id = ? AND {index_lookup.SHOWN}", [index.id])}
            _all_read(kinds, videos)
            hits = [hit for hit in _hits(db, wish, kinds) if matches_filter(wish.filter, videos[hit.video_id])]
            view = self._old_view if wish.names is _OLD_OPTIONS else self._new_view
            data, info = self._entries(wish, hits[: limits.most_hits], index, videos, view)
            pool: Json = {
                "total_count": len(videos),
                "total_duration": round(sum(v.duration for v in videos.values()), 3),
                "index_id": index.id,
            }
            found = result_pages.kept(
                db, "search", data, limit=wish.limit, head={"search_pool": pool}, info=info, now=now,
                seconds=limits.page_seconds,
            )  # fmt: skip
            ledger.enter(db, self._desk.entry(request, "search", found.id, wish.query))
            return found

        return reply(result_pages.page(await self._desk.state.write(work), 0, request.url.path))

    def _entries(
        self, wish: SearchRequest, hits: list[ClipHit], index: IndexRow, videos: Mapping[str, VideoRow], view: View
    ) -> Entries:
        ranked = list(enumerate(hits, 1))
        if not wish.grouped:
            return [view(wish, index, videos[hit.video_id], hit, rank) for rank, hit in ranked], {}
        ranks = {id(hit): rank for rank, hit in ranked}
        groups: list[Json] = [
            {"id": key, "clips": [view(wish, index, videos[key], hit, ranks[id(hit)]) for hit in clips]}
            for key, clips in group_by_video(hits, most_clips_first=wish.most_clips_first)
        ]
        return groups, {"total_inner_matches": len(hits)}

    def _old_view(
        self, wish: SearchRequest, index: IndexRow, video: VideoRow, hit: ClipHit, rank: int
    ) -> dict[str, Json]:
        several = len(wish.options) > 1
        modules = [{"type": m.kind, "confidence": confidence(m.score, wish.strictness)} for m in hit.by]
        return {
            "score": hit.score,
            "start": hit.start,
            "end": hit.end,
            "video_id": hit.video_id,
            "metadata": [{"type": match.kind, "text": match.text} for match in hit.by],
            "confidence": confidence(hit.score, wish.strictness),
            **({"modules": modules} if several else {}),
            **self._thumbnail(index, hit),
        }

    def _new_view(
        self, wish: SearchRequest, index: IndexRow, video: VideoRow, hit: ClipHit, rank: int
    ) -> dict[str, Json]:
        return {
            "video_id": hit.video_id,
            "start": hit.start,
            "end": hit.end,
            "rank": rank,
            "transcription": hit.text,
            **({"user_metadata": video.user_metadata} if wish.metadata and video.user_metadata else {}),
            **self._thumbnail(index, hit),
        }

    def _thumbnail(self, index: IndexRow, hit: ClipHit) -> dict[str, Json]:
        if "thumbnail" not in index.addons:
            return {}
        return {"thumbnail_url": self._desk.thumbnail(hit.video_id, (hit.start + hit.end) / 2)}


def _all_read(kinds: list[str], videos: Mapping[str, VideoRow]) -> None:
    """Refuse where a kind of words was looked for in none of the videos."""
    unread = [kind for kind in kinds if videos and all(kind in video.unread for video in videos.values())]
    if unread:
        refuse_unread(unread, len(videos))


def _hits(db: sqlite3.Connection, wish: SearchRequest, kinds: list[str]) -> list[ClipHit]:
    found = []
    for kind in kinds:
        mode = wish.mode if kind == "conversation" else "stems"
        found += fulltext.matches(db, wish.index_id, [kind], wish.query, mode)
    hits = hits_of_all(found, kinds) if wish.every and len(kinds) > 1 else hits_of_any(found)
    return [hit for hit in hits if hit.score >= wish.least]


def read_old(body: Mapping[str, Json]) -> SearchRequest:
    """Read a search of v1.2; raises ApiError (400)."""
    strictness = body.get("adjust_confidence_level", 0.5)
    if not isinstance(strictness, int | float) or isinstance(strictness, bool) or not 0 <= strictness <= 1:
        raise invalid("The adjust_confidence_level parameter must be a number from 0 to 1.")
    options = body.get("search_options")
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise ApiError(400, "parameter_not_provided", "The search_options parameter must be a list of strings.")
    sort = _choice(body, "sort_option", "score", ("score", "clip_count"))
    grouped = _choice(body, "group_by", "clip", ("clip", "video")) == "video"
    if sort == "clip_count" and not grouped:
        raise invalid("The sort_option 'clip_count' needs group_by 'video'.")
    return SearchRequest(
        index_id=_text(body.get("index_id"), "index_id"),
        query=_text(body.get("query"), "query"),
        options=options,
        names=_OLD_OPTIONS,
        mode=_mode(body, options),
        every=_choice(body, "operator", "or", ("or", "and")) == "and",
        grouped=grouped,
        most_clips_first=sort == "clip_count",
        limit=result_pages.limit_of(body.get("page_limit")),
        filter=parse_filter(body.get("filter")),
        least=least_score(_choice(body, "threshold", "low", LEVELS), float(strictness)),
        strictness=float(strictness),
    )


def _mode(body: Mapping[str, Json], options: list[str]) -> Mode:
    mode = _MODES[_choice(body, "conversation_option", "semantic", tuple(_MODES))]
    if mode == "phrase" and len(set(options)) > 1:
        code = "search_option_combination_not_supported"
        raise ApiError(
            400, code, "The conversation_option 'exact_match' goes with the search option 'conversation' alone."
        )
    return mode


def _unformed(form: ParsedForm) -> dict[str, Json]:
    """Return a form as the JSON body that says the same."""
    strictness = form.fields.get("adjust_confidence_level") or "0.5"
    return {
        **form.fields,
        "query": form.fields.get("query_text"),
        "search_options": [option for option in form.lists.get("search_options", ()) if option],
        "filter": _json(form.fields.get("filter")),
        "adjust_confidence_level": float(strictness) if strictness.replace(".", "", 1).isdecimal() else strictness,
    }


def _json(text: str | None) -> Json:
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        raise ApiError(400, "search_filter_invalid", "The filter parameter must be JSON text.") from None


def read_new(form: ParsedForm) -> SearchRequest:
    """Read a search of v1.3; raises ApiError (400)."""
    fields = form.fields
    modes = set(form.lists.get("transcription_options", ())) or {"lexical", "semantic"}
    if not modes <= {"lexical", "semantic"}:
        raise invalid("The transcription_options parameter must be lexical or semantic.")
    return SearchRequest(
        index_id=_text(fields.get("index_id"), "index_id"),
        query=_text(fields.get("query_text"), "query_text"),
        options=[option for option in form.lists.get("search_options", ()) if option],
        names=_OPTIONS,
        mode="words" if modes == {"lexical"} else "stems",
        every=_choice(fields, "operator", "or", ("or", "and")) == "and",
        grouped=_choice(fields, "group_by", "clip", ("clip", "video")) == "video",
        most_clips_first=False,
        limit=result_pages.limit_of(fields.get("page_limit")),
        filter=parse_filter(_json(fields.get("filter"))),
        least=least_score("low"),
        metadata=flag(fields, "include_user_metadata", default=False),
    )


def _text(given: Json, name: str) -> str:
    if not isinstance(given, str) or not given.strip():
        raise ApiError(400, "parameter_not_provided", f"The {name} parameter is required.")
    if len(given) > _MOST_QUERY:
        raise invalid(f"The {name} parameter has more than {_MOST_QUERY} characters.")
    return given


def _choice(given: Mapping[str, Json], name: str, default: str, choices: tuple[str, ...]) -> str:
    value = given.get(name)
    if value is None or value == "":
        return default
    if value not in choices:
        raise invalid(f"The {name} parameter must be one of {', '.join(choices)}.")
    return str(value)
