"""The other side of ``pipeline.ports.inventory``, with behaviour: newest first in pages, what refuses to go, ways to fail."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace

from pipeline.core.errors import Permanent, ReelmillError
from pipeline.ports.inventory import ObjectType, OpenSession, RemoteObject

PAGE = 50


def _nothing(_sort: str, _page: int) -> None:
    pass


@dataclass
class FakeInventory:
    """Holds what is put into it. What another object was made from cannot be deleted before that one is."""

    identity: str = "fake/v1.3"
    object_types: Sequence[ObjectType] = ("indexed", "analysis", "asset")
    upload_type: ObjectType = "asset"
    per_index: Sequence[ObjectType] = ("indexed",)
    there: dict[str, RemoteObject] = field(default_factory=dict)  #: in the order of their making
    opened: list[OpenSession] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)  #: ids that the platform does not let go of
    failures: list[ReelmillError] = field(default_factory=list)  #: raised first, one for each deletion
    before_page: Callable[[str, int], None] = _nothing  #: (sort, page): somebody else is at work in the account
    pages: int = 0

    def put(self, *objects: RemoteObject) -> None:
        """Put these into the account."""
        for remote in objects:
            self.there[remote.id] = remote

    async def objects(
        self, object_type: ObjectType, index_id: str = "", *, name: str = "", media: str = ""
    ) -> AsyncGenerator[Sequence[RemoteObject], None]:
        number, known, newest_first = 0, -1, list[RemoteObject]()
        while True:
            self.before_page(object_type, number)
            self.pages += 1
            if (
                known != len(self.there) or self.before_page is not _nothing
            ):  # else nothing has changed since the last page
                known = len(self.there)
                all_of = (each for each in self.there.values() if each.sort == object_type)
                kept = [each for each in all_of if name in each.name and media in ("", each.media)]
                newest_first = [each for each in reversed(kept) if index_id in ("", each.place)]
            part = newest_first[number * PAGE : (number + 1) * PAGE]
            if part:  # the list of an index keeps the metadata to itself
                yield [replace(each, owner=None) if object_type == "indexed" else each for each in part]
            number += 1
            if number * PAGE >= len(newest_first):
                return

    async def get(self, remote: RemoteObject) -> RemoteObject | None:
        found = self.there.get(remote.id)
        return found if found is not None and found.sort == remote.sort else None

    async def existing(self, object_type: ObjectType, ids: Sequence[str], index_id: str = "") -> frozenset[str]:
        return frozenset(each for each in ids if each in self.there and self.there[each].sort == object_type)

    async def delete(self, remote: RemoteObject) -> None:
        if self.failures:
            raise self.failures.pop(0)
        users = [each for each in self.there.values() if each.sort == "indexed" and each.media == remote.id]
        if remote.id in self.busy or users:
            raise Permanent("the platform's state does not allow this now", code="conflict")
        if self.there.pop(remote.id, None) is not None:
            self.deleted.append(remote.id)

    async def sessions(self) -> AsyncGenerator[OpenSession, None]:
        for session in self.opened:
            yield session
