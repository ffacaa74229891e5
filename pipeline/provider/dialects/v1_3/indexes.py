"""Indexes, indexed assets and search of API v1.3, best rank 1. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import dumps
from mimetypes import guess_type
from pathlib import Path

from pipeline.core.errors import Permanent
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
from pipeline.provider.dialects import calls, errors
from pipeline.provider.dialects import index_common as common
from pipeline.provider.dialects.calls import list_request, path_segment, token_segment, user_metadata
from pipeline.provider.dialects.index_protocol import TokenPage
from pipeline.provider.dialects.json_reading import JsonObject, read_id, read_page
from pipeline.provider.dialects.protocol import Call, FilePart, Page, Request

_API = "v1.3"
_MOST_IMAGES = 10


class IndexV13:
    """Indexes of v1.3. Stateless."""

    default_models: Sequence[tuple[str, tuple[str, ...]]] = (("marengo3.0", ("visual", "audio")),)

    def create_index(self, spec: IndexSpec) -> Call[str]:
        models = [
            {"model_name": name, "model_options": list(options)} for name, options in spec.models or self.default_models
        ]
        body: dict[str, Json] = {"index_name": spec.name, "models": models}
        if spec.addons:
            body["addons"] = list(spec.addons)
        return Call(Request("POST", "/indexes", "index", json=body), read_id("_id", "id"))

    def indexes(self, which: ListFilter, page: int) -> Call[Page[IndexInfo]]:
        return Call(common.indexes_request(which, page), read_page(_index))

    def index(self, index_id: str) -> Call[IndexInfo]:
        return calls.get(common.index_path(index_id), _index)

    def delete_index(self, index_id: str) -> Call[None]:
        return calls.delete(common.index_path(index_id))

    # ------------------------------------------------------------------------------------------------ indexed assets

    def videos(self, index_id: str, which: ListFilter, page: int) -> Call[Page[IndexedVideo]]:
        return Call(common.videos_request(_entries(index_id), which, page), read_page(_video))

    def video(self, index_id: str, video_id: str) -> Call[IndexedVideo]:
        return calls.get(_entry(index_id, video_id), _video)

    def delete_video(self, index_id: str, video_id: str) -> Call[None]:
        return calls.delete(_entry(index_id, video_id))

    def index_asset(self, index_id: str, asset_id: str, metadata: Mapping[str, str | int | float | bool]) -> Call[str]:
        body: dict[str, Json] = {"asset_id": asset_id, "enable_video_stream": False}  # we never stream what we indexed
        if metadata:
            body["user_metadata"] = user_metadata(metadata)
        return Call(Request("POST", _entries(index_id), "index", json=body), read_id("_id", "id"))

    def placements(self, asset_id: str, page: int) -> Call[Page[tuple[str, str]]]:
        return Call(list_request(f"/assets/{path_segment(asset_id)}/indexed-assets", page), read_page(_placement))

    # -------------------------------------------------------------------------------------------------------- search

    def search_options(self, index: IndexInfo) -> Sequence[str]:
        options = common.marengo_options(index)
        return (*options, "transcription") if "audio" in options else options  # what can be heard can be read, too

    def search(self, query: SearchQuery) -> Call[TokenPage[SearchHit]]:
        common.refuse_if_set(_API, "a threshold", query.threshold)
        common.refuse_if_set(_API, "an order", query.sort)
        if len(query.images) > _MOST_IMAGES:
            raise Permanent("a search takes at most 10 images", code="too_many_images", remedy="ask with fewer")
        form = [("index_id", query.index_id)]
        form += [("search_options", option) for option in common.require_options(query)]
        form += [("transcription_options", option) for option in query.speech]
        form += [("group_by", query.group_by), ("operator", query.operator)]
        form.append(("page_limit", str(common.page_limit(query.limit))))
        if query.text:
            form.append(("query_text", query.text))
        if query.filter:
            form.append(("filter", dumps(dict(query.filter), ensure_ascii=False)))
        if query.images:
            form.append(("query_media_type", "image"))
        form += [("query_media_url", image) for image in query.images if isinstance(image, str)]
        files = [_image(image) for image in query.images if isinstance(image, Path)]
        return Call(Request("POST", "/search", "search", form=form, files=files), common.read_hits(_hit))

    def search_page(self, token: str) -> Call[TokenPage[SearchHit]]:
        return Call(Request("GET", f"/search/{token_segment(token)}", safe=True), common.read_hits(_hit))

    def classify(self, query: ClassifyQuery) -> Call[TokenPage[ClassifiedVideo]]:
        raise _no_classification()

    def classify_page(self, token: str) -> Call[TokenPage[ClassifiedVideo]]:
        raise _no_classification()


def _no_classification() -> Permanent:
    job = "use the `classify` job: it asks about each video with a schema"
    return errors.not_in_this_api("classification of an index", _API, job)


def _entries(index_id: str) -> str:
    return f"{common.index_path(index_id)}/indexed-assets"


def _entry(index_id: str, video_id: str) -> str:
    return f"{_entries(index_id)}/{path_segment(video_id)}"


def _index(body: JsonObject) -> IndexInfo:
    return common.build_index(body, "models", "model")


def _video(body: JsonObject) -> IndexedVideo:
    return common.build_video(
        body, body.child("system_metadata"), status=body.word("status"), asset_id=body.optional_id("asset_id"),
        metadata=dict(body.child("user_metadata").raw),
    )  # fmt: skip


def _placement(body: JsonObject) -> tuple[str, str]:
    return body.child("index").optional_id("_id") or body.optional_id("index_id"), body.id("_id", "id")


def _image(path: Path) -> FilePart:
    return FilePart(path, path.name, guess_type(path.name)[0] or "image/jpeg", field="query_media_file")


def _hit(body: JsonObject, video_id: str) -> SearchHit:
    return SearchHit(
        video_id=video_id,
        start=body.number("start"),
        end=body.number("end"),
        rank=body.count("rank") or None,
        text=body.text("transcription").strip(),
        sources=tuple(filter(None, [body.text("matched_by")])),  # told by the local platform only
        thumbnail=body.text("thumbnail_url"),
    )
