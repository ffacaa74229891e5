"""Indexes, in both dialects: made, listed, renamed, deleted with the videos in them."""

from __future__ import annotations

import dataclasses
import sqlite3

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.core.model import Json
from pipeline.local.api import index_lookup
from pipeline.local.api.context import ApiContext, json_body
from pipeline.local.api.filters import TIMES, Column, listed
from pipeline.local.api.model_options import Wording, is_of
from pipeline.local.api.responses import new_id, reply, time_text
from pipeline.local.errors import ApiError, invalid
from pipeline.local.state import ledger
from pipeline.local.state.tables import INDEXES, VIDEOS, IndexRow

_COLUMNS = {"_id": Column("id"), "index_name": Column("name"), **TIMES}

_FAMILIES = ("marengo", "pegasus")


class IndexRoutes:
    """``/indexes`` of one dialect. Both see all indexes, each in its own words."""

    def __init__(self, desk: ApiContext, wording: Wording) -> None:
        self._desk = desk
        self._wording = wording

    def routes(self) -> list[Route]:
        """Return the routes."""
        all_, one = f"{self._wording.api}/indexes", f"{self._wording.api}/indexes/{{index_id}}"
        return [
            Route(all_, self.create, methods=["POST"]),
            Route(all_, self.page, methods=["GET"]),
            Route(one, self.show, methods=["GET"]),
            Route(one, self.rename, methods=["PUT"]),
            Route(one, self.delete, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        """Make an index; its name is unique."""
        body = await json_body(request)
        name, addons = _name(body.get("index_name")), body.get("addons") or []
        models = self._wording.read(body.get(self._wording.models))
        if not isinstance(addons, list) or any(addon != "thumbnail" for addon in addons):
            raise invalid("The addons parameter may hold 'thumbnail' only.")
        if addons and not any(is_of(model, "marengo") for model in models):
            raise invalid("Addons need a Marengo model.")
        now = self._desk.clock.now()
        index = IndexRow(new_id(now), name, now, now, models, addons)

        def work(db: sqlite3.Connection) -> None:
            _unique(db, name, "")
            INDEXES.add(db, index)
            ledger.enter(db, self._desk.entry(request, "index_created", index.id, name))

        await self._desk.state.write(work)
        return reply({"_id": index.id}, 201)

    async def page(self, request: Request) -> Response:
        """List indexes; ``sort_option`` says in which order."""
        prefix = self._wording.name.removesuffix("_name")
        asked = {f"{prefix}_options", f"{prefix}_family"}
        wanted = listed(request.query_params, _COLUMNS, beside={}, known=asked)
        options, family = _asked(request.query_params, prefix)

        def fits(index: IndexRow) -> bool:
            models = [model for model in index.models if not family or is_of(model, family)]
            return any(options <= set(model["model_options"]) for model in models)

        def work(db: sqlite3.Connection) -> tuple[int, list[dict[str, Json]]]:
            found = INDEXES.select(db, wanted.where, wanted.values, by=wanted.by, newest_first=wanted.newest_first)
            fitting = [index for index in found if fits(index)]
            shown = fitting[wanted.page.offset : wanted.page.offset + wanted.page.limit]
            return len(fitting), [self._view(db, index) for index in shown]

        total, data = await self._desk.state.read(work)
        return reply({"data": data, "page_info": wanted.page.info(total)})

    async def show(self, request: Request) -> Response:
        """Show one index."""
        key = request.path_params["index_id"]
        return reply(await self._desk.state.read(lambda db: self._view(db, index_lookup.index_of(db, key))))

    async def rename(self, request: Request) -> Response:
        """Give an index another name; nothing else of it can be changed."""
        key, body = request.path_params["index_id"], await json_body(request)
        if self._wording.models in body:
            raise ApiError(400, "index_engine_cannot_be_changed", "The models of an index cannot be changed.")
        name, now = _name(body.get("index_name")), self._desk.clock.now()

        def work(db: sqlite3.Connection) -> None:
            index = index_lookup.index_of(db, key)
            _unique(db, name, key)
            INDEXES.put(db, dataclasses.replace(index, name=name, updated=now))

        await self._desk.state.write(work)
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        """Delete an index with the videos in it."""
        key = request.path_params["index_id"]

        def work(db: sqlite3.Connection) -> list[str]:
            index_lookup.index_of(db, key)
            orphans = [index_lookup.remove(db, video) for video in VIDEOS.select(db, "index_id = ?", [key])]
            INDEXES.drop(db, "id = ?", [key])
            return orphans

        for asset in await self._desk.state.write(work):
            await self._desk.discard_blob(asset)
        return Response(status_code=204)

    def _view(self, db: sqlite3.Connection, index: IndexRow) -> dict[str, Json]:
        videos, seconds = index_lookup.size_of(db, index.id)
        return {
            "_id": index.id,
            "index_name": index.name,
            **self._wording.show(index),
            "addons": index.addons,
            "video_count": videos,
            "total_duration": seconds,
            "created_at": time_text(index.created),
            "updated_at": time_text(index.updated),
            "expires_at": None,
        }


def _asked(query: QueryParams, prefix: str) -> tuple[set[str], str]:
    """Return the options, comma separated or repeated, and the family that are asked for."""
    options = {part for text in query.getlist(f"{prefix}_options") for part in text.split(",") if part}
    family = query.get(f"{prefix}_family", "")
    if family not in ("", *_FAMILIES):
        raise invalid(f"The {prefix}_family parameter must be marengo or pegasus.")
    return options, family


def _name(given: Json) -> str:
    if not isinstance(given, str) or not given.strip():
        raise ApiError(400, "parameter_not_provided", "The index_name parameter is required.")
    return given


def _unique(db: sqlite3.Connection, name: str, except_for: str) -> None:
    if INDEXES.count(db, "name = ? AND id <> ?", [name, except_for]):
        raise ApiError(400, "index_name_already_exists", f"An index named {name[:64]!r} exists already.")
