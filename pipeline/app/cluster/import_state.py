"""``import-state``: a state folder's database moved to PostgreSQL, or back."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from pipeline.app.wiring.components import is_shared
from pipeline.app.wiring.database import MOVED, need_driver, open_shared, shared_database, told_as_configuration
from pipeline.app.wiring.presence import find_own_name
from pipeline.app.wiring.state_folder import (
    database_file,
    host_id,
    lock_state_folder,
    mark_moved,
    moved_to,
    read_host_id,
    require_database,
    unmark_moved,
)
from pipeline.config.settings import Settings
from pipeline.core.errors import ConfigError, ReelmillError
from pipeline.ingest.payloads import ItemData, VideoData
from pipeline.ingest.stored_json import changed
from pipeline.source.identity import host_file_key
from pipeline.store.encoding import Row, to_json
from pipeline.store.transfer.sqlite import SqliteCopy, not_empty
from pipeline.store.transfer.tables import (
    NOTE,
    PARKED,
    TASK,
    Change,
    CopiedTable,
    CopySource,
    CopyTarget,
    Put,
    Totals,
    copy_all,
    is_own_note,
)
from pipeline.views import MovedState

if TYPE_CHECKING:
    from pipeline.store.transfer.postgres import PostgresCopy

_HASHES = "sha256:"  #: how the names of remembered hashes begin


async def import_state(settings: Settings, source: str, target: str) -> MovedState:
    """Move the database of a state folder to PostgreSQL, or back; all or nothing.

    The source stays as it is, and is marked: no run works on it any more.

    Raises:
        Busy: somebody works on one of them.
        ConfigError: not one of each; the target is not empty; tasks wait for the files of other hosts.
    """
    to_server = _is_address(target)
    if to_server == _is_address(source):
        raise ConfigError(
            "import-state: one of --from and --to is a state folder, the other the address of a PostgreSQL database",
            remedy="reelmill import-state --from .reelmill --to postgresql://reelmill@db.example/films",
        )
    need_driver()
    url = target if to_server else source
    folder = Path(source if to_server else target)
    store = settings.store.model_copy(update={"url": url})
    settings = settings.model_copy(update={"store": store})
    if to_server:
        require_database(folder)
    with lock_state_folder(folder):
        return await (_to_server(settings, folder) if to_server else _to_folder(settings, folder))


async def _to_server(settings: Settings, folder: Path) -> MovedState:
    _refuse_elsewhere(str(folder), moved_to(folder), str(shared_database(settings)))
    host, address, server = await _own_name(settings, host_id(folder))
    file = SqliteCopy(database_file(folder))

    async def mark(*, moved: bool) -> None:
        mark_moved(folder, address) if moved else unmark_moved(folder)

    try:
        with told_as_configuration():
            await file.open()
            await server.open()
            rows = await _move(file, server, f"The {address}", _onto_host(settings, host), mark)
    finally:
        await file.aclose()
        await server.aclose()
    return MovedState(str(folder), address, rows, host)


async def _to_folder(settings: Settings, folder: Path) -> MovedState:
    own = read_host_id(settings.run.state) or host_id(folder)  # of the folder that has worked on the database
    host, address, server = await _own_name(settings, own)
    file = SqliteCopy(database_file(folder))
    await _refuse_others(settings, host, folder)

    async def mark(*, moved: bool) -> None:
        await server.note(MOVED, _whole(folder) if moved else None)

    try:
        with told_as_configuration():
            await server.open()
            await file.open()
            rows = await _move(server, file, str(folder), _off_host(host), mark)
    finally:
        await file.aclose()
        await server.aclose()
    return MovedState(address, str(folder), rows, host)


async def _own_name(settings: Settings, own: str) -> tuple[str, str, PostgresCopy]:
    """Return this host's name, the database's address without its password, and the database."""
    from pipeline.store.transfer.postgres import PostgresCopy

    address = shared_database(settings)
    assert address is not None
    async with open_shared(settings) as database:
        return await find_own_name(settings, database, own), str(address), PostgresCopy(address)


def _refuse_elsewhere(source: str, before: str, target: str) -> None:
    """Refuse to move once more what goes on elsewhere.

    Both places would be worked on, and all would be paid twice.
    """
    if before and before != target:
        raise ConfigError(
            f"import-state: {source} was moved to {before}; what is here is as it was then",
            remedy="go on there; if that move was cut off, repeat it with the same --to",
        )


async def _refuse_others(settings: Settings, host: str, folder: Path) -> None:
    """Refuse what is elsewhere already, or needs the disk of another host."""
    async with open_shared(settings) as database:
        _refuse_elsewhere(f"the {shared_database(settings)}", str(await database.load(MOVED) or ""), _whole(folder))
        others = sorted(name for name in await database.places() if name != host)
    if others:
        raise ConfigError(
            f"import-state: tasks wait for the files of other hosts: {', '.join(others)}",
            remedy="let those hosts finish, or give them up by `reelmill hosts forget`",
        )


async def _move(
    source: CopySource, target: CopyTarget, where: str, change: Change, mark: Callable[..., Awaitable[None]]
) -> dict[str, int]:
    """Copy all rows; return their numbers by table.

    The source is marked first. The mark goes only where nothing can have arrived: a commit whose answer was lost may have
    gone through, and with two databases that are worked on, all would be paid twice.
    """
    rows: dict[str, int] = {}

    async def copy(put: Put) -> Totals:
        rows.update((await copy_all(source, put, change)).rows)
        return await source.totals()

    if not (await target.totals()).empty:
        raise not_empty(where)
    await mark(moved=True)
    try:
        await target.fill(copy)
    except BaseException:
        with anyio.CancelScope(shield=True), suppress(ReelmillError):
            if (await target.totals()).empty:
                await mark(moved=False)
        raise
    return rows


def _onto_host(settings: Settings, host: str) -> Change:
    """Return what makes the files of this machine those of one host among several."""
    shared = settings.source.shared

    def change(table: CopiedTable, row: Row) -> Row | None:
        values = dict(zip(table.columns, row, strict=True))
        if table is NOTE:
            name = str(values["name"])
            if is_own_note(name):
                return None
            path = name.removeprefix(_HASHES)
            return (f"{_HASHES}{host}:{path}", values["value"]) if name.startswith(_HASHES) else row
        if (
            table is PARKED and values["scope"] == "download"
        ):  # a site that must be asked politely counts by the address
            values["scope"] = f"download@{host}"
        if table is TASK and values["kind"] == "item":
            item = ItemData.from_json(loads(values["data"]))
            if item.type == "file" and not is_shared(item.locator, shared):
                values["key"] = host_file_key(host, item.locator)
                values["data"] = _written(changed(item, host=host))
        elif table is TASK and values["kind"] == "video":
            video = VideoData.from_json(loads(values["data"]))
            if video.path and not is_shared(video.path, shared):
                values["data"] = _written(changed(video, host=host))
        return tuple(values.values())

    return change


def _off_host(host: str) -> Change:
    """Return the reverse: this host's files are those of the only machine."""

    def change(table: CopiedTable, row: Row) -> Row | None:
        values = dict(zip(table.columns, row, strict=True))
        if table is NOTE:
            name, own = str(values["name"]), f"{_HASHES}{host}:"
            if is_own_note(name) or (name.startswith(_HASHES) and not name.startswith(own)):
                return None
            return (_HASHES + name.removeprefix(own), values["value"]) if name.startswith(own) else row
        if table is PARKED:
            lane, _, whose = str(values["scope"]).partition("@")
            values["scope"] = lane
            return tuple(values.values()) if whose in ("", host) else None
        if table is TASK and values["kind"] == "item":
            item = ItemData.from_json(loads(values["data"]))
            if item.host == host:
                values["key"] = f"file:{os.path.normpath(item.locator)}"
                values["data"] = _written(changed(item, host="", host_gone=False))
        elif table is TASK and values["kind"] == "video":
            video = VideoData.from_json(loads(values["data"]))
            if video.host == host:
                values["data"] = _written(changed(video, host="", host_gone=False))
        return tuple(values.values())

    return change


def _whole(folder: Path) -> str:
    return str(folder.absolute())


def _written(data: ItemData | VideoData) -> str:
    return to_json(data.to_json())


def _is_address(text: str) -> bool:
    return text.startswith(("postgresql://", "postgres://"))
