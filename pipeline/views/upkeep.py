"""What is tidied, checked, and made of the results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.core.model import Json


@dataclass(frozen=True, slots=True)
class Migrated:
    """A database's schema, before and now."""

    database: str
    before: int  #: 0: it had none
    version: int
    roles: tuple[str, ...]  #: of workers and readers that have their rights now


@dataclass(frozen=True, slots=True)
class PruneLine:
    """What of one sort goes, or went."""

    what: str  #: answers, runs, downloads, page files
    count: int
    size: int  #: bytes
    kept: int = 0  #: as old, and needed


@dataclass(frozen=True, slots=True)
class Pruned:
    """What nothing needs any more, and what became of it."""

    lines: Sequence[PruneLine]
    database_size: int  #: bytes, before
    database_unused: int  #: bytes of it, before
    done: bool = False  #: it was taken away
    given_back: int = 0  #: bytes of the database that the disk has again
    note: str = ""  #: why the database gave nothing back


@dataclass(frozen=True, slots=True)
class GalleryMade:
    """The page over the results, as it was written."""

    page: Path
    address: str  #: ``file:``, for a browser
    videos: int  #: with results
    open_items: int  #: without: failed, held, waiting, cancelled


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of ``doctor``."""

    name: str
    state: Literal["ok", "warn", "bad"]
    value: str
    costs: str = ""  #: what the lack costs, and what to do
    facts: Mapping[str, Json] = field(default_factory=dict)
