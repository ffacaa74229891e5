"""The account as a whole: everything that it holds, page by page, and how a single thing is looked at and deleted.

Narrow on purpose: only ``reconcile`` speaks through it. A list is one of many moments: what is deleted while it is read
moves the rest up and hides some of it, so *not listed* must be asked again before it is believed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

#: v1.3: an entry of an index, an analysis task, an asset. v1.2: a video of an index, an indexing task.
Sort: TypeAlias = Literal["indexed", "analysis", "asset", "video", "task"]


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """One thing in the account, as the platform tells of it. Texts may hold anything."""

    sort: Sort
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
    def sorts(self) -> Sequence[Sort]:
        """What there is in this dialect, in the order in which it can be deleted: what hangs on other things first."""
        ...

    @property
    def uploads(self) -> Sort:
        """The sort that an analysis needs: without it the next changed prompt fails."""
        ...

    @property
    def placed(self) -> Sequence[Sort]:
        """The sorts that are listed per index."""
        ...

    def holdings(self, sort: Sort, place: str = "") -> AsyncGenerator[Sequence[RemoteObject], None]:
        """Yield everything of a sort, page by page. An index that is not there (any more) holds nothing."""
        ...

    async def look(self, holding: RemoteObject) -> RemoteObject | None:
        """Return the same thing as it is now, with all that is told of a single one; None if it is gone."""
        ...

    async def present(self, sort: Sort, ids: Sequence[str], place: str = "") -> frozenset[str]:
        """Return those of these ids that are there now; 50 at once cost one request where the dialect has a list by ids."""
        ...

    async def delete(self, holding: RemoteObject) -> None:
        """Delete it, if nothing else in the account refers to it; absent is done.

        Raises:
            Permanent, Transient: the platform does not let go of it (now): it is in use, or still being worked on.
        """
        ...

    def sessions(self) -> AsyncGenerator[OpenSession, None]:
        """Yield the open multipart uploads."""
        ...
