"""Indexes: made, listed, renamed, deleted; both dialects see all."""

from __future__ import annotations

import dataclasses
from sqlite3 import Connection
from typing import Annotated, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from pipeline.core.model import Json
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import Body
from pipeline.local.api.http.fields import OR_DEFAULT, RequiredText, refuse
from pipeline.local.api.http.query import TIMES, Column, parse_list, split_list
from pipeline.local.api.http.responses import json_response, new_id, time_text
from pipeline.local.api.index_lookup import find_index, measure_index, remove_video
from pipeline.local.api.model_options import ModelNaming, in_family, naming_at
from pipeline.local.errors import ApiError, invalid
from pipeline.local.state.tables import INDEXES, VIDEOS, IndexRow

_COLUMNS = {"_id": Column("id"), "index_name": Column("name"), **TIMES}
_ADDONS = refuse("The addons parameter may hold 'thumbnail' only.")


class IndexBody(Body):
    """A new index, or a new name.

    ``models`` and ``engines`` are read as the dialect names them.
    """

    index_name: RequiredText
    models: Json = None
    engines: Json = None
    addons: Annotated[list[Literal["thumbnail"]], _ADDONS, OR_DEFAULT] = Field(default_factory=list)


def create_index(context: ApiContext, request: Request, db: Connection, body: IndexBody) -> Response:
    """Make an index; its name is unique."""
    naming, now = naming_at(request.url.path), context.clock.now()
    models = naming.parse(getattr(body, naming.models))
    if body.addons and not any(in_family(model, "marengo") for model in models):
        raise invalid("Addons need a Marengo model.")
    index = IndexRow(new_id(now), body.index_name, now, now, models, list(body.addons))
    _check_unique(db, index)
    INDEXES.add(db, index)
    context.record(db, request, "index_created", index.id, index.name)
    return json_response({"_id": index.id}, 201)


def list_indexes(request: Request, db: Connection) -> Response:
    """List indexes; ``sort_option`` says in which order, options and family which."""
    query, naming = request.query_params, naming_at(request.url.path)
    prefix = naming.name.removesuffix("_name")
    names = (f"{prefix}_options", f"{prefix}_family")
    wanted = parse_list(query, _COLUMNS, conditions={}, known=names)
    options, family = split_list(query, names[0]), query.get(names[1], "")
    if family not in ("", "marengo", "pegasus"):
        raise invalid(f"The {names[1]} parameter must be marengo or pegasus.")

    def fits(index: IndexRow) -> bool:
        models = [model for model in index.models if not family or in_family(model, family)]
        return any(options <= set(model["model_options"]) for model in models)

    found = INDEXES.select(db, wanted.where, wanted.values, by=wanted.by, newest_first=wanted.newest_first)
    fitting = [index for index in found if fits(index)]
    shown = fitting[wanted.page.offset : wanted.page.offset + wanted.page.limit]
    return json_response(wanted.page.view([_view(db, index, naming) for index in shown], len(fitting)))


def show_index(request: Request, db: Connection, index_id: str) -> Response:
    """Show one index."""
    return json_response(_view(db, find_index(db, index_id), naming_at(request.url.path)))


def rename_index(context: ApiContext, request: Request, db: Connection, index_id: str, body: IndexBody) -> None:
    """Give an index another name; nothing else of it can be changed."""
    if naming_at(request.url.path).models in body.model_fields_set:
        raise ApiError(400, "index_engine_cannot_be_changed", "The models of an index cannot be changed.")
    index = dataclasses.replace(find_index(db, index_id), name=body.index_name, updated=context.clock.now())
    _check_unique(db, index)
    INDEXES.put(db, index)


async def delete_index(context: ApiContext, index_id: str) -> None:
    """Delete an index with the videos in it."""

    def work(db: Connection) -> list[str]:
        find_index(db, index_id)
        orphans = [remove_video(db, video) for video in VIDEOS.select(db, "index_id = ?", [index_id])]
        INDEXES.drop(db, "id = ?", [index_id])
        return orphans

    for asset in await context.write(work):
        await context.discard_blob(asset)


def _view(db: Connection, index: IndexRow, naming: ModelNaming) -> dict[str, Json]:
    videos, seconds = measure_index(db, index.id)
    return {
        "_id": index.id,
        "index_name": index.name,
        **naming.show(index),
        "addons": index.addons,
        "video_count": videos,
        "total_duration": seconds,
        "created_at": time_text(index.created),
        "updated_at": time_text(index.updated),
        "expires_at": None,
    }


def _check_unique(db: Connection, index: IndexRow) -> None:
    if INDEXES.count(db, "name = ? AND id <> ?", [index.name, index.id]):
        raise ApiError(400, "index_name_already_exists", f"An index named {index.name[:64]!r} exists already.")
