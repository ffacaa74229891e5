"""The account compared with the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.core.model import Trouble
    from pipeline.ports.inventory import RemoteObject


@dataclass(frozen=True, slots=True)
class Leftover:
    """An object in the account that carries our mark and is no longer needed."""

    verdict: str  #: superseded, cancelled; stray: this database has not made it
    holding: RemoteObject
    key: str = ""  #: of the video or analysis that it was made for, where the database knows it
    item: str = ""  #: the user's own word for that video


@dataclass(frozen=True, slots=True)
class Vanished:
    """A video that is done here but missing at the platform."""

    key: str
    media_id: str
    item: str
    repair: Literal["file", "fetch", "address", "none"]  #: where its bytes would come from; none: the file is gone, too
    size: int = 0  #: bytes to be uploaded again
    seconds: float = 0.0
    usd: float = 0.0  #: what uploading it again costs by the configured prices: only where that means indexing


@dataclass(frozen=True, slots=True)
class Expiring:
    """Something of ours at the platform that will expire."""

    what: Literal["answer", "index"]
    id: str
    item: str
    until: float  #: epoch seconds; may be past


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An incomplete multipart upload. It costs nothing and expires by itself."""

    id: str
    state: Literal["in use", "left behind", "foreign"]
    item: str
    size: int  #: bytes
    until: float  #: epoch seconds; 0 = not said


@dataclass(frozen=True, slots=True)
class AnswerStore:
    """A knowledge store of ``ask`` in the account. ``reconcile`` leaves it alone."""

    id: str
    created: float  #: epoch seconds by the platform's clock; 0 = not said
    videos: int  #: that are in it
    failed: int  #: places in it that the platform could not read: the next ``ask`` of those videos makes them anew
    used: bool  #: questions go to it: it is the oldest of ours


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The database compared with the account, and what would be done about it."""

    account: str  #: name and dialect
    at: float
    counts: Mapping[str, Mapping[str, int]]  #: sort of thing -> verdict -> how many; foreign ones are only counted
    orphans: Sequence[Leftover]  #: to be deleted, in this order
    strays: Sequence[Leftover]  #: to be deleted only where that is asked for
    vanished: Sequence[Vanished]
    expiring: Sequence[Expiring]
    sessions: Sequence[OpenUpload]
    stores: Sequence[AnswerStore] = ()  #: the used one first
    left_out: int = 0  #: leftovers and vanished videos beyond the limit: run it again for those
    not_found: Sequence[str] = ()  #: ids that were asked for and that this plan has nothing to do with

    @property
    def repairable(self) -> Sequence[Vanished]:
        """Vanished videos that can be uploaded again."""
        return [each for each in self.vanished if each.repair != "none"]


@dataclass(frozen=True, slots=True)
class Agreed:
    """What somebody has agreed to; ``declined`` if they refused something."""

    delete: Sequence[Leftover] = ()
    repair: Sequence[Vanished] = ()
    declined: bool = False


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was done of a plan."""

    plan: Reconciliation
    deleted: Sequence[RemoteObject] = ()
    gone: Sequence[RemoteObject] = ()  #: were not there any more
    changed: Sequence[RemoteObject] = ()  #: were not what the plan had seen any more, and were left alone
    refused: Sequence[tuple[RemoteObject, Trouble]] = ()  #: the platform does not let go of them
    rearmed: Sequence[Vanished] = ()  #: are uploaded again by the next run
    declined: bool = False  #: somebody was asked and said no to something

    @property
    def clean(self) -> bool:
        """True if nothing that was agreed to was left undone."""
        return not (self.changed or self.refused)
