"""The database in one SQLite file: a reply means it is on disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from json import loads
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import anyio
import anyio.to_thread

from pipeline.core.errors import StoreError
from pipeline.core.model import Json, Lane, Parked, Placed, RunNote, Selection, Spend, Task
from pipeline.ports.budget import BudgetGuard
from pipeline.ports.store import NO_CAPS, Applied, ApplyAnswer, Change, LaneCaps, T
from pipeline.store.encoding import encode_entry, encode_move, encode_name, encode_note, encode_spend, to_json
from pipeline.store.group_commit import GroupCommit
from pipeline.store.sqlite import queries, schema
from pipeline.store.sqlite.connection import Connection
from pipeline.store.sqlite.errors import translate_errors
from pipeline.store.sqlite.reads import NOTE, SqliteRecords, selected
from pipeline.store.sqlite.writer import Writer
from pipeline.store.sqlite.writes import enter, write
from pipeline.store.write_group import Claim, WriteReply, WriteRequest

LOCK_SECONDS = 5.0  #: how long a write waits for another process that is writing
_CHUNK = 64  #: rows that an iteration would fetch at once; we fetch all
#: Makes a new connection ready for use, or raises what is wrong with its file.
Prepare = Callable[[Connection, Path], Awaitable[None]]


async def open_database(path: Path, *, read_only: bool = False, lock_seconds: float = LOCK_SECONDS) -> SqliteDatabase:
    """Open the database file, creating or migrating it.

    Read-only, it must be there; one of an older release is read as it is, and not changed.
    Always close it: otherwise its threads keep the process alive.

    Raises:
        StoreError: missing, damaged, locked, not writable, of another program, or of a newer release.
    """
    if old := schema.old_sqlite():
        wanted = ".".join(map(str, schema.OLDEST_SQLITE))
        raise StoreError(
            f"The SQLite library of this Python is too old: {old}.",
            code="sqlite_too_old",
            remedy=f"Use a Python that brings SQLite {wanted} or newer.",
        )
    if read_only:
        return SqliteDatabase(path, None, await _open_reader(path, lock_seconds))
    writer = await _open_writer(path, lock_seconds)
    try:
        return SqliteDatabase(path, writer, await _open_reader(path, lock_seconds))
    except BaseException:
        with anyio.CancelScope(shield=True):
            await writer.close()
        raise


def _make_private(path: Path) -> None:
    """Make the file, or take it from others.

    SQLite gives its log the same rights. What fails is SQLite's to tell.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600))
        mode = path.stat().st_mode
        if mode & 0o007:
            path.chmod(mode & 0o770)


async def _open_writer(path: Path, lock_seconds: float) -> Connection:
    await anyio.to_thread.run_sync(_make_private, path)
    return await _connect(str(path), path, lock_seconds, _set_up)


async def _open_reader(path: Path, lock_seconds: float) -> Connection:
    if not await anyio.Path(path).exists():
        raise StoreError(
            f"There is no database at {path} yet.",
            code="database_missing",
            remedy="`reelmill run` makes it; or name the configuration whose state folder is meant.",
        )
    address = f"file:{quote(str(await anyio.Path(path).absolute()))}?mode=ro"
    try:
        return await _connect(address, path, lock_seconds, _look)
    except StoreError as error:
        if error.trouble.code != "database_unwritable":
            raise
    # Reading needs a file beside the database, which this user may not make: then nobody else works there.
    if await anyio.to_thread.run_sync(_log_left, path):
        raise StoreError(
            f"{path} cannot be read where it is: its last run did not end by itself, and the folder is not writable.",
            code="database_unwritable",
            remedy="Run this as a user who may write there; or copy the folder, and name the copy with --state.",
        )
    return await _connect(f"{address}&immutable=1", path, lock_seconds, _look)


def _log_left(path: Path) -> bool:
    """True if commits stand only in the write-ahead log."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size > 0
    except OSError:
        return False


async def _connect(address: str, path: Path, lock_seconds: float, prepare: Prepare) -> Connection:
    with translate_errors(path, opening=True):
        uri = address != str(path)
        # A failing connection leaves a thread behind that nobody waits for: try what can fail before.
        await anyio.to_thread.run_sync(lambda: sqlite3.connect(address, uri=uri).close())
        connection = Connection(
            lambda: sqlite3.connect(address, uri=uri, isolation_level=None, timeout=lock_seconds), _CHUNK
        )
        await connection
        try:
            await prepare(connection, path)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await connection.close()
            raise
        return connection


async def _set_up(connection: Connection, path: Path) -> None:
    # First check whose file it is: nothing is changed in one that is not ours.
    behind = await schema.check(connection, path)
    mode = next(iter(await connection.execute_fetchall("PRAGMA journal_mode = WAL")))[0]
    if mode != "wal":
        raise StoreError(
            f"The file system of {path} cannot hold a write-ahead log.",
            code="database_no_wal",
            remedy="Put the state folder on a local disk; network disks are not supported.",
        )
    # FULL: a commit that was answered survives a power cut, or a paid call could be made again.
    for pragma in ("synchronous = FULL", "cache_size = -16000", "journal_size_limit = 67108864"):
        await connection.execute(f"PRAGMA {pragma}")
    if behind:  # an index of a million rows is sorted, which is no matter of memory
        await _execute(connection, queries.BESIDE, path)
        await schema.migrate(connection, path)
    await _execute(connection, queries.NO_LONGER_BESIDE, path)


async def _execute(connection: Connection, statements: Sequence[str], path: Path) -> None:
    for statement in statements:
        await connection.execute(statement.format(folder=_folder_of(path)))


def _folder_of(path: Path) -> str:
    """Return the folder that a file is in, as SQL quotes it."""
    return str(path.absolute().parent).replace("'", "''")


async def _look(connection: Connection, path: Path) -> None:
    await connection.execute("PRAGMA temp_store = MEMORY")
    if not await schema.prepare_reader(connection, path):
        raise StoreError(
            f"{path} holds nothing yet that can be read: the run that made it ended before it had begun.",
            code="database_older",
            remedy="Run `reelmill run` once; it goes on by itself.",
        )


class SqliteDatabase(SqliteRecords):
    """``ports.Database`` on SQLite. One process writes; any number may read.

    Every writing call returns after its commit is on disk, and may raise ``DatabaseAway`` (``disk_full``, ``database_locked``:
    nothing was written; ``database_io``), ``Permanent`` (``unstorable``) or ``StoreError``.
    """

    def __init__(self, path: Path, writer: Connection | None, reader: Connection) -> None:
        super().__init__(reader, path)
        self._writer = Writer(writer, path) if writer is not None else None
        self._writes = GroupCommit(self._writer.lock if self._writer else anyio.Lock(), self._write)

    # ----------------------------------------------------------------------------------------------------- store

    async def submit(self, tasks: Sequence[Placed], now: float) -> int:
        entries = [encode_entry(placed, now) for placed in tasks]
        return (await self._writes.join(WriteRequest(entries=entries))).changed if entries else 0

    async def claim(
        self, free_slots: Mapping[Lane, int], owner: str, now: float, until: float, caps: LaneCaps = NO_CAPS
    ) -> list[Task]:
        if max(free_slots.values(), default=0) <= 0:
            return []
        reply = await self._writes.join(
            WriteRequest(claim=Claim(free_slots, encode_name(owner), now, until, caps=caps))
        )
        return [*reply.claimed]

    async def renew(self, tasks: Sequence[Task], until: float) -> frozenset[int]:
        ours = [(task.id, task.lease.owner, task.lease.token) for task in tasks if task.lease is not None]
        if not ours:
            return frozenset()
        return frozenset(row[0] for row in await self._writing().statement(queries.RENEW, (to_json(ours), until)))

    async def apply(self, applied: Applied, now: float) -> ApplyAnswer:
        reply = await self._writes.join(WriteRequest(encode_move(applied, now), budget=applied.budget))
        if reply.over:
            return ApplyAnswer.OVER
        return ApplyAnswer.WRITTEN if reply.changed else ApplyAnswer.LOST

    async def news(self) -> None:
        await anyio.sleep_forever()  # this process alone writes

    async def command(self, verb: Literal["cancel", "retry"], which: Selection, now: float) -> int:
        query, values = selected(which)
        sql = queries.CANCEL if verb == "cancel" else queries.RETRY
        return await self._writing().count(
            sql.format(which=query), {**values, "now": now, "named": int(bool(which.states))}
        )

    async def park(self, parked: Parked, now: float) -> None:
        row = (encode_name(parked.scope), parked.until, to_json(parked.trouble.as_json()), now)
        await self._writes.join(WriteRequest(park=row))

    async def unpark(self, scopes: Sequence[str], classes: Sequence[str], now: float) -> int:
        return await self._writing().transaction(partial(_unpark, to_json(list(scopes)), to_json(list(classes)), now))

    async def bring_forward(self, now: float) -> int:
        return await self._writing().transaction(partial(_bring_forward, now))

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            if not self._closed:
                self._closed = True
                await self._reader.close()
            # Last, because only a writer can fold the write-ahead log into the file.
            if self._writer is not None:
                await self._writer.aclose()

    # --------------------------------------------------------------------------------------------------- journal

    async def note_run(self, note: RunNote) -> None:
        await self._writing().statement(queries.NOTE_RUN, encode_note(note))

    async def save(self, name: str, value: Json) -> None:
        await self._writing().statement(queries.SAVE, (name, to_json(value)))

    async def drop(self, name: str) -> None:
        await self._writing().statement(queries.DROP, (name,))

    async def change(self, name: str, change: Change[T]) -> T:
        if self._writer is None:  # a reader may look
            new, answer = change(await self.load(name))
            if new is None:
                return answer
        return await self._writing().transaction(partial(_change, name, change))

    async def enter(self, spend: Spend, budget: BudgetGuard | None = None) -> bool:
        return await self._writing().transaction(partial(enter, row=encode_spend(spend), guard=budget))

    async def catch_up(self, marks: Sequence[int], name: str, value: Json, before: Json | None) -> bool:
        note, old = (encode_name(name), to_json(value)), None if before is None else to_json(before)
        return await self._writing().transaction(partial(_catch_up, to_json(list(marks)), note, old))

    # ---------------------------------------------------------------------------------------------------- upkeep

    async def drop_answers(self, ids: Sequence[int]) -> int:
        return await self._writing().count(queries.DROP_ANSWERS, (to_json(list(ids)),))

    async def drop_runs(self, keep: int) -> int:
        return await self._writing().count(queries.DROP_RUNS, (keep,))

    async def forget(self, tasks: Sequence[int], subject: str, stamp: str) -> int:
        ids, name = to_json(list(tasks)), encode_name(subject)
        return await self._writing().transaction(partial(_forget, ids, name, f"forgotten/{encode_name(stamp)}/"))

    async def compact(self) -> None:
        folder = _folder_of(self._path)
        for statement in queries.COMPACT:
            await self._writing().statement(statement.format(folder=folder))

    # --------------------------------------------------------------------------------------------------- writing

    async def _write(self, group: Sequence[WriteRequest]) -> list[WriteReply]:
        return await self._writing().transaction_in_lock(lambda connection: write(connection, group))

    def _writing(self) -> Writer:
        if self._writer is None:
            raise StoreError(f"{self._path} was opened for reading only.", code="database_read_only")
        return self._writer


def _catch_up(marks: str, note: tuple[str, str], before: str | None, connection: sqlite3.Connection) -> bool:
    there = connection.execute(NOTE, note[:1]).fetchone()
    if (there and there[0]) != before:
        return False
    connection.execute(queries.SAVE, note)
    connection.execute(queries.CATCH_UP, (marks,))
    return True


def _change(name: str, change: Change[T], connection: sqlite3.Connection) -> T:
    row = connection.execute(NOTE, (name,)).fetchone()
    new, answer = change(None if row is None else loads(row[0]))
    if new is not None:
        connection.execute(queries.SAVE, (name, to_json(new)))
    return answer


def _forget(tasks: str, subject: str, before: str, connection: sqlite3.Connection) -> int:
    changed = connection.execute(queries.FORGET, (tasks,)).rowcount
    connection.execute(queries.FORGET_RESULTS, (subject,))
    connection.execute(queries.RENAME_SPENDS, (subject, before))
    return changed


def _bring_forward(now: float, connection: sqlite3.Connection) -> int:
    changed = connection.execute(queries.BRING_FORWARD, {"now": now, "lanes": to_json(list(Lane))}).rowcount
    connection.execute(queries.UNPARK_LATER, (now, bool(changed)))
    return changed


def _unpark(scopes: str, classes: str, now: float, connection: sqlite3.Connection) -> int:
    changed = connection.execute(queries.WAKE, (classes, now)).rowcount
    connection.execute(queries.UNPARK, (scopes,))
    return changed
