"""The port of the account's inventory: list, read and delete what it holds.

``reconcile`` uses all of it; a run only looks for what carries our names. A list is no snapshot: what is deleted while
it is read moves the rest up and hides some of it, so *not listed* must be checked again before it is believed.
Conformance suite: ``tests/conformance/test_inventory.py``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

#: v1.3: an entry of an index, an analysis task, an asset. v1.2: a video of an index, an indexing task.
ObjectType: TypeAlias = Literal["indexed", "analysis", "asset", "video", "task"]


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """One object in the account, as shown; field names are ``--json`` keys.

    Texts may hold anything.
    """

    sort: ObjectType
    id: str
    name: str = ""  #: file name; of an analysis its ``custom_id``
    owner: str | None = None  #: our key in its user metadata; empty: it has none; None: the list does not show it
    status: str = ""  #: the platform's own status word
    created: float | None = None  #: epoch seconds by the platform's clock
    place: str = ""  #: id of the index that it is in
    media: str = ""  #: what it was made from: the asset; of a v1.2 task its video, once there is one
    size: int = 0  #: bytes
    seconds: float = 0.0
    captions: str | None = (
        None  #: fingerprint of the captions that an upload carries; None: the list does not show them
    )

    @property
    def ready(self) -> bool:
        """True if the platform is done with it, in both APIs."""
        return self.status == "ready"

    @property
    def failed(self) -> bool:
        """True if nothing will come of it."""
        return self.status in ("failed", "canceled")


@dataclass(frozen=True, slots=True)
class OpenSession:
    """An incomplete multipart upload, which cannot be deleted but expires.

    The list names neither file nor asset.
    """

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
        """This dialect's types in the order of deletion: referrers go first."""
        ...

    @property
    def upload_type(self) -> ObjectType:
        """The type that an analysis needs: without it the next changed prompt fails."""
        ...

    @property
    def per_index(self) -> Sequence[ObjectType]:
        """The types that are listed per index."""
        ...

    def objects(
        self, object_type: ObjectType, index_id: str = "", *, name: str = "", media: str = ""
    ) -> AsyncGenerator[Sequence[RemoteObject], None]:
        """Yield every object of a type; a gone index holds nothing.

        ``name`` narrows uploads to those whose file name has it as a part (v1.3) or is exactly that (v1.2); ``media``
        narrows analyses to those of one asset.
        """
        ...

    async def get(self, remote: RemoteObject) -> RemoteObject | None:
        """Return the object as it is now, in full; None if gone."""
        ...

    async def existing(self, object_type: ObjectType, ids: Sequence[str], index_id: str = "") -> frozenset[str]:
        """Return which of these ids exist now; often 50 per request."""
        ...

    async def delete(self, remote: RemoteObject) -> None:
        """Delete it, if nothing else in the account refers to it; absent is done.

        Raises:
            Permanent, Transient: the platform refuses (now): the object is in use, or still being processed.
        """
        ...

    def sessions(self) -> AsyncGenerator[OpenSession, None]:
        """Yield the open multipart uploads."""
        ...
