"""Finds the file that still holds a video's content, before each attempt.

A file may be renamed, touched, replaced or written on between the moment it was hashed and the moment its bytes go out,
and between two attempts of one upload. What only moved is found; what has other content is never sent under that hash.
At its begin, a run also asks whether the files of finished items, and the captions beside them, are as they were.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import anyio
from anyio import to_thread

from pipeline.core.errors import InputError, Transient
from pipeline.core.model import State, Task
from pipeline.ingest.payloads import ItemData, VideoData
from pipeline.ports.source import CaptionLook

#: Size, time of change, inode and time of status change of a file: the last one nobody can set.
FileStamp: TypeAlias = list[int]
#: Codes of a video that failed because its content was not where it had been. Any file that holds it restarts the video.
LOST_FILE = ("file_missing", "file_changed")
_BLOCK = 1024 * 1024


def file_stamp(found: os.stat_result) -> FileStamp:
    """Return what tells a file that was written on from one that was not."""
    return [found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns]


def is_here(data: ItemData | VideoData, host: str) -> bool:
    """Tell whether a task's paths are of this machine's disk.

    ``host``: its name; empty where there is no other.
    """
    return not host or data.host in ("", host)


async def is_available(video: VideoData, *, external: bool, host: str = "") -> bool:
    """Return False where the video's site must be asked first.

    There is nothing here to hand over then.

    ``external``: the platform fetches the address of a site by itself. ``host``: see :func:`is_here`.
    """
    if external and video.external:
        return True
    if not video.path:
        return not video.external
    return not video.fetched or (is_here(video, host) and await anyio.Path(video.path).exists())


async def locate(video: VideoData, others: Sequence[str], host: str = "") -> tuple[Path, FileStamp]:
    """Return a path that holds the video's content, with its stamp.

    A file that was touched is hashed again. What is on another host's disk is not looked for on ours, where the same path
    may name something else.

    Raises:
        InputError: ``file_changed`` when there is a file but with other content; ``file_missing``.
    """
    different = ""
    for name in dict.fromkeys([*([video.path] if is_here(video, host) else []), *others]):
        path = Path(name)
        try:
            found = await anyio.Path(path).stat()
        except OSError:
            continue
        if found.st_size == video.size and (_is_untouched(found, video) or await _has_content(path, video.sha256)):
            return path, file_stamp(found)
        different = different or name
    if different:
        raise InputError(
            f"{different}: the file is not the one that was looked at: it changed before it was sent completely",
            code="file_changed",
            remedy="run again: what it holds now is a new video",
        )
    raise InputError(
        f"{video.path}: the file is gone" if is_here(video, host) else _went_with(video.path, video.host),
        code="file_missing",
        remedy="put it back, or name its new place in a run; other content is a new video",
    )


def check_here(item: ItemData, host: str) -> None:
    """Refuse a file of a host that does not come back.

    Raises:
        InputError: ``file_missing``.
    """
    if not is_here(item, host):
        raise InputError(
            _went_with(item.locator, item.host),
            code="file_missing",
            remedy="name the file in a run of a host that has it; what is known of its content counts",
        )


def _went_with(path: str, host: str) -> str:
    return f"{path}: the file was on the host {host}, which was forgotten"


def _is_untouched(found: os.stat_result, video: VideoData) -> bool:
    """Return True where nothing says that the file was touched.

    Or where there is no hash to compare with.
    """
    if not video.sha256:
        return True
    if video.stamp:
        return video.stamp == file_stamp(found)
    return not video.mtime_ns or video.mtime_ns == found.st_mtime_ns


async def _has_content(path: Path, sha256: str) -> bool:
    """Read the whole file and compare; one that changes meanwhile has no content."""
    stop = threading.Event()
    try:
        return await to_thread.run_sync(_digest, path, stop, abandon_on_cancel=True) == sha256
    except OSError as error:
        raise Transient(
            f"{path}: cannot be read now: {error.strerror or type(error).__name__}", code="disk_trouble", untouched=True,
            remedy="check the disk or network share it is on",
        ) from None  # fmt: skip
    finally:
        stop.set()


def _digest(path: Path, stop: threading.Event) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        before = file_stamp(os.fstat(stream.fileno()))
        while not stop.is_set() and (block := stream.read(_BLOCK)):
            digest.update(block)
        return digest.hexdigest() if file_stamp(os.fstat(stream.fileno())) == before else ""


# ---------------------------------------------------------------------------------------- between two runs; these block


def file_differs(path: str, item: Task) -> bool:
    """Return True if the file has another size or time than before."""
    data = ItemData.of(item)
    try:
        stat = Path(path).stat()
    except OSError:
        return False
    if data.mtime_ns is None:  # an earlier release kept no size and time of a file that it could not read
        return item.state is State.FAILED and max(stat.st_mtime, stat.st_ctime) > item.updated
    return (stat.st_size, stat.st_mtime_ns) != (data.size, data.mtime_ns)


def is_back(path: str, *tasks: Task | None) -> bool:
    """Return True for a file that could not be read, and now can."""
    failed = [task for task in tasks if task is not None and task.state is State.FAILED]
    codes = {task.trouble.code for task in failed if task.trouble is not None}
    return not codes.isdisjoint((*LOST_FILE, "permission_denied")) and Path(path).is_file() and os.access(path, os.R_OK)


def captions_differ(path: Path, item: Task, video: Task | None, captions: CaptionLook) -> bool:
    """Return True if the captions beside a finished file changed."""
    if item.state is not State.DONE or not path.is_file():
        return False
    found, before = captions.beside(path), ItemData.of(item).captions
    if before is not None:
        return captions.stamp(found) != before.stamp
    # An earlier release kept no more than their names.
    names = set(VideoData.of(video).captions) if video is not None else set()
    return {str(each) for each in found} != names or any(_younger(each, item.updated) for each in found)


def _younger(path: Path, then: float) -> bool:
    try:
        return path.stat().st_mtime > then
    except OSError:
        return False
