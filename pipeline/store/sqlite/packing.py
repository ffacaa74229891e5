"""Answers in a quarter of their bytes, by a dictionary that they share.

Raw deflate. A dictionary is never changed: a packed answer names the one that it needs in its first byte.
"""

from __future__ import annotations

import zlib

from pipeline.core.errors import StoreError
from pipeline.store.encoding import Row

_SMALLEST = 300  #: bytes from which on it is worth it
_LEVEL = 6
#: What most answers and what is noted of them have in common, the commonest last.
_DICTIONARY = (
    b'"action":"","brand":"","category":"","confidence":"high","description":"","detected":true,"evidence":"","keywords":[""],'
    b'"label":"","language":"en","moments":[{"mood":"","objects":[""],"people":[""],"quote":"","reason":"","score":0,'
    b'"segments":[{"sentiment":"neutral","speaker":"","tags":[""],"timestamp":"","tone":"","topics":[""],"transcript":[{"value":"'
    b" the of and to in is that for on with as by from at this are an be The video shows begins with speaker explains then "
    b'"chapters":[{"start_time":0.0,"end_time":0.0,"title":"","summary":""}],"highlights":[{"start_time":0,"end_time":0,"text":"'
    b'"warning":"","finish_reason":"length","status":"ready","result":{"data":"{\\"title\\": \\"\\", \\"topics\\": [\\"\\"], '
    b'\\"hashtags\\": [\\"\\"]}","finish_reason":"stop","usage":{"output_tokens":100}}}'
    b'{"title":"","topics":[""],"hashtags":["#"]}'
    b'{"provider":"twelvelabs/v1.3","model":"pegasus1.5","finish_reason":"stop","usage":{"output_tokens":100},"warning":"",'
    b'"text":"{\\"title\\": \\"","task_id":"","media_id":"","asked":17,"answer":"rm-","notes":[],"job":"","version":1}'
)
_DICTIONARIES = {1: _DICTIONARY}
_NEWEST = max(_DICTIONARIES)


def pack(row: Row) -> Row:
    """Return (subject, job, fingerprint, body, meta, created) with a seventh column.

    It holds body and meta, which are empty then; None: they are as they were.
    """
    subject, job, fingerprint, body, meta, created = row
    text = f"{body}\0{meta}".encode()
    if len(text) < _SMALLEST:
        return (*row, None)
    packer = zlib.compressobj(
        _LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_DEFAULT_STRATEGY, _DICTIONARIES[_NEWEST]
    )
    packed = bytes([_NEWEST]) + packer.compress(text) + packer.flush()
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
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS, _DICTIONARIES[packed[0]])
        body, meta = (unpacker.decompress(packed[1:]) + unpacker.flush()).decode().split("\0")
    except (zlib.error, ValueError, KeyError, IndexError) as error:
        raise StoreError(
            f"An answer for {row[0]} in the database cannot be read.",
            code="database_damaged",
            remedy="Restore the database from a backup; nothing was changed.",
            detail=str(error),
        ) from error
    return (*row[:3], body, meta, row[5])
