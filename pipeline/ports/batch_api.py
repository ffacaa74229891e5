"""The port of batches: many analyses accepted by one call. Conformance suite: ``tests/conformance/test_batch_api.py``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pipeline.ports.video_api import AnalysisStatus, Question

#: Codes of a Transient that says of results that they can never be read as a whole.
UNREADABLE = frozenset({"unreadable", "answer_too_large"})


@dataclass(frozen=True, slots=True)
class BatchCeilings:
    """What the platform takes of batches."""

    items: int = 1000
    seconds: float = 2000 * 3600.0  #: of video in one batch
    active: int = 5  #: batches of one account at once
    life: float = 24 * 3600.0  #: seconds until a batch expires
    models: frozenset[str] = frozenset({"pegasus1.5"})


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """How far a batch is; unknown provider words are ``working``.

    ``completed`` says that every item has ended, not that one of them succeeded.
    """

    state: Literal["working", "completed", "canceled", "expired", "gone"]
    word: str = ""  #: the provider's own status word
    counts: Mapping[str, int] = field(default_factory=dict)  #: items by their status words, as the provider says


@dataclass(frozen=True, slots=True)
class EndedItem:
    """What became of one item.

    ``task_id`` names it among the analyses, where the platform has told it.
    """

    status: AnalysisStatus
    task_id: str = ""


@dataclass(frozen=True, slots=True)
class BatchResults:
    """The items by key, those that the platform names, each once."""

    items: Mapping[str, EndedItem]
    twice: int = 0  #: lines that named an item once more
    unreadable: int = 0  #: lines that are no item


class BatchApi(Protocol):
    """Batches of analyses. Raises only errors of ``pipeline.core.errors``.

    Items are known by ``Question.key``, which is unique in the whole account.
    """

    @property
    def ceilings(self) -> BatchCeilings:
        """What the platform takes."""
        ...

    async def create(self, questions: Sequence[Question], still_ours: Callable[[], None]) -> str:
        """Ask all of them, or none; return the batch's id.

        Paid, and not repeatable: see :meth:`find`.
        """
        ...

    async def find(self, keys: Collection[str], since: float) -> str | None:
        """Return the id of a batch that holds one of these keys, or None.

        ``since``: when the intent was stored, epoch seconds; nothing much older is looked at.
        """
        ...

    async def status(self, batch_id: str) -> BatchStatus:
        """Return how far a batch is."""
        ...

    async def results(self, batch_id: str) -> BatchResults:
        """Return what became of the items; may be read while the batch runs."""
        ...

    async def cancel(self, batch_id: str) -> None:
        """Cancel what has not begun, unless the batch has ended or is gone."""
        ...
