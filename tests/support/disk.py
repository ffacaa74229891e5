"""The ``os`` of the sink: a disk in memory that knows what a power failure would leave.

Every change is in the page cache first. ``fsync`` of a file keeps its content, ``fsync`` of a folder keeps its names, and
nothing else does. After a power failure some of the rest is found: ``fail`` draws what, ``lost`` and ``torn`` are its ends.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any

from pipeline.sink import atomic, index_file
from pipeline.sink import disk as sink_disk


@dataclass
class File:
    """Content as programs see it, and as it is safe."""

    content: bytes = b""
    kept: bytes = b""
    number: int = 0  #: that no other file of the disk has had


@dataclass
class Folder:
    """Names as programs see them, those that are safe, and what has changed since, in order."""

    names: dict[str, Node] = field(default_factory=dict)
    kept: dict[str, Node] = field(default_factory=dict)
    changes: list[dict[str, Node | None]] = field(default_factory=list)

    def change(self, names: dict[str, Node | None]) -> None:
        """Put and remove (None) names together."""
        self.changes.append(names)
        _put(self.names, names)


Node = File | Folder
_USERS: tuple[Any, ...] = (atomic, sink_disk, index_file)


def _put(names: dict[str, Node], changes: dict[str, Node | None]) -> None:
    for name, node in changes.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def silent(_what: str) -> None:
    """Nobody watches."""


class MemoryDisk:
    """Everything of ``os`` that the sink uses; what it does not know, it takes from the real module.

    ``watch`` is told before and after each change, and in the middle of each write; what it raises happens there.
    Descriptors and the watch belong to the process: a copy of the disk has none.
    """

    def __init__(self, mount: str) -> None:
        self._mount = mount
        self.root = Folder()
        self.watch: Callable[[str], None] = silent
        self._files = 0
        self._open: dict[int, Node] = {}
        self._next = 1000

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(os, name)

    def __getstate__(self) -> dict[str, Any]:
        return {"mount": self._mount, "root": self.root, "files": self._files}

    def __setstate__(self, state: dict[str, Any]) -> None:
        MemoryDisk.__init__(self, state["mount"])
        self.root, self._files = state["root"], state["files"]

    # ---------------------------------------------------------------------------------------------- from outside

    @staticmethod
    def unmount() -> None:
        """Let the sink write to the real disk, whatever a life that never ended has left."""
        for user in _USERS:
            user.os = os

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Let the sink write here for a while."""
        for user in _USERS:
            user.os = self
        try:
            yield
        finally:
            self.unmount()

    def files(self) -> dict[str, bytes]:
        """Return path -> content of every file, as programs see it."""
        return {path: file.content for path, file in _walk(self.root, "", kept=False)}

    def safe(self) -> dict[str, bytes]:
        """Return path -> content of what would be there after a power failure at the worst."""
        return {path: file.kept for path, file in _walk(self.root, "", kept=True)}

    def remove(self, name: str) -> None:
        """Remove an entry of the root, safely."""
        self.root.change({name: None})
        self.fail(Random(0), least=10**6)

    def fail(self, rng: Random, least: int = 0) -> None:
        """Lose the power: of each folder's changes since it was synced only the first few are found, at least ``least``;
        of a file that was not synced, some beginning.
        """
        self._open.clear()
        self.root = _after(self.root, rng, least)

    def lost(self) -> None:
        """Lose the power: nothing is there that was not synced."""
        self.root = _lost(self.root)

    def torn(self) -> None:
        """Lose the power: every name is there, and of every content that was not synced, the first half."""
        self.root = _torn(self.root)

    # --------------------------------------------------------------------------------------------------- changes

    def mkdir(self, name: str, mode: int = 0o777, *, dir_fd: int) -> None:
        """See ``os.mkdir``."""
        where = self._folder(dir_fd)
        if name in where.names:
            raise _error(errno.EEXIST)
        self.watch(f"disk.mkdir {name}")
        where.change({name: Folder()})
        self.watch(f"disk.mkdir {name} done")

    def open(self, name: str | os.PathLike[str], flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """See ``os.open``; without a folder only the mount can be opened."""
        if dir_fd is None:
            assert os.path.abspath(name) == self._mount
            return self._descriptor(self.root)
        where, name = self._folder(dir_fd), os.fspath(name)
        node = where.names.get(name)
        if flags & os.O_CREAT:
            if node is not None:
                raise _error(errno.EEXIST)
            self.watch("disk.create")
            self._files += 1
            node = File(number=self._files)
            where.change({name: node})
            self.watch("disk.create done")
        if node is None:
            raise _error(errno.ENOENT)
        if flags & os.O_DIRECTORY and isinstance(node, File):
            raise _error(errno.ENOTDIR)
        return self._descriptor(node)

    def write(self, fd: int, content: bytes | memoryview) -> int:
        """See ``os.write``: in two halves, between which anything may happen."""
        node, whole = self._file(fd), bytes(content)
        before, half = node.content, len(whole) // 2
        self.watch("disk.write")
        node.content = before + whole[:half]
        self.watch("disk.write half")
        node.content = before + whole
        self.watch("disk.write done")
        return len(whole)

    def fsync(self, fd: int) -> None:
        """See ``os.fsync``."""
        node = self._open[fd]
        self.watch("disk.fsync")
        if isinstance(node, File):
            node.kept = node.content
        else:
            node.kept, node.changes = dict(node.names), []
        self.watch("disk.fsync done")

    def rename(self, old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        """See ``os.rename``, within one folder."""
        where = self._folder(dst_dir_fd)
        assert self._folder(src_dir_fd) is where
        self.watch(f"disk.rename {new}")
        if old not in where.names:
            raise _error(errno.ENOENT)
        where.change({old: None, new: where.names[old]})
        self.shown(where, new)
        self.watch(f"disk.rename {new} done")

    def shown(self, where: Folder, name: str) -> None:
        """Be told that a file has got a name under which it can be seen."""

    def unlink(self, name: str, *, dir_fd: int) -> None:
        """See ``os.unlink``."""
        where = self._folder(dir_fd)
        if name not in where.names:
            raise _error(errno.ENOENT)
        self.watch("disk.unlink")
        where.change({name: None})
        self.watch("disk.unlink done")

    # --------------------------------------------------------------------------------------------------- looking

    def close(self, fd: int) -> None:
        """See ``os.close``."""
        self._open.pop(fd, None)

    def listdir(self, fd: int) -> list[str]:
        """See ``os.listdir``."""
        return sorted(self._folder(fd).names)

    def stat(self, name: str, *, dir_fd: int, follow_symlinks: bool = True) -> Any:
        """See ``os.stat``."""
        node: Node | None = self._folder(dir_fd)
        for part in name.split("/"):
            node = node.names.get(part) if isinstance(node, Folder) else None
        if node is None:
            raise _error(errno.ENOENT)
        return _seen(node)

    def fstat(self, fd: int) -> Any:
        """See ``os.fstat``."""
        return _seen(self._open[fd])

    def fdopen(self, fd: int, mode: str) -> io.BytesIO:
        """See ``os.fdopen``, for reading."""
        assert mode == "rb"
        return _Stream(self, fd, self._file(fd).content)

    def _descriptor(self, node: Node) -> int:
        self._next += 1
        self._open[self._next] = node
        return self._next

    def _file(self, fd: int) -> File:
        node = self._open[fd]
        assert isinstance(node, File)
        return node

    def _folder(self, fd: int) -> Folder:
        node = self._open.get(fd)
        if not isinstance(node, Folder):
            raise _error(errno.EBADF)
        return node


class _Stream(io.BytesIO):
    """An open file whose end is the end of its descriptor."""

    def __init__(self, disk: MemoryDisk, fd: int, content: bytes) -> None:
        super().__init__(content)
        self._disk, self._fd = disk, fd

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def close(self) -> None:
        """Close both."""
        if not self.closed:
            self._disk.close(self._fd)
        super().close()


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _seen(node: Node) -> Any:
    if isinstance(node, File):
        size, number = len(node.content), node.number
        return SimpleNamespace(st_mode=stat.S_IFREG | 0o644, st_size=size, st_mtime=0.0, st_mtime_ns=0, st_ino=number)
    return SimpleNamespace(st_mode=stat.S_IFDIR | 0o755, st_size=0, st_mtime=0.0)


def _walk(folder: Folder, prefix: str, *, kept: bool) -> Iterator[tuple[str, File]]:
    for name, node in sorted((folder.kept if kept else folder.names).items()):
        if isinstance(node, File):
            yield prefix + name, node
        else:
            yield from _walk(node, f"{prefix}{name}/", kept=kept)


def _after(folder: Folder, rng: Random, least: int) -> Folder:
    names, found = dict(folder.kept), max(least, rng.randint(0, len(folder.changes)))
    for change in folder.changes[:found]:
        _put(names, change)
    made = {
        name: _file_after(n, rng, least) if isinstance(n, File) else _after(n, rng, least) for name, n in names.items()
    }
    return Folder(made, dict(made))


def _file_after(file: File, rng: Random, least: int) -> File:
    if least or file.content == file.kept:
        return File(file.content, file.content, file.number)
    content = file.content[: rng.randint(0, len(file.content))]
    return File(content, content, file.number)


def _lost(folder: Folder) -> Folder:
    kept = folder.kept.items()
    names = {
        name: File(node.kept, node.kept, node.number) if isinstance(node, File) else _lost(node) for name, node in kept
    }
    return Folder(names, dict(names))


def _torn(folder: Folder) -> Folder:
    names = {name: _half(node) if isinstance(node, File) else _torn(node) for name, node in folder.names.items()}
    return Folder(names, dict(names))


def _half(file: File) -> File:
    content = file.content if file.kept == file.content else file.content[: len(file.content) // 2]
    return File(content, content, file.number)
