"""Indexes, search and classification of API v1.2, scores 0 to 100. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
from pipeline.provider.dialects import calls, errors
from pipeline.provider.dialects import index_common as common
from pipeline.provider.dialects.calls import path_segment, token_segment
from pipeline.provider.dialects.index_protocol import TokenPage
from pipeline.provider.dialects.json_reading import JsonObject, read_id, read_page
from pipeline.provider.dialects.protocol import Call, Page, Request

_API = "v1.2"
_NO_ASSETS = "the upload itself goes into the index there"
_SYSTEM = frozenset({"filename", "duration", "fps", "width", "height", "size", "engine_ids", "vispresso_index_id"})


class IndexV12:
    """Indexes of v1.2. Stateless."""

    default_models: Sequence[tuple[str, tuple[str, ...]]] = (
        ("marengo2.5", ("visual", "conversation", "text_in_video", "logo")),
        ("pegasus1", ("visual", "conversation")),
    )

    def create_index(self, spec: IndexSpec) -> Call[str]:
        engines = [
            {"engine_name": name, "engine_options": list(options)}
            for name, options in spec.models or self.default_models
        ]
        body: dict[str, Json] = {"index_name": spec.name, "engines": engines}
        if spec.addons:
            body["addons"] = list(spec.addons)
        return Call(Request("POST", "/indexes", "index", json=body), read_id("_id", "id"))

    def indexes(self, which: ListFilter, page: int) -> Call[Page[IndexInfo]]:
        return Call(common.indexes_request(which, page), read_page(_index))

    def index(self, index_id: str) -> Call[IndexInfo]:
        return calls.get(common.index_path(index_id), _index)

    def delete_index(self, index_id: str) -> Call[None]:
        return calls.delete(common.index_path(index_id))

    # -------------------------------------------------------------------------------------------------------- videos

    def videos(self, index_id: str, which: ListFilter, page: int) -> Call[Page[IndexedVideo]]:
        return Call(common.videos_request(f"{common.index_path(index_id)}/videos", which, page), read_page(_video))

    def video(self, index_id: str, video_id: str) -> Call[IndexedVideo]:
        return calls.get(_video_path(index_id, video_id), _video)

    def delete_video(self, index_id: str, video_id: str) -> Call[None]:
        return calls.delete(_video_path(index_id, video_id))

    def index_asset(self, index_id: str, asset_id: str, metadata: Mapping[str, str | int | float | bool]) -> Call[str]:
        raise errors.not_in_this_api("putting an upload into an index", _API, _NO_ASSETS)

    def placements(self, asset_id: str, page: int) -> Call[Page[tuple[str, str]]]:
        raise errors.not_in_this_api("the indexes of an upload", _API, _NO_ASSETS)

    # ---------------------------------------------------------------------------------------- search, classification

    def search_options(self, index: IndexInfo) -> Sequence[str]:
        return common.marengo_options(index)

    def search(self, query: SearchQuery) -> Call[TokenPage[SearchHit]]:
        common.refuse_if_set(_API, "images", query.images)
        if len(query.speech) > 1:
            raise Permanent(
                "API v1.2 matches speech in one way per search", code="parameter_invalid",
                remedy="choose semantic or exact_match",
            )  # fmt: skip
        body: dict[str, Json] = {
            "query": query.text,
            "index_id": query.index_id,
            "search_options": list(common.require_options(query)),
            "operator": query.operator,
            "group_by": query.group_by,
            "page_limit": common.page_limit(query.limit),
        }
        chosen = {"conversation_option": "".join(query.speech), "threshold": query.threshold, "sort_option": query.sort}
        body |= {name: value for name, value in chosen.items() if value}
        if query.filter:
            body["filter"] = dict(query.filter)
        return Call(Request("POST", "/search", "search", json=body), common.read_hits(_hit))

    def search_page(self, token: str) -> Call[TokenPage[SearchHit]]:
        return Call(Request("GET", f"/search/{token_segment(token)}", safe=True), common.read_hits(_hit))

    def classify(self, query: ClassifyQuery) -> Call[TokenPage[ClassifiedVideo]]:
        body: dict[str, Json] = {
            "classes": [_class(spec) for spec in query.classes],
            "options": list(query.options),
            "conversation_option": query.speech or "semantic",
            "page_limit": common.page_limit(query.limit),
        }
        if query.threshold is not None:
            shape = query.threshold
            body["threshold"] = dict(shape) if isinstance(shape, Mapping) else shape
        flags = {"include_clips": query.clips, "show_detailed_score": query.detailed}
        body |= {name: True for name, wanted in flags.items() if wanted}
        if query.video_ids:
            request = Request("POST", "/classify", "search", json={**body, "video_ids": list(query.video_ids)})
        else:
            request = Request("POST", "/classify/bulk", "search", json={**body, "index_id": query.index_id})
        return Call(request, common.read_token_page(_classified))

    def classify_page(self, token: str) -> Call[TokenPage[ClassifiedVideo]]:
        request = Request("GET", f"/classify/{token_segment(token)}", safe=True)
        return Call(request, common.read_token_page(_classified))


def _video_path(index_id: str, video_id: str) -> str:
    return f"{common.index_path(index_id)}/videos/{path_segment(video_id)}"


def _index(body: JsonObject) -> IndexInfo:
    return common.build_index(body, "engines", "engine")


def _video(body: JsonObject) -> IndexedVideo:
    metadata = body.child("metadata")
    custom = {name: value for name, value in metadata.raw.items() if name not in _SYSTEM}
    return common.build_video(body, metadata, metadata=custom)


def _hit(body: JsonObject, video_id: str) -> SearchHit:
    found = body.children("metadata")
    return SearchHit(
        video_id=video_id,
        start=body.number("start"),
        end=body.number("end"),
        score=body.number("score"),
        confidence=body.text("confidence"),
        text=" ".join(filter(None, (each.text("text").strip() for each in found))),
        # How, beside where, is told by the local platform only.
        sources=tuple(dict.fromkeys(filter(None, (*(each.text("type") for each in found), body.text("matched_by"))))),
        thumbnail=body.text("thumbnail_url"),
    )


def _class(spec: ClassSpec) -> dict[str, Json]:
    body: dict[str, Json] = {"name": spec.name, "prompts": list(spec.prompts)}
    if spec.options:
        body["options"] = list(spec.options)
    if spec.speech:
        body["conversation_option"] = spec.speech
    return body


def _classified(body: JsonObject) -> list[ClassifiedVideo]:
    video_id = body.id("video_id")
    return [ClassifiedVideo(video_id, tuple(_score(each, video_id) for each in body.children("classes")))]


def _score(body: JsonObject, video_id: str) -> ClassScore:
    detailed = body.child("detailed_scores")
    return ClassScore(
        name=body.required("name"),
        score=body.number("score"),
        duration_ratio=body.number("duration_ratio"),
        detailed={name: detailed.number(name) for name in detailed.raw},
        clips=tuple(_clip(each, video_id) for each in body.children("clips")),
    )


def _clip(body: JsonObject, video_id: str) -> SearchHit:
    return SearchHit(
        video_id=video_id,
        start=body.number("start"),
        end=body.number("end"),
        score=body.number("score"),
        text=body.text("prompt"),
        sources=tuple(filter(None, [body.text("option")])),
        thumbnail=body.text("thumbnail_url"),
    )
