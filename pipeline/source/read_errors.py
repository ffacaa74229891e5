"""Translation of read errors: what may pass, and the file's faults."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pipeline.core.errors import InputError, Transient

#: Not the file's fault, or not for good: the disk, the network below it, or this process's limits.
_TRANSIENT = frozenset({
    errno.EIO, errno.ENOSPC, errno.ESTALE, errno.EAGAIN, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
    errno.ETIMEDOUT, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EREMOTEIO,
    errno.EBUSY, errno.ENXIO, errno.ENODEV, errno.ENOTCONN, errno.ECONNRESET,
}) if os.name == "posix" and hasattr(errno, "EREMOTEIO") else frozenset({errno.EIO, errno.ENOSPC, errno.EAGAIN})  # fmt: skip


def to_read_error(error: OSError, path: Path) -> InputError | Transient:
    """Translate an operating system's error; what may pass by itself becomes Transient."""
    reason = error.strerror or type(error).__name__
    if isinstance(error, FileNotFoundError | NotADirectoryError) or error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        message = f"{path}: there is no such file."
        return InputError(message, code="file_missing", remedy="put it back, or correct the manifest")
    if isinstance(error, PermissionError):
        return InputError(f"{path}: reading is not permitted.", code="permission_denied", remedy=f"chmod +r '{path}'")
    if isinstance(error, IsADirectoryError):
        return InputError(f"{path}: this is a folder.", code="not_a_file", remedy="name it as a folder in the manifest")
    if error.errno in _TRANSIENT:
        return Transient(
            f"{path}: cannot be read now: {reason}.",
            code="disk_trouble",
            untouched=True,
            remedy="check the disk or network share it is on",
            detail=str(error),
        )
    return unreadable_video(path, str(error))


def unreadable_video(path: Path, detail: str) -> InputError:
    """Return the error for a file that no reader understands."""
    return InputError(
        f"{path.name}: this is not a video that can be read.",
        code="unreadable_video",
        remedy="play it; if it plays, convert it to MP4 (H.264)",
        detail=detail,
    )
