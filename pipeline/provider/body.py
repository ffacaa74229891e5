"""Request bodies that are read from disk while they are sent: whole files in a form, and byte ranges.

Memory stays at one block per body. A file that changes meanwhile is noticed before its last byte is sent, so that the
other side can never accept a mixture of two versions.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio.to_thread

from pipeline.errors import InputError
from pipeline.provider.dialect import FilePart, FileRange

BLOCK = 512 * 1024  #: bytes read and sent at once


@dataclass(frozen=True, slots=True)
class Stamp:
    """What must not change while a file is read."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Look at a file; raise InputError if it is not there."""
        try:
            found = os.stat(path)
        except OSError as error:
            raise unreadable(path, error) from None
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)


def unreadable(path: Path, error: OSError) -> InputError:
    """Return the error for a file that cannot be read."""
    reason = error.strerror or type(error).__name__
    return InputError(
        f"{path}: cannot be read ({reason})", code="file_unreadable", remedy="check the file and its rights"
    )


def changed(path: Path) -> InputError:
    """Return the error for a file that is not what it was when we looked at it."""
    return InputError(
        f"{path}: the file changed while it was being sent",
        code="file_changed",
        remedy="retry when nothing writes to it",
    )


async def blocks(part: FileRange, stamp: Stamp) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of a range. The file is checked against ``stamp`` before the last block is handed out.

    Raises:
        InputError: code ``file_changed`` or ``file_unreadable``.
    """
    try:
        file = await anyio.to_thread.run_sync(_open, part)
    except OSError as error:
        raise unreadable(part.path, error) from None
    try:
        left = part.length
        while left > 0:
            block = await anyio.to_thread.run_sync(_read, file, part.path, min(BLOCK, left))
            left -= len(block)
            if not block or (left == 0 and await anyio.to_thread.run_sync(Stamp.of, part.path) != stamp):
                raise changed(part.path)
            yield block
    finally:
        file.close()


def _open(part: FileRange) -> BinaryIO:
    file = open(part.path, "rb", buffering=0)  # noqa: SIM115 - closed by the caller
    file.seek(part.offset)
    return file


def _read(file: BinaryIO, path: Path, size: int) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise unreadable(path, error) from None


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart/form-data body with a length that is known before the first byte is sent."""

    head: bytes
    tail: bytes
    content_type: str
    file: FileRange | None = None
    stamp: Stamp | None = None

    @property
    def length(self) -> int:
        """Bytes in all."""
        return len(self.head) + len(self.tail) + (self.file.length if self.file is not None else 0)

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the body."""
        yield self.head
        if self.file is not None and self.stamp is not None:
            async with aclosing(blocks(self.file, self.stamp)) as inner:
                async for block in inner:
                    yield block
        yield self.tail


def form(fields: Sequence[tuple[str, str]], part: FilePart | None, boundary: str) -> Form:
    """Encode a form. ``boundary`` must be unguessable: the file may hold anything.

    Raises:
        InputError: the file is missing, or its size is not the one of the intent (code ``file_changed``).
    """
    lines = [_field(boundary, name, value) for name, value in fields]
    file, stamp = None, None
    if part is not None:
        stamp = Stamp.of(part.path)
        if part.size and stamp.size != part.size:
            raise changed(part.path)
        file = FileRange(part.path, 0, stamp.size)
        lines.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_quoted(part.name)}"\r\n'
            f"Content-Type: {_one_line(part.mime)}\r\n\r\n".encode()
        )
    tail = f"\r\n--{boundary}--\r\n" if part is not None else f"--{boundary}--\r\n"
    return Form(b"".join(lines), tail.encode(), f"multipart/form-data; boundary={boundary}", file, stamp)


def _field(boundary: str, name: str, value: str) -> bytes:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}\r\n'.encode()


def _quoted(value: str) -> str:
    """Escape as browsers do, so that a name can neither end the quotes nor the line."""
    return value.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _one_line(value: str) -> str:
    return "".join(value.split()) or "application/octet-stream"
