"""Several hosts on one database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.core.model import Trouble
    from pipeline.views.lines import BadLine, LeftOut


@dataclass(frozen=True, slots=True)
class HostView:
    """One host that works, or worked, on the shared database."""

    name: str
    state: Literal["at work", "away", "left"]  #: away: it gives no sign; left: it ended by itself
    role: str  #: run, work, submit
    since: float  #: when it joined, epoch seconds
    sign: float  #: its last sign
    release: str
    lanes: Sequence[str]  #: that it serves; empty: all
    holds: int  #: tasks that it is at work on
    waits: int = 0  #: tasks that wait for its files
    trouble: Trouble | None = None  #: why it takes nothing on


@dataclass(frozen=True, slots=True)
class ForgottenHost:
    """A host whose line was taken out."""

    name: str
    items: int = 0  #: whose files only it had: they fail as missing
    videos: int = 0  #: that were not uploaded: they are fetched again elsewhere, or fail with their items


@dataclass(frozen=True, slots=True)
class Submitted:
    """A list that was left to other hosts."""

    lines: int  #: usable lines
    duplicates: int  #: lines among them that named a video which an earlier line had named
    lists: int  #: playlists and channels; their videos are found by whoever works
    actions: Mapping[str, int]  #: what was decided, such as new or nothing -> items
    bad_lines: Sequence[BadLine]  #: the first few
    bad_count: int  #: all of them
    left_out: Sequence[LeftOut]
    host: str  #: whose files they are


@dataclass(frozen=True, slots=True)
class HostsDemo:
    """What several hosts made of a list, one of which was killed."""

    hosts: Sequence[str]
    killed: str
    held: int  #: tasks that it was at work on
    items: Mapping[str, int]  #: by the database
    written: int  #: videos with results in the output folder
    uploads: int  #: by the platform's ledger
    analyses: int
    twice: Sequence[str]  #: keys of calls that the platform has accepted twice
    doubtful: int  #: calls that the database counts as possibly paid twice
    seconds: float
    output: Path

    @property
    def sound(self) -> bool:
        """True if nothing was lost and nothing was made twice."""
        number = sum(self.items.values())
        return not self.twice and self.items["done"] == self.written == self.uploads == self.analyses == number


@dataclass(frozen=True, slots=True)
class MovedState:
    """A database that was moved."""

    source: str
    target: str
    rows: Mapping[str, int]  #: by table
    host: str  #: whose files those of this machine are
