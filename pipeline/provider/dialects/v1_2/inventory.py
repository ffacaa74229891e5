"""An account of API v1.2: the videos of its indexes, and the indexing tasks that made them. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.ports.inventory import OpenSession, RemoteObject, Sort
from pipeline.provider.dialects import json_reading
from pipeline.provider.dialects.inventory_protocol import ObjectEndpoint, system_facts
from pipeline.provider.dialects.protocol import Page, Request, Response


class InventoryV12:
    """The notebook's side. Stateless. A ready task can be deleted only after its video."""

    sorts: Sequence[Sort] = ("video", "task")
    uploads: Sort = "video"
    placed: Sequence[Sort] = ("video",)
    shelves: Mapping[Sort, ObjectEndpoint] = {
        "video": ObjectEndpoint("video", "/indexes/{place}/videos"),
        "task": ObjectEndpoint("task", "/tasks"),
    }

    def read(self, sort: Sort, body: Mapping[str, Any], place: str) -> RemoteObject:
        """Return one entry of a list, or the thing itself. Nothing here carries metadata of ours but the file name."""
        shelf, facts = self.shelves[sort], system_facts(body, "metadata")
        if sort == "task":
            return shelf.holding(
                body, json_reading.said(body, "index_id"), media=json_reading.said(body, "video_id"), **facts
            )
        return shelf.holding(body, place, **facts)

    def sessions(self, page: int) -> Request | None:
        """Return None: a file goes up in one request there."""
        return None

    def read_sessions(self, response: Response) -> Page[OpenSession]:
        """Return nothing."""
        return Page([], last=True)
