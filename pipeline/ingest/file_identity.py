"""Where a video's content still is, and that it is still that content: looked at before every attempt to send it.

A file may be renamed, touched, replaced or written on between the moment it was hashed and the moment its bytes go out,
and between two attempts of one upload. What only moved is found; what is something else by now is never sent under a hash
that is not its own.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import anyio
from anyio import to_thread

from pipeline.core.errors import InputError, Transient
from pipeline.core.model import Json

#: Size, time of change, inode and time of status change of a file: the last one nobody can set.
FileStamp: TypeAlias = list[int]

#: Codes of a video that failed because its content was no more where it had been: any file that holds it restarts it.
LOST_FILE = ("file_missing", "file_changed")

_BLOCK = 1024 * 1024


def file_stamp(found: os.stat_result) -> FileStamp:
    """Return what tells a file that was written on from one that was not."""
    return [found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns]


async def is_available(data: Mapping[str, Json], *, external: bool) -> bool:
    """Return False where a site must be asked for a video's ``data``, because nothing is here that could be handed over.

    ``external``: the platform fetches the address of a site by itself.
    """
    if external and data.get("external"):
        return True
    if "path" not in data:
        return not data.get("external")
    return not data.get("fetched") or await anyio.Path(data["path"]).exists()


async def locate(data: Mapping[str, Json], others: Sequence[str]) -> tuple[Path, FileStamp]:
    """Return a path that holds the content of a video's ``data``, and its mark.

    ``data["mark"]`` is the mark of an earlier attempt, if there was one; a file that is no more as it was is hashed again.

    Raises:
        InputError: ``file_changed`` when there is a file but with other content; ``file_missing``.
    """
    different = ""
    for name in dict.fromkeys([data["path"], *others]):
        path = Path(name)
        try:
            found = await anyio.Path(path).stat()
        except OSError:
            continue
        if found.st_size == data["size"] and (_as_known(found, data) or await _holds(path, data["sha256"])):
            return path, file_stamp(found)
        different = different or name
    if different:
        raise InputError(
            f"{different}: the file is not the one that was looked at: it changed before it was sent completely",
            code="file_changed",
            remedy="run again: what it holds now is a new video",
        )
    raise InputError(
        f"{data['path']}: the file is gone",
        code="file_missing",
        remedy="put it back or name its new place in a run, then `reelmill retry`; other content is a new video",
    )


def _as_known(found: os.stat_result, data: Mapping[str, Json]) -> bool:
    """True where nothing says that the file was touched, or where there is no hash to compare with."""
    if not data.get("sha256"):
        return True
    mark, changed = data.get("mark"), data.get("mtime_ns")
    if mark:
        return bool(mark == file_stamp(found))
    return not changed or bool(changed == found.st_mtime_ns)


async def _holds(path: Path, sha256: str) -> bool:
    """Read the whole file and compare; one that changes meanwhile holds nothing that could be named."""
    stop = threading.Event()
    try:
        return await to_thread.run_sync(_digest, path, stop, abandon_on_cancel=True) == sha256
    except OSError as error:
        raise Transient(
            f"{path}: cannot be read now: {error.strerror or type(error).__name__}", code="disk_trouble", untouched=True,
            remedy="check the disk or network share it is on",
        ) from None  # fmt: skip
    finally:
        stop.set()


def _digest(path: Path, stop: threading.Event) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        before = file_stamp(os.fstat(stream.fileno()))
        while not stop.is_set() and (block := stream.read(_BLOCK)):
            digest.update(block)
        return digest.hexdigest() if file_stamp(os.fstat(stream.fileno())) == before else ""
