"""Our marks on what we leave in an account: read back from what the platform tells of a thing. Pure.

An upload is called ``<words>-<24 hex of its video's key>-<generation>.<ending>`` (see ``video``), an analysis
``rm-<24 hex of its key>-<generation>`` (see ``compose``). A mark says *one of ours made this*, and which; it does not say
which state folder did: two that ingest the same video into one account mark it alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.core.model import fingerprint

_UPLOAD = re.compile(r"[^/]-([0-9a-f]{24})-([0-9]{1,9})\.[^./]{1,5}")

_QUESTION = re.compile(r"rm-([0-9a-f]{24})-([0-9]{1,9})")

_WHOLE = 200  #: characters of a key that fit into user metadata


@dataclass(frozen=True, slots=True)
class RemoteName:
    """What a name of ours says. A later ``generation`` replaces the earlier ones."""

    digest: str
    generation: int


def upload_digest(key: str) -> str:
    """Return what the names of a video's uploads carry."""
    return fingerprint("upload", key) + fingerprint("name", key)[:8]


def analysis_digest(key: str) -> str:
    """Return what the custom ids of an analysis carry."""
    return fingerprint(key) + fingerprint("2", key)[:8]


def parse_upload_name(name: str) -> RemoteName | None:
    """Return the mark in a file name, or None if it is not one of ours."""
    found = _UPLOAD.search(name)
    return RemoteName(found[1], int(found[2])) if found is not None and found.end() == len(name) else None


def parse_custom_id(custom_id: str) -> RemoteName | None:
    """Return the mark in a ``custom_id``, or None if it is not one of ours."""
    found = _QUESTION.fullmatch(custom_id)
    return RemoteName(found[1], int(found[2])) if found is not None else None


def matches_owner(mark: RemoteName, owner: str | None) -> bool:
    """Return True if the key in the user metadata is the one that the name stands for; a cut one cannot be held against it."""
    if not owner:
        return False
    return len(owner) >= _WHOLE or upload_digest(owner) == mark.digest
