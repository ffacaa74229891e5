"""The textfile for Prometheus, whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pipeline.sink import atomic

_FIRST = b"# HELP reelmill_"


def write_textfile(path: Path, content: bytes) -> str:
    """Put a file in its place; return why not, empty if it is there.

    Blocking. Never writes over a file of somebody else.

    Raises:
        OSError: the folder is missing, full or not ours to write.
    """
    try:
        with atomic.opened(str(path.parent.resolve())) as folder:
            if not _is_ours(folder, path.name):
                return "something that is not ours is in the way: remove it, or choose another name"
            for name in atomic.leftovers(folder, path.name):
                atomic.remove(folder, name)
            temp = atomic.stage(folder, path.name, content)
            try:
                os.chmod(temp, 0o644, dir_fd=folder)  # the collector is another user; nothing in it is secret
                atomic.publish(folder, temp, path.name)
            except BaseException:
                atomic.remove(folder, temp)
                raise
    except FileNotFoundError:
        return "its folder does not exist: make it, or choose another"
    return ""


def _is_ours(folder: int, name: str) -> bool:
    """True where nothing is there, an empty file, or one that we wrote."""
    try:
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return True
    return stat.S_ISREG(seen.st_mode) and (not seen.st_size or atomic.head(folder, name, len(_FIRST)) == _FIRST)
