"""An account of API v1.2: the videos of its indexes, and the indexing tasks that made them. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.ports.inventory import ObjectType, OpenSession, RemoteObject
from pipeline.provider.dialects import json_reading
from pipeline.provider.dialects.inventory_protocol import ObjectEndpoint, system_facts
from pipeline.provider.dialects.protocol import Page, Request, Response


class InventoryV12:
    """The notebook's side. Stateless. A ready task can be deleted only after its video."""

    object_types: Sequence[ObjectType] = ("video", "task")
    upload_type: ObjectType = "video"
    per_index: Sequence[ObjectType] = ("video",)
    endpoints: Mapping[ObjectType, ObjectEndpoint] = {
        "video": ObjectEndpoint("video", "/indexes/{index_id}/videos"),
        "task": ObjectEndpoint("task", "/tasks"),
    }

    def read(self, object_type: ObjectType, body: Mapping[str, Any], index_id: str) -> RemoteObject:
        """Return one entry of a list, or the thing itself. Nothing here carries metadata of ours but the file name."""
        endpoint, facts = self.endpoints[object_type], system_facts(body, "metadata")
        if object_type == "task":
            return endpoint.remote_object(
                body, json_reading.said(body, "index_id"), media=json_reading.said(body, "video_id"), **facts
            )
        return endpoint.remote_object(body, index_id, **facts)

    def sessions(self, page: int) -> Request | None:
        """Return None: a file goes up in one request there."""
        return None

    def read_sessions(self, response: Response) -> Page[OpenSession]:
        """Return nothing."""
        return Page([], last=True)
