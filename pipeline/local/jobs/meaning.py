"""Sentence vectors of clips.

They are made when a video is indexed, and later for what was indexed without them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import anyio
from anyio.abc import TaskStatus

from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import StoreError
from pipeline.local.analysis.process_pool import AnalysisPool
from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused, SentenceVectors
from pipeline.local.jobs.queue import RETRY_AFTER
from pipeline.local.state import vectors
from pipeline.local.state.database import PlatformDatabase

_log = log.get("platform")
_AT_ONCE = 128  # texts of one call


class MeaningIndex:
    """Keeps the vectors of an index's clips, by one model at a time.

    Args:
        state: where clips and vectors are.
        pool: makes them, by the sentence model that it was given.
        clock: time until what failed is tried again.
    """

    def __init__(self, state: PlatformDatabase, pool: AnalysisPool, clock: Clock) -> None:
        self._state = state
        self._pool = pool
        self._clock = clock
        self._usable = True

    async def encode(self, texts: Sequence[str]) -> SentenceVectors | None:
        """Return the vectors of texts; None where the model cannot be used."""
        rows: list[bytes] = []
        model = ""
        for first in range(0, len(texts), _AT_ONCE):
            found = await self._ask(texts[first : first + _AT_ONCE])
            if found is None:
                return None
            model, rows = found.model, [*rows, *found.rows]
        return SentenceVectors(model, tuple(rows))

    async def query(self, text: str) -> SentenceVectors | None:
        """Return the vector of a query; it does not wait for a long analysis."""
        return await self._ask([text], quick=True)

    async def _ask(self, texts: Sequence[str], *, quick: bool = False) -> SentenceVectors | None:
        if not self._usable:
            return None
        try:
            return await self._pool.vectors(texts, quick=quick)
        except AnalysisRefused as refusal:  # it will not be another model before the next start
            self._usable = False
            _log.warning("platform.no_meaning", why=refusal.message)
        except AnalysisCrashed as error:
            _log.warning("platform.no_meaning", why=str(error))
        return None

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Make the vectors that are missing, oldest clips first; return when none is."""
        task_status.started()
        begun = await self._ask(["."]) if await self._state.read(vectors.has_clips) else None
        after = 0
        while begun is not None:
            try:
                last = await self._make_missing(begun.model, after)
            except (StoreError, OSError) as error:
                _log.error("platform.disk", why=str(error), again_in=RETRY_AFTER)
                await self._clock.sleep(RETRY_AFTER)
                continue
            if last is None:
                return
            after = last

    async def _make_missing(self, model: str, after: int) -> int | None:
        """Make some vectors, of clips behind a number; return that of the last.

        None where none was missing, or none could be made.
        """
        clips = await self._state.read(lambda db: vectors.missing(db, model, after, _AT_ONCE))
        found = await self._ask([text for _, text in clips]) if clips else None
        if found is None:
            return None
        await self._state.write(lambda db: vectors.put(db, found.model, clips, found.rows), durable=False)
        return clips[-1][0]


def keep(db: sqlite3.Connection, video_id: str, found: SentenceVectors | None) -> None:
    """Keep the vectors of all clips of a video, inside the caller's transaction."""
    if found is not None:
        vectors.put(db, found.model, vectors.clips_of(db, video_id), found.rows)
