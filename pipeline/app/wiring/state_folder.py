"""The state folder: the database and the lock that dies with its owner."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock, iso
from pipeline.core.errors import Busy, ConfigError
from pipeline.ports.store import Database
from pipeline.sink import atomic

_LOCK, _HOLDER, _DATABASE, _HOST, _MOVED = "lock", "holder.json", "reelmill.db", "host", "moved"
_NAME = re.compile("[0-9a-f]{16}")


def platform_folder(settings: Settings) -> Path:
    """Return where the embedded platform keeps its state."""
    return settings.platform.state or settings.run.state / "platform"


@contextmanager
def lock_state_folder(folder: Path) -> Iterator[Path]:
    """Hold the state folder alone, for as long as this process lives.

    Raises:
        Busy: another process holds it; says which one, since when.
        ConfigError: the folder cannot be made or written.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # titles, paths and answers are nobody else's
        lock = FileLock(folder / _LOCK, timeout=0, mode=0o600)
        lock.acquire()
    except Timeout:
        raise Busy(
            f"Another run is working on {folder}: {_holder_words(folder)}.",
            remedy="wait for it, stop it, or give this run a state folder of its own with --state",
        ) from None
    except OSError as error:
        raise _unusable(folder, error) from None
    try:
        _write_holder(folder)
        yield folder
    finally:
        (folder / _HOLDER).unlink(missing_ok=True)
        lock.release()


def host_id(folder: Path) -> str:
    """Return an id for whoever holds a state folder.

    The next one that does has the same.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        return read_host_id(folder) or _make_id(folder / _HOST)
    except OSError as error:
        raise _unusable(folder, error) from None


def read_host_id(folder: Path) -> str:
    """Return the same, if there is one; else empty."""
    return _read_id(folder / _HOST)


def _read_id(file: Path) -> str:
    """Return what it holds; empty where that is no id."""
    found = file.read_text(encoding="ascii", errors="replace").strip() if file.exists() else ""
    return found if _NAME.fullmatch(found) else ""


def _make_id(file: Path) -> str:
    """Make an id; of several processes that do so at once, one prevails."""
    new = file.with_name(f"{_HOST}.{os.getpid()}")
    new.touch(mode=0o600)
    new.write_text(secrets.token_hex(8), encoding="ascii")
    try:
        os.link(new, file)
    except FileExistsError:
        if not _read_id(file):
            new.replace(file)
    finally:
        new.unlink(missing_ok=True)
    return _read_id(file)


def _write_holder(folder: Path) -> None:
    note = {"pid": os.getpid(), "host": socket.gethostname(), "since": iso(SystemClock().now())}
    try:
        (folder / _HOLDER).touch(mode=0o600)
        (folder / _HOLDER).write_text(json.dumps(note), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written ({error.strerror})", remedy="free some space, or mend its rights"
        ) from None


def lock_holder(folder: Path) -> str:
    """Return in words who works on the state folder; empty if nobody."""
    if not os.path.exists(folder / _HOLDER):  # who holds the lock has it; one that was killed may have left it, too
        return ""
    from filelock import FileLock, Timeout  # loads half of the standard library

    lock = FileLock(folder / _LOCK, timeout=0, mode=0o600)
    try:
        if not (folder / _LOCK).exists():
            return ""
        lock.acquire()
    except Timeout:
        return _holder_words(folder)
    except OSError:
        return ""
    lock.release()
    return ""


def _holder_words(folder: Path) -> str:
    try:
        note = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        return f"process {note['pid']} on {note['host']} since {note['since']}"
    except (OSError, ValueError, KeyError):
        return "a process that is just starting"


def database_file(folder: Path) -> Path:
    """Return where the database is or will be."""
    return folder / _DATABASE


def has_database(folder: Path) -> bool:
    """Tell whether anything has been run on this state folder.

    Raises:
        ConfigError: the folder cannot be looked into, e.g. because it belongs to another user.
    """
    try:
        return database_file(folder).exists()
    except OSError as error:
        raise _unusable(folder, error) from None


def _unusable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{folder}: the state folder cannot be used ({error.strerror or error})",
        remedy="set [run] state (or --state) to a folder on a local disk that you may write",
    )


def require_database(folder: Path) -> Path:
    """Return where the database is.

    Raises:
        ConfigError: there is none yet.
    """
    path = database_file(folder)
    if not has_database(folder):
        raise ConfigError(
            f"{path.parent}: nothing has been run here yet", remedy="`reelmill run FILE…`, or check --state"
        )
    return path


def mark_moved(folder: Path, to: str) -> None:
    """Let nobody write to a folder's database any more, also after a power cut."""
    atomic.put(str(folder), _MOVED, to.encode())


def moved_to(folder: Path) -> str:
    """Return where a folder's database was moved to; empty: nowhere."""
    file = folder / _MOVED
    return file.read_text(encoding="utf-8", errors="replace").strip() if file.exists() else ""


def unmark_moved(folder: Path) -> None:
    """Let it be written to again."""
    (folder / _MOVED).unlink(missing_ok=True)


@asynccontextmanager
async def open_for_writing(folder: Path) -> AsyncIterator[Database]:
    """Open the database for writing; the folder must be locked.

    Raises:
        ConfigError: it was moved to a server.
    """
    from pipeline.store.sqlite.database import open_database

    if to := moved_to(folder):
        raise ConfigError(
            f"{folder}: its database was moved to {to}; what is here is as it was then",
            remedy="set [store] url; if the move was cut off, repeat `reelmill import-state`",
        )

    database = await open_database(database_file(folder))
    try:
        yield database
    finally:
        await database.aclose()


@asynccontextmanager
async def open_read_only(folder: Path) -> AsyncIterator[Database]:
    """Open the database read-only, beside any run.

    Raises:
        ConfigError: there is no database yet.
    """
    from pipeline.store.sqlite.database import open_database

    path = require_database(folder)
    database = await open_database(path, read_only=True)
    try:
        yield database
    finally:
        await database.aclose()


@asynccontextmanager
async def open_if_present(folder: Path) -> AsyncIterator[Database | None]:
    """Open the database read-only if there is one."""
    if not has_database(folder):
        yield None
        return
    async with open_read_only(folder) as database:
        yield database
