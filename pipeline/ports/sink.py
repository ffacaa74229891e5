"""The port of results on disk. Conformance suite: ``tests/conformance/test_sink.py``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol, TypeAlias

from pipeline.core.errors import Permanent

#: Takes a line of the present index; returns the folder that it is about, or nothing where the line is to go.
Keep: TypeAlias = Callable[[bytes], str]
#: Takes beginnings of lines; returns the whole lines of those that there are.
FindLines: TypeAlias = Callable[[Sequence[bytes]], Awaitable[Mapping[bytes, str]]]
#: A file of ours in the output folder itself says so in its first ``MARKED`` bytes; any other there is somebody else's.
MARK, MARKED = "Reelmill", 4000


def keep_none(_line: bytes) -> str:
    """Keep no line."""
    return ""


@dataclass(frozen=True, slots=True)
class OutFile:
    """One file to be written: its name and its whole content."""

    name: str
    content: str | bytes

    @property
    def data(self) -> bytes:
        """The content as it stands on disk."""
        return self.content if isinstance(self.content, bytes) else self.content.encode("utf-8", "backslashreplace")

    @property
    def sha256(self) -> str:
        """The checksum of the content, in hex."""
        return sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class IndexStamp:
    """Which file ``results.jsonl`` is: one that was changed or replaced has another."""

    number: int  #: of the file, within its file system
    size: int  #: bytes
    mtime_ns: int
    kept: int = 0  #: bytes at its end: lines of others that were kept


@dataclass(frozen=True, slots=True)
class Removal:
    """What of a folder goes, and what people have added or changed."""

    files: Sequence[str] = ()
    kept: Sequence[str] = ()


class FolderTaken(Permanent):
    """Another video's results are in that folder; nothing was changed."""

    code = "output_taken"


class Sink(Protocol):
    """Results on disk. Every file is written whole or not at all."""

    @property
    def edited(self) -> Sequence[str]:
        """Where changed files were put by this sink, below the output folder."""
        ...

    async def folder(self, subject: str, titles: Sequence[str], *, apart: bool = False) -> str:
        """Return a video's folder name: a title's slug and the key's characters.

        A folder that the video has already keeps its name. ``apart``: one that no other video can have, after
        :class:`FolderTaken`.
        """
        ...

    async def write(self, folder: str, files: Sequence[OutFile]) -> Mapping[str, int]:
        """Write the files and remove unwanted ones; return name → bytes.

        What a person has changed since is not lost: it is kept beside, and named in ``edited``.

        Raises:
            FolderTaken: the ``video.json`` there has another ``key`` than the new one.
        """
        ...

    async def add(self, folder: str, files: Sequence[OutFile]) -> None:
        """Write files into a shared folder, in order; the rest stays.

        An empty name means the output folder itself: there, a file of that name without :data:`MARK` is kept beside, and
        named in ``edited``.
        """
        ...

    async def missing(self, known: Mapping[str, Mapping[str, int | str]]) -> Set[str]:
        """Return those folders of which any file is absent or not as known.

        A file is known by its size, or by its checksum.
        """
        ...

    async def remove(self, folder: str, subject: str, *, look: bool = False) -> Removal:
        """Remove a video's files as written, and its folder if nothing is left.

        What a person has added or changed stays. ``look``: only say what would go. What is gone already is no matter.

        Raises:
            FolderTaken: the ``video.json`` there has another ``key`` than ``subject``; nothing was removed.
        """
        ...

    async def write_index(self, lines: AsyncIterator[str], keep: Keep = keep_none) -> IndexStamp:
        """Write ``results.jsonl`` from a stream of lines, whole or not at all.

        Lines of the present one are kept after them where ``keep`` names a folder that is there.
        """
        ...

    async def amend_index(
        self, stamp: IndexStamp, changed: Sequence[bytes], find: FindLines, keep: Keep = keep_none
    ) -> IndexStamp | None:
        """Write ``results.jsonl`` again, with other lines for those that begin so.

        Without a change nothing is written. A line that is not found goes; a new one stands behind the others, before what
        is kept. No other line is looked at. None, with nothing written: the present file is not that of the stamp.
        """
        ...

    async def has_index(self) -> bool:
        """Return True if ``results.jsonl`` is there."""
        ...
