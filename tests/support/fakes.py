"""The other sides, with behaviour: a platform that remembers what it accepted, a source, a sink, and a way to die.

Nothing here asserts. What a test wants to know, it reads from ``Account.ledger``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipeline.core.errors import Ambiguous, InputError
from pipeline.ports.sink import FindLines, IndexStamp, Keep, OutFile, Removal, keep_none
from pipeline.ports.source import Item, ManifestLine, MediaFacts


class Crash(BaseException):
    """The process dies here. A BaseException, so that nothing in the product can catch it."""


@dataclass
class Wreck:
    """Counts calls and dies at one of them; afterwards everything it guards is dead.

    ``point`` is (number of the call, "before" | "after" | "lost"): ``lost`` lets the call happen on the other side and
    raises Ambiguous instead of dying, as a connection reset does.
    """

    point: tuple[int, str] | None = None
    calls: list[str] = field(default_factory=list)
    dead: bool = False

    async def around(self, name: str, call: Callable[[], Any]) -> Any:
        """Make the call, or die before or after it."""
        if self.dead:
            raise Crash(f"{name} after death")
        self.calls.append(name)
        number, when = self.point or (0, "")
        mine = number == len(self.calls)
        # Threads may swap two neighbouring calls between runs: a lost answer needs another side to lose it.
        if mine and when == "before":
            self.die(name)
        result = await call()
        if self.dead:
            raise Crash(f"{name} after death")
        if mine and (when == "after" or (when == "lost" and not name.startswith("api."))):
            self.die(name)
        if mine and when == "lost":
            raise Ambiguous(f"the answer to {name} was lost")
        return result

    def die(self, name: str) -> None:
        """End everything."""
        self.dead = True
        raise Crash(name)


class Wrecked:
    """Stands in front of a port; every async method goes through the wreck."""

    def __init__(self, inner: Any, wreck: Wreck, prefix: str, spared: Iterable[str] = ()) -> None:
        self._inner = inner
        self._wreck = wreck
        self._prefix = prefix
        self._spared = frozenset(spared)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "index_api":
            return Wrecked(found, self._wreck, f"{self._prefix}.index_api", spared=("videos", "indexing"))
        if name == "batches" and found is not None:
            return Wrecked(found, self._wreck, f"{self._prefix}.batches")
        if not callable(found) or name in self._spared or name == "news":  # a wait: nothing dies of it
            return found

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            return await self._wreck.around(f"{self._prefix}.{name}", lambda: found(*args, **kwargs))

        return guarded


class FakeSource:
    """Files whose content is their identity; no decoding."""

    kind = "file"

    def __init__(self, seconds: float = 60.0) -> None:
        self._seconds = seconds

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        path = Path(item.locator)
        try:
            content = path.read_bytes()  # noqa: ASYNC240 - a few bytes
        except OSError as error:
            raise InputError(f"{path}: no such file", code="file_missing") from error
        stat = path.stat()  # noqa: ASYNC240
        return MediaFacts(
            path, len(content), self._seconds, 640, 360, "mp4", "h264", "aac", "video/mp4",
            sha256(content).hexdigest(), stat.st_mtime_ns,
        )  # fmt: skip


@dataclass
class FakeSink:
    """Results in a dictionary; writing twice is allowed, and the last one counts."""

    folders: dict[str, dict[str, str | bytes]] = field(default_factory=dict)
    index: list[str] = field(default_factory=list)
    writings: int = 0  #: of the index
    edited: list[str] = field(default_factory=list)

    async def folder(self, subject: str, titles: Sequence[str], *, apart: bool = False) -> str:
        return sha256(subject.encode()).hexdigest()[: 16 if apart else 8]

    async def write(self, folder: str, files: Sequence[OutFile]) -> Mapping[str, int]:
        before, new = self.folders.get(folder, {}), {file.name: file.content for file in files}
        named = [name for name in before if name.startswith("raw/") and f'"{name}"' in str(new.get("video.json", ""))]
        self.folders[folder] = {**{name: before[name] for name in named}, **new}
        return {file.name: len(file.content) for file in files}

    async def add(self, folder: str, files: Sequence[OutFile]) -> None:
        self.folders.setdefault(folder, {}).update({file.name: file.content for file in files})

    async def missing(self, known: Mapping[str, Mapping[str, int | str]]) -> Set[str]:
        return {folder for folder, files in known.items() if self._lacks(self.folders.get(folder, {}), files)}

    def _lacks(self, there: Mapping[str, str | bytes], files: Mapping[str, int | str]) -> bool:
        return any(
            name not in there or (isinstance(fact, str) and OutFile(name, there[name]).sha256 != fact)
            for name, fact in files.items()
        )

    async def remove(self, folder: str, subject: str, *, look: bool = False) -> Removal:
        found = Removal(sorted(self.folders.get(folder, {})))
        if not look:
            self.folders.pop(folder, None)
        return found

    async def write_index(self, lines: AsyncIterator[str], keep: Keep = keep_none) -> IndexStamp:
        return self._put_index([line async for line in lines], self.index, keep)

    async def amend_index(
        self, stamp: IndexStamp, changed: Sequence[bytes], find: FindLines, keep: Keep = keep_none
    ) -> IndexStamp | None:
        if not self.index or stamp.number != self.writings:
            return None
        if not changed:
            return stamp
        found, ours = await find(changed), self.index[: len(self.index) - stamp.kept]
        kept = [(line, next((each for each in changed if line.encode().startswith(each)), None)) for line in ours]
        there = {begins for _, begins in kept}
        lines = [line if begins is None else found.get(begins, "") for line, begins in kept]
        lines += [line for begins, line in found.items() if begins not in there]
        return self._put_index([line for line in lines if line], self.index[len(ours) :], keep)

    def _put_index(self, lines: list[str], others: Sequence[str], keep: Keep) -> IndexStamp:
        rest = [line for line in others if keep(line.encode()) in self.folders]
        self.index = [*lines, *rest]
        self.writings += 1
        return IndexStamp(self.writings, 0, 0, len(rest))

    async def has_index(self) -> bool:
        return bool(self.index)


def items(paths: Iterable[Path], **words: Any) -> list[Item]:
    """Return items for these files, as a manifest would name them."""
    return [Item(f"file:{path}", "file", str(path), ManifestLine(str(path), "test", **words)) for path in paths]


def clips(folder: Path, number: int) -> list[Path]:
    """Make files of different content."""
    made = []
    for index in range(number):
        path = folder / f"clip-{index}.mp4"
        path.write_bytes(f"content {index}".encode() * 20)
        made.append(path)
    return made
