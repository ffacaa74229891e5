"""Answers in a third of their bytes."""

from __future__ import annotations

import zlib

from pipeline.core.errors import StoreError
from pipeline.store.encoding import Row

_SMALLEST = 300  #: bytes from which on it is worth it


def pack(row: Row) -> Row:
    """Return (subject, job, fingerprint, body, meta, created) with a seventh column.

    It holds body and meta, which are empty then; None: they are as they were.
    """
    subject, job, fingerprint, body, meta, created = row
    text = f"{body}\0{meta}".encode()
    packed = zlib.compress(text) if len(text) >= _SMALLEST else text
    return (*row, None) if len(packed) >= len(text) else (subject, job, fingerprint, "", "", created, packed)


def unpack(row: Row) -> Row:
    """Return the six columns that :func:`pack` was given.

    Raises:
        StoreError: ``database_damaged``: the packed answer cannot be read.
    """
    packed = row[6]
    if packed is None:
        return row[:6]
    try:
        body, meta = zlib.decompress(packed).decode().split("\0")
    except (zlib.error, ValueError) as error:
        raise StoreError(
            f"An answer for {row[0]} in the database cannot be read.",
            code="database_damaged",
            remedy="Restore the database from a backup; nothing was changed.",
            detail=str(error),
        ) from error
    return (*row[:3], body, meta, row[5])
