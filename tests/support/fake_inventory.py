"""The other side of ``pipeline.ports.inventory``, with behaviour: newest first in pages, what refuses to go, ways to fail."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace

from pipeline.core.errors import Permanent, ReelmillError
from pipeline.ports.inventory import OpenSession, RemoteObject, Sort

PAGE = 50


def _nothing(_sort: str, _page: int) -> None:
    pass


@dataclass
class FakeAccount:
    """Holds what is put into it. What another holding was made from cannot be deleted before that one is."""

    identity: str = "fake/v1.3"
    sorts: Sequence[Sort] = ("indexed", "analysis", "asset")
    uploads: Sort = "asset"
    placed: Sequence[Sort] = ("indexed",)
    there: dict[str, RemoteObject] = field(default_factory=dict)  #: in the order of their making
    opened: list[OpenSession] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)  #: ids that the platform does not let go of
    failures: list[ReelmillError] = field(default_factory=list)  #: raised first, one for each deletion
    before_page: Callable[[str, int], None] = _nothing  #: (sort, page): somebody else is at work in the account
    pages: int = 0

    def put(self, *holdings: RemoteObject) -> None:
        """Make holdings."""
        for holding in holdings:
            self.there[holding.id] = holding

    async def holdings(self, sort: Sort, place: str = "") -> AsyncGenerator[Sequence[RemoteObject], None]:
        number = 0
        while True:
            self.before_page(sort, number)
            self.pages += 1
            all_of = [each for each in self.there.values() if each.sort == sort and place in ("", each.place)]
            newest_first = list(reversed(all_of))
            part = newest_first[number * PAGE : (number + 1) * PAGE]
            if part:  # the list of an index keeps the metadata to itself
                yield [replace(each, owner=None) if sort == "indexed" else each for each in part]
            number += 1
            if number * PAGE >= len(newest_first):
                return

    async def look(self, holding: RemoteObject) -> RemoteObject | None:
        found = self.there.get(holding.id)
        return found if found is not None and found.sort == holding.sort else None

    async def present(self, sort: Sort, ids: Sequence[str], place: str = "") -> frozenset[str]:
        return frozenset(each for each in ids if each in self.there and self.there[each].sort == sort)

    async def delete(self, holding: RemoteObject) -> None:
        if self.failures:
            raise self.failures.pop(0)
        users = [each for each in self.there.values() if each.sort == "indexed" and each.media == holding.id]
        if holding.id in self.busy or users:
            raise Permanent("the platform's state does not allow this now", code="conflict")
        if self.there.pop(holding.id, None) is not None:
            self.deleted.append(holding.id)

    async def sessions(self) -> AsyncGenerator[OpenSession, None]:
        for session in self.opened:
            yield session
