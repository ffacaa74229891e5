"""``pipeline.ports.knowledge_api.KnowledgeApi`` over a dialect and the API caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from pipeline.core.errors import Ambiguous, NeedsOperator, Permanent, ReelmillError, Transient
from pipeline.core.retry import ThrottlePatience, retry
from pipeline.ports.knowledge_api import CrossQuestion, CrossReply, KnowledgeItem, KnowledgeStore
from pipeline.provider.dialects.error_codes import GONE
from pipeline.provider.dialects.protocol import Call, Page
from pipeline.provider.dialects.v1_3.knowledge import KnowledgeV13
from pipeline.provider.http.caller import ApiCaller

T = TypeVar("T")
_PAGES = 2_000  #: of one list: a list without an end is not followed for ever
#: Codes of a platform that has no such endpoint: it knows nothing there, or something before it answers.
_NOT_OFFERED = frozenset({GONE.code, "not_the_api", "not_in_this_api"})


class KnowledgeClient:
    """Knowledge stores, what is in them, and questions to them."""

    def __init__(self, caller: ApiCaller, dialect: KnowledgeV13, patience: float) -> None:
        self._caller, self._dialect = caller, dialect
        self._patience = patience  #: seconds that one call may wait for its limits

    @property
    def grace(self) -> float:
        return self._caller.grace

    async def stores(self) -> Sequence[KnowledgeStore]:
        try:
            return await self._pages(self._dialect.stores)
        except (Permanent, Transient, NeedsOperator) as error:
            raise _not_offered(error) from None

    async def create_store(self, name: str) -> str:
        return await self._make(self._dialect.create_store(name))

    async def items(self, store_id: str) -> Sequence[KnowledgeItem]:
        return await self._pages(lambda page: self._dialect.items(store_id, page))

    async def add_item(self, store_id: str, asset_id: str, metadata: Mapping[str, str]) -> str:
        return await self._make(self._dialect.add_item(store_id, asset_id, metadata))

    async def delete_item(self, store_id: str, item_id: str) -> None:
        await self._caller.find(self._dialect.delete_item(store_id, item_id))

    async def ask(self, question: CrossQuestion) -> CrossReply:
        try:
            found = await self._caller.call(self._dialect.respond(question))
        except Permanent as error:
            raise _reworded(error) from None
        hide = self._caller.without_key  # a key that only the whole text spells
        return replace(found, text=hide(found.text), id=hide(found.id))

    async def _pages(self, call: Callable[[int], Call[Page[T]]]) -> list[T]:
        found: list[T] = []
        for page in range(1, _PAGES + 1):
            listed = await self._patiently(call(page))
            found += listed.entries
            if listed.last:
                break
        return found

    async def _make(self, call: Call[T]) -> T:
        """Make what stays; any doubt whether it was made is ``Ambiguous``."""
        try:
            return await self._patiently(call)
        except ReelmillError as error:
            if not error.in_doubt:
                raise
            raise Ambiguous.from_trouble(error.trouble) from None

    async def _patiently(self, call: Call[T]) -> T:
        patience = ThrottlePatience(self._patience, unnamed=0.1)

        def policy(number: int, error: ReelmillError) -> float | None:
            return None if error.in_doubt else patience(number, error)

        return await retry(lambda: self._caller.call(call), policy, self._caller.clock)


def _reworded(error: Permanent) -> Permanent:
    """Return the local platform's refusal in better words, else the error itself."""
    if error.trouble.code != "not_supported_by_local_platform":
        return error
    reworded = Permanent(
        "the local platform cannot answer this",
        code=error.trouble.code,
        remedy="ask for what is said or written in the videos; its own words below say more",
        detail=error.trouble.detail,
    )
    reworded.in_doubt = error.in_doubt
    return reworded


def _not_offered(error: ReelmillError) -> ReelmillError:
    """Return the error of a platform without these calls, else the error itself."""
    if error.trouble.code not in _NOT_OFFERED and not error.trouble.detail.startswith("HTTP 405"):
        return error
    return Permanent(
        "this platform does not answer questions across videos",
        code="no_questions_across",
        remedy='ask each video by a job (job = "ask"), or look for words with `reelmill search`',
        detail=error.trouble.detail,
    )
