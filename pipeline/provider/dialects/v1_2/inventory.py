"""An account of API v1.2: videos and indexing tasks. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.ports.inventory import ObjectType, OpenSession
from pipeline.provider.dialects.inventory_protocol import ObjectEndpoint, system_details
from pipeline.provider.dialects.json_reading import JsonObject
from pipeline.provider.dialects.protocol import Call, Page


def _video(body: JsonObject) -> Mapping[str, Any]:
    """Return what a list shows; only the file name carries anything of ours there."""
    return system_details(body.child("metadata"))


def _task(body: JsonObject) -> Mapping[str, Any]:
    return {
        "place": body.optional_id("index_id"), "media": body.optional_id("video_id"),
        **system_details(body.child("metadata")),
    }  # fmt: skip


class InventoryV12:
    """The inventory of v1.2; a ready task goes after its video. Stateless."""

    object_types: Sequence[ObjectType] = ("video", "task")
    upload_type: ObjectType = "video"
    per_index: Sequence[ObjectType] = ("video",)
    endpoints: Mapping[ObjectType, ObjectEndpoint] = {
        "video": ObjectEndpoint("video", "/indexes/{index_id}/videos", _video),
        "task": ObjectEndpoint("task", "/tasks", _task, by_name="filename"),
    }

    def open_sessions(self, page: int) -> Call[Page[OpenSession]] | None:
        return None  # a file goes up in one request there
