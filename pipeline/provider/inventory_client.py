"""``pipeline.ports.inventory.Inventory`` over a dialect and the HTTP border: the same calls, limits and errors as the client.

A long list meets its limits again and again: here a limit is waited for, as long as the configured patience.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TypeVar

from pipeline.core.errors import Permanent, Throttled
from pipeline.ports.inventory import ObjectType, OpenSession, RemoteObject
from pipeline.provider.dialects import json_reading
from pipeline.provider.dialects.inventory_protocol import PAGE, InventoryDialect
from pipeline.provider.dialects.protocol import Page, Request, Response
from pipeline.provider.http.caller import ApiCaller

T = TypeVar("T")

_GONE = "resource_not_exist"

_PAGES = 1_000_000  #: of one list: a list without an end is not followed for ever


class InventoryClient:
    """Everything in the account. See ``pipeline.ports.inventory.Inventory``."""

    def __init__(self, calls: ApiCaller, dialect: InventoryDialect, identity: str, patience: float) -> None:
        self._calls, self._dialect, self._identity = calls, dialect, identity
        self._patience = patience  #: seconds that one call may wait for its limits

    @property
    def identity(self) -> str:
        """Name and dialect, as the client's."""
        return self._identity

    @property
    def object_types(self) -> Sequence[ObjectType]:
        """What there is, in the order of deletion."""
        return self._dialect.object_types

    @property
    def upload_type(self) -> ObjectType:
        """What an analysis needs."""
        return self._dialect.upload_type

    @property
    def per_index(self) -> Sequence[ObjectType]:
        """What is listed per index."""
        return self._dialect.per_index

    async def objects(
        self, object_type: ObjectType, index_id: str = ""
    ) -> AsyncGenerator[Sequence[RemoteObject], None]:
        """Yield everything of a sort, page by page; an index that is not there holds nothing."""
        endpoint = self._dialect.endpoints[object_type]
        for page in count(1):
            try:
                listed = await self._call(endpoint.many(index_id, page), self._reader(object_type, index_id))
            except Permanent as error:
                if error.trouble.code != _GONE or not index_id:
                    raise
                return
            if listed.entries:
                yield listed.entries
            if listed.last or page == _PAGES:
                return

    async def get(self, remote: RemoteObject) -> RemoteObject | None:
        """Return the same thing as it is now; None if it is gone."""
        endpoint, read = self._dialect.endpoints[remote.sort], partial(self._one, remote.sort, remote.place)
        try:
            return await self._call(endpoint.one(remote.id, remote.place), read)
        except Permanent as error:
            if error.trouble.code != _GONE:
                raise
            return None

    async def existing(self, object_type: ObjectType, ids: Sequence[str], index_id: str = "") -> frozenset[str]:
        """Return those of these ids that are there now."""
        endpoint = self._dialect.endpoints[object_type]
        if not endpoint.by_ids:
            return frozenset(
                [each for each in ids if await self.get(RemoteObject(object_type, each, place=index_id)) is not None]
            )
        found: set[str] = set()
        for start in range(0, len(ids), PAGE):
            part = ids[start : start + PAGE]
            listed = await self._call(endpoint.many(index_id, 1, part), self._reader(object_type, index_id))
            found |= {entry.id for entry in listed.entries}
        return frozenset(found & set(ids))

    async def delete(self, remote: RemoteObject) -> None:
        """Delete it, never by force; absent is done."""
        endpoint = self._dialect.endpoints[remote.sort]
        try:
            await self._call(endpoint.delete(remote.id, remote.place), json_reading.nothing)
        except Permanent as error:
            if error.trouble.code != _GONE:
                raise

    async def sessions(self) -> AsyncGenerator[OpenSession, None]:
        """Yield the open multipart uploads."""
        for page in count(1):
            request = self._dialect.sessions(page)
            if request is None:
                return
            listed = await self._call(request, self._dialect.read_sessions)
            for session in listed.entries:
                yield session
            if listed.last or page == _PAGES:
                return

    async def _call(self, request: Request, read: Callable[[Response], T]) -> T:
        waited = 0.0
        while True:
            try:
                return await self._calls.call(request, read)
            except Throttled as error:
                after = error.after or 0.0
                if waited + after > self._patience:
                    raise
                await self._calls.clock.sleep(after)
                waited += max(after, 0.1)

    def _reader(self, object_type: ObjectType, index_id: str) -> Callable[[Response], Page[RemoteObject]]:
        def read(response: Response) -> Page[RemoteObject]:
            return json_reading.page_of(
                json_reading.parse(response), lambda body: self._dialect.read(object_type, body, index_id)
            )

        return read

    def _one(self, object_type: ObjectType, index_id: str, response: Response) -> RemoteObject:
        found = self._dialect.read(object_type, json_reading.parse(response), index_id)
        return found if found.owner is not None else replace(found, owner="")  # a single look tells everything
