"""The other side of ``pipeline.ports.knowledge_api``, with behaviour: stores that read what they hold, and ways to fail."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.core.errors import Ambiguous, ReelmillError
from pipeline.ports.knowledge_api import CrossQuestion, CrossReply, KnowledgeItem, KnowledgeStore


def said(answer: str, *citations: Mapping[str, Any], **more: Any) -> CrossReply:
    """Return a reply in our form."""
    usage = {"input_tokens": 1000, "output_tokens": 100}
    text = json.dumps({"answer": answer, "citations": list(citations)})
    return replace(CrossReply(text, "completed", "resp_1", usage), **more)


@dataclass
class FakeKnowledge:
    """Answers what it was told to. ``failures`` of a verb are raised first, one for each call.

    A failure of the class ``Ambiguous`` comes after the call was carried out, as a lost answer does.
    """

    grace: float = 5.0
    lengths: dict[str, float] = field(default_factory=dict)  #: seconds of what can be put into a store, by asset
    there: dict[str, list[KnowledgeItem]] = field(default_factory=dict)  #: items by store
    names: dict[str, KnowledgeStore] = field(default_factory=dict)
    replies: list[CrossReply] = field(default_factory=list)
    added: list[str] = field(default_factory=list)  #: the asset of each call that has added one
    asked: list[CrossQuestion] = field(default_factory=list)
    failures: dict[str, list[ReelmillError]] = field(default_factory=dict)
    reads_after: int = 0  #: looks at a store until what is in it is ready
    broken: frozenset[str] = frozenset()  #: assets that cannot be read
    hidden: int = 0  #: lists of items that do not show yet what was put there

    async def stores(self) -> Sequence[KnowledgeStore]:
        self._fail("stores")
        return list(self.names.values())

    async def create_store(self, name: str) -> str:
        made = KnowledgeStore(f"ks_{len(self.names)}", name, 1000.0 - len(self.names))
        self.names[made.id], self.there[made.id] = made, []
        self._fail("create_store")
        return made.id

    async def items(self, store_id: str) -> Sequence[KnowledgeItem]:
        self._fail("items")
        if self.hidden:
            self.hidden -= 1
            return []
        self.reads_after -= 1
        if self.reads_after < 0:
            self.there[store_id] = [
                replace(item, state="failed" if item.asset_id in self.broken else "ready")
                if item.state == "working"
                else item
                for item in self.there[store_id]
            ]
        return list(self.there[store_id])

    async def add_item(self, store_id: str, asset_id: str, metadata: Mapping[str, str]) -> str:
        self.added.append(asset_id)
        item = KnowledgeItem(f"ksi_{len(self.added) - 1}", asset_id, "working", "queued", self.lengths.get(asset_id))
        self.there[store_id].append(item)
        try:
            self._fail("add_item")
        except ReelmillError as error:
            if not isinstance(error, Ambiguous):
                self.there[store_id].remove(item)
            raise
        return item.id

    async def delete_item(self, store_id: str, item_id: str) -> None:
        self._fail("delete_item")
        self.there[store_id] = [item for item in self.there[store_id] if item.id != item_id]

    async def ask(self, question: CrossQuestion) -> CrossReply:
        self.asked.append(question)
        self._fail("ask")
        return self.replies.pop(0)

    def _fail(self, verb: str) -> None:
        if waiting := self.failures.get(verb):
            raise waiting.pop(0)
