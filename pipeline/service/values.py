"""What the texts are made of, and which paths can stand in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import ConfigError

#: Inside a container: the state folder of a worker, YouTube's pace, secrets, and the name of the database's password there.
STATE, PACE, SECRETS, PASSWORD = "/var/lib/reelmill", "/var/lib/reelmill-pace", "/run/secrets", "store-password"
#: A comment where hosts come and go.
SHARED_ONLY = "# Films must be below a folder of [source] shared: any other file waits for the host that was given it."
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
    own: Sequence[Path] = ()  #: the folders among ``writes`` that each worker has for itself
    password_file: Path | None = None  #: of the database that hosts share
    feeds: bool = True  #: the configuration names what is ingested

    def __post_init__(self) -> None:
        texts = [*self.program, self.search, *map(str, (self.config, *self.writes, *self.reads, self.key_file or "/"))]
        for text in texts:
            if _UNUSABLE & {*text} or any("\ud800" <= char <= "\udfff" for char in text):
                raise ConfigError(
                    f"{text!a} has a character that no unit and no crontab can hold",
                    remedy='rename it: no ", no backslash, no line end, valid UTF-8',
                )

    @property
    def shared_writes(self) -> list[Path]:
        """The folders that all workers write to."""
        return [path for path in self.writes if path not in self.own]

    @property
    def shared_reads(self) -> list[Path]:
        """What all workers read: the configuration's folder, lists and films; nothing twice."""
        paths = dict.fromkeys((self.config.parent, *self.reads))
        others = {path: [*self.shared_writes, *(each for each in paths if each != path)] for path in paths}
        return [path for path in paths if not any(path.is_relative_to(up) for up in others[path])]

    @property
    def run(self) -> list[str]:
        """The words of a run."""
        return [*self.program, "run", "--config", str(self.config)]

    @property
    def work(self) -> list[str]:
        """The words of a worker."""
        return [*self.program, "work", "--config", str(self.config)]

    @property
    def submit(self) -> list[str]:
        """The words that feed the queue of workers."""
        return [*self.program, "run", "--submit", "--config", str(self.config)]


@dataclass(frozen=True, slots=True)
class ServiceFile:
    """A text and where it belongs."""

    name: str
    place: str  #: the folder or program that takes it
    content: str
