"""The platform's state: one SQLite file, its one thread, media files."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import anyio
from filelock import FileLock, Timeout

from pipeline.core.errors import Busy, ConfigError, StoreError
from pipeline.local.state import fulltext, ledger, vectors
from pipeline.local.state.tables import CHUNKS, SESSIONS, TABLES

T = TypeVar("T")
_VERSION = 2  #: 2: videos, sheets and the full-text index; older files only lack them


@dataclasses.dataclass(slots=True)
class _Change(Generic[T]):
    """A change that waits for the next commit, and its caller's future."""

    work: Callable[[sqlite3.Connection], T]
    durable: bool
    done: asyncio.Future[T]
    result: T | None = None
    error: BaseException | None = None

    def apply(self, db: sqlite3.Connection) -> None:
        """Do it inside the running transaction, alone undone where it fails."""
        db.execute("SAVEPOINT one")
        try:
            self.result = self.work(db)
        except BaseException as error:
            self.error = error
            if not db.in_transaction:  # a full disk made SQLite undo all of it, the others' work too
                raise
            db.execute("ROLLBACK TO one")
        db.execute("RELEASE one")

    def finish(self, broken: BaseException | None) -> None:
        """Hand over the outcome; ``broken`` is why nothing was committed at all."""
        if self.done.done():  # cancelled meanwhile
            return
        if (error := broken or self.error) is not None:
            self.done.set_exception(_translated(error))
        else:
            self.done.set_result(cast(T, self.result))


class PlatformDatabase:
    """Opened once per folder and process. What :meth:`write` has returned from is on disk.

    Work runs on one thread of its own: a slow disk delays answers, never the event loop. Work that has started is
    carried out even where its caller is cancelled, so a transaction is whole or not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "platform.sqlite3"
        self.secret = b""  #: signs presigned addresses
        self._db: sqlite3.Connection | None = None
        self._waiting: list[_Change[Any]] = []
        self._committing = False
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="platform-state")
        self._lock = FileLock(folder / "platform.lock", thread_local=False)

    async def open(self) -> None:
        """Open or create.

        Raises:
            Busy: another process serves this folder.
            ConfigError: the folder cannot be made or written.
            StoreError: the database was written by a newer version, or cannot be used.
        """
        try:
            for name in ("", "blobs", "incoming", "sessions", "readings"):
                (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout:
            raise Busy(
                f"{self.folder}: another local platform is using this folder",
                remedy="wait for the run or stop the platform that does, or set [platform] state to another folder",
            ) from None
        except OSError as error:
            raise ConfigError(
                f"{self.folder}: the local platform's folder cannot be used ({error.strerror or error})",
                remedy="mend its rights, or set [platform] state to a folder that you may write",
            ) from None
        try:
            await self._run(self._open)
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        try:
            with suppress(OSError):  # what fails is SQLite's to tell
                os.close(os.open(self.database, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600))
            db = sqlite3.connect(self.database, isolation_level=None, timeout=10)
        except sqlite3.Error as error:
            raise StoreError(f"{self.database}: cannot be opened ({error})") from None
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # changed per commit, see write()
            self._migrate(db)
            row = db.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone()
            self.secret = bytes.fromhex(row[0])
            self._sweep(db)
        except sqlite3.DatabaseError as error:
            db.close()
            remedy = "make room on its disk, or check it; what was accepted is kept"
            raise StoreError(f"{self.database}: cannot be used ({error})", remedy=remedy) from None
        except BaseException:
            db.close()
            raise
        self._db = db

    def _migrate(self, db: sqlite3.Connection) -> None:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise StoreError(
                f"{self.database}: written by a newer version ({version} > {_VERSION})", remedy="upgrade reelmill"
            )
        db.execute("BEGIN IMMEDIATE")
        for statement in (ledger.DDL, *fulltext.DDL, *vectors.DDL, *(part for table in TABLES for part in table.ddl)):
            db.execute(statement)
        db.execute("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")
        db.execute("INSERT OR IGNORE INTO meta VALUES ('secret', ?)", [secrets.token_hex(32)])
        db.execute(f"PRAGMA user_version = {_VERSION}")
        db.execute("COMMIT")

    def _sweep(self, db: sqlite3.Connection) -> None:
        """Put back what was running; remove files that no record knows."""
        db.execute("UPDATE jobs SET status = 'queued' WHERE status = 'processing'")
        _complete_sessions(db, self)
        known = {key for (key,) in db.execute("SELECT id FROM assets")}
        open_sessions = {key for (key,) in db.execute("SELECT id FROM sessions WHERE status = 'active'")}
        for path in (self.folder / "incoming").iterdir():
            path.unlink(missing_ok=True)
        for folder, keep in (("blobs", known), ("sessions", open_sessions)):
            for path in (self.folder / folder).iterdir():
                if path.stem not in keep:
                    path.unlink(missing_ok=True)

    async def write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Carry out work in a transaction; an exception undoes all of it.

        Callers that wait together share one commit, each undone alone if it fails. ``durable`` makes it outlive a power
        cut; without, it outlives the process only, which is enough for what would be found out again.
        """
        change: _Change[T] = _Change(work, durable, asyncio.get_running_loop().create_future())
        self._waiting.append(change)
        self._start_commit()
        return await change.done

    def _start_commit(self) -> None:
        """Start a commit of all that waits, unless one is under way."""
        if self._closed:
            for change in self._waiting:
                change.finish(StoreError("the local platform is closed"))
            self._waiting = []
        if self._waiting and not self._committing:
            group, self._waiting, self._committing = self._waiting, [], True
            commit = asyncio.get_running_loop().run_in_executor(self._thread, self._commit, group)
            commit.add_done_callback(lambda done: self._finish(group, done))

    def _commit(self, group: Sequence[_Change[Any]]) -> None:
        db = self._open_db()
        db.execute(f"PRAGMA synchronous = {'FULL' if any(change.durable for change in group) else 'NORMAL'}")
        db.execute("BEGIN IMMEDIATE")
        try:
            for change in group:
                change.apply(db)
            db.execute("COMMIT")
        except BaseException as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                remedy = "make room on its disk, or check it; what was accepted is kept"
                raise StoreError(f"{self.database}: cannot be written ({error})", remedy=remedy) from None
            raise

    def _finish(self, group: Sequence[_Change[Any]], done: asyncio.Future[None]) -> None:
        self._committing = False
        broken = asyncio.CancelledError() if done.cancelled() else done.exception()
        for change in group:
            change.finish(broken)
        self._start_commit()

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Carry out reading work."""
        try:
            return await self._run(lambda: work(self._open_db()))
        except sqlite3.OperationalError as error:
            raise _translated(error) from None

    async def run_file_work(self, work: Callable[[], T]) -> T:
        """Run short file work off the event loop; no cancel interrupts it."""
        with anyio.CancelScope(shield=True):
            result = await anyio.to_thread.run_sync(work)
        return result  # noqa: RET504 - mypy holds that the scope may swallow an exception

    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreError("the local platform is closed")
        return self._db

    async def _run(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreError("the local platform is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def aclose(self) -> None:
        """Close the database, end the thread, give the folder free. Idempotent."""
        if self._db is not None:
            await self._run(self._close)
        self._closed = True
        self._thread.shutdown(wait=True)
        self._lock.release()

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    # ------------------------------------------------------------------------------------------------------- files

    def blob(self, asset_id: str) -> Path:
        """Return where an asset's bytes are."""
        return self.folder / "blobs" / f"{asset_id}.bin"

    def incoming(self) -> Path:
        """Return a new name for arriving bytes; swept at the next start."""
        return self.folder / "incoming" / f"{secrets.token_hex(12)}.part"

    def session_file(self, session_id: str) -> Path:
        """Return where a multipart session's bytes grow."""
        return self.folder / "sessions" / f"{session_id}.part"

    @property
    def content_cache(self) -> Path:
        """Return the folder of what was extracted from videos, by their content."""
        return self.folder / "readings"


def _translated(error: BaseException) -> BaseException:
    """Turn SQLite's error about the disk into a StoreError, which callers handle."""
    if not isinstance(error, sqlite3.OperationalError):
        return error
    return StoreError(f"the platform's database cannot be used ({error})", remedy="check its disk")


def _complete_sessions(db: sqlite3.Connection, state: PlatformDatabase) -> None:
    """Finish sessions whose last chunk was reported just before the process died."""
    for session in SESSIONS.select(db, "status = 'active'"):
        if CHUNKS.count(db, "session_id = ? AND reported = 1", [session.id]) < session.total_chunks:
            continue
        if state.session_file(session.id).exists():
            move_into_place(state.session_file(session.id), state.blob(session.asset_id))
        db.execute("BEGIN IMMEDIATE")
        SESSIONS.put(db, dataclasses.replace(session, status="completed"))
        path = f"/assets/multipart-uploads/{session.id}"
        event = ledger.LedgerEntry(
            session.updated, "POST", path, "session_completed", session.asset_id, session.filename
        )
        ledger.enter(db, event)
        db.execute("COMMIT")


def move_into_place(source: Path, target: Path) -> None:
    """Move arrived bytes to their place, safe from a power cut."""
    with source.open("rb") as file:
        os.fsync(file.fileno())
    source.replace(target)
    if os.name != "posix":  # a folder cannot be opened there, and its entries are journalled
        return
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
