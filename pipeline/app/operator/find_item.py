"""Finds an item by any name that people see, for all commands.

The best sort of name decides: a key, path or address; then what is said of it (id, title, results folder); then the file's
name or the end of its path; then the name without its ending, or the start of the key; then all of these in other case.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import PurePath

from pipeline.app.operator.attention import NAMED
from pipeline.app.operator.display_names import display_source
from pipeline.core.errors import ConfigError
from pipeline.core.model import Selection, Task
from pipeline.core.text import plain
from pipeline.core.youtube_address import YouTubeAddress, file_name, is_address, without_query
from pipeline.ingest.payloads import ItemData, PlaylistData, PublishData, remote_ids
from pipeline.ports.store import Records, read_pages
from pipeline.source.identity import SourceIdentity, identify

_PAGE = 1000
_KEPT = 50  #: candidates of one sort of name
_SHOWN = 5  #: candidates that a message names
_ALIKE = 0.75  #: how alike a name must be to be meant, of 1
_SHORTEST_KEY = 6  #: characters of a hash that may name a video
_PLATFORM = ("video", "indexing")  #: kinds that hold the platform's ids
_CALLED = (*NAMED, "publish")  #: kinds that hold what a video is called
_HEX = re.compile("[0-9a-f]+")
_LONGEST = 200  #: characters of a text that is looked for
_NEAR = 2000  #: tasks compared for each part of a name that nothing has


async def find_item(records: Records, name: str) -> Task:
    """Return the one item of that name.

    Raises:
        ConfigError: nothing matches, and what could have been meant; or several items do, and which.
    """
    found = await _all(records, name)
    if not found:
        near = await _nearest(records, name)
        names = "give its path, title, id, key or results folder; `reelmill list` names all"
        raise ConfigError(f"No item is called '{name}'", remedy=f"did you mean '{near}'?" if near else names)
    if len({task.subject or task.key for task in found}) > 1:  # the same video under two names is one
        raise _ambiguous(name, found)
    return found[0]


async def is_known(records: Records, name: str) -> bool:
    """Return True if an item, or several, have that name."""
    return bool(await _all(records, name))


async def _all(records: Records, name: str) -> list[Task]:
    return await _exact(records, name) or await _scan(records, name) or await _by_platform(records, name)


async def find_items(records: Records, names: Sequence[str], done: str) -> list[tuple[str, Task]]:
    """Return each item by its name: all are known, or nothing is ``done``.

    Raises:
        ConfigError: some are not known; all of them are named, each with what could have been meant.
    """
    found, unknown = [], []
    for name in names:
        try:
            found.append((name, await find_item(records, name)))
        except ConfigError as error:
            unknown.append(error.trouble)
    if not unknown:
        return found
    message = "; ".join(trouble.message for trouble in unknown)
    if len(names) > 1:
        message += f": nothing was {done}, the other items neither"
    remedies = dict.fromkeys(trouble.remedy for trouble in unknown)
    raise ConfigError(message, remedy="; ".join(remedies))


def _ambiguous(name: str, found: Sequence[Task]) -> ConfigError:
    some = [display_source(ItemData.of(task).source) for task in found[:_SHOWN]]
    if len(set(some)) < len(some):
        some = [task.key for task in found[:_SHOWN]]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    fits = f"{len(found)}{' or more' if len(found) == _KEPT else ''}"
    return ConfigError(
        f"'{name}' fits {fits} items: {', '.join(some)}{more}", remedy="give a longer part of the path, or the key"
    )


# ------------------------------------------------------------------------------------------------- by what is indexed


async def _exact(records: Records, name: str) -> list[Task]:
    keys = {name, *(f"file:{path}" for path in _paths(name))}
    meaning = identify(name, private=True)
    if isinstance(meaning, YouTubeAddress | SourceIdentity):
        keys.add(meaning.key)
    found = await records.tasks(Selection(kinds=NAMED, keys=tuple(sorted(keys))))
    found = found or await records.tasks(Selection(kinds=("item",), subjects=(name,)))
    return found or await _by_task(records, name)


async def _by_task(records: Records, key: str) -> list[Task]:
    """Return the items of the task with this key, or the task itself.

    A task of replaced content has no item any more.
    """
    tasks = (await records.tasks(Selection(keys=(key,), limit=1))) if key else []
    subjects = tuple(task.subject for task in tasks if task.subject)
    return (await records.tasks(Selection(kinds=("item",), subjects=subjects)) if subjects else []) or tasks


def _paths(name: str) -> set[str]:
    """Return what a path means from here, with and without its links followed."""
    path = os.path.expanduser(name)
    return {os.path.abspath(path), os.path.realpath(path)} if "\0" not in path else set()


async def _by_platform(records: Records, name: str) -> list[Task]:
    """Return the items of the video that the platform calls so."""
    async for task in _mentioning(records, _PLATFORM, (name,)):
        if name in remote_ids(task):
            return await records.tasks(Selection(kinds=("item",), subjects=(task.subject or task.key,)))
    return []


async def _mentioning(records: Records, kinds: tuple[str, ...], texts: tuple[str, ...]) -> AsyncIterator[Task]:
    """Yield the tasks that hold one of these texts, found by the database."""
    async for page in read_pages(records, Selection(kinds, limit=_PAGE, mentions=texts)):
        for task in page:
            yield task
        if len(page) < _PAGE:  # to ask for more would look at all names again
            return


# ------------------------------------------------------------------------------------------------- by what it is called


async def _scan(records: Records, name: str) -> list[Task]:
    """Look at all items and results; return the best sort of matches."""
    asked = _Name(name)
    ranks: dict[int, list[Task]] = {}
    written: dict[int, list[str]] = {}
    async for task in _candidates_of(records, asked):
        if task.kind in NAMED:
            rank = asked.rank_item(task)
            if rank is not None and len(ranks.setdefault(rank, [])) < _KEPT:
                ranks[rank].append(task)
        else:
            rank = asked.rank_results(PublishData.of(task))
            if rank is not None and len(written.setdefault(rank, [])) < _KEPT:
                written[rank].append(task.key)
    for rank in sorted({*ranks, *written}):
        subjects = tuple(written.get(rank, ()))
        more = await records.tasks(Selection(kinds=("item",), subjects=subjects)) if subjects else []
        unique = {task.id: task for task in (*ranks.get(rank, ()), *more)}
        if unique:
            return sorted(unique.values(), key=lambda task: task.id)
    subjects = tuple(written[min(written)]) if written else ()  # of replaced content: no item has it any more
    return await records.tasks(Selection(kinds=("video",), keys=subjects)) if subjects else []


async def _candidates_of(records: Records, asked: _Name) -> AsyncIterator[Task]:
    """Yield the tasks that may have a name, and the items of a hash."""
    async for task in _mentioning(records, _CALLED, asked.tokens()):
        yield task
    if asked.hash:
        for item in await records.tasks(Selection(("item",), begins=f"sha256:{asked.hash}", limit=_KEPT)):
            yield item


class _Name:
    """A name as given, in the forms in which it is compared."""

    def __init__(self, name: str) -> None:
        self.exact = name
        self.folded = fold(name)
        self._path = _relative(name)
        self._folders = (PurePath(name).name, PurePath(name).parent.name)  # a results folder, or a file in it
        start = name.removeprefix("sha256:")
        self.hash = start if len(start) >= _SHORTEST_KEY and _HEX.fullmatch(start) else ""

    def tokens(self) -> tuple[str, ...]:
        """Return rare texts of which every fitting task holds one.

        A parent folder counts only if it holds results: others stand in many tasks.
        """
        last, parent = self._folders
        results = parent if "--" in parent else ""
        return tuple(filter(None, {rare_part(last or self.exact), results})) or (self.exact,)

    def rank_item(self, task: Task) -> int | None:
        """Return how well an item fits, 0 best; None if it does not."""
        place = PurePath(without_query(ItemData.of(task).locator))
        rank = self.rank(_said_of_item(task))
        if rank == 0:
            return 0
        if self._path and str(place).endswith("/" + self._path):
            return 1
        if self.exact == place.stem or self._is_key(task):
            return 2
        return 3 if rank is not None or self.folded in (fold(place.name), fold(place.stem)) else None

    def rank_results(self, data: PublishData) -> int | None:
        """Return how well the results of a video fit."""
        return 0 if data.folder and data.folder in self._folders else self.rank((data.title, data.folder))

    def rank(self, said: Iterable[str]) -> int | None:
        """Return how well the best of these texts fits; None if none does.

        0: exactly, 3: cut, or in another case.
        """
        rank = None
        for each in said:
            if each == self.exact:
                return 0
            folded = fold(each)
            cut = self.folded.endswith("…") and len(self.folded) > 3 and folded.startswith(self.folded[:-1].rstrip())
            rank = 3 if folded and (folded == self.folded or cut) else rank
        return rank

    def _is_key(self, task: Task) -> bool:
        return bool(self.hash) and task.subject.startswith(f"sha256:{self.hash}")


def _said_of_item(task: Task) -> tuple[str, ...]:
    data = PlaylistData.of(task) if task.kind == "listing" else ItemData.of(task)
    listed = data.list_title if isinstance(data, PlaylistData) else ""
    return (data.line.id, data.line.title, data.title, listed, data.source, display_source(data.source))


def _relative(name: str) -> str:
    """Return the end of a whole path that this one tells, e.g. without ``../``."""
    if is_address(name):
        return ""
    parts = [part for part in PurePath(os.path.normpath(name)).parts if part not in ("..", ".", "/")]
    return "/".join(parts)


def rare_part(text: str) -> str:
    """Return the text's longest part that the database stores unchanged: ASCII, without blanks."""
    return max(re.findall("[!-~]+", text) or text.strip("…").split() or [""], key=len)[:_LONGEST]


def fold(text: str) -> str:
    """Return a text as it is compared: case, blanks and form do not count."""
    return " ".join(unicodedata.normalize("NFC", plain(text)).casefold().split())


# ------------------------------------------------------------------------------------------------------ near misses


async def _nearest(records: Records, name: str) -> str:
    """Return the name that is most like this one; empty if none is alike.

    Compared are names that hold a third of this one as it is: one with mistakes in every third is not found.
    """
    last = PurePath(name).name[:_LONGEST]
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(fold(last))
    best, likeness = "", _ALIKE
    size = max(2, -(-len(last) // 3))
    for part in dict.fromkeys(last[start : start + size] for start in range(0, len(last), size)):
        compared = 0
        async for task in _mentioning(records, _CALLED, (part,)):
            compared += 1
            if compared > _NEAR:
                break
            for each in _candidates(task):
                matcher.set_seq1(fold(each))
                if min(matcher.real_quick_ratio(), matcher.quick_ratio()) > likeness and matcher.ratio() > likeness:
                    best, likeness = each, matcher.ratio()
    return best


def _candidates(task: Task) -> Iterator[str]:
    if task.kind == "publish":
        yield from filter(None, (PublishData.of(task).title, PublishData.of(task).folder))
        return
    name = file_name(ItemData.of(task).locator)
    yield name
    yield PurePath(name).stem
    data = ItemData.of(task)
    yield from filter(None, (data.line.id, data.title))
