"""Where an account's uploads stand in knowledge stores of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.errors import NOT_FOR_US, NeedsOperator, Permanent
from pipeline.ingest.remote_names import STORE_NAME
from pipeline.ports.knowledge_api import KnowledgeApi, KnowledgeItem, KnowledgeStore
from pipeline.views import AnswerStore

#: Codes of what says that there are no stores.
_NONE = NOT_FOR_US | {"no_questions_across"}


@dataclass(frozen=True, slots=True)
class KnowledgePlace:
    """An item, and the store that holds it."""

    store_id: str
    item_id: str


async def our_stores(knowledge: KnowledgeApi) -> Sequence[KnowledgeStore]:
    """Return the stores of our name, the oldest first: that one is used."""
    found = [store for store in await knowledge.stores() if store.name == STORE_NAME]
    return sorted(found, key=lambda store: (store.created or 0.0, store.id))


async def find_places(knowledge: KnowledgeApi | None) -> Mapping[str, Sequence[KnowledgePlace]]:
    """Return every place in stores of ours, by the upload."""
    found: dict[str, list[KnowledgePlace]] = {}
    for store, items in await _filled(knowledge):
        for item in items:
            found.setdefault(item.asset_id, []).append(KnowledgePlace(store.id, item.id))
    return found


async def list_stores(knowledge: KnowledgeApi | None) -> Sequence[AnswerStore]:
    """Return the stores of ours, and what is in them."""
    return [
        AnswerStore(
            store.id,
            created=store.created or 0.0,
            videos=len({item.asset_id for item in items}),
            failed=sum(item.state == "failed" for item in items),
            used=number == 0,
        )
        for number, (store, items) in enumerate(await _filled(knowledge))
    ]


async def _filled(knowledge: KnowledgeApi | None) -> Sequence[tuple[KnowledgeStore, Sequence[KnowledgeItem]]]:
    """Return the stores of ours with their items.

    There is none on a platform without stores, or where they are not for this account.
    """
    if knowledge is None:
        return []
    try:
        return [(store, await knowledge.items(store.id)) for store in await our_stores(knowledge)]
    except (Permanent, NeedsOperator) as error:
        if error.trouble.code not in _NONE:
            raise
        return []
