"""What an API version has to know about listing and deleting everything, without I/O: the third part of a dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.ports.inventory import ObjectType, OpenSession, RemoteObject
from pipeline.provider.dialects import json_reading
from pipeline.provider.dialects.index_common import delete
from pipeline.provider.dialects.protocol import Page, Request, Response

PAGE = 50  #: entries per page, at most

OWNER = "reelmill_key"  #: the field of user metadata under which an upload carries our key


@dataclass(frozen=True, slots=True)
class ObjectEndpoint:
    """How one sort of thing is reached: where its list is, how an entry reads. ``{index_id}`` stands for the index."""

    object_type: ObjectType
    path: str
    ids: tuple[str, ...] = ("_id", "id")
    by_ids: str = ""  #: the filter of the list that takes several ids

    def many(self, index_id: str, page: int, ids: Sequence[str] = ()) -> Request:
        """List a page, of everything or of these ids."""
        params = [(self.by_ids, each) for each in ids] + json_reading.paging(page, PAGE)
        return Request("GET", self._path(index_id), params=params, safe=True)

    def one(self, object_id: str, index_id: str) -> Request:
        """Ask about one."""
        return Request("GET", f"{self._path(index_id)}/{json_reading.segment(object_id)}", safe=True)

    def delete(self, object_id: str, index_id: str) -> Request:
        """Delete one; never by force."""
        return delete(f"{self._path(index_id)}/{json_reading.segment(object_id)}")

    def _path(self, index_id: str) -> str:
        return self.path.format(index_id=json_reading.segment(index_id))

    def remote_object(self, body: Mapping[str, Any], index_id: str, **more: Any) -> RemoteObject:
        """Return an entry with what all sorts have in common."""
        return RemoteObject(
            self.object_type, json_reading.ident(body, *self.ids), status=json_reading.said(body, "status"),
            created=json_reading.epoch(body.get("created_at")), place=index_id, **more,
        )  # fmt: skip


class InventoryDialect(Protocol):
    """Everything in an account of one API version."""

    object_types: Sequence[ObjectType]  #: in the order of deletion
    upload_type: ObjectType
    per_index: Sequence[ObjectType]
    endpoints: Mapping[ObjectType, ObjectEndpoint]

    def read(self, object_type: ObjectType, body: Mapping[str, Any], index_id: str) -> RemoteObject:
        """Return one entry of a list, or the thing itself."""
        ...

    def sessions(self, page: int) -> Request | None:
        """List open multipart uploads; None where there are none."""
        ...

    def read_sessions(self, response: Response) -> Page[OpenSession]:
        """Return a page of them."""
        ...


def system_facts(body: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Return file name, bytes and seconds as a video of an index has them under ``field``."""
    system = json_reading.sub(body, field)
    return {
        "name": json_reading.said(system, "filename"),
        "size": int(json_reading.number(system, "size")),
        "seconds": json_reading.number(system, "duration"),
    }
