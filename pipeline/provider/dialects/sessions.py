"""Whether a multipart session can be used at all. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.ports.video_api import UploadSession

_MOST_CHUNKS = 100_000
_MOST_BYTES = 5 * 1024**3  #: of one chunk: no storage takes more in one request
_MOST_HEADERS = 32
_NAME = re.compile(r"[A-Za-z0-9!#$&'*+.^_`|~-]{1,128}")
_VALUE = re.compile(r"[ -~]{0,4096}")
#: Headers that are ours to set, that belong to the connection, or that carry somebody's rights.
_OURS = frozenset({
    "accept-encoding", "authorization", "connection", "content-length", "content-range", "cookie", "expect", "host",
    "keep-alive", "range", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "x-api-key",
})  # fmt: skip


def session_fault(session: UploadSession, size: int = 0) -> str:
    """Return why a file of ``size`` bytes cannot be sent, or empty.

    ``size`` 0 stands for any file.
    """
    if not 1 <= session.total_chunks <= _MOST_CHUNKS:
        return f"the file in {session.total_chunks:,} pieces"
    if session.chunk_size < 1 or min(session.chunk_size, size or session.chunk_size) > _MOST_BYTES:
        return f"pieces of {session.chunk_size:,} bytes"
    if size and not session.fits(size):
        return f"{session.total_chunks:,} pieces of {session.chunk_size:,} bytes for a file of {size:,}"
    return _header_fault(session.headers)


def _header_fault(headers: Mapping[str, str]) -> str:
    if len(headers) > _MOST_HEADERS:
        return f"{len(headers)} headers with each piece"
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or name.lower() in _OURS or name.lower().startswith(("proxy-", "sec-")):
            return f"a header that may not be sent: {name[:40]!r}"
        if not _VALUE.fullmatch(value):
            return f"a value that no header has: {name}"
    return ""
