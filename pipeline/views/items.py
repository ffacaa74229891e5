"""What is known of items, and what an operator did to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.core.model import Recalled, Result, Spend, Task


@dataclass(frozen=True, slots=True)
class CorrectedItem:
    """What a command of the operator did to one item."""

    item: str  #: as it was named
    key: str
    tasks: int  #: that changed
    left: str  #: why nothing changed; empty if something did


@dataclass(frozen=True, slots=True)
class Corrected:
    """What a command of the operator changed."""

    verb: Literal["retry", "cancel"]
    tasks: int = 0  #: that changed
    lanes: Sequence[str] = ()  #: that were parked and are open again
    items: Sequence[CorrectedItem] = ()  #: those that were named
    nothing: str = ""  #: why nothing changed, where no item was named
    limits: int = 0  #: that the platform had named, and that are forgotten now
    platform: Recalled | None = None  #: what it said, where it had to be told


@dataclass(frozen=True, slots=True)
class ItemView:
    """Everything known about one item."""

    item: Task
    title: str
    source: str
    state: str
    tasks: Sequence[Task]  #: the item's own and its video's, in order
    results: Sequence[Result]
    spends: Sequence[Spend]
    folder: Path | None
    explanation: str  #: one plain sentence: where it stands and why
    next_step: str  #: what the operator can do, or what happens by itself
    parts: Mapping[int, str] = field(default_factory=dict)  #: id of a task -> the part of the video that it asks about
