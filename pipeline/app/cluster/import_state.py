"""``import-state``: a state folder's database moved to PostgreSQL, or back."""

from __future__ import annotations

import os
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.app.wiring.components import is_shared
from pipeline.app.wiring.database import MOVED, need_driver, open_shared, shared_database, told_as_configuration
from pipeline.app.wiring.presence import find_own_name
from pipeline.app.wiring.state_folder import (
    database_file,
    host_id,
    lock_state_folder,
    mark_moved,
    read_host_id,
    require_database,
    unmark_moved,
)
from pipeline.config.settings import Settings
from pipeline.core.errors import ConfigError
from pipeline.ingest.payloads import ItemData, VideoData
from pipeline.ingest.stored_json import changed
from pipeline.source.identity import host_file_key
from pipeline.store.encoding import Row, to_json
from pipeline.store.transfer.sqlite import SqliteCopy
from pipeline.store.transfer.tables import (
    NOTE,
    PARKED,
    TASK,
    Change,
    CopiedTable,
    CopySource,
    Fill,
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
    host, address, server = await _own_name(settings, host_id(folder))
    file = SqliteCopy(database_file(folder))
    with told_as_configuration():
        await file.open()
        await server.open()
    try:
        mark_moved(folder, address)
        try:
            with told_as_configuration():
                rows = await _copy(file, server.fill, _onto_host(settings, host))
        except BaseException:
            unmark_moved(folder)
            raise
    finally:
        await file.aclose()
        await server.aclose()
    return MovedState(str(folder), address, rows, host)


async def _to_folder(settings: Settings, folder: Path) -> MovedState:
    own = read_host_id(settings.run.state) or host_id(folder)  # of the folder that has worked on the database
    host, address, server = await _own_name(settings, own)
    file = SqliteCopy(database_file(folder))
    await _refuse_others(settings, host)
    with told_as_configuration():
        await server.open()
        await file.open()
    try:
        with told_as_configuration():
            await server.note(MOVED, _whole(folder))
            try:
                rows = await _copy(server, file.fill, _off_host(host))
            except BaseException:
                await server.note(MOVED, None)
                raise
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


async def _refuse_others(settings: Settings, host: str) -> None:
    """Refuse to take tasks to one machine that need another one's disk."""
    async with open_shared(settings) as database:
        others = sorted(name for name in await database.places() if name != host)
    if others:
        raise ConfigError(
            f"import-state: tasks wait for the files of other hosts: {', '.join(others)}",
            remedy="let those hosts finish, or give them up by `reelmill hosts forget`",
        )


async def _copy(source: CopySource, fill: Fill, change: Change) -> dict[str, int]:
    """Copy all rows; return their numbers by table."""
    rows: dict[str, int] = {}

    async def copy(put: Put) -> Totals:
        rows.update((await copy_all(source, put, change)).rows)
        return await source.totals()

    await fill(copy)
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
