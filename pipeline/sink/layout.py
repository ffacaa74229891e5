"""Names on disk: our own alphabet only, never a title's. Pure."""

from __future__ import annotations

import re
import unicodedata
from base64 import b32encode
from collections.abc import Sequence
from hashlib import sha256

_LONGEST = 60
_NAMELESS = "video"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}")
_FOLDER = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")


def slug(title: str) -> str:
    """Return a title as ``[a-z0-9-]`` words, never empty.

    At most 60 characters; accents are dropped.

    >>> slug("Ünïted: ../Nations / 2"), slug("日本語")
    ('united-nations-2', 'video')
    """
    flat = unicodedata.normalize("NFKD", title[:1000]).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", flat.replace("'", ""))
    text = "-".join(words)
    if len(text) > _LONGEST:
        text = text[: _LONGEST + 1].rpartition("-")[0] or text[:_LONGEST]
    return text or _NAMELESS


def key8(subject: str) -> str:
    """Return eight characters for a video: 40 bits are unique among millions."""
    return b32encode(sha256(subject.encode("utf-8", "surrogatepass")).digest()[:5]).decode().lower()


def folder(subject: str, titles: Sequence[str], known: str = "") -> str:
    """Return the folder name ``<slug>--<key8>``, by the first usable title.

    One that is already ``known`` stays, whatever the titles now are.
    """
    tail = f"--{key8(subject)}"
    if known.endswith(tail) and is_folder(known):
        return known
    slugs = map(slug, titles)
    return next((each for each in slugs if each != _NAMELESS), _NAMELESS) + tail


def is_folder(name: str) -> bool:
    """True for a name that :func:`folder` can have made."""
    return bool(_FOLDER.fullmatch(name))


def is_file(name: str) -> bool:
    """True for a result's name: plain, visible, at most one folder deep (``raw/analysis.json``)."""
    parts = name.split("/")
    return 1 <= len(parts) <= 2 and all(_PART.fullmatch(part) and not part.endswith(".") for part in parts)
