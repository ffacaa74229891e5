"""Standard input: it lets go, so that a pipe that says nothing for hours keeps no process from ending; or there is none."""

from __future__ import annotations

import errno
import io
import os
import select
import threading
from typing import Any, BinaryIO, TextIO

_LOOK = 0.2  #: seconds between two looks whether anybody still wants to hear


class _InterruptibleStdin(io.RawIOBase):
    """Reads a descriptor that stays another's. It ends when the main thread does, which waits for all others to end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what is there, waiting for it; 0 at the end."""
        while not select.select([self._fd], [], [], _LOOK)[0]:
            if not threading.main_thread().is_alive():
                return 0
        found = os.read(self._fd, len(buffer))
        buffer[: len(found)] = found
        return len(found)


class _MissingStdin(io.BytesIO):
    """The stdin of a process that was started without one: only who names it is told."""

    def readline(self, _size: int | None = -1, /) -> bytes:
        """Raise what reading it raises."""
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def open_stdin(stream: TextIO | None) -> BinaryIO:
    """Return the bytes of ``sys.stdin``."""
    if stream is None:
        return _MissingStdin()
    try:
        return io.BufferedReader(_InterruptibleStdin(stream.fileno()))
    except OSError:  # something in its place that is no file
        return stream.buffer
