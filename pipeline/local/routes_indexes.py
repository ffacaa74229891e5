"""Indexes: made, listed, deleted. Indexing and search need a model of pictures and words, which is not here."""

from __future__ import annotations

import dataclasses
import sqlite3

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.local import ledger
from pipeline.local.desk import Desk, json_body
from pipeline.local.records import INDEXES, Index
from pipeline.local.wire import API, ApiError, Page, invalid, missing, new_id, reply, time_text, unsupported
from pipeline.model import Json

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class IndexRoutes:
    """``/indexes``, and the plain refusal of what would need one."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = f"{API}/indexes/{{index_id}}"
        return [
            Route(f"{API}/indexes", self.create, methods=["POST"]),
            Route(f"{API}/indexes", self.page, methods=["GET"]),
            Route(one, self.show, methods=["GET"]),
            Route(one, self.rename, methods=["PUT"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/indexed-assets", self.indexing, methods=_METHODS),
            Route(f"{one}/indexed-assets/{{rest:path}}", self.indexing, methods=_METHODS),
            Route(f"{one}/videos", self.indexing, methods=_METHODS),
            Route(f"{one}/videos/{{rest:path}}", self.indexing, methods=_METHODS),
            Route(f"{API}/tasks", self.indexing, methods=_METHODS),
            Route(f"{API}/tasks/{{rest:path}}", self.indexing, methods=_METHODS),
            Route(f"{API}/search", self.searching, methods=_METHODS),
            Route(f"{API}/search/{{rest:path}}", self.searching, methods=_METHODS),
        ]

    async def create(self, request: Request) -> Response:
        """Make an index; its name is unique."""
        body = await json_body(request)
        name, models, addons = body.get("index_name"), body.get("models"), body.get("addons", [])
        if not isinstance(name, str) or not name.strip():
            raise ApiError(400, "parameter_not_provided", "The index_name parameter is required.")
        if not isinstance(models, list) or not models or not all(_model(entry) for entry in models):
            raise invalid("The models parameter must list marengo3.0 with the options visual and audio.")
        if not isinstance(addons, list) or any(addon != "thumbnail" for addon in addons):
            raise invalid("The addons parameter may hold 'thumbnail' only.")
        now = self._desk.clock.now()
        index = Index(new_id(now), name, now, now, models, addons)

        def work(db: sqlite3.Connection) -> None:
            _unique(db, name, "")
            INDEXES.add(db, index)
            ledger.enter(db, self._desk.entry(request, "index_created", index.id, name))

        await self._desk.state.change(work)
        return reply({"_id": index.id}, 201)

    async def page(self, request: Request) -> Response:
        """List indexes; ``sort_option`` says in which order."""
        query = request.query_params
        page = Page.of(query)
        name, newest = query.get("index_name", ""), query.get("sort_option", "desc") != "asc"
        where, values = ("name = ?", [name]) if name else ("1", [])

        def work(db: sqlite3.Connection) -> tuple[int, list[Index]]:
            found = INDEXES.select(db, where, values, newest_first=newest, limit=page.limit, offset=page.offset)
            return INDEXES.count(db, where, values), found

        total, found = await self._desk.state.look(work)
        return reply({"data": [_view(index) for index in found], "page_info": page.info(total)})

    async def show(self, request: Request) -> Response:
        """Show one index."""
        key = request.path_params["index_id"]
        return reply(_view(await self._desk.state.look(lambda db: _present(db, key))))

    async def rename(self, request: Request) -> Response:
        """Give an index another name."""
        key, body = request.path_params["index_id"], await json_body(request)
        name = body.get("index_name")
        if not isinstance(name, str) or not name.strip():
            raise ApiError(400, "parameter_not_provided", "The index_name parameter is required.")
        now = self._desk.clock.now()

        def work(db: sqlite3.Connection) -> None:
            index = _present(db, key)
            _unique(db, name, key)
            INDEXES.put(db, dataclasses.replace(index, name=name, updated=now))

        await self._desk.state.change(work)
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        """Delete an index."""
        key = request.path_params["index_id"]

        def work(db: sqlite3.Connection) -> None:
            _present(db, key)
            INDEXES.drop(db, "id = ?", [key])

        await self._desk.state.change(work)
        return Response(status_code=204)

    async def indexing(self, request: Request) -> Response:
        """Refuse, and say what would do it; an empty list would read as "not there"."""
        raise unsupported("indexing", "Set TWELVELABS_API_KEY to use the vendor's platform, or ask by /analyze.")

    async def searching(self, request: Request) -> Response:
        """Refuse, and say what would do it."""
        raise unsupported("search", "Set TWELVELABS_API_KEY to use the vendor's platform, or ask by /analyze.")


def _model(entry: Json) -> bool:
    if not isinstance(entry, dict) or entry.get("model_name") != "marengo3.0":
        return False
    options = entry.get("model_options")
    return isinstance(options, list) and bool(options) and all(option in ("visual", "audio") for option in options)


def _present(db: sqlite3.Connection, key: str) -> Index:
    index = INDEXES.get(db, key)
    if index is None:
        raise missing("index", key)
    return index


def _unique(db: sqlite3.Connection, name: str, except_for: str) -> None:
    if INDEXES.count(db, "name = ? AND id <> ?", [name, except_for]):
        raise ApiError(400, "index_name_already_exists", f"An index named {name[:64]!r} exists already.")


def _view(index: Index) -> dict[str, Json]:
    return {
        "_id": index.id,
        "index_name": index.name,
        "models": index.models,
        "addons": index.addons,
        "video_count": 0,
        "total_duration": 0.0,
        "created_at": time_text(index.created),
        "updated_at": time_text(index.updated),
        "expires_at": None,
    }
