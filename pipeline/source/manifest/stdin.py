"""Standard input that can be abandoned: a silent pipe stops no exit."""

from __future__ import annotations

import errno
import io
import os
import select
import threading
from typing import Any, BinaryIO, TextIO

_POLL = 0.2  #: seconds between two checks whether the main thread still runs


class _InterruptibleStdin(io.RawIOBase):
    """Reads a descriptor without owning it; ends with the main thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for bytes and read them; 0 at the end."""
        while not select.select([self._fd], [], [], _POLL)[0]:
            if not threading.main_thread().is_alive():
                return 0
        found = os.read(self._fd, len(buffer))
        buffer[: len(found)] = found
        return len(found)


class _MissingStdin(io.BytesIO):
    """The stdin of a process that was started without one: reading it fails."""

    def readline(self, _size: int | None = -1, /) -> bytes:
        """Raise as reading a closed descriptor does."""
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def open_stdin(stream: TextIO | None) -> BinaryIO:
    """Return the bytes of ``sys.stdin``."""
    if stream is None:
        return _MissingStdin()
    try:
        return io.BufferedReader(_InterruptibleStdin(stream.fileno()))
    except OSError:  # something in its place that is no file
        return stream.buffer
