"""Expansion of lines into items: folders, globs, addresses. Streaming, in a stable order."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import translate
from pathlib import Path

from pipeline.config.source import SourceSection
from pipeline.core.model import Trouble
from pipeline.core.youtube_address import is_address, parse_youtube_address
from pipeline.ports.source import Item, ManifestLine
from pipeline.source.identity import Identification, identify, redact_source
from pipeline.source.manifest.left_out import Sieve
from pipeline.source.manifest.reader import FORMATS
from pipeline.views import BadLine, MissingFile

_MAGIC = re.compile(r"[*?\[]")
#: A drive, at the beginning or, once a manifest's folder stands before it, below that.
_WINDOWS = re.compile(r"(?:^|/)[A-Za-z]:[\\/]")
_DEEPEST = 100  #: folders inside folders


def expand(
    line: ManifestLine, sources: SourceSection | None = None, ours: Sequence[Path] = ()
) -> Iterator[Item | BadLine]:
    """Yield the videos that a line names, or why it names none.

    Raises nothing, reads no file's content.
    Folders are walked to their ends: sorted, without hidden files, without links that lead in a circle, without the
    folders in ``ours`` (our results and state) that are met on the way, and only with the endings that ``sources`` lists.
    What looks like a video in them and is none is left out, and told at the end.
    A folder that is named itself is looked into even if it is one of them; a file that is named itself may have any
    ending.
    """
    yield from _Expansion(line, sources or SourceSection(), frozenset(os.path.realpath(path) for path in ours)).items()


def is_pattern(source: str) -> bool:
    """Return True for a glob."""
    return _MAGIC.search(source) is not None


@dataclass(frozen=True, slots=True)
class _Expansion:
    line: ManifestLine
    sources: SourceSection
    ours: frozenset[str]
    linked: set[str] = field(default_factory=set)  #: real paths of the folders that were entered through a link
    sieve: Sieve = field(default_factory=Sieve)

    def items(self) -> Iterator[Item | BadLine]:
        source = self.line.source
        if "\0" in source:
            yield self._bad("bad_path", "The path holds a NUL character.", "check the manifest")
        elif is_address(source):
            yield self._address(identify(source, private=self.sources.allow_private_urls))
        else:
            yield from self._path(
                os.path.abspath(source) if ".." not in Path(source).parts else os.path.realpath(source)
            )

    # -------------------------------------------------------------------------------------------------- addresses

    def _address(self, meaning: Identification) -> Item | BadLine:
        if isinstance(meaning, Trouble):
            return BadLine(self.line.place, redact_source(self.line.source), meaning)
        if meaning.kind == "youtube_list" and (self.line.id or self.line.title):
            return self._many_videos()
        return Item(meaning.key, meaning.kind, meaning.address, self.line)

    # ------------------------------------------------------------------------------------------------------ paths

    def _path(self, path: str) -> Iterator[Item | BadLine]:
        try:
            mode = os.stat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            yield from self._absent(path)
        except (OSError, ValueError) as error:
            yield self._unreadable(path, error)
        else:
            if stat.S_ISDIR(mode):
                yield from self._many(path, self._walk(path, []), "folder_empty", "The folder holds no videos.")
            elif Path(path).suffix.lower() in FORMATS:
                message = "A manifest cannot name another manifest."
                yield self._bad("nested_manifest", message, "give it as an argument, or in [run] manifests")
            else:
                yield self._file(path)

    def _absent(self, path: str) -> Iterator[Item | BadLine]:
        meaning = parse_youtube_address(self.line.source)
        if meaning is not None:
            yield self._address(meaning)
        elif _MAGIC.search(path):
            yield from self._many(path, self._glob(path), "glob_empty", "No video matches the pattern.")
        else:
            name = Path(path).name
            remedy = f"; a channel is named youtube.com/{name}" if name.startswith("@") else ""
            where = f"check the path: {path} is where it was looked for"
            if _WINDOWS.search(self.line.source):
                where = "this is a path of Windows: write it as this machine has it, e.g. /mnt/c/Users/me/clip.mp4"
            bad = self._bad("file_missing", "There is no such file or folder.", where + remedy)
            item, video = self._file(path), Path(path).suffix.lower().removeprefix(".") in self.sources.extensions
            yield item if isinstance(item, BadLine) else MissingFile(bad.place, bad.source, bad.trouble, item, video)

    def _many(self, path: str, found: Iterator[str | BadLine], code: str, message: str) -> Iterator[Item | BadLine]:
        if self.line.id or self.line.title:
            yield self._many_videos()
            return
        empty = True
        for entry in found:
            empty = False
            yield self._file(entry, named=False) if isinstance(entry, str) else entry
        if empty:
            yield self._bad(code, message, f"videos end in: {', '.join(self.sources.extensions)}")
        if self.sieve.left:
            yield self.sieve.told(self.line.place, redact_source(self.line.source))

    def _file(self, path: str, *, named: bool = True) -> Item | BadLine:
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            name = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            trouble = Trouble("name_not_utf8", "The file's name is not UTF-8.", "rename the file")
            return BadLine(self.line.place, redact_source(name), trouble)
        return Item(f"file:{Path(path).as_posix()}", "file", path, replace(self.line, source=path), named=named)

    def _walk(self, folder: str, above: Sequence[str]) -> Iterator[str | BadLine]:
        """Yield a folder's videos, files first; ``above``: its parents' real paths."""
        real = os.path.realpath(folder)
        if real in above or (above and real in self.ours) or len(above) > _DEEPEST:
            return
        if os.path.islink(folder):
            if real in self.linked:
                return
            self.linked.add(real)
        entries = self._entries(folder)
        if isinstance(entries, BadLine):
            yield entries
            return
        for name, is_folder in entries:
            if not is_folder and self._is_wanted(os.path.join(folder, name)):
                yield os.path.join(folder, name)
        for name, is_folder in entries:
            if is_folder and self.sieve.enters(os.path.join(folder, name)):
                yield from self._walk(os.path.join(folder, name), [*above, real])

    def _is_wanted(self, path: str, *, named: bool = False) -> bool:
        """True for a video file that is not left out.

        ``named``: the pattern says the ending.
        """
        ending = Path(path).suffix.lower().removeprefix(".")
        if named or ending in self.sources.extensions:
            return self.sieve.takes(path, ending)
        self.sieve.passes_over(path)
        return False

    def _entries(self, folder: str, *, hidden: bool = False) -> list[tuple[str, bool]] | BadLine:
        """Return (name, is a folder) of a folder's entries, sorted; links resolved."""
        try:
            with os.scandir(folder) as entries:
                seen = [entry for entry in entries if hidden or not entry.name.startswith(".")]
            return sorted((entry.name, entry.is_dir()) for entry in seen if entry.is_dir() or entry.is_file())
        except OSError as error:
            return self._unreadable(folder, error)

    # ------------------------------------------------------------------------------------------------------ globs

    def _glob(self, pattern: str) -> Iterator[str | BadLine]:
        parts = list(Path(pattern).parts)
        self.sieve.pattern = parts[-1]
        once = [part for before, part in zip(["", *parts], parts, strict=False) if part != "**" or before != "**"]
        yield from self._match(once[0], once[1:], False)

    def _match(self, base: str, parts: Sequence[str], deep: bool) -> Iterator[str | BadLine]:
        """Yield what matches the parts below ``base``; ``deep`` behind a ``**``."""
        inside = os.path.join(base, parts[0]) if parts else base
        if not parts:
            yield from self._matched(base, deep)
        elif "[" in parts[0] and os.path.lexists(inside):  # "Season [1]" is a folder's name more often than a pattern
            yield from self._match(inside, parts[1:], deep)
        elif not _MAGIC.search(parts[0]):
            if os.path.lexists(inside):
                yield from self._match(inside, parts[1:], deep)
        elif os.path.isdir(base):
            entries = self._entries(base, hidden=parts[0].startswith("."))
            yield from [entries] if isinstance(entries, BadLine) else self._fitting(base, parts, deep, entries)

    def _fitting(
        self, base: str, parts: Sequence[str], deep: bool, entries: Sequence[tuple[str, bool]]
    ) -> Iterator[str | BadLine]:
        part, rest = parts[0], parts[1:]
        if part != "**":
            fits = re.compile(translate(part)).match
            for name, is_folder in entries:
                if fits(name) and not (is_folder and self._is_foreign(os.path.join(base, name))):
                    yield from self._match(os.path.join(base, name), rest, deep)
            return
        yield from self._match(base, rest or ["*"], True)
        for name, is_folder in entries:
            inside = os.path.join(base, name)
            # Like the shell, ** does not follow links: they can lead in a circle.
            if is_folder and not os.path.islink(inside) and not self._is_foreign(inside):
                yield from self._match(inside, parts, True)

    def _matched(self, path: str, deep: bool) -> Iterator[str | BadLine]:
        named = re.fullmatch(r"\.\w+", Path(self.line.source).suffix)  # the pattern says which ending it means
        if os.path.isdir(path):
            yield from [] if deep else self._walk(path, [])
        elif self._is_wanted(path, named=bool(named)):
            yield path

    def _is_foreign(self, folder: str) -> bool:
        return os.path.realpath(folder) in self.ours or not self.sieve.enters(folder)

    # ----------------------------------------------------------------------------------------------------- refusals

    def _many_videos(self) -> BadLine:
        message = "An id or a title belongs to one video."
        return self._bad("one_name_many_videos", message, "name the videos one by one")

    def _bad(self, code: str, message: str, remedy: str) -> BadLine:
        return BadLine(self.line.place, redact_source(self.line.source), Trouble(code, message, remedy))

    def _unreadable(self, path: str, error: OSError | ValueError) -> BadLine:
        code = "permission_denied" if isinstance(error, PermissionError) else "path_unreadable"
        reason = getattr(error, "strerror", None) or type(error).__name__
        return BadLine(
            self.line.place,
            redact_source(path),
            Trouble(code, f"It cannot be read: {reason}.", "check its permissions"),
        )
