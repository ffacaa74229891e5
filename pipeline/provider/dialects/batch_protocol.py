"""A dialect's fourth part: batches of analyses. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline.ports.batch_api import BatchCeilings, BatchResults, BatchStatus
from pipeline.ports.video_api import Question
from pipeline.provider.dialects.protocol import Call, FoundObject, Page


class BatchDialect(Protocol):
    """Batches of one API version."""

    ceilings: BatchCeilings
    known_words: frozenset[str]

    def create(self, questions: Sequence[Question]) -> Call[str]:
        """Ask all of these; read the batch's id."""
        ...

    def listed(self, page: int) -> Call[Page[FoundObject]]:
        """List batches, newest first; they bear no name of ours."""
        ...

    def status(self, batch_id: str) -> Call[BatchStatus]:
        """Ask how far one is."""
        ...

    def results(self, batch_id: str) -> Call[BatchResults]:
        """Read what became of its items, by their keys."""
        ...

    def cancel(self, batch_id: str) -> Call[None]:
        """Cancel what has not begun."""
        ...
