"""What the texts are made of, and which paths can stand in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import ConfigError

#: What neither a unit nor a crontab holds without a way around it that differs from system to system.
_UNUSABLE = frozenset('"\\\x7f') | {chr(code) for code in range(32)}


@dataclass(frozen=True, slots=True)
class Deployment:
    """One configuration on one machine; all paths are absolute."""

    name: str  #: of the service: ``reelmill``, or ``reelmill-nightly`` for nightly.toml
    program: Sequence[str]  #: the words that start us
    config: Path
    writes: Sequence[Path]  #: folders that a run writes to
    missing: Sequence[Path]  #: those of them that are not there yet
    reads: Sequence[Path]  #: lists, films and folders that the configuration names
    search: str  #: for PATH: where our tools are
    hour: int
    minute: int
    stop_seconds: int  #: that a run may need to end after a signal
    user: str  #: whose files these are
    home: Path
    key_file: Path | None  #: where the API key stands; None: runs need none
    key_there: bool  #: the file is there

    def __post_init__(self) -> None:
        texts = [*self.program, self.search, *map(str, (self.config, *self.writes, *self.reads, self.key_file or "/"))]
        for text in texts:
            if _UNUSABLE & {*text} or any("\ud800" <= char <= "\udfff" for char in text):
                raise ConfigError(
                    f"{text!a} has a character that no unit and no crontab can hold",
                    remedy='rename it: no ", no backslash, no line end, valid UTF-8',
                )

    @property
    def run(self) -> list[str]:
        """The words of a run."""
        return [*self.program, "run", "--config", str(self.config)]


@dataclass(frozen=True, slots=True)
class ServiceFile:
    """A text and where it belongs."""

    name: str
    place: str  #: the folder or program that takes it
    content: str
