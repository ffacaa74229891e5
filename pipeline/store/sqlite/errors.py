"""Error translation: what SQLite raises, as our errors, and nothing else."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import DatabaseAway, ReelmillError, StoreError
from pipeline.store.encoding import unstorable

#: Primary result codes (https://www.sqlite.org/rescode.html) that are about the file or the disk, not about a value.
_PERM, _BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _AUTH = 3, 5, 6, 8, 10, 11, 13, 14, 23
_NOTADB = 26
#: With fewer free bytes a failing disk is a full one: the index of the write-ahead log takes 32 KiB at once, and where
#: it gets none, the library reports a failing disk.
_FULL_BELOW = 64 * 1024
#: What the driver raises for a value that cannot be stored.
_VALUE = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError)
_BY_CODE: dict[int, tuple[str, str, str]] = {
    _READONLY: ("database_unwritable", "{path} cannot be written.", "Give this user write access to file and folder."),
    _PERM: ("database_unwritable", "{path} may not be used.", "Give this user access to the file and its folder."),
    _AUTH: ("database_unwritable", "{path} may not be used.", "Give this user access to the file and its folder."),
    _CANTOPEN: (
        "database_unwritable",
        "{path} cannot be opened.",
        "Check that its folder exists and that this user may write there.",
    ),
    _CORRUPT: ("database_damaged", "{path} is damaged.", ""),
    _NOTADB: ("database_damaged", "{path} is not a database.", ""),
}

_RESTORE = (
    "Nothing was changed. Stop all runs, copy the file and those beside it (-wal, -shm) away, then restore a backup,"
    " or rescue what is readable with `sqlite3 FILE .recover`. Starting with an empty file pays again for everything."
)


@contextmanager
def translate_errors(path: Path, *, opening: bool = False) -> Iterator[None]:
    """Translate what the driver raises inside into our errors.

    Raises:
        DatabaseAway: ``database_locked``, ``disk_full`` or ``database_io``: the same call may work later (StoreError while
            ``opening``).
        Permanent: ``unstorable``: a value that cannot be written, ever.
        StoreError: the database cannot be used.
    """
    try:
        yield
    except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
        raise translate(error, path, opening=opening) from error


def translate(error: Exception, path: Path, *, opening: bool = False) -> ReelmillError:
    """Return our error for one of the driver's."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    detail = str(error)
    if code in (_BUSY, _LOCKED):
        words, remedy = f"{path} is locked by another process.", "Wait for it, or end it; then start again."
        return _later(words, "database_locked", remedy, detail, opening)
    if code == _FULL or (code == _IOERR and _is_full(path)):
        words, remedy = f"The disk is full: {path} cannot grow.", "Make room on the disk of the state folder."
        return _later(words, "disk_full", remedy, detail, opening)
    if code == _IOERR:
        remedy = "Check the disk and its file system; network disks are not supported."
        return _later(f"The disk failed while {path} was in use.", "database_io", remedy, detail, opening)
    if code in _BY_CODE:
        name, text, remedy = _BY_CODE[code]
        return StoreError(text.format(path=path), code=name, remedy=remedy or _RESTORE, detail=detail)
    if isinstance(error, (*_VALUE, OverflowError, UnicodeEncodeError)):
        return unstorable(detail)
    remedy = "Report this with the detail; the file was left as it was."
    return StoreError(f"{path} does not answer as expected.", code="database_unexpected", remedy=remedy, detail=detail)


def _is_full(path: Path) -> bool:
    """Return whether a file's file system has no bytes or no inodes left."""
    try:
        there = os.statvfs(path.parent)
    except OSError:
        return False
    return there.f_bavail * there.f_frsize < _FULL_BELOW or (there.f_files > 0 and there.f_favail == 0)


def closed(path: Path) -> StoreError:
    """Return the error for a call on a closed database."""
    return StoreError(f"{path} was closed already.", code="database_closed")


def _later(words: str, code: str, remedy: str, detail: str, opening: bool) -> ReelmillError:
    if opening:
        return StoreError(words, code=code, remedy=remedy, detail=detail)
    return DatabaseAway(words, code=code, remedy=remedy, detail=detail)
