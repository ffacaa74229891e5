"""Indexes, search and classification of API v1.2: engines, JSON requests, scores from 0 to 100. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.errors import Permanent
from pipeline.core.model import Json
from pipeline.ports.index_api import (
    ClassifiedVideo,
    ClassifyQuery,
    ClassScore,
    ClassSpec,
    IndexedVideo,
    IndexInfo,
    IndexSpec,
    ListFilter,
    SearchHit,
    SearchQuery,
)
from pipeline.provider.dialects import errors, index_common, json_reading
from pipeline.provider.dialects.index_protocol import TokenPage
from pipeline.provider.dialects.protocol import Page, Request, Response

_API = "v1.2"

_NO_ASSETS = "the upload itself goes into the index there"

_SYSTEM = frozenset({"filename", "duration", "fps", "width", "height", "size", "engine_ids", "vispresso_index_id"})


class IndexV12:
    """The notebook's side. Stateless."""

    default_models: Sequence[tuple[str, tuple[str, ...]]] = (
        ("marengo2.5", ("visual", "conversation", "text_in_video", "logo")),
        ("pegasus1", ("visual", "conversation")),
    )
    page_size = index_common.PAGE

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

    def many(self, which: ListFilter, page: int) -> Request:
        """List indexes."""
        named = [("index_name", which.name)] if which.name else []
        return index_common.listing("/indexes", named, which, page)

    def read_indexes(self, response: Response) -> Page[IndexInfo]:
        """Return a page of indexes."""
        return json_reading.page_of(json_reading.parse(response), _index)

    def one(self, index_id: str) -> Request:
        """Ask about one index."""
        return Request("GET", f"/indexes/{json_reading.segment(index_id)}", safe=True)

    def read_index(self, response: Response) -> IndexInfo:
        """Return the index."""
        return _index(json_reading.parse(response))

    def delete(self, index_id: str) -> Request:
        """Delete an index with all that is in it."""
        return index_common.delete(f"/indexes/{json_reading.segment(index_id)}")

    # -------------------------------------------------------------------------------------------------------- videos

    def videos(self, index_id: str, which: ListFilter, page: int) -> Request:
        """List the videos of an index."""
        path = f"/indexes/{json_reading.segment(index_id)}/videos"
        return index_common.listing(path, index_common.video_filters(which), which, page)

    def read_videos(self, response: Response) -> Page[IndexedVideo]:
        """Return a page of videos."""
        return json_reading.page_of(json_reading.parse(response), _video)

    def video(self, index_id: str, video_id: str) -> Request:
        """Ask about one video of an index."""
        return Request("GET", _place(index_id, video_id), safe=True)

    def read_video(self, response: Response) -> IndexedVideo:
        """Return the video."""
        return _video(json_reading.parse(response))

    def delete_video(self, index_id: str, video_id: str) -> Request:
        """Delete a video."""
        return index_common.delete(_place(index_id, video_id))

    # -------------------------------------------------------------------------------------------------------- search

    def search_options(self, index: IndexInfo) -> Sequence[str]:
        """Return the options of the index's embedding engine."""
        return index_common.marengo_options(index)

    def search(self, query: SearchQuery) -> Request:
        """Search by words."""
        index_common.only_there(_API, "images", query.images)
        if len(query.speech) > 1:
            raise Permanent(
                "API v1.2 matches speech in one way per search", code="parameter_invalid",
                remedy="choose semantic or exact_match",
            )  # fmt: skip
        body: dict[str, Json] = {
            "query": query.text,
            "index_id": query.index_id,
            "search_options": list(index_common.need_options(query)),
            "operator": query.operator,
            "group_by": query.group_by,
            "page_limit": index_common.page_limit(query.limit),
        }
        chosen = {"conversation_option": "".join(query.speech), "threshold": query.threshold, "sort_option": query.sort}
        body |= {name: value for name, value in chosen.items() if value}
        if query.filter:
            body["filter"] = dict(query.filter)
        return Request("POST", "/search", "search", json=body)

    def search_page(self, token: str) -> Request:
        """Fetch a later page."""
        return Request("GET", f"/search/{json_reading.segment(token)}", safe=True)

    def read_search(self, response: Response) -> TokenPage[SearchHit]:
        """Return a page of hits."""
        return index_common.token_page(response, _hits)

    # ------------------------------------------------------------------------------------------------ classification

    def classify(self, sorting: ClassifyQuery) -> Request:
        """Classify an index, or named videos."""
        body: dict[str, Json] = {
            "classes": [_class(spec) for spec in sorting.classes],
            "options": list(sorting.options),
            "conversation_option": sorting.speech or "semantic",
            "page_limit": index_common.page_limit(sorting.limit),
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
        return Request("GET", f"/classify/{json_reading.segment(token)}", safe=True)

    def read_classify(self, response: Response) -> TokenPage[ClassifiedVideo]:
        """Return a page of classified videos."""
        return index_common.token_page(response, _sorted)

    # ---------------------------------------------------------------------------------------------- uploads in indexes

    def put(self, index_id: str, asset_id: str, metadata: Mapping[str, str | int | float | bool]) -> Request:
        """Refuse: uploads are made into an index."""
        raise errors.not_in_this_api("putting an upload into an index", _API, _NO_ASSETS)

    def places(self, asset_id: str, page: int) -> Request:
        """Refuse: uploads are made into an index."""
        raise errors.not_in_this_api("the indexes of an upload", _API, _NO_ASSETS)

    def read_places(self, response: Response) -> Page[tuple[str, str]]:
        """Refuse: uploads are made into an index."""
        raise errors.not_in_this_api("the indexes of an upload", _API, _NO_ASSETS)


def _place(index_id: str, video_id: str) -> str:
    return f"/indexes/{json_reading.segment(index_id)}/videos/{json_reading.segment(video_id)}"


def _index(body: Mapping[str, Any]) -> IndexInfo:
    return index_common.index_info(body, "engines", "engine")


def _video(body: Mapping[str, Any]) -> IndexedVideo:
    metadata = json_reading.sub(body, "metadata")
    custom = {name: value for name, value in metadata.items() if name not in _SYSTEM}
    return index_common.video_of(body, metadata, metadata=custom)


def _hits(body: Mapping[str, Any]) -> list[SearchHit]:
    if "clips" in body:  # grouped by video
        video_id = json_reading.ident(body, "id", "video_id")
        return [_hit({"video_id": video_id, **clip}) for clip in json_reading.objects(body, "clips")]
    return [_hit(body)]


def _hit(body: Mapping[str, Any]) -> SearchHit:
    found = json_reading.objects(body, "metadata")
    return SearchHit(
        video_id=json_reading.ident(body, "video_id"),
        start=json_reading.number(body, "start"),
        end=json_reading.number(body, "end"),
        score=json_reading.number(body, "score"),
        confidence=json_reading.said(body, "confidence"),
        text=" ".join(filter(None, (json_reading.said(each, "text").strip() for each in found))),
        sources=tuple(dict.fromkeys(filter(None, (json_reading.said(each, "type") for each in found)))),
        thumbnail=json_reading.said(body, "thumbnail_url"),
    )


def _class(spec: ClassSpec) -> dict[str, Json]:
    body: dict[str, Json] = {"name": spec.name, "prompts": list(spec.prompts)}
    if spec.options:
        body["options"] = list(spec.options)
    if spec.speech:
        body["conversation_option"] = spec.speech
    return body


def _sorted(body: Mapping[str, Any]) -> list[ClassifiedVideo]:
    video_id = json_reading.ident(body, "video_id")
    return [ClassifiedVideo(video_id, tuple(_score(each, video_id) for each in json_reading.objects(body, "classes")))]


def _score(body: Mapping[str, Any], video_id: str) -> ClassScore:
    detailed = json_reading.sub(body, "detailed_scores")
    return ClassScore(
        name=json_reading.ident(body, "name"),
        score=json_reading.number(body, "score"),
        duration_ratio=json_reading.number(body, "duration_ratio"),
        detailed={name: json_reading.number(detailed, name) for name in detailed},
        clips=tuple(_clip(each, video_id) for each in json_reading.objects(body, "clips")),
    )


def _clip(body: Mapping[str, Any], video_id: str) -> SearchHit:
    return SearchHit(
        video_id=video_id,
        start=json_reading.number(body, "start"),
        end=json_reading.number(body, "end"),
        score=json_reading.number(body, "score"),
        text=json_reading.said(body, "prompt"),
        sources=tuple(filter(None, [json_reading.said(body, "option")])),
        thumbnail=json_reading.said(body, "thumbnail_url"),
    )
