"""Indexes, search and classification of API v1.2: engines, JSON requests, scores from 0 to 100. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.catalog import (
    ClassScore,
    ClassSpec,
    Hit,
    IndexedVideo,
    IndexInfo,
    IndexSpec,
    Listing,
    Query,
    Sorted,
    Sorting,
)
from pipeline.errors import Permanent
from pipeline.model import Json
from pipeline.provider import index_wire, wire
from pipeline.provider.dialect import Page, Request, Response
from pipeline.provider.index_dialect import TokenPage

_API = "v1.2"
_NO_ASSETS = "the upload itself goes into the index there"
_SYSTEM = frozenset({"filename", "duration", "fps", "width", "height", "size", "engine_ids", "vispresso_index_id"})


class IndexV12:
    """The notebook's side. Stateless."""

    default_models: Sequence[tuple[str, tuple[str, ...]]] = (
        ("marengo2.5", ("visual", "conversation", "text_in_video", "logo")),
        ("pegasus1", ("visual", "conversation")),
    )
    page_size = index_wire.PAGE

    # ------------------------------------------------------------------------------------------------------- indexes

    def create(self, spec: IndexSpec) -> Request:
        """Make an index with engines."""
        engines = [
            {"engine_name": name, "engine_options": list(options)}
            for name, options in spec.models or self.default_models
        ]
        body: dict[str, Json] = {"index_name": spec.name, "engines": engines}
        if spec.addons:
            body["addons"] = list(spec.addons)
        return Request("POST", "/indexes", "index", json=body)

    def many(self, which: Listing, page: int) -> Request:
        """List indexes."""
        named = [("index_name", which.name)] if which.name else []
        return index_wire.listing("/indexes", named, which, page)

    def read_indexes(self, response: Response) -> Page[IndexInfo]:
        """Return a page of indexes."""
        return wire.page_of(wire.parse(response), _index)

    def one(self, index_id: str) -> Request:
        """Ask about one index."""
        return Request("GET", f"/indexes/{wire.segment(index_id)}", safe=True)

    def read_index(self, response: Response) -> IndexInfo:
        """Return the index."""
        return _index(wire.parse(response))

    def delete(self, index_id: str) -> Request:
        """Delete an index with all that is in it."""
        return index_wire.delete(f"/indexes/{wire.segment(index_id)}")

    # -------------------------------------------------------------------------------------------------------- videos

    def videos(self, index_id: str, which: Listing, page: int) -> Request:
        """List the videos of an index."""
        path = f"/indexes/{wire.segment(index_id)}/videos"
        return index_wire.listing(path, index_wire.video_filters(which), which, page)

    def read_videos(self, response: Response) -> Page[IndexedVideo]:
        """Return a page of videos."""
        return wire.page_of(wire.parse(response), _video)

    def video(self, index_id: str, video_id: str) -> Request:
        """Ask about one video of an index."""
        return Request("GET", _place(index_id, video_id), safe=True)

    def read_video(self, response: Response) -> IndexedVideo:
        """Return the video."""
        return _video(wire.parse(response))

    def delete_video(self, index_id: str, video_id: str) -> Request:
        """Delete a video."""
        return index_wire.delete(_place(index_id, video_id))

    # -------------------------------------------------------------------------------------------------------- search

    def search_options(self, index: IndexInfo) -> Sequence[str]:
        """Return the options of the index's embedding engine."""
        return index_wire.marengo_options(index)

    def search(self, query: Query) -> Request:
        """Search by words."""
        index_wire.only_there(_API, "images", query.images)
        if len(query.speech) > 1:
            raise Permanent(
                "API v1.2 matches speech in one way per search", code="parameter_invalid",
                remedy="choose semantic or exact_match",
            )  # fmt: skip
        body: dict[str, Json] = {
            "query": query.text,
            "index_id": query.index_id,
            "search_options": list(index_wire.need_options(query)),
            "operator": query.operator,
            "group_by": query.group_by,
            "page_limit": index_wire.page_limit(query.limit),
        }
        chosen = {"conversation_option": "".join(query.speech), "threshold": query.threshold, "sort_option": query.sort}
        body |= {name: value for name, value in chosen.items() if value}
        if query.filter:
            body["filter"] = dict(query.filter)
        return Request("POST", "/search", "search", json=body)

    def search_page(self, token: str) -> Request:
        """Fetch a later page."""
        return Request("GET", f"/search/{wire.segment(token)}", safe=True)

    def read_search(self, response: Response) -> TokenPage[Hit]:
        """Return a page of hits."""
        return index_wire.token_page(response, _hits)

    # ------------------------------------------------------------------------------------------------ classification

    def classify(self, sorting: Sorting) -> Request:
        """Classify an index, or named videos."""
        body: dict[str, Json] = {
            "classes": [_class(spec) for spec in sorting.classes],
            "options": list(sorting.options),
            "conversation_option": sorting.speech or "semantic",
            "page_limit": index_wire.page_limit(sorting.limit),
        }
        if sorting.threshold is not None:
            shape = sorting.threshold
            body["threshold"] = dict(shape) if isinstance(shape, Mapping) else shape
        flags = {"include_clips": sorting.clips, "show_detailed_score": sorting.detailed}
        body |= {name: True for name, wanted in flags.items() if wanted}
        if sorting.video_ids:
            return Request("POST", "/classify", "search", json={**body, "video_ids": list(sorting.video_ids)})
        return Request("POST", "/classify/bulk", "search", json={**body, "index_id": sorting.index_id})

    def classify_page(self, token: str) -> Request:
        """Fetch a later page."""
        return Request("GET", f"/classify/{wire.segment(token)}", safe=True)

    def read_classify(self, response: Response) -> TokenPage[Sorted]:
        """Return a page of classified videos."""
        return index_wire.token_page(response, _sorted)

    # ---------------------------------------------------------------------------------------------- uploads in indexes

    def put(self, index_id: str, asset_id: str, metadata: Mapping[str, str | int | float | bool]) -> Request:
        """Refuse: uploads are made into an index."""
        raise wire.not_in_this_api("putting an upload into an index", _API, _NO_ASSETS)

    def places(self, asset_id: str, page: int) -> Request:
        """Refuse: uploads are made into an index."""
        raise wire.not_in_this_api("the indexes of an upload", _API, _NO_ASSETS)

    def read_places(self, response: Response) -> Page[tuple[str, str]]:
        """Refuse: uploads are made into an index."""
        raise wire.not_in_this_api("the indexes of an upload", _API, _NO_ASSETS)


def _place(index_id: str, video_id: str) -> str:
    return f"/indexes/{wire.segment(index_id)}/videos/{wire.segment(video_id)}"


def _index(body: Mapping[str, Any]) -> IndexInfo:
    return index_wire.index_info(body, "engines", "engine")


def _video(body: Mapping[str, Any]) -> IndexedVideo:
    metadata = wire.sub(body, "metadata")
    custom = {name: value for name, value in metadata.items() if name not in _SYSTEM}
    return index_wire.video_of(body, metadata, metadata=custom)


def _hits(body: Mapping[str, Any]) -> list[Hit]:
    if "clips" in body:  # grouped by video
        video_id = wire.ident(body, "id", "video_id")
        return [_hit({"video_id": video_id, **clip}) for clip in wire.objects(body, "clips")]
    return [_hit(body)]


def _hit(body: Mapping[str, Any]) -> Hit:
    found = wire.objects(body, "metadata")
    return Hit(
        video_id=wire.ident(body, "video_id"),
        start=wire.number(body, "start"),
        end=wire.number(body, "end"),
        score=wire.number(body, "score"),
        confidence=wire.said(body, "confidence"),
        text=" ".join(filter(None, (wire.said(each, "text").strip() for each in found))),
        sources=tuple(dict.fromkeys(filter(None, (wire.said(each, "type") for each in found)))),
        thumbnail=wire.said(body, "thumbnail_url"),
    )


def _class(spec: ClassSpec) -> dict[str, Json]:
    body: dict[str, Json] = {"name": spec.name, "prompts": list(spec.prompts)}
    if spec.options:
        body["options"] = list(spec.options)
    if spec.speech:
        body["conversation_option"] = spec.speech
    return body


def _sorted(body: Mapping[str, Any]) -> list[Sorted]:
    video_id = wire.ident(body, "video_id")
    return [Sorted(video_id, tuple(_score(each, video_id) for each in wire.objects(body, "classes")))]


def _score(body: Mapping[str, Any], video_id: str) -> ClassScore:
    detailed = wire.sub(body, "detailed_scores")
    return ClassScore(
        name=wire.ident(body, "name"),
        score=wire.number(body, "score"),
        duration_ratio=wire.number(body, "duration_ratio"),
        detailed={name: wire.number(detailed, name) for name in detailed},
        clips=tuple(_clip(each, video_id) for each in wire.objects(body, "clips")),
    )


def _clip(body: Mapping[str, Any], video_id: str) -> Hit:
    return Hit(
        video_id=video_id,
        start=wire.number(body, "start"),
        end=wire.number(body, "end"),
        score=wire.number(body, "score"),
        text=wire.said(body, "prompt"),
        sources=tuple(filter(None, [wire.said(body, "option")])),
        thumbnail=wire.said(body, "thumbnail_url"),
    )
