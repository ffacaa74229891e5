"""What is wrong with lines of manifests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.core.model import Trouble
    from pipeline.ports.source import Item


@dataclass(frozen=True, slots=True)
class BadLine:
    """A manifest line that cannot be used. It stops nothing else (unless ``--strict``)."""

    place: str  #: ``list.csv:17`` or ``argument 2``
    source: str  #: as written, cut to 200 characters
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class LeftOut(BadLine):
    """Files in a folder or pattern that are no videos; only told."""

    counts: Mapping[str, int]  #: why -> number


@dataclass(frozen=True, slots=True)
class MissingFile(BadLine):
    """A line that names a missing file; no failure for finished videos."""

    item: Item
    video: bool  #: by its ending; else it could have been a folder or a list
