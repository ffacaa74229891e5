"""The names of what we leave in an account, built and parsed. Pure.

An upload is called ``<words>-<24 hex of its video's key>-<generation>.<ending>``, an analysis
``rm-<24 hex of its key>-<generation>``, the knowledge store of an account :data:`STORE_NAME`. A name says that one of ours
made this, and which; it does not say which state folder did: two that ingest the same video into one account name it alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipeline.core.model import fingerprint

_UPLOAD = re.compile(r"[^/]-([0-9a-f]{24})-([0-9]{1,9})\.[^./]{1,5}")
_CUSTOM_ID = re.compile(r"rm-([0-9a-f]{24})-([0-9]{1,9})")
STORE_NAME = "reelmill-videos"
OWNER_LENGTH = 200  #: characters of a video's key that fit into user metadata


@dataclass(frozen=True, slots=True)
class RemoteName:
    """What a name of ours says. A later ``generation`` replaces the earlier ones."""

    digest: str
    generation: int


@lru_cache(maxsize=1024)  # several steps of a task ask, soon after each other
def upload_digest(key: str) -> str:
    """Return what the names of a video's uploads carry."""
    return fingerprint("upload", key) + fingerprint("name", key)[:8]


@lru_cache(maxsize=1024)
def analysis_digest(key: str) -> str:
    """Return what the custom ids of an analysis carry."""
    return fingerprint(key) + fingerprint("2", key)[:8]


def build_upload_name(key: str, generation: int, path: str) -> str:
    """Return the unique name of an upload; its first part is for people."""
    file = Path(path or "video")
    suffix = file.suffix.lower()
    ending = suffix if suffix[1:].isalnum() and len(suffix) <= 6 else ".mp4"
    words = re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-")[:60].rstrip("-") or "video"
    return f"{words}-{upload_digest(key)}-{generation}{ending}"


def build_custom_id(key: str, generation: int) -> str:
    """Return the deterministic ``custom_id`` of an analysis, found after any crash."""
    return f"rm-{analysis_digest(key)}-{generation}"


def item_metadata(key: str) -> dict[str, str]:
    """Return by what an item of the knowledge store is known as ours."""
    return {"reelmill": upload_digest(key)}


def parse_upload_name(name: str) -> RemoteName | None:
    """Return what a file name says, or None if it is foreign."""
    found = _UPLOAD.search(name)
    return RemoteName(found[1], int(found[2])) if found is not None and found.end() == len(name) else None


def parse_custom_id(custom_id: str) -> RemoteName | None:
    """Return what a ``custom_id`` says, or None if it is not one of ours."""
    found = _CUSTOM_ID.fullmatch(custom_id)
    return RemoteName(found[1], int(found[2])) if found is not None else None


def matches_owner(name: RemoteName, owner: str | None) -> bool:
    """Return True if the metadata's key is the name's; a cut key counts."""
    if not owner:
        return False
    return len(owner) >= OWNER_LENGTH or upload_digest(owner) == name.digest
