"""``pipeline.ports.inventory.Inventory`` over a dialect and the API caller.

A long list meets its rate limits again and again: here a limit is waited for, as long as the configured patience.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from itertools import count
from typing import TypeVar

from pipeline.core.errors import Permanent
from pipeline.core.retry import ThrottlePatience, retry
from pipeline.ports.inventory import ObjectType, OpenSession, RemoteObject
from pipeline.provider.dialects.calls import PAGE
from pipeline.provider.dialects.inventory_protocol import InventoryDialect
from pipeline.provider.dialects.protocol import Call
from pipeline.provider.http.caller import ApiCaller, is_gone

T = TypeVar("T")
_PAGES = 1_000_000  #: of one list: a list without an end is not followed for ever


class InventoryClient:
    """Everything in the account."""

    def __init__(self, caller: ApiCaller, dialect: InventoryDialect, identity: str, patience: float) -> None:
        self._caller, self._dialect, self._identity = caller, dialect, identity
        self._patience = patience  #: seconds that one call may wait for its limits

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def object_types(self) -> Sequence[ObjectType]:
        return self._dialect.object_types

    @property
    def upload_type(self) -> ObjectType:
        return self._dialect.upload_type

    @property
    def per_index(self) -> Sequence[ObjectType]:
        return self._dialect.per_index

    async def objects(
        self, object_type: ObjectType, index_id: str = "", *, name: str = "", media: str = ""
    ) -> AsyncGenerator[Sequence[RemoteObject], None]:
        endpoint = self._dialect.endpoints[object_type]
        for page in count(1):
            try:
                listed = await self._call(endpoint.page(index_id, page, name=name, media=media))
            except Permanent as error:
                if not is_gone(error) or not index_id:
                    raise
                return
            if listed.entries:
                yield listed.entries
            if listed.last or page == _PAGES:
                return

    async def get(self, remote: RemoteObject) -> RemoteObject | None:
        call = self._dialect.endpoints[remote.sort].get(remote.id, remote.place)
        found = await self._find(call)
        # A single object comes with all its metadata: what it does not have then, it has not.
        return replace(found, owner="") if found is not None and found.owner is None else found

    async def existing(self, object_type: ObjectType, ids: Sequence[str], index_id: str = "") -> frozenset[str]:
        endpoint = self._dialect.endpoints[object_type]
        if not endpoint.by_ids:
            alone = [each for each in ids if await self._find(endpoint.get(each, index_id)) is not None]
            return frozenset(alone)
        found: set[str] = set()
        for start in range(0, len(ids), PAGE):
            listed = await self._call(endpoint.page(index_id, 1, ids[start : start + PAGE]))
            found |= {entry.id for entry in listed.entries}
        return frozenset(found & set(ids))

    async def delete(self, remote: RemoteObject) -> None:
        await self._find(self._dialect.endpoints[remote.sort].delete(remote.id, remote.place))

    async def sessions(self) -> AsyncGenerator[OpenSession, None]:
        for page in count(1):
            call = self._dialect.open_sessions(page)
            if call is None:
                return
            listed = await self._call(call)
            for session in listed.entries:
                yield session
            if listed.last or page == _PAGES:
                return

    async def _call(self, call: Call[T]) -> T:
        patience = ThrottlePatience(self._patience, unnamed=0.1)
        return await retry(lambda: self._caller.call(call), patience, self._caller.clock)

    async def _find(self, call: Call[T]) -> T | None:
        patience = ThrottlePatience(self._patience, unnamed=0.1)
        return await retry(lambda: self._caller.find(call), patience, self._caller.clock)
