"""The sink over a local folder. One hop to a worker thread per call."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from pipeline.core.errors import Permanent, ReelmillError, Transient
from pipeline.core.log import get
from pipeline.core.text import TextSet
from pipeline.ports.sink import MARK, MARKED, FindLines, FolderTaken, IndexStamp, Keep, OutFile, Removal, keep_none
from pipeline.sink import atomic, index_file, layout, record
from pipeline.sink.homes import Homes
from pipeline.sink.index_file import INDEX
from pipeline.sink.record import RECORD
from pipeline.sink.removal import take_away

_LARGEST_RECORD = 4 * 1024 * 1024
_MANY, _TOGETHER = 16, 8  #: files of one call from which on they are written side by side; so many
_TURNS, _TURN = 600, 0.1  #: looks, and seconds between them, while another run writes the same
_log = get("sink")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_IN_THE_WAY = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG})


class DiskSink:
    """Writes each video's files into its own folder below ``root``.

    Raises, from every method that touches the disk:
        Transient: ``disk_full``, ``output_not_writable`` or ``output_trouble``; nothing half-written is left.
        Permanent: ``output_blocked`` when a link or a foreign file stands where ours belongs; ``output_name``.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._resolved = ""
        self.edited: list[str] = []
        self._made = Homes()  # the folders of videos that were named here, by the key's characters
        self._tails: TextSet | None = None  # those characters of what is there
        self._homes: Homes | None = None  # what is there, once one of them is asked for
        self._looking = anyio.Lock()  # for it, once; two videos whose characters are the same are named in turn

    async def folder(self, subject: str, titles: Sequence[str], *, apart: bool = False) -> str:
        """Return a video's folder name; an existing one is used again.

        One with eight characters may turn out to be another video's when it is written.
        """
        tails = [layout.key16(subject), *([] if apart else [layout.key8(subject)])]
        async with self._looking:
            for tail in tails:
                if known := self._made.get(tail) or await self._find_home(tail):
                    return known
            self._made.put(tails[-1], name := layout.folder(subject, titles, apart=apart))
            return name

    async def _find_home(self, tail: str) -> str:
        """Return a folder that was there before; empty: there is none.

        Names of a million take 41 MB: they are kept once one of them is asked for, which a new video does not.
        """
        if self._tails is None:
            self._tails = await to_thread.run_sync(self._find_tails)
        if tail not in self._tails:
            return ""
        if self._homes is None:
            self._homes = await to_thread.run_sync(self._find_homes)
        return self._homes.get(tail)

    async def write(self, folder: str, files: Sequence[OutFile]) -> Mapping[str, int]:
        """Write the files, ``video.json`` last: it lists only what is there.

        Files of the old ``video.json`` that are not wanted any more are removed, files with the same content are left
        alone. Where ours belongs, what is not as we wrote it is kept under another name; no other file is touched.
        """
        contents = _encoded(folder, files)
        with _explained(self._root / folder):
            await self._write_in_turn(folder, contents)
        return {name: len(content) for name, content in contents.items()}

    async def add(self, folder: str, files: Sequence[OutFile]) -> None:
        contents = _encoded(folder, files, shared=True)
        with _explained(self._root / folder):
            await self._write_in_turn(folder, contents, recorded=False)

    async def _write_in_turn(self, folder: str, contents: dict[str, bytes], *, recorded: bool = True) -> None:
        """Write a folder once no other run does; after a minute, all the same."""
        for turn in range(_TURNS + 1):
            step = partial(self._write, folder, contents, recorded=recorded, patient=turn < _TURNS)
            if await to_thread.run_sync(step):
                return
            await anyio.sleep(_TURN)

    async def missing(self, known: Mapping[str, Mapping[str, int | str]]) -> Set[str]:
        return await to_thread.run_sync(self._missing, known) if known else frozenset()

    async def remove(self, folder: str, subject: str, *, look: bool = False) -> Removal:
        with _explained(self._root / folder):
            found = await to_thread.run_sync(partial(self._take_away, folder, subject, look=look))
        if not look:
            self._made, self._tails, self._homes = Homes(), None, None
        return found

    async def write_index(self, lines: AsyncIterator[str], keep: Keep = keep_none) -> IndexStamp:
        """Write ``results.jsonl``; runs of several state folders take turns.

        So none loses the lines of another.
        """
        async with self._index_turn() as root:
            return await index_file.write(root, lines, keep)

    async def amend_index(
        self, stamp: IndexStamp, changed: Sequence[bytes], find: FindLines, keep: Keep = keep_none
    ) -> IndexStamp | None:
        async with self._index_turn() as root:
            return await index_file.amend(root, stamp, changed, find, keep)

    @asynccontextmanager
    async def _index_turn(self) -> AsyncIterator[int]:
        """Yield the output folder, once no other run writes the index.

        After a minute, all the same.
        """
        with _explained(self._root / INDEX):
            root = await to_thread.run_sync(self._open_root)
            try:
                for _ in range(_TURNS):
                    if atomic.try_lock(root):
                        break
                    await anyio.sleep(_TURN)
                yield root
            finally:
                os.close(root)

    async def has_index(self) -> bool:
        """Return True if ``results.jsonl`` is there."""
        return await to_thread.run_sync(self._has_index)

    # ------------------------------------------------------------------------------------------- in a worker thread

    def _write(self, folder: str, contents: dict[str, bytes], *, recorded: bool = True, patient: bool = True) -> bool:
        """Write a folder; return False while another run does, if ``patient``."""
        with ExitStack() as stack:
            home = self._enter_home(stack, folder)
            if not atomic.try_lock(home) and patient:
                return False
            used = {home} if os.listdir(home) else set()
            ours = [RECORD, *atomic.leftovers(home, RECORD)] if recorded else []
            records = [record.parse(atomic.read(home, each, _LARGEST_RECORD)) for each in ours]
            if record.is_of_another(records, record.key_of(record.parse(contents.get(RECORD)))):
                remedy = "this is a mistake in Reelmill, or video.json there was changed: move that folder away"
                raise FolderTaken(f"{self._root / folder}: another video's results are there.", remedy=remedy)
            before = {name for each in records for name in record.files_of(each)}
            kept = record.carry_over(records[0], contents) if records else frozenset()
            open_dirs = {"": home, **_open_parts(stack, home, {*before, *contents}, contents, used)}
            for fd in used:
                atomic.sweep(fd, spare=ours)
            with _staged(open_dirs, contents, used) as staged:
                if not folder:
                    self._keep_foreign(home, contents)
                if records and used:
                    self._set_aside(folder, open_dirs, contents, before - kept, record.known_checksums(records))
                _show(open_dirs, staged, [name for name in contents if name != RECORD])
                _drop(open_dirs, before - kept - contents.keys() - {RECORD})
                _show(open_dirs, staged, [name for name in contents if name == RECORD])
            if len(ours) > 1:
                atomic.sweep(home)
        return True

    def _keep_foreign(self, root: int, names: Iterable[str]) -> None:
        """Keep what stands in our place and does not say that it is ours."""
        for name in names:
            head = atomic.head(root, name, MARKED)
            if head is not None and MARK.encode() not in head:
                self.edited.append(atomic.set_aside(root, name))
                _log.warning("output.was_taken", file=name, kept=self.edited[-1])

    def _set_aside(
        self,
        folder: str,
        open_dirs: Mapping[str, int],
        contents: Mapping[str, bytes],
        before: Set[str],
        sums: Mapping[str, Container[str]],
    ) -> None:
        """Keep what somebody else wrote or changed, before it is replaced or removed."""
        for name in sorted({*contents, *before} - {RECORD}):
            part, base = _split(name)
            if part not in open_dirs or (name in before and name not in sums):
                continue  # records of earlier releases hold no checksums: what they list counts as ours
            there = atomic.checksum(open_dirs[part], base)
            if there is None or there in sums.get(name, ()):
                continue
            if name in contents and atomic.holds(open_dirs[part], base, contents[name]):
                continue
            aside = "/".join(filter(None, [folder, part, atomic.set_aside(open_dirs[part], base)]))
            self.edited.append(aside)
            _log.warning("result.was_edited", file=f"{folder}/{name}", kept=aside)

    def _enter_home(self, stack: ExitStack, folder: str) -> int:
        """Open a folder, made when needed; without a name, the root."""
        root = self._enter_root(stack)
        if not folder:
            return root
        atomic.make(folder, root)
        os.fsync(root)
        return stack.enter_context(atomic.opened(folder, root))

    def _enter_root(self, stack: ExitStack) -> int:
        """Open the root, made and looked for behind links when needed."""
        if self._resolved:
            with suppress(OSError):
                return stack.enter_context(atomic.opened(self._resolved))
        self._root.mkdir(parents=True, exist_ok=True)
        self._resolved = str(self._root.resolve())
        return stack.enter_context(atomic.opened(self._resolved))

    def _missing(self, known: Mapping[str, Mapping[str, int | str]]) -> Set[str]:
        try:
            with atomic.opened(str(self._root.resolve())) as root:
                return {folder for folder, files in known.items() if not _is_whole(root, folder, files)}
        except OSError:
            return {*known}

    def _find_homes(self) -> Homes:
        """Return the videos' folders that are there, the newest of each.

        A lost state folder must not double them.
        """
        homes = Homes()
        with suppress(OSError):
            for each, tail in self._video_folders():
                other = homes.get(tail)
                if not other or _last_written(each.path) >= _last_written(f"{self._root}/{other}"):
                    homes.put(tail, each.name)
        return homes

    def _find_tails(self) -> TextSet:
        """Return the characters that the videos' folders there end with."""
        tails = TextSet()
        with suppress(OSError):
            for _, tail in self._video_folders():
                tails.add(tail)
        return tails

    def _video_folders(self) -> Iterator[tuple[os.DirEntry[str], str]]:
        """Yield the videos' folders that are there, with the key's characters.

        Where there are none to be read, whoever writes will say what is wrong.
        """
        with os.scandir(self._root) as entries:
            for each in entries:
                if layout.is_video_folder(each.name) and each.is_dir(follow_symlinks=False):
                    yield each, each.name.rpartition("--")[2]

    def _take_away(self, folder: str, subject: str, *, look: bool) -> Removal:
        if not layout.is_folder(folder):
            return Removal()
        try:
            with atomic.opened(str(self._root.resolve())) as root:
                return take_away(root, folder, subject, look=look)
        except FileNotFoundError:
            return Removal()

    def _has_index(self) -> bool:
        try:
            with atomic.opened(str(self._root.resolve())) as root:
                return atomic.size(root, INDEX) is not None
        except OSError:
            return False

    def _open_root(self) -> int:
        self._root.mkdir(parents=True, exist_ok=True)
        root = os.open(self._root.resolve(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            atomic.sweep(root)
        except BaseException:
            os.close(root)
            raise
        return root


def _is_whole(root: int, folder: str, files: Mapping[str, int | str]) -> bool:
    """True if all files are there as they are known."""
    if not layout.is_folder(folder) or not all(layout.is_file(name) for name in files):
        return False
    try:
        with atomic.opened(folder, root) as home:
            return all(
                (atomic.checksum if isinstance(fact, str) else atomic.size)(home, name) == fact
                for name, fact in files.items()
            )
    except OSError:
        return False


def _last_written(path: str) -> int:
    return os.stat(path, follow_symlinks=False).st_mtime_ns


def _encoded(folder: str, files: Sequence[OutFile], *, shared: bool = False) -> dict[str, bytes]:
    """Return name → content as bytes.

    Raises:
        Permanent: a name is not one of ours, or is there twice.
    """
    if not layout.is_folder(folder) and not (shared and not folder):
        raise Permanent(f"'{folder[:80]}' cannot be a folder of results.", code="output_name")
    contents: dict[str, bytes] = {}
    for file in files:
        fits = layout.is_file(file.name) and (folder or "/" not in file.name)
        if not fits or file.name in contents:
            why = "is written twice" if file.name in contents else "cannot be the name of a result"
            raise Permanent(f"'{file.name[:80]}' {why}.", code="output_name", remedy="this is a mistake in a job")
        contents[file.name] = file.data
    return contents


def _split(name: str) -> tuple[str, str]:
    part, _, base = name.rpartition("/")
    return part, base


def _open_parts(
    stack: ExitStack, home: int, names: Set[str], contents: Mapping[str, bytes], used: set[int]
) -> dict[str, int]:
    """Open these files' folders, made where needed; note in ``used`` the old ones."""
    found: dict[str, int] = {}
    for part in sorted({_split(name)[0] for name in names} - {""}):
        wanted = any(name.startswith(f"{part}/") for name in contents)
        made = wanted and atomic.make(part, home)
        if wanted or atomic.is_dir(home, part):
            found[part] = stack.enter_context(atomic.opened(part, home))
            used |= set() if made else {found[part]}
    return found


@contextmanager
def _staged(
    open_dirs: Mapping[str, int], contents: Mapping[str, bytes], used: Container[int]
) -> Iterator[dict[str, str]]:
    """Stage what is not there yet; yield name → temporary name.

    Only in ``used`` folders can anything be there; the others were made just now. Whoever shows a file takes it out.
    Where that fails halfway, the record stays staged: it tells the next write which of the files shown are ours.
    """
    staged: dict[str, str] = {}
    planned = 0
    try:
        wanted = []
        for name, content in contents.items():
            part, base = _split(name)
            if open_dirs[part] not in used or not atomic.holds(open_dirs[part], base, content):
                wanted.append((name, partial(atomic.stage, open_dirs[part], base, content)))
        _stage(wanted, staged)
        planned = len(staged)
        yield staged
    finally:
        for name, temp in staged.items():
            if name != RECORD or len(staged) >= planned:
                atomic.remove(open_dirs[_split(name)[0]], temp)


def _stage(wanted: Sequence[tuple[str, Callable[[], str]]], staged: dict[str, str]) -> None:
    """Write temporary files; many at once, because a disk syncs them together."""
    if len(wanted) < _MANY:
        for name, write in wanted:
            staged[name] = write()
        return
    with ThreadPoolExecutor(_TOGETHER) as pool:
        begun = [(name, pool.submit(write)) for name, write in wanted]
    staged |= {name: future.result() for name, future in begun if future.exception() is None}
    for _, future in begun:
        future.result()


def _show(open_dirs: Mapping[str, int], staged: dict[str, str], names: Sequence[str]) -> None:
    """Put staged files into their places, then sync the folders.

    Files that are there already are synced, too: an earlier write may have failed after it had shown them.
    """
    for name in names:
        part, base = _split(name)
        if name in staged:
            atomic.publish(open_dirs[part], staged[name], base)
            del staged[name]
    # The home comes with them: it holds the names of the others.
    for part in {"", *(_split(name)[0] for name in names)} if names else ():
        os.fsync(open_dirs[part])


def _drop(open_dirs: Mapping[str, int], names: Set[str]) -> None:
    for name in sorted(names):
        part, base = _split(name)
        if part in open_dirs and atomic.size(open_dirs[part], base) is not None:
            atomic.remove(open_dirs[part], base)


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    """Translate an operating system's error, with the place and a remedy."""
    try:
        yield
    except OSError as error:
        raise _trouble(error, place) from None


def _trouble(error: OSError, place: Path) -> ReelmillError:
    reason = error.strerror or type(error).__name__
    if error.errno in _FULL:
        remedy = "free some space; the results are kept and are written by the next run"
        return Transient(f"{place}: the disk is full.", code="disk_full", untouched=True, remedy=remedy)
    if error.errno in _FORBIDDEN:
        remedy = "correct its permissions, or name another folder in [run] output"
        message = f"{place}: writing is not permitted: {reason}."
        return Transient(message, code="output_not_writable", untouched=True, remedy=remedy)
    if error.errno in _IN_THE_WAY:
        remedy = "move away what is there: a link, or a file where a folder belongs"
        return Permanent(f"{place}: something else is in the way: {reason}.", code="output_blocked", remedy=remedy)
    remedy = "check the disk or network share it is on"
    return Transient(f"{place}: cannot be written now: {reason}.", code="output_trouble", untouched=True, remedy=remedy)
