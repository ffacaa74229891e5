"""An account of API v1.3: assets, entries, analysis tasks, sessions. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.model import fingerprint
from pipeline.ports.inventory import ObjectType, OpenSession
from pipeline.provider.dialects import calls
from pipeline.provider.dialects.inventory_protocol import OWNER, ObjectEndpoint, system_details
from pipeline.provider.dialects.json_reading import JsonObject, read_page
from pipeline.provider.dialects.protocol import Call, Page


def _asset(body: JsonObject) -> Mapping[str, Any]:
    captions = body.child("user_metadata").text("captions")
    return {
        "captions": fingerprint(captions) if captions else "",
        "owner": _owner(body), "name": body.text("filename"), "size": body.count("size"), "seconds": body.number("duration"),
    }  # fmt: skip


def _analysis(body: JsonObject) -> Mapping[str, Any]:
    return {"name": body.text("custom_id"), "media": body.child("video_source").optional_id("asset_id")}


def _indexed(body: JsonObject) -> Mapping[str, Any]:
    owner = _owner(body) if "user_metadata" in body else None  # a list tells no metadata
    return {"owner": owner, "media": body.optional_id("asset_id"), **system_details(body.child("system_metadata"))}


def _owner(body: JsonObject) -> str:
    return body.child("user_metadata").text(OWNER)


class InventoryV13:
    """The inventory of v1.3. Stateless."""

    object_types: Sequence[ObjectType] = ("indexed", "analysis", "asset")
    upload_type: ObjectType = "asset"
    per_index: Sequence[ObjectType] = ("indexed",)
    endpoints: Mapping[ObjectType, ObjectEndpoint] = {
        "indexed": ObjectEndpoint("indexed", "/indexes/{index_id}/indexed-assets", _indexed),
        "analysis": ObjectEndpoint(
            "analysis", "/analyze/tasks", _analysis, ids=("task_id", "_id", "id"), by_media="asset_id"
        ),
        "asset": ObjectEndpoint("asset", "/assets", _asset, by_ids="asset_ids", by_name="filename"),
    }

    def open_sessions(self, page: int) -> Call[Page[OpenSession]] | None:
        return Call(calls.list_request("/assets/multipart-uploads", page), read_page(_session))


def _session(body: JsonObject) -> OpenSession:
    times = body.timestamp("created_at"), body.timestamp("expires_at")
    return OpenSession(body.id("upload_id", "_id", "id"), body.count("total_size"), *times)
