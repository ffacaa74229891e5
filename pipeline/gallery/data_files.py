"""The page's data as scripts: from disk, it may load nothing else.

Each file is one call, ``reelmill("<kind>", "<name>", "<JSON as text>")``. The JSON stands inside a string, so that it is
parsed once by ``JSON.parse`` and is never code.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Literal, TypeAlias

from pipeline.gallery.values import Captions, CueLine, GalleryIndex, ShardFile, VideoEntry
from pipeline.media.captions import parse
from pipeline.ports.sink import OutFile

FOLDER = "gallery"
SHARD = 250  #: numbers of one shard
ROWS = 2000  #: rows of one full rows file
LARGEST = 900_000  #: bytes of a data file, but for one that holds a single entry
_LARGEST_ENTRY = 400_000  #: bytes of one video's entry; results beyond it are left to the folder

DataKind = Literal["index", "rows", "shard", "captions"]
_UNSAFE = (("<", "\\u003c"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029"))


def data_call(kind: DataKind, name: str, text: str) -> str:
    """Return a data file's content; ``text`` is JSON."""
    return f"reelmill({_string(kind)},{_string(name)},{_string(text)});\n"


def _string(text: str) -> str:
    written = json.dumps(text, ensure_ascii=False)
    for char, escape in _UNSAFE:
        written = written.replace(char, escape)
    return written


def index_file(index: GalleryIndex) -> OutFile:
    """Return ``index.js``."""
    return OutFile("data/index.js", data_call("index", "index", encode(index)))


def rows_file(first: int, rows: Iterable[str]) -> OutFile:
    """Return a full file of encoded rows; the first one's number is ``first``."""
    name = f"rows-{first // ROWS:04}"
    return OutFile(f"data/{name}.js", data_call("rows", name, f"[{','.join(rows)}]"))


def shard_files(block: int, entries: Iterable[VideoEntry]) -> Iterator[tuple[ShardFile, OutFile]]:
    """Yield the files of one block of ``SHARD`` numbers: as few as ``LARGEST`` allows."""
    part, size, kept = 0, 0, list[tuple[int, str]]()
    for entry in entries:
        text = encode(entry)
        if len(text.encode("utf-8", "replace")) > _LARGEST_ENTRY:
            text = encode(dataclasses.replace(entry, results=(), cut=True))
        # Quotes and backslashes take one byte more inside the string.
        length = len(text.encode("utf-8", "replace")) + text.count('"') + 2 * text.count("\\")
        if kept and size + length > LARGEST:
            yield _shard(block, part, kept)
            part, size, kept = part + 1, 0, []
        kept.append((entry.number, text))
        size += length
    if kept:
        yield _shard(block, part, kept)


def _shard(block: int, part: int, kept: Sequence[tuple[int, str]]) -> tuple[ShardFile, OutFile]:
    name = f"v-{block:04}" + (f"-{part}" if part else "")
    file = OutFile(f"data/{name}.js", data_call("shard", name, f"[{','.join(text for _, text in kept)}]"))
    return ShardFile(f"{name}.js", kept[0][0], kept[-1][0]), file


def captions_name(folder: str) -> str:
    """Return the name of a video's captions file below ``data``."""
    return f"c-{folder.rpartition('--')[2]}.js"


def captions_file(captions: Captions) -> OutFile:
    """Return one video's captions."""
    name = captions_name(captions.folder)
    return OutFile(f"data/{name}", data_call("captions", name.removesuffix(".js"), encode(captions)))


def captions_script(folder: str, text: str) -> str:
    """Return the content of a captions file; empty without a cue."""
    cues = [CueLine(round(cue.start, 2), round(cue.end, 2), cue.text) for cue in parse(text)]
    return str(captions_file(Captions(folder, cues)).content) if cues else ""


def encode(value: Any) -> str:
    """Return a dataclass as compact JSON; fields with an empty default are left out.

    Raises:
        ValueError: a number in it is none that JSON has.
    """
    return _compact(value)


#: Fields that the page needs where they are zero, too.
_KEPT = frozenset({"number", "start", "first", "value", "current"})


def _fields(value: Any) -> Any:
    """Return a dataclass's fields for the encoder, which asks for each that it meets."""
    kind = type(value)
    known = _LAYOUTS.get(kind)
    if known is None:
        if not dataclasses.is_dataclass(kind):
            return str(value)
        known = _LAYOUTS[kind] = _layout([field.name for field in dataclasses.fields(kind)])
    names, kept, read = known
    return {
        name: each
        for name, always, each in zip(names, kept, read(value), strict=True)
        if each or always or (each == 0 and each is not False)
    }


#: The names of a class's fields, whether each is always written, and what reads them all.
_Layout: TypeAlias = tuple[Sequence[str], Sequence[bool], Callable[[Any], Sequence[Any]]]


def _layout(names: Sequence[str]) -> _Layout:
    # Of one name alone, `attrgetter` returns no tuple.
    read = attrgetter(*names) if len(names) > 1 else lambda value: [getattr(value, name) for name in names]
    return names, [name in _KEPT for name in names], read


_LAYOUTS: dict[type, _Layout] = {}
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_fields, allow_nan=False).encode
