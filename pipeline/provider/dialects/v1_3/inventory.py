"""An account of API v1.3: assets, entries of indexes, analysis tasks, open multipart uploads. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.ports.inventory import ObjectType, OpenSession, RemoteObject
from pipeline.provider.dialects import json_reading
from pipeline.provider.dialects.inventory_protocol import OWNER, PAGE, ObjectEndpoint, system_facts
from pipeline.provider.dialects.protocol import Page, Request, Response


class InventoryV13:
    """The living side. Stateless."""

    object_types: Sequence[ObjectType] = ("indexed", "analysis", "asset")
    upload_type: ObjectType = "asset"
    per_index: Sequence[ObjectType] = ("indexed",)
    endpoints: Mapping[ObjectType, ObjectEndpoint] = {
        "indexed": ObjectEndpoint("indexed", "/indexes/{index_id}/indexed-assets"),
        "analysis": ObjectEndpoint("analysis", "/analyze/tasks", ids=("task_id", "_id", "id")),
        "asset": ObjectEndpoint("asset", "/assets", by_ids="asset_ids"),
    }

    def read(self, object_type: ObjectType, body: Mapping[str, Any], index_id: str) -> RemoteObject:
        """Return one entry of a list, or the thing itself."""
        endpoint = self.endpoints[object_type]
        if object_type == "analysis":
            source = json_reading.sub(body, "video_source")
            return endpoint.remote_object(
                body, "", name=json_reading.said(body, "custom_id"), media=json_reading.said(source, "asset_id")
            )
        owner = json_reading.said(json_reading.sub(body, "user_metadata"), OWNER)
        if object_type == "indexed":  # a list of these tells no metadata
            told, facts = "user_metadata" in body, system_facts(body, "system_metadata")
            return endpoint.remote_object(
                body, index_id, owner=owner if told else None, media=json_reading.said(body, "asset_id"), **facts
            )  # fmt: skip
        return endpoint.remote_object(
            body, "", owner=owner, name=json_reading.said(body, "filename"), size=int(json_reading.number(body, "size")),
            seconds=json_reading.number(body, "duration"),
        )  # fmt: skip

    def sessions(self, page: int) -> Request | None:
        """List the multipart uploads that are not complete."""
        return Request("GET", "/assets/multipart-uploads", params=json_reading.paging(page, PAGE), safe=True)

    def read_sessions(self, response: Response) -> Page[OpenSession]:
        """Return a page of them."""
        return json_reading.page_of(json_reading.parse(response), _session)


def _session(body: Mapping[str, Any]) -> OpenSession:
    times = json_reading.epoch(body.get("created_at")), json_reading.epoch(body.get("expires_at"))
    return OpenSession(
        json_reading.ident(body, "upload_id", "_id", "id"), int(json_reading.number(body, "total_size")), *times
    )
