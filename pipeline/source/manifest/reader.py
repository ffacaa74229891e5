"""Manifests and arguments into lines, one at a time and in constant memory.

This reads what a line says; ``expand`` finds what it names.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

from pipeline.config.source import SourceSection
from pipeline.core.model import Json, Trouble
from pipeline.core.youtube_address import is_address, parse_youtube_address
from pipeline.ports.source import ManifestLine
from pipeline.source.identity import redact_source
from pipeline.source.manifest import fields, lines
from pipeline.source.manifest.csv_rows import SEPARATOR_LINE, CsvRecord, PushbackLines
from pipeline.source.manifest.pasted import clean_source, pasted_paths, split_addresses, strip_unseen
from pipeline.views import BadLine

ManifestFormat: TypeAlias = Literal["text", "csv", "jsonl"]
#: Endings that decide; a video is never read as a manifest by these.
FORMATS: Mapping[str, ManifestFormat] = {
    ".txt": "text", ".list": "text", ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".json": "jsonl",
}  # fmt: skip


_ENDINGS = frozenset(SourceSection().extensions)


@dataclass(frozen=True, slots=True)
class _ManifestContext:
    """A manifest being read: its name, and the folder of its relative paths."""

    name: str
    base: Path
    known_job: Callable[[str], bool]

    def bad(self, number: int, trouble: Trouble, source: str = "") -> BadLine:
        return BadLine(f"{self.name}:{number}", redact_source(source), trouble)

    def line(self, number: int, values: Mapping[str, Json], source: str) -> ManifestLine | BadLine:
        try:
            line = fields.parse_row(values, f"{self.name}:{number}", self.known_job)
            return _anchored(line, self.base)
        except fields.RowError as wrong:
            return self.bad(number, wrong.trouble, source)


def read_lines(
    sources: Sequence[str],
    *,
    stdin: BinaryIO,
    cwd: Path,
    known_job: Callable[[str], bool],
    extensions: Collection[str] = SourceSection().extensions,
) -> Iterator[ManifestLine | BadLine]:
    """Yield the lines that the arguments ask for, in order, streaming.

    Each source is an address, a video file, a folder, a glob, a manifest, or ``-`` for a manifest on ``stdin``. A file is
    a manifest by its ending, or, with neither a manifest's nor a video's ending, by what is in it. Whatever is wrong
    comes out as a BadLine in its place; nothing is raised. Paths come out absolute: those of a manifest count from its
    folder, those of arguments and ``stdin`` from ``cwd``.
    """
    for number, source in enumerate(sources, 1):
        place = f"argument {number}"
        if source.strip() == "-":
            yield from _read_manifest(stdin, _ManifestContext("stdin", cwd, known_job), None)
        elif not source.strip() or "\0" in source:
            yield BadLine(
                place,
                redact_source(source),
                Trouble("source_empty", "The argument is empty.", "give a path or an address"),
            )
        else:
            yield from _argument(source, place, cwd, known_job, extensions)


def _argument(
    source: str, place: str, cwd: Path, known_job: Callable[[str], bool], extensions: Collection[str]
) -> Iterator[ManifestLine | BadLine]:
    path = cwd / os.path.expanduser(source)
    line = _anchored(ManifestLine(source=source, place=place), cwd)
    suffix = path.suffix.lower()
    if is_address(source) or suffix.removeprefix(".") in extensions:
        yield line
        return
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError):
        yield line  # a glob, a video id, or missing: expand finds out and says it well
        return
    if stat.S_ISDIR(kind):
        yield line
        return
    try:
        with path.open("rb") as stream:
            if suffix not in FORMATS and is_video(stream.peek(lines.HEAD)):
                yield line
            elif suffix not in FORMATS and not _names_something(stream.peek(lines.HEAD), path.parent, extensions):
                yield BadLine(place, redact_source(source), _NO_LIST)
            else:
                yield from _read_manifest(stream, _ManifestContext(source, path.parent, known_job), FORMATS.get(suffix))
    except OSError as error:
        yield BadLine(place, redact_source(source), _unreadable(error))


_NO_LIST = Trouble(
    "not_a_list",
    "This is neither a video nor a list: no line of it names a file, a folder or an address.",
    "a list has one source a line; give a list of files that are still to come the ending .txt",
)


def _names_something(head: bytes, base: Path, extensions: Collection[str]) -> bool:
    """Return True unless these first bytes are text without any source.

    What is empty is for others.
    """
    text = head.decode("utf-8", "replace")
    if "\0" in text or not text.strip():
        return True
    for line in text.splitlines():
        words = strip_unseen(line).strip().strip("\"'")
        cells = {strip_unseen(cell).strip(' "').lower() for cell in re.split(r"[,;\t]", words)}
        if (
            words.startswith(("{", "["))
            or "://" in words
            or cells & {"source", *fields.ALIASES}
            or _MAGIC.search(words)
        ):
            return True
        if any(cell.rpartition(".")[2] in extensions for cell in cells) or parse_youtube_address(words) is not None:
            return True
        if words and not words.startswith("#") and os.path.lexists(os.path.join(base, os.path.expanduser(words))):
            return True
    return all(not line.strip() or line.lstrip().startswith(("#", ";")) for line in text.splitlines())


_MAGIC = re.compile(r"[*?]")


def is_video(head: bytes) -> bool:
    """True if these first bytes open a media container or other binary."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return True
    starts = (b"\x1aE\xdf\xa3", b"RIFF", b"FLV\x01", b"OggS", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"0&\xb2u")
    trouble = lines.find_text_problem(head)
    return head.startswith(starts) or (trouble is not None and trouble.code == "manifest_binary")


def _read_manifest(
    stream: BinaryIO, sheet: _ManifestContext, form: ManifestFormat | None
) -> Iterator[ManifestLine | BadLine]:
    """Yield a manifest's lines.

    A stream that breaks off ends in one bad line, and so does one that names nothing.
    """
    number, told = 0, False
    feed = PushbackLines(lines.read_text_lines(stream))
    try:
        form = form or _detect_format(feed)
        reader = {"text": _text, "csv": _csv, "jsonl": _jsonl}[form]
        for at, line in reader(feed, sheet):
            number, told = at, True
            yield line
    except OSError as error:
        yield sheet.bad(number + 1, _unreadable(error))
        return
    if not told:
        message = "The list is empty: no line of it names a video."
        trouble = Trouble("manifest_empty", message, "see what writes it, or leave it out")
        yield BadLine(sheet.name, redact_source(sheet.name), trouble)


def _detect_format(feed: PushbackLines) -> ManifestFormat:
    """Detect the format by the first line with content; lose nothing."""
    passed: list[lines.TextLine | lines.UnreadableLine] = []
    form: ManifestFormat = "text"
    for entry in feed:
        text = entry.text.strip()
        if isinstance(entry, lines.TextLine) and not text:
            continue  # no form needs them, and there can be any number
        passed.append(entry)
        names = {strip_unseen(name).strip('"').lower() for name in text.replace(";", ",").replace("\t", ",").split(",")}
        if text.startswith(("{", '["')) or re.match(r"\[\s*(\{|$)", text):
            form = "jsonl"
        elif SEPARATOR_LINE.fullmatch(entry.text) or names & {"source", *fields.ALIASES}:
            form = "csv"
        break
    feed.put_back(passed)
    return form


_QUOTES = frozenset({('"', '"'), ("'", "'"), ("\u201c", "\u201d"), ("\u201e", "\u201c"), ("\u00ab", "\u00bb")})

_MOST_ARRAY = 16 * 1024 * 1024  #: characters of a JSON array, which has to be read whole

_Numbered: TypeAlias = Iterator[tuple[int, ManifestLine | BadLine]]


def _text(feed: PushbackLines, sheet: _ManifestContext) -> _Numbered:
    for entry in feed:
        if isinstance(entry, lines.UnreadableLine):
            yield entry.number, sheet.bad(entry.number, entry.trouble, entry.text)
            continue
        whole = strip_unseen(entry.text)
        if whole.startswith(("#", ";")):
            continue
        for source in split_addresses(whole):
            if len(source) > 2 and (source[0], source[-1]) in _QUOTES:
                source = source[1:-1].strip()
            if source:
                yield entry.number, sheet.line(entry.number, {"source": source}, source)


def _jsonl(feed: PushbackLines, sheet: _ManifestContext) -> _Numbered:
    begun = False
    for entry in feed:
        if not begun and isinstance(entry, lines.TextLine) and entry.text.lstrip().startswith("["):
            yield from _array(entry, feed, sheet)
            return
        begun = begun or bool(entry.text.strip())
        if isinstance(entry, lines.UnreadableLine):
            yield entry.number, sheet.bad(entry.number, entry.trouble, entry.text)
        elif entry.text.strip():
            yield entry.number, _object(entry, sheet)


def _array(first: lines.TextLine, feed: PushbackLines, sheet: _ManifestContext) -> _Numbered:
    """Yield a JSON array's entries, each under its place.

    Addresses and paths may stand in it as such.
    """
    parts, size = [first.text], len(first.text)
    for entry in feed:
        if isinstance(entry, lines.UnreadableLine):
            yield entry.number, sheet.bad(entry.number, entry.trouble, entry.text)
            return
        parts.append(entry.text)
        size += len(entry.text)
        if size > _MOST_ARRAY:
            break
    try:
        found = json.loads("\n".join(parts))
    except (ValueError, RecursionError):
        yield first.number, sheet.bad(first.number, _not_json(), first.text)
        return
    for number, value in enumerate(found, 1):
        yield number, _values({"source": value} if isinstance(value, str) else value, number, str(value)[:500], sheet)


def _object(entry: lines.TextLine, sheet: _ManifestContext) -> ManifestLine | BadLine:
    try:
        found = json.loads(entry.text)
    except (ValueError, RecursionError):
        return sheet.bad(entry.number, _not_json(), entry.text)
    return _values(found, entry.number, entry.text, sheet)


def _not_json() -> Trouble:
    return Trouble("manifest_json", "The line is not valid JSON.", 'write one object per line: {"source": "…"}')


def _values(found: object, number: int, text: str, sheet: _ManifestContext) -> ManifestLine | BadLine:
    if not isinstance(found, dict):
        trouble = Trouble("manifest_type", "The line is not a JSON object.", 'write {"source": "…"}')
        return sheet.bad(number, trouble, text)
    try:
        names = fields.columns(list(found))
    except fields.RowError as wrong:
        return sheet.bad(number, wrong.trouble, text)
    # A key of the user's own may hold anything; as metadata only what is one value can be kept.
    pairs = zip(names, found.items(), strict=True)
    values = {
        name: value for name, (key, value) in pairs if name and (name == key or not isinstance(value, list | dict))
    }
    return sheet.line(number, values, str(values["source"]))


def _csv(feed: PushbackLines, sheet: _ManifestContext) -> _Numbered:
    """Yield the rows under a header, which may be one bad line."""
    names: list[str] = []
    for row in feed.rows():
        if isinstance(row, lines.UnreadableLine):
            yield row.number, sheet.bad(row.number, row.trouble, row.text)
        elif names:
            yield row.number, _row(row, names, sheet)
        else:
            try:
                names = fields.columns(row.cells)
            except fields.RowError as wrong:
                names = _without_header(row.cells, sheet.base)
                if not names:
                    yield row.number, sheet.bad(row.number, wrong.trouble, ",".join(row.cells))
                    return
                yield row.number, _row(row, names, sheet)


def _without_header(cells: Sequence[str], base: Path) -> list[str]:
    """Return column names for a list whose first row is a video, or empty."""
    for at, cell in enumerate(cells):
        source = clean_source(cell)
        ending = Path(source).suffix.lower().removeprefix(".")
        if source and (is_address(source) or ending in _ENDINGS or os.path.isfile(os.path.join(base, source))):
            return [
                "source" if number == at else f"{fields.METADATA}column {number + 1}" for number in range(len(cells))
            ]
    return []


#: Separators of cells by name.
_SEPARATORS: Mapping[str, str] = {",": "comma", ";": "semicolon", "\t": "tab", "|": "|"}


def _row(row: CsvRecord, names: Sequence[str], sheet: _ManifestContext) -> ManifestLine | BadLine:
    number, cells = row.number, row.cells
    source = cells[names.index("source")] if len(cells) > names.index("source") else ""
    if len(cells) > len(names) and any(cell.strip() for cell in cells[len(names) :]):
        message = f"The row has {len(cells)} cells, the header has {len(names)}."
        remedy = f"put cells that hold a {_SEPARATORS[row.separator]} into double quotes"
        trouble = Trouble("manifest_cells", message, remedy)
        return sheet.bad(number, trouble, source)
    return sheet.line(number, {name: cell for name, cell in zip(names, cells, strict=False) if name}, source)


def _anchored(line: ManifestLine, base: Path) -> ManifestLine:
    """Make the path of a line absolute; addresses and ids stay."""
    source = line.source
    if is_address(source):
        return line
    path = os.path.join(base, os.path.expanduser(source))
    if not os.path.lexists(path):
        if parse_youtube_address(source) is not None:
            return line
        meant = (os.path.join(base, os.path.expanduser(each)) for each in pasted_paths(source))
        path = next(filter(os.path.lexists, meant), path)
    # What .. means depends on links: where it occurs, the path is left for expand to resolve.
    return replace(line, source=path if ".." in path.split("/") else os.path.normpath(path))


def _unreadable(error: OSError) -> Trouble:
    reason = error.strerror or type(error).__name__
    return Trouble("manifest_unreadable", f"The file cannot be read: {reason}.", "check its permissions and its disk")
