"""Where an account's uploads stand in knowledge stores of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.errors import NOT_FOR_US, NeedsOperator, Permanent
from pipeline.ingest.remote_names import STORE_NAME
from pipeline.ports.knowledge_api import KnowledgeApi, KnowledgeStore

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
    """Return every place in stores of ours, by the upload.

    There is none on a platform without stores, or where they are not for this account.
    """
    if knowledge is None:
        return {}
    found: dict[str, list[KnowledgePlace]] = {}
    try:
        for store in await our_stores(knowledge):
            for item in await knowledge.items(store.id):
                found.setdefault(item.asset_id, []).append(KnowledgePlace(store.id, item.id))
    except (Permanent, NeedsOperator) as error:
        if error.trouble.code not in _NONE:
            raise
    return found
