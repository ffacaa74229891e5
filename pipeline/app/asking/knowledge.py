"""The knowledge store with our videos: found or made, filled, and waited for.

One store serves all state folders of an account. What a lost answer may have left behind is looked for before a call is
made again; nobody has said whether a place in a store is paid for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline.app.account.knowledge_places import our_stores
from pipeline.app.asking.citations import AskedVideo
from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import Ambiguous, NotYet, Permanent
from pipeline.ingest.remote_names import STORE_NAME, item_metadata
from pipeline.ports.knowledge_api import KnowledgeApi, KnowledgeItem
from pipeline.ports.store import Journal

#: Seconds before each further look for what a lost answer may have left behind.
_LOOKS = (0.0, 5.0, 20.0, 65.0)
_ADDING = "asking/adding"  #: under which the journal keeps the uploads whose places may be on their way
_AGAIN = "asking/again"  #: under which the journal keeps how often each upload was added again
_MOST_AGAIN = 3  #: times that what the platform could not read is added again: nobody says whether a place is paid for
_WORTH = {"ready": 2, "working": 1, "failed": 0}
_FIRST_WAIT, _MOST_WAIT = 1.0, 15.0  #: seconds between two looks at what the store has read
_log = log.get("ask")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A store in which the videos can be asked."""

    store_id: str
    videos: Sequence[AskedVideo]  #: ready, each with its item and label
    whole: bool  #: the store holds nothing else
    failed: int = 0  #: videos that the platform could not read, or does not take


class StoreKeeper:
    """Keeps the knowledge store of an account."""

    def __init__(self, knowledge: KnowledgeApi, journal: Journal, clock: Clock, patience: float) -> None:
        self._knowledge = knowledge
        self._journal = journal
        self._clock = clock
        self._patience = patience  #: seconds that one step may wait
        self._store_id = ""
        self._items: dict[str, KnowledgeItem] = {}  #: the best of each upload
        self._failed: dict[str, list[str]] = {}  #: ids of the items of an upload that the platform could not read
        self._again: dict[str, int] = {}  #: how often an upload was added again
        self._held = 0  #: items in the store

    async def look(self, videos: Sequence[AskedVideo]) -> Sequence[AskedVideo]:
        """Return the videos without a place in the store that can be read. Free."""
        self._store_id = await self._find_store()
        if self._store_id:
            await self._list()
            await self._await_unlisted(videos)
        again = await self._journal.load(_AGAIN)
        counted = again.items() if isinstance(again, dict) else ()
        self._again = {asset_id: number for asset_id, number in counted if isinstance(number, int)}
        return [video for video in videos if self._wants_place(video.asset_id)]

    def _wants_place(self, asset_id: str) -> bool:
        item = self._items.get(asset_id)
        return item is None or (item.state == "failed" and self._again.get(asset_id, 0) < _MOST_AGAIN)

    async def prepare(
        self, videos: Sequence[AskedVideo], missing: Sequence[AskedVideo], tell: Callable[[str], None]
    ) -> Prepared:
        """Give each video a place, and wait until the platform has read all.

        ``missing``: those without one, by :meth:`look`.

        Raises:
            NotYet: it takes longer than anyone waits here.
        """
        if not self._store_id:
            self._store_id = await self._make_store()
        if missing:
            await self._journal.save(_ADDING, [self._store_id, [video.asset_id for video in missing]])
            await self._take_out_failed([video.asset_id for video in missing])
            for video in missing:
                await self._add(video)
            await self._list()
            await self._journal.save(_ADDING, None)
        await self._wait(videos, tell)
        ready = [
            replace(video, item_id=item.id, seconds=video.seconds or item.seconds)
            for video in videos
            if (item := self._items.get(video.asset_id)) is not None and item.state == "ready"
        ]
        labelled = [replace(video, label=f"v{number}") for number, video in enumerate(ready, 1)]
        return Prepared(self._store_id, labelled, self._held == len(ready), len(videos) - len(ready))

    # ---------------------------------------------------------------------------------------------------- the store

    async def _find_store(self) -> str:
        """Return the id of the oldest store of our name, or empty."""
        found = await our_stores(self._knowledge)
        return found[0].id if found else ""

    async def _make_store(self) -> str:
        try:
            return await self._knowledge.create_store(STORE_NAME)
        except Ambiguous:
            for seconds in _LOOKS:
                await self._clock.sleep(seconds or self._knowledge.grace)
                if found := await self._find_store():
                    return found
        return await self._knowledge.create_store(STORE_NAME)

    # ---------------------------------------------------------------------------------------------------- its items

    async def _list(self) -> None:
        self._items.clear()
        self._failed.clear()
        self._held = 0
        for item in await self._knowledge.items(self._store_id):
            self._held += 1
            if item.state == "failed":
                self._failed.setdefault(item.asset_id, []).append(item.id)
            known = self._items.get(item.asset_id)
            if known is None or _WORTH[item.state] > _WORTH[known.state]:
                self._items[item.asset_id] = item

    async def _await_unlisted(self, videos: Sequence[AskedVideo]) -> None:
        """Look again for places that a process which died may have asked for."""
        noted = await self._journal.load(_ADDING)
        store_id, begun = noted if isinstance(noted, list) and len(noted) == 2 else ("", [])
        if store_id != self._store_id:
            return
        doubtful = {video.asset_id for video in videos} & set(begun)
        for seconds in _LOOKS[1:3]:
            if doubtful <= self._items.keys():
                return
            await self._clock.sleep(seconds)
            await self._list()

    async def _take_out_failed(self, asset_ids: Sequence[str]) -> None:
        """Take out what the platform could not read, to be added again."""
        failed = {asset_id: self._failed[asset_id] for asset_id in asset_ids if asset_id in self._failed}
        if not failed:
            return
        self._again |= {asset_id: self._again.get(asset_id, 0) + 1 for asset_id in failed}
        await self._journal.save(_AGAIN, self._again)
        for asset_id, items in failed.items():
            for item in items:
                await self._knowledge.delete_item(self._store_id, item)
            _log.info("item.added_again", asset=asset_id, why="the platform could not read it before")
        await self._list()

    async def _add(self, video: AskedVideo) -> None:
        """Give a video its place; one that the platform does not take stays without."""
        place = (self._store_id, video.asset_id, item_metadata(video.key))
        try:
            await self._knowledge.add_item(*place)
        except Ambiguous:
            for seconds in _LOOKS:
                await self._clock.sleep(seconds or self._knowledge.grace)
                await self._list()
                if video.asset_id in self._items:
                    return
            _log.warning(
                "item.added_again", key=video.key, why="its first answer was lost, and the store shows nothing"
            )
            await self._knowledge.add_item(*place)
        except Permanent as error:
            _log.warning("item.refused", key=video.key, why=error.trouble.message, detail=error.trouble.detail)

    async def _wait(self, videos: Sequence[AskedVideo], tell: Callable[[str], None]) -> None:
        began, delay, told = self._clock.monotonic(), _FIRST_WAIT, False
        while unread := self._unread(videos):
            if not told:
                tell(f"waiting until the platform has read {unread} of {len(videos)} videos")
                told = True
            if self._clock.monotonic() - began + delay > self._patience:
                raise NotYet(
                    f"the platform has not read {unread} of {len(videos)} videos yet", after=self._patience,
                    code="not_read_yet", remedy="ask again later: they are in its hands, and nothing is put there twice",
                )  # fmt: skip
            await self._clock.sleep(delay)
            delay = min(_MOST_WAIT, delay * 1.5)
            await self._list()

    def _unread(self, videos: Sequence[AskedVideo]) -> int:
        found = (self._items.get(video.asset_id) for video in videos)
        return sum(item is not None and item.state == "working" for item in found)
