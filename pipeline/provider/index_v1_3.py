"""Indexes, indexed assets and search of API v1.3: models, form requests, ranks from 1 = best. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import dumps
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from pipeline.catalog import Hit, IndexedVideo, IndexInfo, IndexSpec, Listing, Query, Sorted, Sorting
from pipeline.errors import Permanent
from pipeline.model import Json
from pipeline.provider import index_wire, wire
from pipeline.provider.dialect import FilePart, Page, Request, Response
from pipeline.provider.index_dialect import TokenPage

_API = "v1.3"
_CLASSIFY = "use the `classify` job: it asks about each video with a schema"
_MOST_IMAGES = 10


class IndexV13:
    """The living side. Stateless."""

    default_models: Sequence[tuple[str, tuple[str, ...]]] = (("marengo3.0", ("visual", "audio")),)
    page_size = index_wire.PAGE

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

    # ------------------------------------------------------------------------------------------------ indexed assets

    def videos(self, index_id: str, which: Listing, page: int) -> Request:
        """List the indexed assets of an index."""
        path = f"/indexes/{wire.segment(index_id)}/indexed-assets"
        return index_wire.listing(path, index_wire.video_filters(which), which, page)

    def read_videos(self, response: Response) -> Page[IndexedVideo]:
        """Return a page of indexed assets."""
        return wire.page_of(wire.parse(response), _video)

    def video(self, index_id: str, video_id: str) -> Request:
        """Ask about one indexed asset."""
        return Request("GET", _place(index_id, video_id), safe=True)

    def read_video(self, response: Response) -> IndexedVideo:
        """Return the indexed asset."""
        return _video(wire.parse(response))

    def delete_video(self, index_id: str, video_id: str) -> Request:
        """Take an asset out of an index."""
        return index_wire.delete(_place(index_id, video_id))

    def put(self, index_id: str, asset_id: str, metadata: Mapping[str, str | int | float | bool]) -> Request:
        """Put an asset into an index; streaming copies are not wanted."""
        body: dict[str, Json] = {"asset_id": asset_id, "enable_video_stream": False}
        if metadata:
            body["user_metadata"] = wire.metadata(metadata)
        return Request("POST", f"/indexes/{wire.segment(index_id)}/indexed-assets", "index", json=body)

    def places(self, asset_id: str, page: int) -> Request:
        """List where an asset was put."""
        params = wire.paging(page, self.page_size)
        return Request("GET", f"/assets/{wire.segment(asset_id)}/indexed-assets", params=params, safe=True)

    def read_places(self, response: Response) -> Page[tuple[str, str]]:
        """Return (index id, indexed asset's id) pairs."""
        return wire.page_of(wire.parse(response), _found_place)

    # -------------------------------------------------------------------------------------------------------- search

    def search_options(self, index: IndexInfo) -> Sequence[str]:
        """Return the options of the index's model; what can be heard can be read, too."""
        options = index_wire.marengo_options(index)
        return (*options, "transcription") if "audio" in options else options

    def search(self, query: Query) -> Request:
        """Search by words, images or both."""
        index_wire.only_there(_API, "a threshold", query.threshold)
        index_wire.only_there(_API, "an order", query.sort)
        if len(query.images) > _MOST_IMAGES:
            raise Permanent("a search takes at most 10 images", code="too_many_images", remedy="ask with fewer")
        form = [("index_id", query.index_id)]
        form += [("search_options", option) for option in index_wire.need_options(query)]
        form += [("transcription_options", option) for option in query.speech]
        form += [("group_by", query.group_by), ("operator", query.operator)]
        form.append(("page_limit", str(index_wire.page_limit(query.limit))))
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
        return Request("GET", f"/search/{wire.segment(token)}", safe=True)

    def read_search(self, response: Response) -> TokenPage[Hit]:
        """Return a page of hits."""
        return index_wire.token_page(response, _hits)

    # ------------------------------------------------------------------------------------------------ classification

    def classify(self, sorting: Sorting) -> Request:
        """Refuse: there is no such call any more."""
        raise wire.not_in_this_api("classification of an index", _API, _CLASSIFY)

    def classify_page(self, token: str) -> Request:
        """Refuse: there is no such call any more."""
        raise wire.not_in_this_api("classification of an index", _API, _CLASSIFY)

    def read_classify(self, response: Response) -> TokenPage[Sorted]:
        """Refuse: there is no such call any more."""
        raise wire.not_in_this_api("classification of an index", _API, _CLASSIFY)


def _place(index_id: str, video_id: str) -> str:
    return f"/indexes/{wire.segment(index_id)}/indexed-assets/{wire.segment(video_id)}"


def _index(body: Mapping[str, Any]) -> IndexInfo:
    return index_wire.index_info(body, "models", "model")


def _video(body: Mapping[str, Any]) -> IndexedVideo:
    return index_wire.video_of(
        body, wire.sub(body, "system_metadata"), status=wire.ident(body, "status"), asset_id=wire.said(body, "asset_id"),
        metadata=dict(wire.sub(body, "user_metadata")),
    )  # fmt: skip


def _found_place(body: Mapping[str, Any]) -> tuple[str, str]:
    index_id = wire.said(wire.sub(body, "index"), "_id") or wire.said(body, "index_id")
    return index_id, wire.ident(body, "_id", "id")


def _image(path: Path) -> FilePart:
    return FilePart(path, path.name, guess_type(path.name)[0] or "image/jpeg", field="query_media_file")


def _hits(body: Mapping[str, Any]) -> list[Hit]:
    if "clips" in body:  # grouped by video
        video_id = wire.ident(body, "id", "video_id")
        return [_hit({"video_id": video_id, **clip}) for clip in wire.objects(body, "clips")]
    return [_hit(body)]


def _hit(body: Mapping[str, Any]) -> Hit:
    rank = wire.number(body, "rank")
    return Hit(
        video_id=wire.ident(body, "video_id"),
        start=wire.number(body, "start"),
        end=wire.number(body, "end"),
        rank=int(rank) or None,
        text=wire.said(body, "transcription").strip(),
        thumbnail=wire.said(body, "thumbnail_url"),
    )
