"""Takes a video's folder away, but for what people have made of it. Blocking."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from pipeline.ports.sink import FolderTaken, Removal
from pipeline.sink import atomic, record
from pipeline.sink.record import RECORD

_LARGEST_RECORD = 4 * 1024 * 1024


def take_away(root: int, folder: str, subject: str, *, look: bool) -> Removal:
    """Remove what is as it was written, the record last; ``look``: only find it.

    Links and folders in folders are never ours.

    Raises:
        FolderTaken: the record is of another video than ``subject``.
    """
    try:
        with atomic.opened(folder, root) as home:
            parts = [part for part in os.listdir(home) if atomic.is_dir(home, part)]
            found = _sorted_out(home, parts, folder, subject)
            if not look:
                _remove(home, found)
                for part in parts:
                    with suppress(OSError):  # somebody's files are in it
                        os.rmdir(part, dir_fd=home)
    except FileNotFoundError:
        return Removal()
    if not look and not found.kept:
        with suppress(OSError):
            os.rmdir(folder, dir_fd=root)
        os.fsync(root)
    return found


def _sorted_out(home: int, parts: list[str], folder: str, subject: str) -> Removal:
    ours = [RECORD, *atomic.leftovers(home, RECORD)]
    records = [record.parse(atomic.read(home, each, _LARGEST_RECORD)) for each in ours]
    if record.is_of_another(records, subject):
        raise FolderTaken(f"{folder}: another video's results are there.")
    sums = record.known_checksums(records)
    files: list[str] = []
    kept: list[str] = []
    for name, fd, base in _entries(home, parts):
        written = (name in ours and atomic.size(fd, base) is not None) or atomic.checksum(fd, base) in sums.get(
            name, ()
        )
        (files if written else kept).append(name)
        if fd != home:
            os.close(fd)
    return Removal(sorted(files, key=lambda name: (name in ours, name)), sorted(kept))


def _entries(home: int, parts: list[str]) -> Iterator[tuple[str, int, str]]:
    """Yield (name, folder, name in it).

    Folders other than the home are the caller's to close.
    """
    for base in os.listdir(home):
        if base not in parts:
            yield base, home, base
    for part in parts:
        with atomic.opened(part, home) as inner:
            for base in os.listdir(inner):
                yield f"{part}/{base}", os.dup(inner), base


def _remove(home: int, found: Removal) -> None:
    for name in found.files:
        part, _, base = name.rpartition("/")
        if part:
            with atomic.opened(part, home) as inner:
                atomic.remove(inner, base)
        else:
            atomic.remove(home, base)
    os.fsync(home)
