"""The account as a whole: everything that it holds, page by page, and how a single thing is looked at and deleted.

Narrow on purpose: only ``reconcile`` speaks through it. A list is one of many moments: what is deleted while it is read
moves the rest up and hides some of it, so *not listed* must be asked again before it is believed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

#: v1.3: an entry of an index, an analysis task, an asset. v1.2: a video of an index, an indexing task.
ObjectType: TypeAlias = Literal["indexed", "analysis", "asset", "video", "task"]


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """One thing in the account, as the platform tells of it. Texts may hold anything."""

    sort: ObjectType
    id: str
    name: str = ""  #: file name; of an analysis its ``custom_id``
    owner: str | None = None  #: the key of ours in its user metadata; empty: it has none; None: a list does not tell
    status: str = ""  #: the platform's own word
    created: float | None = None  #: epoch seconds by the platform's clock
    place: str = ""  #: id of the index that it is in
    media: str = ""  #: what it was made from: the asset; of a v1.2 task its video, once there is one
    size: int = 0  #: bytes
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A multipart upload that is not complete. The list names neither file nor asset; nothing deletes one: it expires."""

    id: str
    size: int  #: bytes
    created: float | None
    expires: float | None  #: epoch seconds


class Inventory(Protocol):
    """What the account holds. Raises only ``pipeline.core.errors``."""

    @property
    def identity(self) -> str:
        """Name and dialect, as ``VideoApi.identity``."""
        ...

    @property
    def object_types(self) -> Sequence[ObjectType]:
        """The types of this dialect in the order of deletion: what refers to other objects goes first."""
        ...

    @property
    def upload_type(self) -> ObjectType:
        """The type that an analysis needs: without it the next changed prompt fails."""
        ...

    @property
    def per_index(self) -> Sequence[ObjectType]:
        """The types that are listed per index."""
        ...

    def objects(self, object_type: ObjectType, index_id: str = "") -> AsyncGenerator[Sequence[RemoteObject], None]:
        """Yield every object of a type, page by page. An index that is gone holds nothing."""
        ...

    async def get(self, remote: RemoteObject) -> RemoteObject | None:
        """Return the same thing as it is now, with all that is told of a single one; None if it is gone."""
        ...

    async def existing(self, object_type: ObjectType, ids: Sequence[str], index_id: str = "") -> frozenset[str]:
        """Return those of these ids that are there now; 50 at once cost one request where the dialect has a list by ids."""
        ...

    async def delete(self, remote: RemoteObject) -> None:
        """Delete it, if nothing else in the account refers to it; absent is done.

        Raises:
            Permanent, Transient: the platform does not let go of it (now): it is in use, or still being worked on.
        """
        ...

    def sessions(self) -> AsyncGenerator[OpenSession, None]:
        """Yield the open multipart uploads."""
        ...
