"""Files on this machine as a source; never on the event loop.

Facts, content hash, captions beside it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from anyio import from_thread, to_thread

from pipeline.core.clock import Clock
from pipeline.core.errors import InputError, Transient
from pipeline.ports.source import Item, MediaFacts
from pipeline.source.caption_files import CaptionFiles
from pipeline.source.captions import describe_captions
from pipeline.source.file_content import explain, is_fresh, not_ready, promised_size
from pipeline.source.read_errors import to_read_error

_BLOCK = 1024 * 1024
#: A file touched this shortly before it was hashed may change again without its time stamp showing it. Seconds.
_SETTLED = 3.0


class HashCache(Protocol):
    """Remembers content hashes: a library of terabytes is not read again every night."""

    async def cached(self, path: str, size: int, mtime_ns: int, inode: int) -> str | None:
        """Return the remembered SHA-256 (hex) of exactly this state of a file, or None."""
        ...

    async def remember(self, path: str, size: int, mtime_ns: int, inode: int, sha256: str) -> None:
        """Remember a hash in place of an earlier one for the same path."""
        ...


class FileSource:
    """Source of items of kind ``file``. One instance may serve many tasks at once.

    ``captions``: False where nobody reads those beside a file.
    """

    kind = "file"

    def __init__(
        self,
        clock: Clock,
        cache: HashCache | None = None,
        *,
        complete: bool = False,
        captions: bool = True,
    ) -> None:
        self._clock = clock
        self._complete = complete  # nobody else writes the files: there is nothing to wait for
        self._cache = cache
        self._captions = CaptionFiles() if captions else None

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        """Return the facts of the file, which stays where it is.

        ``workdir`` is not used.

        Raises:
            InputError: ``file_missing``, ``not_a_file``, ``file_empty``, ``permission_denied``, ``unreadable_video`` or
                ``no_video_stream``.
            Transient: ``disk_trouble``, or ``file_changed`` while it is still being written.
            NotYet: ``file_not_ready``: it changed a moment ago and is not complete.
        """
        path = Path(item.locator)
        now = None if self._complete else self._clock.now()
        facts, before, spoken = await to_thread.run_sync(partial(_probe, path, from_thread.check_cancelled, now))
        sha256 = await self._hash(path, before)
        if self._captions is None:
            return replace(facts, sha256=sha256)
        beside = await to_thread.run_sync(partial(self._captions.look, path, spoken))
        about = {**facts.about, **await to_thread.run_sync(describe_captions, beside.files)}
        return replace(facts, sha256=sha256, captions=beside.files, beside=beside, about=about)

    async def _hash(self, path: Path, before: os.stat_result) -> str:
        state = (str(path), before.st_size, before.st_mtime_ns, before.st_ino)
        if self._cache is not None and (known := await self._cache.cached(*state)):
            return known
        sha256 = await to_thread.run_sync(partial(_sha256, path, before, from_thread.check_cancelled))
        if self._cache is not None and self._clock.now() - before.st_mtime > _SETTLED:
            await self._cache.remember(*state, sha256)
        return sha256


def probe_file(path: Path, now: float | None = None) -> MediaFacts:
    """Return the facts without content hash and captions. Blocks.

    Raises what ``fetch`` raises, NotYet only with ``now``.
    """
    return _probe(path, lambda: None, now)[0]


def hash_file(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's content. Blocks; raises what ``fetch`` raises."""
    try:
        before = path.stat()
    except OSError as error:
        raise to_read_error(error, path) from None
    return _sha256(path, before, lambda: None)


def _probe(
    path: Path, checkpoint: Callable[[], None], now: float | None = None
) -> tuple[MediaFacts, os.stat_result, str]:
    from pipeline.source.media_probe import probe_media  # FFmpeg's libraries take a moment to load: only where needed

    try:
        before = path.stat()
        if not stat.S_ISREG(before.st_mode):  # before opening: a pipe would be waited for
            raise InputError(f"{path}: this is not a regular file.", code="not_a_file", remedy="name a file")
        with path.open("rb") as file:
            if is_fresh(before, now) and promised_size(file, before.st_size) > before.st_size:
                raise not_ready(path, before, now or 0.0)
    except OSError as error:
        raise to_read_error(error, path) from None
    try:
        if before.st_size == 0:
            raise InputError(f"{path}: the file is empty.", code="file_empty", remedy="copy it again")
        seen = probe_media(path, checkpoint)
    except InputError as error:
        raise explain(path, before, error, now) from None
    facts = MediaFacts(
        path=path,
        size=before.st_size,
        seconds=seen.seconds,
        width=seen.width,
        height=seen.height,
        container=seen.container,
        video_codec=seen.video_codec,
        audio_codec=seen.audio_codec,
        mime=seen.mime,
        mtime_ns=before.st_mtime_ns,
        about={"title": seen.title} if seen.title else {},
        clock_start=seen.clock_start,
    )
    return facts, before, seen.language


def _sha256(path: Path, before: os.stat_result, checkpoint: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as stream:
            while block := stream.read(_BLOCK):
                checkpoint()
                digest.update(block)
            after = os.fstat(stream.fileno())
    except OSError as error:
        raise to_read_error(error, path) from None
    if _file_stamp(after) != _file_stamp(before):
        raise Transient(
            f"{path}: the file changed while it was read.",
            code="file_changed",
            after=30.0,
            untouched=True,
            remedy="wait until it is copied completely; it is tried again by itself",
        )
    return digest.hexdigest()


def _file_stamp(facts: os.stat_result) -> tuple[int, int, int, int]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
