"""Indexes, indexed assets and search of API v1.3: models, form requests, ranks from 1 = best. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import dumps
from mimetypes import guess_type
from pathlib import Path
from typing import Any

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
from pipeline.provider.dialects import errors, index_common, json_reading
from pipeline.provider.dialects.index_protocol import TokenPage
from pipeline.provider.dialects.protocol import FilePart, Page, Request, Response

_API = "v1.3"

_CLASSIFY = "use the `classify` job: it asks about each video with a schema"

_MOST_IMAGES = 10


class IndexV13:
    """The living side. Stateless."""

    default_models: Sequence[tuple[str, tuple[str, ...]]] = (("marengo3.0", ("visual", "audio")),)
    page_size = index_common.PAGE

    # ------------------------------------------------------------------------------------------------------- indexes

    def create(self, spec: IndexSpec) -> Request:
        """Make an index with models."""
        models = [
            {"model_name": name, "model_options": list(options)} for name, options in spec.models or self.default_models
        ]
        body: dict[str, Json] = {"index_name": spec.name, "models": models}
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

    # ------------------------------------------------------------------------------------------------ indexed assets

    def videos(self, index_id: str, which: ListFilter, page: int) -> Request:
        """List the indexed assets of an index."""
        path = f"/indexes/{json_reading.segment(index_id)}/indexed-assets"
        return index_common.listing(path, index_common.video_filters(which), which, page)

    def read_videos(self, response: Response) -> Page[IndexedVideo]:
        """Return a page of indexed assets."""
        return json_reading.page_of(json_reading.parse(response), _video)

    def video(self, index_id: str, video_id: str) -> Request:
        """Ask about one indexed asset."""
        return Request("GET", _place(index_id, video_id), safe=True)

    def read_video(self, response: Response) -> IndexedVideo:
        """Return the indexed asset."""
        return _video(json_reading.parse(response))

    def delete_video(self, index_id: str, video_id: str) -> Request:
        """Take an asset out of an index."""
        return index_common.delete(_place(index_id, video_id))

    def put(self, index_id: str, asset_id: str, metadata: Mapping[str, str | int | float | bool]) -> Request:
        """Put an asset into an index; streaming copies are not wanted."""
        body: dict[str, Json] = {"asset_id": asset_id, "enable_video_stream": False}
        if metadata:
            body["user_metadata"] = json_reading.metadata(metadata)
        return Request("POST", f"/indexes/{json_reading.segment(index_id)}/indexed-assets", "index", json=body)

    def places(self, asset_id: str, page: int) -> Request:
        """List where an asset was put."""
        params = json_reading.paging(page, self.page_size)
        return Request("GET", f"/assets/{json_reading.segment(asset_id)}/indexed-assets", params=params, safe=True)

    def read_places(self, response: Response) -> Page[tuple[str, str]]:
        """Return (index id, indexed asset's id) pairs."""
        return json_reading.page_of(json_reading.parse(response), _found_place)

    # -------------------------------------------------------------------------------------------------------- search

    def search_options(self, index: IndexInfo) -> Sequence[str]:
        """Return the options of the index's model; what can be heard can be read, too."""
        options = index_common.marengo_options(index)
        return (*options, "transcription") if "audio" in options else options

    def search(self, query: SearchQuery) -> Request:
        """Search by words, images or both."""
        index_common.only_there(_API, "a threshold", query.threshold)
        index_common.only_there(_API, "an order", query.sort)
        if len(query.images) > _MOST_IMAGES:
            raise Permanent("a search takes at most 10 images", code="too_many_images", remedy="ask with fewer")
        form = [("index_id", query.index_id)]
        form += [("search_options", option) for option in index_common.need_options(query)]
        form += [("transcription_options", option) for option in query.speech]
        form += [("group_by", query.group_by), ("operator", query.operator)]
        form.append(("page_limit", str(index_common.page_limit(query.limit))))
        if query.text:
            form.append(("query_text", query.text))
        if query.filter:
            form.append(("filter", dumps(dict(query.filter), ensure_ascii=False)))
        if query.images:
            form.append(("query_media_type", "image"))
        form += [("query_media_url", image) for image in query.images if isinstance(image, str)]
        files = [_image(image) for image in query.images if isinstance(image, Path)]
        return Request("POST", "/search", "search", form=form, files=files)

    def search_page(self, token: str) -> Request:
        """Fetch a later page."""
        return Request("GET", f"/search/{json_reading.segment(token)}", safe=True)

    def read_search(self, response: Response) -> TokenPage[SearchHit]:
        """Return a page of hits."""
        return index_common.token_page(response, _hits)

    # ------------------------------------------------------------------------------------------------ classification

    def classify(self, sorting: ClassifyQuery) -> Request:
        """Refuse: there is no such call any more."""
        raise errors.not_in_this_api("classification of an index", _API, _CLASSIFY)

    def classify_page(self, token: str) -> Request:
        """Refuse: there is no such call any more."""
        raise errors.not_in_this_api("classification of an index", _API, _CLASSIFY)

    def read_classify(self, response: Response) -> TokenPage[ClassifiedVideo]:
        """Refuse: there is no such call any more."""
        raise errors.not_in_this_api("classification of an index", _API, _CLASSIFY)


def _place(index_id: str, video_id: str) -> str:
    return f"/indexes/{json_reading.segment(index_id)}/indexed-assets/{json_reading.segment(video_id)}"


def _index(body: Mapping[str, Any]) -> IndexInfo:
    return index_common.index_info(body, "models", "model")


def _video(body: Mapping[str, Any]) -> IndexedVideo:
    return index_common.video_of(
        body, json_reading.sub(body, "system_metadata"), status=json_reading.ident(body, "status"),
        asset_id=json_reading.said(body, "asset_id"),
        metadata=dict(json_reading.sub(body, "user_metadata")),
    )  # fmt: skip


def _found_place(body: Mapping[str, Any]) -> tuple[str, str]:
    index_id = json_reading.said(json_reading.sub(body, "index"), "_id") or json_reading.said(body, "index_id")
    return index_id, json_reading.ident(body, "_id", "id")


def _image(path: Path) -> FilePart:
    return FilePart(path, path.name, guess_type(path.name)[0] or "image/jpeg", field="query_media_file")


def _hits(body: Mapping[str, Any]) -> list[SearchHit]:
    if "clips" in body:  # grouped by video
        video_id = json_reading.ident(body, "id", "video_id")
        return [_hit({"video_id": video_id, **clip}) for clip in json_reading.objects(body, "clips")]
    return [_hit(body)]


def _hit(body: Mapping[str, Any]) -> SearchHit:
    rank = json_reading.number(body, "rank")
    return SearchHit(
        video_id=json_reading.ident(body, "video_id"),
        start=json_reading.number(body, "start"),
        end=json_reading.number(body, "end"),
        rank=int(rank) or None,
        text=json_reading.said(body, "transcription").strip(),
        thumbnail=json_reading.said(body, "thumbnail_url"),
    )
