"""``pipeline.ports.batch_api.BatchApi`` over a dialect and the API caller."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from pipeline.core.errors import Ambiguous, Permanent, Transient
from pipeline.core.log import get
from pipeline.ports.batch_api import UNREADABLE, BatchCeilings, BatchResults, BatchStatus, EndedItem
from pipeline.ports.video_api import Question
from pipeline.provider.dialects.batch_protocol import BatchDialect
from pipeline.provider.dialects.recovery import CLOCK_SKEW
from pipeline.provider.http.caller import ApiCaller, is_gone
from pipeline.provider.lost_calls import platform_time

_ALWAYS = 10  #: batches of the first page that are looked into, however old
_PAGES = 40  #: of a search for a lost batch; five are active at once
#: What the platform answers to the cancelling of what has ended.
_ENDED = frozenset({"batch_completed", "batch_canceled", "batch_expired", "conflict"})
log = get("provider")


class BatchClient:
    """Batches in the account."""

    def __init__(self, caller: ApiCaller, dialect: BatchDialect) -> None:
        self._caller, self._dialect = caller, dialect

    @property
    def ceilings(self) -> BatchCeilings:
        return self._dialect.ceilings

    async def create(self, questions: Sequence[Question], still_ours: Callable[[], None]) -> str:
        minutes, tokens = sum(each.minutes for each in questions), sum(each.max_tokens for each in questions)
        call = self._dialect.create(questions)
        return await self._caller.call(call, still_ours=still_ours, minutes=minutes, tokens=float(tokens))

    async def find(self, keys: Collection[str], since: float) -> str | None:
        for page in range(1, _PAGES + 1):
            listed = await self._caller.call(self._dialect.listed(page))
            floor = platform_time(self._caller, since) - CLOCK_SKEW  # the answer has told the platform's clock
            young = [each for each in listed.entries if each.created is None or each.created >= floor]
            # Our clock may have been set back since: then even what we have just left behind looks older.
            for batch in young if page > 1 else [*young, *listed.entries[len(young) : _ALWAYS]]:
                if await self._holds(batch.id, keys):
                    return batch.id
            if listed.last or (listed.entries and not young):
                return None
        raise Ambiguous("the platform's list of batches has no end", detail=f"{_PAGES} pages")

    async def _holds(self, batch_id: str, keys: Collection[str]) -> bool:
        try:
            return not (await self.results(batch_id)).items.keys().isdisjoint(keys)
        except Transient as error:
            if error.trouble.code not in UNREADABLE:
                raise
            return False

    async def status(self, batch_id: str) -> BatchStatus:
        try:
            return await self._caller.call(self._dialect.status(batch_id))
        except Permanent as error:
            if not is_gone(error):
                raise
            return BatchStatus("gone")

    async def results(self, batch_id: str) -> BatchResults:
        found = await self._caller.find(self._dialect.results(batch_id))
        if found is None:
            return BatchResults({})
        if found.twice or found.unreadable:
            log.warning(
                "batch.odd_results",
                batch=batch_id,
                items=len(found.items),
                twice=found.twice,
                unreadable=found.unreadable,
            )
        return replace(found, items={key: self._without_key(item) for key, item in found.items.items()})

    async def cancel(self, batch_id: str) -> None:
        try:
            await self._caller.find(self._dialect.cancel(batch_id))
        except Permanent as error:
            if error.trouble.code not in _ENDED:
                raise

    def _without_key(self, item: EndedItem) -> EndedItem:
        """Hide a key that only the whole answer spells."""
        answer = item.status.answer
        if answer is None:
            return item
        hide = self._caller.without_key
        raw = json.loads(hide(json.dumps(answer.raw, ensure_ascii=False)))
        return replace(item, status=replace(item.status, answer=replace(answer, text=hide(answer.text), raw=raw)))
