"""Caption files as text, for a platform that takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

#: A caption file of a day-long video stays far below; anything larger is not captions. Bytes.
LARGEST = 2_000_000


def read_captions(paths: Sequence[Path]) -> str:
    """Return the text of the first usable caption file; "" if there is none, which is never a reason to fail."""
    for path in paths:
        try:
            if path.stat().st_size > LARGEST:
                continue
            raw = path.read_bytes()
        except OSError:
            continue
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            return raw.decode("latin-1")  # what old caption files without a declared encoding usually are
    return ""
