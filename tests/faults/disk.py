"""A disk with a memory of what would survive a power failure: the ``os`` of whatever is mounted on it.

Every change is first only in the page cache. ``fsync`` of a file keeps its content, ``fsync`` of a folder keeps its names;
nothing else does. ``lost`` and ``torn`` are the two ends of what may be found after a failure: nothing that was not synced,
or every name with only half of the content that was not.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from pipeline.sink import atomic
from pipeline.sink import disk as sink_disk


@dataclass
class File:
    """A file's content as programs see it, and as it is on the platter."""

    content: bytes = b""
    kept: bytes = b""


@dataclass
class Folder:
    """A folder's names as programs see them, and as they are on the platter."""

    names: dict[str, File | Folder] = field(default_factory=dict)
    kept: dict[str, File | Folder] = field(default_factory=dict)


@dataclass
class _Open:
    node: File | Folder


def silent(what: str) -> None:
    """Nobody watches."""


class Disk:
    """Everything of ``os`` that ``pipeline.sink`` uses; what it does not know, it takes from the real module.

    ``watch`` is told before and after each change, and in the middle of each write. Descriptors belong to the process:
    a copy of the disk has none.
    """

    def __init__(self, mount: str) -> None:
        self.mount = mount
        self.root = Folder()
        self.watch: Callable[[str], None] = silent
        self._open: dict[int, _Open] = {}
        self._next = 1000

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(os, name)

    def __getstate__(self) -> dict[str, Any]:
        return {"mount": self.mount, "root": self.root}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["mount"])  # type: ignore[misc]
        self.root = state["root"]

    # --------------------------------------------------------------------------------------------- for the tests

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Let the sink write here for a while."""
        modules = vars(atomic), vars(sink_disk)
        for module in modules:
            module["os"] = self
        try:
            yield
        finally:
            for module in modules:
                module["os"] = os

    def files(self) -> dict[str, bytes]:
        """Return path → content of every file, as programs see it."""
        return dict(_walk(self.root, ""))

    def remove_tree(self, name: str) -> None:
        """Do what ``rm -r`` and ``sync`` do to one entry of the root."""
        del self.root.names[name]
        self.root.kept.pop(name, None)

    def lost(self) -> None:
        """Fail: nothing is there that was not synced."""
        self.root = _lost(self.root)

    def torn(self) -> None:
        """Fail: every name is there, and of every content that was not synced, the first half."""
        self.root = _torn(self.root)

    # ------------------------------------------------------------------------------------------------------ changes

    def mkdir(self, name: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        where, last = self._where(name, dir_fd)
        if last in where.names:
            raise FileExistsError(errno.EEXIST, "File exists", name)
        self.watch(f"disk.mkdir {last}")
        where.names[last] = Folder()
        self.watch(f"disk.mkdir {last} done")

    def open(self, name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if dir_fd is None and os.path.abspath(name) == self.mount:
            return self._descriptor(self.root)
        where, last = self._where(name, dir_fd)
        node = where.names.get(last)
        if flags & os.O_CREAT:
            if node is not None:
                raise FileExistsError(errno.EEXIST, "File exists", name)
            self.watch("disk.create")
            node = where.names[last] = File()
            self.watch("disk.create done")
        if node is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", name)
        if flags & os.O_DIRECTORY and isinstance(node, File):
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", name)
        return self._descriptor(node)

    def write(self, fd: int, content: bytes | memoryview) -> int:
        node = self._file(fd)
        whole = bytes(content)
        self.watch("disk.write")
        node.content, before = node.content + whole[: len(whole) // 2], node.content
        self.watch("disk.write half done")
        node.content = before + whole
        self.watch("disk.write done")
        return len(whole)

    def fsync(self, fd: int) -> None:
        node = self._open[fd].node
        self.watch("disk.fsync")
        if isinstance(node, File):
            node.kept = node.content
        else:
            node.kept = dict(node.names)
        self.watch("disk.fsync done")

    def rename(self, old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        source, target = self._folder(src_dir_fd), self._folder(dst_dir_fd)
        if isinstance(target.names.get(new), Folder):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", new)
        self.watch(f"disk.rename {new}")
        target.names[new] = source.names.pop(old)
        self.watch(f"disk.rename {new} done")

    def unlink(self, name: str, *, dir_fd: int) -> None:
        where = self._folder(dir_fd)
        if name not in where.names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", name)
        self.watch("disk.unlink")
        del where.names[name]
        self.watch("disk.unlink done")

    # ------------------------------------------------------------------------------------------------------- looking

    def close(self, fd: int) -> None:
        del self._open[fd]

    def listdir(self, fd: int) -> list[str]:
        return sorted(self._folder(fd).names)

    def stat(self, name: str, *, dir_fd: int, follow_symlinks: bool = True) -> Any:
        node: File | Folder | None = self._folder(dir_fd)
        for part in name.split("/"):
            node = node.names.get(part) if isinstance(node, Folder) else None
        if node is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", name)
        return _seen(node)

    def fstat(self, fd: int) -> Any:
        return _seen(self._open[fd].node)

    def fdopen(self, fd: int, mode: str) -> io.BytesIO:
        assert mode == "rb"
        content = self._file(fd).content
        self.close(fd)
        # What reads it asks for its state first, by the descriptor: keep that answerable.
        self._open[fd] = _Open(File(content))
        return io.BytesIO(content)

    def _descriptor(self, node: File | Folder) -> int:
        self._next += 1
        self._open[self._next] = _Open(node)
        return self._next

    def _file(self, fd: int) -> File:
        node = self._open[fd].node
        assert isinstance(node, File)
        return node

    def _folder(self, fd: int) -> Folder:
        node = self._open[fd].node
        assert isinstance(node, Folder)
        return node

    def _where(self, name: str, dir_fd: int | None) -> tuple[Folder, str]:
        if dir_fd is not None:
            return self._folder(dir_fd), name
        raise FileExistsError(errno.EEXIST, "the mount is always there", name)


def _seen(node: File | Folder) -> Any:
    if isinstance(node, File):
        return SimpleNamespace(st_mode=stat.S_IFREG | 0o644, st_size=len(node.content), st_mtime=0.0)
    return SimpleNamespace(st_mode=stat.S_IFDIR | 0o755, st_size=0, st_mtime=0.0)


def _walk(folder: Folder, prefix: str) -> Iterator[tuple[str, bytes]]:
    for name, node in sorted(folder.names.items()):
        if isinstance(node, File):
            yield prefix + name, node.content
        else:
            yield from _walk(node, f"{prefix}{name}/")


def _lost(folder: Folder) -> Folder:
    names = {
        name: File(node.kept, node.kept) if isinstance(node, File) else _lost(node)
        for name, node in folder.kept.items()
    }
    return Folder(names, dict(names))


def _torn(folder: Folder) -> Folder:
    names = {name: _half(node) if isinstance(node, File) else _torn(node) for name, node in folder.names.items()}
    return Folder(names, dict(names))


def _half(file: File) -> File:
    content = file.content if file.kept == file.content else file.content[: len(file.content) // 2]
    return File(content, content)
