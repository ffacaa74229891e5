"""Files of the page that it does not name any more. Blocks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from pipeline.core.errors import Transient
from pipeline.core.model import Json
from pipeline.gallery.data_files import FOLDER, captions_name
from pipeline.sink import atomic, layout

_DATA, _POSTERS, _INDEX = "data", "posters", "index.js"


def find_leftovers(output: Path, note: Json | None, folders: Collection[str]) -> dict[str, int]:
    """Return files below the page's folder that nothing names, with their bytes.

    ``note``: what the last writing left; ``folders``: of the videos that the database knows. Where another database has
    written the page since, nothing is known of it, and nothing is found.
    """
    try:
        with ExitStack() as stack:
            root = stack.enter_context(atomic.opened(str(output.resolve())))
            home = stack.enter_context(atomic.opened(FOLDER, root))
            kept = {*folders, *filter(layout.is_folder, atomic.names(root))}
            return dict(_leftovers(home, note, kept))
    except OSError:  # there is no page
        return {}


def remove_leftovers(output: Path, names: Collection[str]) -> int:
    """Remove files that :func:`find_leftovers` named; return how many went."""
    removed = 0
    with ExitStack() as stack:
        root = stack.enter_context(atomic.opened(str(output.resolve())))
        home = stack.enter_context(atomic.opened(FOLDER, root))
        parts = {part: stack.enter_context(atomic.opened(part, home)) for part in {n.partition("/")[0] for n in names}}
        for name in sorted(names):
            part, _, base = name.partition("/")
            atomic.remove(parts[part], base)
            removed += 1
    return removed


def has_page(output: Path) -> bool:
    """Return True if a page was made there, by a run or without."""
    return (output / FOLDER / _DATA / _INDEX).is_file()


def remove_of_video(output: Path, folder: str) -> None:
    """Remove poster and captions of a video that is forgotten.

    Raises:
        Transient: they are there and cannot be removed.
    """
    try:
        with suppress(FileNotFoundError), ExitStack() as stack:
            root = stack.enter_context(atomic.opened(str(output.resolve())))
            home = stack.enter_context(atomic.opened(FOLDER, root))
            for part, name in ((_DATA, captions_name(folder)), (_POSTERS, f"{folder}.webp")):
                if atomic.is_dir(home, part):
                    atomic.remove(stack.enter_context(atomic.opened(part, home)), name)
    except OSError as error:
        message = f"{output / FOLDER}: files of {folder} cannot be removed: {error.strerror}."
        raise Transient(
            message, code="output_trouble", remedy="correct what is wrong there, then do this again"
        ) from None


def _leftovers(home: int, note: Any, kept: Collection[str]) -> Iterator[tuple[str, int]]:
    captions = {captions_name(folder) for folder in kept}
    for part in (_DATA, _POSTERS):
        if not atomic.is_dir(home, part):
            continue
        with atomic.opened(part, home) as fd:
            named = _named(fd, note) if part == _DATA else None
            for name in atomic.names(fd):
                size = atomic.size(fd, name)
                if size is not None and _is_left(part, name, named, captions, kept):
                    yield f"{part}/{name}", size


def _named(data: int, note: Any) -> Collection[str] | None:
    """Return the shards that the page names; None where another wrote it."""
    if not isinstance(note, Mapping) or not isinstance(note.get("sizes"), Mapping):
        return None
    return None if atomic.checksum(data, _INDEX) != note.get("index") else note["sizes"]


def _is_left(
    part: str, name: str, named: Collection[str] | None, captions: Collection[str], kept: Collection[str]
) -> bool:
    if part == _POSTERS:
        return name.endswith(".webp") and name.removesuffix(".webp") not in kept
    if not name.endswith(".js"):
        return False
    if name.startswith("c-"):
        return name not in captions
    return named is not None and name.startswith(("v-", "rows-")) and f"{part}/{name}" not in named
