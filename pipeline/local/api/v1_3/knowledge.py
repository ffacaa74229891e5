"""v1.3: knowledge stores, and the assets in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from sqlite3 import Connection
from typing import Annotated, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import Body
from pipeline.local.api.http.fields import ONE_OF, OR_DEFAULT, Id, RequiredText, must_be
from pipeline.local.api.http.gate import read_forced_outcome
from pipeline.local.api.http.query import TIMES, is_in, parse_choices, parse_list
from pipeline.local.api.http.responses import json_response, new_id, time_text
from pipeline.local.api.index_lookup import find, find_ready_asset
from pipeline.local.errors import missing, unsupported
from pipeline.local.jobs.knowledge import ITEM_STATUSES
from pipeline.local.state import fulltext
from pipeline.local.state.tables import ASSETS, KNOWLEDGE_ITEMS, KNOWLEDGE_STORES, KnowledgeItemRow, KnowledgeStoreRow

_Texts = Annotated[dict[str, str], must_be("an object of texts"), OR_DEFAULT]
_OptionalText = Annotated[str, must_be("a text"), OR_DEFAULT]


class NewStoreBody(Body):
    """A new knowledge store."""

    name: RequiredText
    description: _OptionalText = ""
    metadata: _Texts = Field(default_factory=dict)
    ingestion_config: Json = None


class StoreChangesBody(Body):
    """What can be changed of a knowledge store."""

    name: _OptionalText = ""
    description: Annotated[str | None, must_be("a text")] = None
    metadata: Annotated[dict[str, str] | None, must_be("an object of texts")] = None


class NewItemBody(Body):
    """An asset for a knowledge store."""

    asset_id: Id
    asset_type: Annotated[Literal["video", "image"], ONE_OF, OR_DEFAULT] = "video"
    metadata: _Texts = Field(default_factory=dict)


def create_store(context: ApiContext, request: Request, db: Connection, body: NewStoreBody) -> Response:
    """Make a knowledge store; two may have one name."""
    if body.ingestion_config:
        raise unsupported("enrichment by a schema", "Leave ingestion_config out.")
    now = context.clock.now()
    store = KnowledgeStoreRow(f"ks_{new_id(now)}", body.name, now, now, body.description, body.metadata)
    KNOWLEDGE_STORES.add(db, store)
    context.record(db, request, "knowledge_store_created", store.id, store.name)
    return json_response(_store_view(db, store), 201)


def list_stores(request: Request, db: Connection) -> Response:
    """List knowledge stores, the newest first."""
    wanted = parse_list(request.query_params, TIMES, conditions={})
    return wanted.respond(db, KNOWLEDGE_STORES, lambda store: _store_view(db, store))


def show_store(db: Connection, store_id: str) -> Response:
    """Show one knowledge store."""
    return json_response(_store_view(db, find_store(db, store_id)))


def change_store(context: ApiContext, db: Connection, store_id: str, body: StoreChangesBody) -> Response:
    """Change name, description or metadata."""
    store = find_store(db, store_id)
    changed = dataclasses.replace(
        store,
        name=body.name or store.name,
        description=store.description if body.description is None else body.description,
        metadata=store.metadata if body.metadata is None else body.metadata,
        updated=context.clock.now(),
    )
    KNOWLEDGE_STORES.put(db, changed)
    return json_response(_store_view(db, changed))


def delete_store(db: Connection, store_id: str) -> Response:
    """Delete a knowledge store with its items; the assets stay."""
    find_store(db, store_id)
    for item in KNOWLEDGE_ITEMS.select(db, "store_id = ?", [store_id]):
        _drop_item(db, item)
    KNOWLEDGE_STORES.drop(db, "id = ?", [store_id])
    return json_response({})


async def add_item(context: ApiContext, request: Request, store_id: str, body: NewItemBody) -> Response:
    """Put an asset into a knowledge store, once more each time it is asked."""
    if body.asset_type != "video":
        raise unsupported("images in a knowledge store", "Add videos.")
    now, forced_outcome = context.clock.now(), read_forced_outcome(request)

    def work(db: Connection) -> tuple[KnowledgeItemRow, dict[str, Json]]:
        find_store(db, store_id)
        asset = find_ready_asset(db, body.asset_id)
        item = KnowledgeItemRow(
            f"ksi_{new_id(now)}", store_id, asset.id, "queued", now, now, forced_outcome, dict(body.metadata)
        )
        KNOWLEDGE_ITEMS.add(db, item)
        context.record(
            db, request, "knowledge_item_created", item.id, f"{store_id}/{asset.id}", round(asset.duration / 60, 4)
        )
        return item, _item_view(db, item)

    item, view = await context.write(work)
    if forced_outcome != "stuck":
        context.work.push_item(item.id)
    return json_response(view, 202)


def list_items(request: Request, db: Connection, store_id: str) -> Response:
    """List the items of a knowledge store."""
    find_store(db, store_id)
    statuses = parse_choices(request.query_params, "status", ITEM_STATUSES)
    conditions = {"store_id = ?": store_id, **(is_in("status", statuses) if statuses else {})}
    wanted = parse_list(request.query_params, TIMES, conditions=conditions, known={"status"})
    return wanted.respond(db, KNOWLEDGE_ITEMS, lambda item: _item_view(db, item))


def show_item(db: Connection, store_id: str, item_id: str) -> Response:
    """Show one item."""
    return json_response(_item_view(db, _find_item(db, store_id, item_id)))


def delete_item(db: Connection, store_id: str, item_id: str) -> Response:
    """Take an item out; its asset stays."""
    _drop_item(db, _find_item(db, store_id, item_id))
    return json_response({})


async def refuse_collections() -> Response:
    """Refuse what groups items, and the search in a store."""
    raise unsupported("this call of knowledge stores", "Ask with /responses, and select items one by one.")


def find_store(db: Connection, key: str) -> KnowledgeStoreRow:
    """Return a knowledge store; raises ApiError (``resource_not_exist``)."""
    return find(db, KNOWLEDGE_STORES, key, "knowledge store")


def _find_item(db: Connection, store_id: str, key: str) -> KnowledgeItemRow:
    find_store(db, store_id)
    item = KNOWLEDGE_ITEMS.get(db, key)
    if item is None or item.store_id != store_id:
        raise missing("knowledge store item", key)
    return item


def _drop_item(db: Connection, item: KnowledgeItemRow) -> None:
    fulltext.drop(db, item.id)
    KNOWLEDGE_ITEMS.drop(db, "id = ?", [item.id])


def _store_view(db: Connection, store: KnowledgeStoreRow) -> dict[str, Json]:
    return {
        "_id": store.id,
        "name": store.name,
        "description": store.description,
        "item_count": KNOWLEDGE_ITEMS.count(db, "store_id = ?", [store.id]),
        "created_at": time_text(store.created),
        "updated_at": time_text(store.updated),
        "metadata": store.metadata,
    }


def _item_view(db: Connection, item: KnowledgeItemRow) -> dict[str, Json]:
    return {
        "_id": item.id,
        "asset_type": "video",
        "asset_id": item.asset_id,
        "status": item.status,
        "system_metadata": {"asset_type": "video", **_media_facts(db, item)},
        "metadata": item.metadata,
        "created_at": time_text(item.created),
        "updated_at": time_text(item.updated),
    }


def _media_facts(db: Connection, item: KnowledgeItemRow) -> Mapping[str, Json]:
    asset = ASSETS.get(db, item.asset_id)
    if asset is None:
        return {}
    technical = asset.technical
    return {
        "filename": asset.filename,
        "duration": asset.duration,
        "fps": float(technical.get("video_fps", 0.0)),
        "width": int(technical.get("video_width", 0)),
        "height": int(technical.get("video_height", 0)),
        "codec_name": str(technical.get("video_codec", "")),
        "size": asset.size,
    }
