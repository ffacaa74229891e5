"""What an API version has to know about listing and deleting everything, without I/O: the third part of a dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.ports.inventory import OpenSession, RemoteObject, Sort
from pipeline.provider.dialects import json_reading
from pipeline.provider.dialects.index_common import delete
from pipeline.provider.dialects.protocol import Page, Request, Response

PAGE = 50  #: entries per page, at most

OWNER = "reelmill_key"  #: the field of user metadata under which an upload carries our key


@dataclass(frozen=True, slots=True)
class ObjectEndpoint:
    """How one sort of thing is reached: where its list is, how an entry reads. ``{place}`` stands for the index."""

    sort: Sort
    path: str
    ids: tuple[str, ...] = ("_id", "id")
    by_ids: str = ""  #: the filter of the list that takes several ids

    def many(self, place: str, page: int, ids: Sequence[str] = ()) -> Request:
        """List a page, of everything or of these ids."""
        params = [(self.by_ids, each) for each in ids] + json_reading.paging(page, PAGE)
        return Request("GET", self._path(place), params=params, safe=True)

    def one(self, holding_id: str, place: str) -> Request:
        """Ask about one."""
        return Request("GET", f"{self._path(place)}/{json_reading.segment(holding_id)}", safe=True)

    def delete(self, holding_id: str, place: str) -> Request:
        """Delete one; never by force."""
        return delete(f"{self._path(place)}/{json_reading.segment(holding_id)}")

    def _path(self, place: str) -> str:
        return self.path.format(place=json_reading.segment(place))

    def holding(self, body: Mapping[str, Any], place: str, **more: Any) -> RemoteObject:
        """Return an entry with what all sorts have in common."""
        return RemoteObject(
            self.sort, json_reading.ident(body, *self.ids), status=json_reading.said(body, "status"),
            created=json_reading.epoch(body.get("created_at")), place=place, **more,
        )  # fmt: skip


class InventoryDialect(Protocol):
    """Everything in an account of one API version."""

    sorts: Sequence[Sort]  #: in the order of deletion
    uploads: Sort
    placed: Sequence[Sort]
    shelves: Mapping[Sort, ObjectEndpoint]

    def read(self, sort: Sort, body: Mapping[str, Any], place: str) -> RemoteObject:
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
