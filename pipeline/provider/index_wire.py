"""What the two index dialects share: filters of lists, indexes, and pages with tokens. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pipeline.catalog import IndexedVideo, IndexInfo, Listing, Query
from pipeline.errors import Permanent
from pipeline.provider import wire
from pipeline.provider.dialect import Request, Response
from pipeline.provider.index_dialect import TokenPage

T = TypeVar("T")

PAGE = 50  #: entries per page, at most
_OURS = frozenset({"page", "page_limit", "sort_by", "sort_option", "filename", "created_at", "status"})


def delete(path: str) -> Request:
    """Delete; a repeat changes nothing."""
    return Request("DELETE", path, safe=True)


def listing(path: str, filters: Sequence[tuple[str, str]], which: Listing, page: int) -> Request:
    """List with what all lists can: time, order and page."""
    params = list(filters)
    if which.created_since:
        params.append(("created_at", which.created_since))
    params += [("sort_by", which.sort_by), ("sort_option", which.sort), *wire.paging(page, PAGE)]
    return Request("GET", path, params=params, safe=True)


def video_filters(which: Listing) -> list[tuple[str, str]]:
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
    listed = wire.objects(body, models)
    return IndexInfo(
        id=wire.ident(body, "_id", "id"),
        name=wire.said(body, "index_name"),
        models=tuple((wire.said(each, f"{prefix}_name"), wire.texts(each, f"{prefix}_options")) for each in listed),
        addons=wire.texts(body, "addons"),
        videos=int(wire.number(body, "video_count")),
        seconds=wire.number(body, "total_duration"),
        created=wire.said(body, "created_at"),
        updated=wire.said(body, "updated_at"),
        expires=wire.said(body, "expires_at"),
    )


def video_of(body: Mapping[str, Any], system: Mapping[str, Any], **more: Any) -> IndexedVideo:
    """Read a video of an index; ``system`` is the platform's own metadata of it."""
    return IndexedVideo(
        id=wire.ident(body, "_id", "id"),
        filename=wire.said(system, "filename"),
        seconds=wire.number(system, "duration"),
        width=int(wire.number(system, "width")),
        height=int(wire.number(system, "height")),
        fps=wire.number(system, "fps"),
        size=int(wire.number(system, "size")),
        created=wire.said(body, "created_at"),
        indexed=wire.said(body, "indexed_at"),
        **more,
    )


def token_page(response: Response, read: Callable[[Mapping[str, Any]], Sequence[T]]) -> TokenPage[T]:
    """Read a page whose next one has a token; each entry of the list may stand for several of ours."""
    body = wire.parse(response)
    listed = wire.page_of({**body, "page_info": {}}, read)
    info, pool = wire.sub(body, "page_info"), wire.sub(body, "search_pool")
    entries = [each for several in listed.entries for each in several]
    # Where hits are grouped by video, the inner matches are the hits.
    total = wire.number(info, "total_inner_matches") or wire.number(info, "total_results") or len(entries)
    searched = (int(wire.number(pool, "total_count")), wire.number(pool, "total_duration"))
    return TokenPage(entries, wire.said(info, "next_page_token"), int(total), body, searched)


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
        raise wire.not_in_this_api(f"searches with {field}", api, "leave it out, or choose the other [provider] api")


def need_options(query: Query) -> Sequence[str]:
    """Return the options of a query, which the catalog has filled in."""
    if not query.options:
        raise ValueError("a search needs options")
    return query.options


def _plain(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
