"""What the two index dialects share: filters of lists, indexes, and pages with tokens. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pipeline.core.errors import Permanent
from pipeline.ports.index_api import IndexedVideo, IndexInfo, ListFilter, SearchQuery
from pipeline.provider.dialects import errors, json_reading
from pipeline.provider.dialects.index_protocol import TokenPage
from pipeline.provider.dialects.protocol import Request, Response

T = TypeVar("T")

PAGE = 50  #: entries per page, at most

_OURS = frozenset({"page", "page_limit", "sort_by", "sort_option", "filename", "created_at", "status"})


def delete(path: str) -> Request:
    """Delete; a repeat changes nothing."""
    return Request("DELETE", path, safe=True)


def listing(path: str, filters: Sequence[tuple[str, str]], which: ListFilter, page: int) -> Request:
    """List with what all lists can: time, order and page."""
    params = list(filters)
    if which.created_since:
        params.append(("created_at", which.created_since))
    params += [("sort_by", which.sort_by), ("sort_option", which.sort), *json_reading.paging(page, PAGE)]
    return Request("GET", path, params=params, safe=True)


def video_filters(which: ListFilter) -> list[tuple[str, str]]:
    """Return the query fields for the videos of an index; a key of the user's metadata is a field of its own."""
    fields = [("filename", which.filename)] if which.filename else []
    bounds: Mapping[str, tuple[float | None, float | None]] = {
        "duration": which.seconds, "width": which.width, "height": which.height, "size": which.size,
    }  # fmt: skip
    for name, (least, most) in bounds.items():
        fields += [
            (f"{name}[{word}]", _plain(value)) for word, value in (("gte", least), ("lte", most)) if value is not None
        ]
    for name in which.metadata:
        if not name or name in _OURS or name.split("[")[0] in bounds:
            raise Permanent(f"{name!r} is no key of metadata that can be searched", code="parameter_invalid")
    return [*fields, *which.metadata.items()]


def index_info(body: Mapping[str, Any], models: str, prefix: str) -> IndexInfo:
    """Read an index. ``models`` names its list, ``prefix`` begins the names of a model's fields."""
    listed = json_reading.objects(body, models)
    return IndexInfo(
        id=json_reading.ident(body, "_id", "id"),
        name=json_reading.said(body, "index_name"),
        models=tuple(
            (json_reading.said(each, f"{prefix}_name"), json_reading.texts(each, f"{prefix}_options"))
            for each in listed
        ),
        addons=json_reading.texts(body, "addons"),
        videos=int(json_reading.number(body, "video_count")),
        seconds=json_reading.number(body, "total_duration"),
        created=json_reading.said(body, "created_at"),
        updated=json_reading.said(body, "updated_at"),
        expires=json_reading.said(body, "expires_at"),
    )


def video_of(body: Mapping[str, Any], system: Mapping[str, Any], **more: Any) -> IndexedVideo:
    """Read a video of an index; ``system`` is the platform's own metadata of it."""
    return IndexedVideo(
        id=json_reading.ident(body, "_id", "id"),
        filename=json_reading.said(system, "filename"),
        seconds=json_reading.number(system, "duration"),
        width=int(json_reading.number(system, "width")),
        height=int(json_reading.number(system, "height")),
        fps=json_reading.number(system, "fps"),
        size=int(json_reading.number(system, "size")),
        created=json_reading.said(body, "created_at"),
        indexed=json_reading.said(body, "indexed_at"),
        **more,
    )


def token_page(response: Response, read: Callable[[Mapping[str, Any]], Sequence[T]]) -> TokenPage[T]:
    """Read a page whose next one has a token; each entry of the list may stand for several of ours."""
    body = json_reading.parse(response)
    listed = json_reading.page_of({**body, "page_info": {}}, read)
    info, pool = json_reading.sub(body, "page_info"), json_reading.sub(body, "search_pool")
    entries = [each for several in listed.entries for each in several]
    # Where hits are grouped by video, the inner matches are the hits.
    total = (
        json_reading.number(info, "total_inner_matches") or json_reading.number(info, "total_results") or len(entries)
    )
    searched = (int(json_reading.number(pool, "total_count")), json_reading.number(pool, "total_duration"))
    return TokenPage(entries, json_reading.said(info, "next_page_token"), int(total), body, searched)


def page_limit(most: int) -> int:
    """Return how many entries to ask for on a page when ``most`` are wanted in all."""
    return max(1, min(PAGE, most))


def marengo_options(index: IndexInfo) -> tuple[str, ...]:
    """Return the options of the model that makes an index searchable."""
    return next((options for name, options in index.models if name.startswith("marengo")), ())


def only_there(api: str, field: str, wanted: object) -> None:
    """Refuse a wish that this dialect has no field for, rather than leave it out.

    Raises:
        Permanent: code ``not_in_this_api``.
    """
    if wanted:
        raise errors.not_in_this_api(f"searches with {field}", api, "leave it out, or choose the other [provider] api")


def need_options(query: SearchQuery) -> Sequence[str]:
    """Return the options of a query, which the catalog has filled in."""
    if not query.options:
        raise ValueError("a search needs options")
    return query.options


def _plain(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
