"""``results.jsonl``: written whole from a stream, or copied with a few other lines.

A copy looks at the beginning of each line only, and moves the rest by the megabyte. Our lines stand in front; behind them
stand those of others that were kept. Each piece of disk work is one hop to a worker thread.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedReader

import anyio
from anyio import to_thread

from pipeline.ports.sink import FindLines, IndexStamp, Keep, keep_none
from pipeline.sink import atomic, layout

INDEX = "results.jsonl"
_BUFFER = 1024 * 1024  #: bytes that are moved at once
_PAGE = 100  #: lines that are asked for at once


async def write(root: int, lines: AsyncIterator[str], keep: Keep) -> IndexStamp:
    """Write the file from a stream, then what is kept of the present one."""
    async with _new_file(root) as fd:
        async for block in _blocks(lines):
            await to_thread.run_sync(atomic.write, fd, block)
        kept = await to_thread.run_sync(partial(_keep_all, root, fd, keep)) if keep is not keep_none else 0
        return IndexStamp(*atomic.identity(fd), kept)


async def amend(
    root: int, stamp: IndexStamp, changed: Sequence[bytes], find: FindLines, keep: Keep
) -> IndexStamp | None:
    """Copy the file with other lines for those that begin so.

    None: it is not the file of the stamp.
    """
    with ExitStack() as stack:
        old = await to_thread.run_sync(partial(_open, stack, root, stamp))
        if old is None or not changed:
            return stamp if old is not None else None
        end = stamp.size - stamp.kept
        places = await to_thread.run_sync(partial(_find, old, end, changed))
        async with _new_file(root) as fd:
            at, there = 0, set[bytes]()
            for start in range(0, len(places), _PAGE):
                page = places[start : start + _PAGE]
                wanted = dict.fromkeys(place.begins for place in page if place.begins not in there)
                there |= wanted.keys()
                lines = dict(await find(list(wanted)))
                at = await to_thread.run_sync(partial(_replace, old, fd, at, page, lines))
            await to_thread.run_sync(partial(_copy, old, fd, at, end))
            new = [begins for begins in changed if begins not in there]
            for start in range(0, len(new), _PAGE):
                more = await find(new[start : start + _PAGE])
                await to_thread.run_sync(atomic.write, fd, b"".join(map(_encoded, more.values())))
            kept = await to_thread.run_sync(partial(_keep_rest, root, old, end, fd, keep))
            return IndexStamp(*atomic.identity(fd), kept)


@dataclass(frozen=True, slots=True)
class _OldLine:
    """A line that is replaced: where it starts and ends, how it begins."""

    start: int
    end: int
    begins: bytes


@asynccontextmanager
async def _new_file(root: int) -> AsyncIterator[int]:
    """Yield a new file's descriptor; in the end it is in place, or gone."""
    temp = atomic.temp_name(INDEX)
    fd = await to_thread.run_sync(atomic.create, root, temp)
    try:
        yield fd
        await to_thread.run_sync(partial(_finish, root, fd, temp))
    except BaseException:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(atomic.remove, root, temp)
        raise
    finally:
        os.close(fd)


def _finish(root: int, fd: int, temp: str) -> None:
    os.fsync(fd)
    atomic.publish(root, temp, INDEX)
    os.fsync(root)


def _open(stack: ExitStack, root: int, stamp: IndexStamp) -> BufferedReader | None:
    """Open the present file if it is that of the stamp."""
    old = stack.enter_context(atomic.reading(root, INDEX))
    same = old is not None and IndexStamp(*atomic.identity(old.fileno()), stamp.kept) == stamp
    return old if same else None


def _find(old: BufferedReader, end: int, changed: Sequence[bytes]) -> list[_OldLine]:
    """Return where lines begin so, in order, before a place in the file."""
    least = min(map(len, changed))
    heads = {begins[:least] for begins in changed}  # one look for each line, whatever their number
    wanted = set(changed)
    sizes = sorted({*map(len, changed)})
    found, at = [], 0
    for line in old:
        if at >= end:
            break
        if line[:least] in heads:
            begins = next((line[:size] for size in sizes if line[:size] in wanted), None)
            found += [_OldLine(at, at + len(line), begins)] if begins is not None else []
        at += len(line)
    return found


def _replace(old: BufferedReader, fd: int, at: int, page: Sequence[_OldLine], lines: dict[bytes, str]) -> int:
    """Copy from ``at`` on, with other lines in these places; return the last's end.

    A line that is there twice is written once.
    """
    for place in page:
        _copy(old, fd, at, place.start)
        if place.begins in lines:
            atomic.write(fd, _encoded(lines.pop(place.begins)))
        at = place.end
    return at


def _copy(old: BufferedReader, fd: int, start: int, end: int) -> None:
    """Copy the bytes between two places.

    Raises:
        OSError: they are not there any more.
    """
    old.seek(start)
    while start < end:
        block = old.read(min(_BUFFER, end - start))
        if not block:
            raise OSError(f"{INDEX} has become shorter")
        atomic.write(fd, block)
        start += len(block)


def _keep_all(root: int, fd: int, keep: Keep) -> int:
    with atomic.reading(root, INDEX) as old:
        return _keep_rest(root, old, 0, fd, keep) if old is not None else 0


def _keep_rest(root: int, old: BufferedReader, start: int, fd: int, keep: Keep) -> int:
    """Append the lines to keep whose folder is there; return their bytes."""
    old.seek(start)
    kept = 0
    for line in old:
        folder = keep(line)
        if folder and layout.is_folder(folder) and atomic.is_dir(root, folder):
            line = line if line.endswith(b"\n") else line + b"\n"
            atomic.write(fd, line)
            kept += len(line)
    return kept


async def _blocks(lines: AsyncIterator[str]) -> AsyncIterator[bytes]:
    """Yield the lines as bytes, about a megabyte at a time."""
    kept: list[bytes] = []
    size = 0
    async for line in lines:
        kept.append(_encoded(line))
        size += len(kept[-1])
        if size >= _BUFFER:
            yield b"".join(kept)
            kept, size = [], 0
    yield b"".join(kept)


def _encoded(line: str) -> bytes:
    """Return a line as bytes; a line end inside would make two of it."""
    return line.rstrip("\r\n").replace("\r", "").replace("\n", " ").encode("utf-8", "backslashreplace") + b"\n"
