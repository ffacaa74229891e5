"""Request bodies read from disk while they are sent: forms and ranges.

Memory stays at one block per body. A file that changes meanwhile is noticed before its last byte is sent, so that the
platform can never accept a mixture of two versions.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio.to_thread

from pipeline.core.errors import InputError
from pipeline.ports import transfers
from pipeline.provider.dialects.protocol import FilePart, FileRange, TextPart

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
    """Return the error for a file that changed after we read its facts."""
    return InputError(
        f"{path}: the file changed while it was being sent",
        code="file_changed",
        remedy="retry when nothing writes to it",
    )


async def blocks(part: FileRange, stamp: Stamp) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of a range, checked against ``stamp`` at the end.

    Raises:
        InputError: code ``file_changed`` or ``file_unreadable``.
    """
    if part.length <= BLOCK:
        yield await anyio.to_thread.run_sync(_whole, part, stamp)  # one hop to the thread instead of four
        transfers.moved(part.length)
        return
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
            transfers.moved(len(block))
    finally:
        file.close()


def _whole(part: FileRange, stamp: Stamp) -> bytes:
    """Read a range of at most one block."""
    try:
        with _open(part) as file:
            block = file.read(part.length)
    except OSError as error:
        raise unreadable(part.path, error) from None
    if len(block) != part.length or Stamp.of(part.path) != stamp:
        raise changed(part.path)
    return block


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
class MultipartBody:
    """A multipart/form-data body whose length is known before its first byte."""

    parts: Sequence[bytes | tuple[FileRange, Stamp]]
    content_type: str

    @property
    def length(self) -> int:
        """Bytes in all."""
        return sum(len(part) if isinstance(part, bytes) else part[0].length for part in self.parts)

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the body. Small pieces are joined: each one yielded is a system call."""
        kept = b""
        for part in self.parts:
            if isinstance(part, bytes):
                kept += part
                continue
            async with aclosing(blocks(*part)) as inner:  # an aborted request must not leave the file open
                async for block in inner:
                    kept = kept + block if kept else block
                    if len(kept) >= BLOCK:
                        yield kept
                        kept = b""
        yield kept


def form(fields: Sequence[tuple[str, str]], files: Sequence[FilePart | TextPart], boundary: str) -> MultipartBody:
    """Encode a form, files last. ``boundary`` must be unguessable: the files may hold anything.

    Raises:
        InputError: a file is missing, or its size is not the one of the intent (code ``file_changed``).
    """
    parts: list[bytes | tuple[FileRange, Stamp]] = [
        b"".join(_field(boundary, name, value) for name, value in fields),
    ]
    for file in files:
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(file.field)}"; '
            f'filename="{_quoted(file.name)}"\r\nContent-Type: {_one_line(file.mime)}\r\n\r\n'
        )
        parts += [head.encode(), _content(file), b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    return MultipartBody(parts, f"multipart/form-data; boundary={boundary}")


def _content(file: FilePart | TextPart) -> bytes | tuple[FileRange, Stamp]:
    if isinstance(file, TextPart):
        return file.text.encode()
    stamp = Stamp.of(file.path)
    if file.size and stamp.size != file.size:
        raise changed(file.path)
    return FileRange(file.path, 0, stamp.size), stamp


def _field(boundary: str, name: str, value: str) -> bytes:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}\r\n'.encode()


def _quoted(value: str) -> str:
    """Escape as browsers do: a name ends neither quotes nor line."""
    return value.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _one_line(value: str) -> str:
    return "".join(value.split()) or "application/octet-stream"
