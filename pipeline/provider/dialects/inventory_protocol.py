"""A dialect's third part: listing and deleting everything. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.ports.inventory import ObjectType, OpenSession, RemoteObject
from pipeline.provider.dialects import calls
from pipeline.provider.dialects.json_reading import JsonObject, read_page
from pipeline.provider.dialects.protocol import Call, Page

OWNER = "reelmill_key"  #: the field of user metadata under which an upload carries our key


@dataclass(frozen=True, slots=True)
class ObjectEndpoint:
    """How one type of object is listed, read and deleted.

    ``{index_id}`` in the path stands for the index.
    """

    object_type: ObjectType
    path: str
    details: Callable[[JsonObject], Mapping[str, Any]]  #: what only this type has: fields of RemoteObject
    ids: tuple[str, ...] = ("_id", "id")
    by_ids: str = ""  #: the filter of the list that takes several ids
    by_name: str = ""  #: the filter that takes a file name
    by_media: str = ""  #: the filter that takes the id of an asset

    def page(
        self, index_id: str, page: int, ids: Sequence[str] = (), *, name: str = "", media: str = ""
    ) -> Call[Page[RemoteObject]]:
        """List a page: of everything, or by ids, name or asset."""
        filters = [(self.by_ids, each) for each in ids] + [(self.by_name, name)] + [(self.by_media, media)]
        request = calls.list_request(self._path(index_id), page, *(each for each in filters if all(each)))
        return Call(request, read_page(lambda body: self.build(body, index_id)))

    def get(self, object_id: str, index_id: str) -> Call[RemoteObject]:
        """Ask about one."""
        return calls.get(self._path(index_id, object_id), lambda body: self.build(body, index_id))

    def delete(self, object_id: str, index_id: str) -> Call[None]:
        """Delete one; never by force."""
        return calls.delete(self._path(index_id, object_id))

    def build(self, body: JsonObject, index_id: str) -> RemoteObject:
        """Build one object, listed or asked for alone."""
        fields: dict[str, Any] = {"status": body.text("status"), "created": body.timestamp("created_at")}
        if "{index_id}" in self.path:
            fields["place"] = index_id
        return RemoteObject(self.object_type, body.id(*self.ids), **(fields | dict(self.details(body))))

    def _path(self, index_id: str, object_id: str | None = None) -> str:
        path = self.path.format(index_id=calls.path_segment(index_id)) if index_id else self.path
        return path if object_id is None else f"{path}/{calls.path_segment(object_id)}"


class InventoryDialect(Protocol):
    """Everything in an account of one API version."""

    object_types: Sequence[ObjectType]  #: in the order of deletion
    upload_type: ObjectType
    per_index: Sequence[ObjectType]
    endpoints: Mapping[ObjectType, ObjectEndpoint]

    def open_sessions(self, page: int) -> Call[Page[OpenSession]] | None:
        """List open multipart uploads; None where there are none."""
        ...


def system_details(system: JsonObject) -> dict[str, Any]:
    """Return file name, bytes and seconds from the platform's own metadata of a video."""
    return {"name": system.text("filename"), "size": system.count("size"), "seconds": system.number("duration")}
