"""Items of knowledge stores: from queued to ready, with their words searchable."""

from __future__ import annotations

import dataclasses
import sqlite3

from pipeline.core.clock import Clock
from pipeline.local.analysis.process_pool import AnalysisPool
from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused, VideoWords
from pipeline.local.jobs.indexing import build_request
from pipeline.local.state import fulltext
from pipeline.local.state.database import PlatformDatabase
from pipeline.local.state.tables import ASSETS, KNOWLEDGE_ITEMS, AssetRow, KnowledgeItemRow

ITEM_STATUSES = ("queued", "pending", "processing", "ready", "failed")


class KnowledgeReader:
    """Reads the words of items whose asset is ready."""

    def __init__(self, state: PlatformDatabase, pool: AnalysisPool, clock: Clock) -> None:
        self._state = state
        self._pool = pool
        self._clock = clock

    async def read(self, key: str) -> None:
        """Take an item to ready or failed, without a reason: no field holds one."""
        item, asset = await self._state.read(lambda db: _item_and_asset(db, key))
        if item is None or item.status in ("ready", "failed"):
            return
        try:
            if item.forced_outcome.startswith("fail:") or asset is None or asset.status != "ready":
                raise AnalysisRefused("video_file_broken", item.forced_outcome or "the asset cannot be used")
            await self._put(dataclasses.replace(item, status="processing", updated=self._clock.now()))
            words = await self._pool.words(build_request(self._state, asset, {}))
        except (AnalysisRefused, AnalysisCrashed):
            await self._put(dataclasses.replace(item, status="failed", updated=self._clock.now()))
            return
        await self._finish(item, words)

    async def _put(self, item: KnowledgeItemRow) -> None:
        await self._state.write(lambda db: KNOWLEDGE_ITEMS.put(db, item), durable=False)

    async def _finish(self, item: KnowledgeItemRow, words: VideoWords) -> None:
        done = dataclasses.replace(item, status="ready", updated=self._clock.now(), unread=list(words.unread))
        clips = [("conversation", c.start, c.end, c.text) for c in words.of("sentence")]
        clips += [("text_in_video", c.start, c.end, c.text) for c in words.of("text_in_video")]

        def work(db: sqlite3.Connection) -> None:
            if KNOWLEDGE_ITEMS.get(db, item.id) is not None:  # not deleted meanwhile
                KNOWLEDGE_ITEMS.put(db, done)
                fulltext.add(db, item.store_id, item.id, clips)

        await self._state.write(work)


def _item_and_asset(db: sqlite3.Connection, key: str) -> tuple[KnowledgeItemRow | None, AssetRow | None]:
    item = KNOWLEDGE_ITEMS.get(db, key)
    return item, ASSETS.get(db, item.asset_id) if item is not None else None
