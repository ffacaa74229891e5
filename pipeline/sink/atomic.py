"""Whole files or none: temporary file, fsync, rename, fsync. Blocking.

No link is ever followed.
Everything goes through descriptors of folders that were opened without following links, so nobody can lead a write out
of the output folder by swapping a folder for a link.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from itertools import count

_TEMP = re.compile(r"\..+\.(?:([0-9a-f]{8})-)?(\d+)-[0-9a-f]{16}\.tmp")  # earlier releases named no machine
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: Not there, a link, or something that cannot be opened for reading, such as a socket.
_NO_FILE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO})
#: A temporary file of another machine's process is left alone for this long, seconds.
_OLD = 3600.0


@contextmanager
def opened(name: str, within: int | None = None) -> Iterator[int]:
    """Open a folder and yield its descriptor.

    Raises:
        OSError: it does not exist, or is a link or a file.
    """
    fd = os.open(name, _FOLDER_FLAGS, dir_fd=within)
    try:
        yield fd
    finally:
        os.close(fd)


def make(name: str, within: int) -> bool:
    """Make a folder in ``within`` unless that name is taken; return whether new.

    The caller syncs ``within``, also for one that is there: an earlier write may have failed before it did.
    """
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=within)
        return True
    return False


def temp_name(name: str) -> str:
    """Return a temporary name, hidden and not to be guessed.

    It names the writer's machine and process.
    """
    return f".{name}.{_machine()}-{os.getpid()}-{secrets.token_hex(8)}.tmp"


def _machine() -> str:
    """Return what tells this machine, or container, from others.

    They write to the same folder.
    """
    return hashlib.sha256(os.uname().nodename.encode()).hexdigest()[:8]


def create(folder: int, temp: str) -> int:
    """Create a new file for writing and return its descriptor."""
    return os.open(temp, _NEW_FLAGS, 0o666, dir_fd=folder)


def write(fd: int, content: bytes) -> None:
    """Write all of it."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]


def stage(folder: int, name: str, content: bytes) -> str:
    """Write a temporary file and return its name; :func:`publish` makes it visible."""
    temp = temp_name(name)
    fd = create(folder, temp)
    try:
        write(fd, content)
        os.fsync(fd)
    except BaseException:
        remove(folder, temp)
        raise
    finally:
        os.close(fd)
    return temp


def publish(folder: int, temp: str, name: str) -> None:
    """Put the whole file in its place; the caller syncs the folder."""
    os.rename(temp, name, src_dir_fd=folder, dst_dir_fd=folder)


def put(folder: str, name: str, content: bytes) -> None:
    """Write one whole file, which a power cut does not undo.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    with opened(folder) as home:
        publish(home, stage(home, name, content), name)
        os.fsync(home)


def remove(folder: int, name: str) -> None:
    """Remove a file or a link, never its target; it may be gone already."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


@contextmanager
def reading(folder: int, name: str) -> Iterator[BufferedReader | None]:
    """Yield a regular file's stream; None for anything else.

    Raises:
        OSError: it is there and cannot be opened.
    """
    try:
        fd = os.open(name, _READ_FLAGS, dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        yield None
        return
    with os.fdopen(fd, "rb") as stream:
        yield stream if stat.S_ISREG(os.fstat(fd).st_mode) else None


def read(folder: int, name: str, most: int) -> bytes | None:
    """Return a regular file's content; None for anything else, or more than ``most`` bytes.

    Raises:
        OSError: it is there and cannot be read.
    """
    with reading(folder, name) as stream:
        content = None if stream is None else stream.read(most + 1)
    return content if content is not None and len(content) <= most else None


def head(folder: int, name: str, size: int) -> bytes | None:
    """Return the first bytes of a regular file; None for anything else."""
    with reading(folder, name) as stream:
        return None if stream is None else stream.read(size)


def identity(fd: int) -> tuple[int, int, int]:
    """Return an open file's number, size in bytes and time of change in ns."""
    seen = os.fstat(fd)
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


def try_lock(folder: int) -> bool:
    """Lock an open folder until it is closed; False while another has it.

    Disks without locks grant it.
    """
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def size(folder: int, name: str) -> int | None:
    """Return a regular file's size in bytes; None for anything else."""
    try:
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    return seen.st_size if stat.S_ISREG(seen.st_mode) else None


def holds(folder: int, name: str, content: bytes) -> bool:
    """True if this is a regular file with just this content."""
    return size(folder, name) == len(content) and checksum(folder, name) == hashlib.sha256(content).hexdigest()


def checksum(folder: int, name: str) -> str | None:
    """Return the SHA-256 of a regular file in hex; None for anything else.

    Empty for one that nobody lets us read: it is not as we wrote it.
    """
    try:
        with reading(folder, name) as stream:
            return None if stream is None else hashlib.file_digest(stream, "sha256").hexdigest()
    except PermissionError:
        return ""


def set_aside(folder: int, name: str) -> str:
    """Rename a file to ``<stem>.edited.<ending>``; return the new name.

    With a number where that is taken.
    """
    stem, dot, ending = name.rpartition(".") if "." in name[1:] else (name, "", "")
    for number in count(1):
        aside = f"{stem}.edited{'' if number == 1 else f'-{number}'}{dot}{ending}"
        try:
            os.stat(aside, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=folder)
            return aside
    raise AssertionError("a number is always free")


def is_dir(folder: int, name: str) -> bool:
    """True if this is a folder, and no link to one."""
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def names(folder: int) -> list[str]:
    """Return what lies in a folder, in order."""
    return sorted(os.listdir(folder))


def leftovers(folder: int, name: str) -> list[str]:
    """Return the temporary files that were to become this file."""
    return [each for each in os.listdir(folder) if each.startswith(f".{name}.") and _TEMP.fullmatch(each)]


def sweep(folder: int, spare: Container[str] = ()) -> None:
    """Clean up temporary files of dead writers, and those an hour old.

    Of the dead, only this machine's: nobody can ask here after the process of another. A folder has one writer at a time
    on a machine, so a file with our own process id is a leftover too: of an earlier failure, or of a killed container in
    which we had the same number.
    """
    for name in os.listdir(folder):
        found = _TEMP.fullmatch(name)
        if found and name not in spare:
            ours = found[1] in (None, _machine())
            if (ours and _gone(int(found[2]))) or _aged(folder, name):
                remove(folder, name)


def _gone(pid: int) -> bool:
    if pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False  # somebody else's process: alive
    return False


def _aged(folder: int, name: str) -> bool:
    """Compare with a new file, by the file system's clock."""
    try:
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
        probe = temp_name("clock")
        os.close(create(folder, probe))
        now = os.stat(probe, dir_fd=folder, follow_symlinks=False).st_mtime
        remove(folder, probe)
    except OSError:
        return False
    return now - seen > _OLD
