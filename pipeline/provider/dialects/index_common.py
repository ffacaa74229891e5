"""What the two index dialects share: filters, indexes, token pages. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pipeline.core.errors import Permanent
from pipeline.ports.index_api import IndexedVideo, IndexInfo, ListFilter, SearchHit, SearchQuery
from pipeline.provider.dialects import errors
from pipeline.provider.dialects.calls import PAGE, list_request, path_segment
from pipeline.provider.dialects.index_protocol import TokenPage
from pipeline.provider.dialects.json_reading import JsonObject, build_page, parse
from pipeline.provider.dialects.protocol import Request, Response

T = TypeVar("T")
_RESERVED = frozenset({"page", "page_limit", "sort_by", "sort_option", "filename", "created_at", "status"})


def index_path(index_id: str) -> str:
    """Return the path of one index."""
    return f"/indexes/{path_segment(index_id)}"


def indexes_request(which: ListFilter, page: int) -> Request:
    """List indexes, by name where one is given."""
    named = [("index_name", which.name)] if which.name else []
    return list_request("/indexes", page, *named, *_time_and_order(which))


def videos_request(path: str, which: ListFilter, page: int) -> Request:
    """List the videos of an index under ``path``."""
    return list_request(path, page, *_video_filters(which), *_time_and_order(which))


def _time_and_order(which: ListFilter) -> list[tuple[str, str]]:
    since = [("created_at", which.created_since)] if which.created_since else []
    return [*since, ("sort_by", which.sort_by), ("sort_option", which.sort)]


def _video_filters(which: ListFilter) -> list[tuple[str, str]]:
    """Return the query fields for an index's videos, with their metadata's keys."""
    fields = [("filename", which.filename)] if which.filename else []
    bounds: Mapping[str, tuple[float | None, float | None]] = {
        "duration": which.seconds, "width": which.width, "height": which.height, "size": which.size,
    }  # fmt: skip
    for name, (least, most) in bounds.items():
        fields += [
            (f"{name}[{word}]", _plain(value)) for word, value in (("gte", least), ("lte", most)) if value is not None
        ]
    for name in which.metadata:
        if not name or name in _RESERVED or name.split("[")[0] in bounds:
            raise Permanent(f"{name!r} is no key of metadata that can be searched", code="parameter_invalid")
    return [*fields, *which.metadata.items()]


def build_index(body: JsonObject, models: str, prefix: str) -> IndexInfo:
    """Build an index from its list of ``models``, whose fields begin with ``prefix``."""
    return IndexInfo(
        id=body.id("_id", "id"),
        name=body.text("index_name"),
        models=tuple((each.text(f"{prefix}_name"), each.texts(f"{prefix}_options")) for each in body.children(models)),
        addons=body.texts("addons"),
        videos=body.count("video_count"),
        seconds=body.number("total_duration"),
        created=body.text("created_at"),
        updated=body.text("updated_at"),
        expires=body.text("expires_at"),
    )


def build_video(body: JsonObject, system: JsonObject, **more: Any) -> IndexedVideo:
    """Build a video of an index; ``system`` is the platform's own metadata of it."""
    return IndexedVideo(
        id=body.id("_id", "id"),
        filename=system.text("filename"),
        seconds=system.number("duration"),
        width=system.count("width"),
        height=system.count("height"),
        fps=system.number("fps"),
        size=system.count("size"),
        created=body.text("created_at"),
        indexed=body.text("indexed_at"),
        **more,
    )


def read_hits(build: Callable[[JsonObject, str], SearchHit]) -> Callable[[Response], TokenPage[SearchHit]]:
    """Return a reader of a page of hits; grouped ones are flattened."""

    def hits(body: JsonObject) -> list[SearchHit]:
        if "clips" in body:
            video_id = body.id("id", "video_id")
            return [build(clip, clip.optional_id("video_id") or video_id) for clip in body.children("clips")]
        return [build(body, body.id("video_id"))]

    return read_token_page(hits)


def read_token_page(build: Callable[[JsonObject], Sequence[T]]) -> Callable[[Response], TokenPage[T]]:
    """Return a reader of a page whose next one has a token."""

    def read(response: Response) -> TokenPage[T]:
        body = parse(response)
        listed = build_page(JsonObject({**body.raw, "page_info": {}}), build)
        info, pool = body.child("page_info"), body.child("search_pool")
        entries = [each for several in listed.entries for each in several]
        # Where hits are grouped by video, the inner matches are the hits.
        total = info.number("total_inner_matches") or info.number("total_results") or len(entries)
        searched = (pool.count("total_count"), pool.number("total_duration"))
        return TokenPage(entries, info.text("next_page_token"), int(total), body.raw, searched)

    return read


def page_limit(most: int) -> int:
    """Return how many entries to ask for when ``most`` are wanted in all."""
    return max(1, min(PAGE, most))


def marengo_options(index: IndexInfo) -> tuple[str, ...]:
    """Return the options of the model that makes an index searchable."""
    return next((options for name, options in index.models if name.startswith("marengo")), ())


def refuse_if_set(api: str, field: str, value: object) -> None:
    """Refuse a query with a field that this API version lacks.

    Raises:
        Permanent: code ``not_in_this_api``.
    """
    if value:
        raise errors.not_in_this_api(f"searches with {field}", api, "leave it out, or choose the other [provider] api")


def require_options(query: SearchQuery) -> Sequence[str]:
    """Return the options of a query, which the client has filled in."""
    if not query.options:
        raise ValueError("a search needs options")
    return query.options


def _plain(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
