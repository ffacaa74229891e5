"""One download's folder, and what in it may be resumed. Blocks.

For worker threads.
Only what yt-dlp resumes safely stays: single files over plain http(s), of the same formats and sizes as before. Fragments,
merges and everything without a record are removed: a resumed HLS file can be wrong without any error.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.core.errors import InputError, Transient
from pipeline.core.model import Json
from pipeline.source.read_errors import to_read_error
from pipeline.source.youtube.formats import StreamFormat, parse_record, to_record

_RECORD, _DONE, _KEPT = "attempt.json", "done.json", "kept"
CAPTIONS = "captions"
_PLAIN = re.compile(r"[0-9A-Za-z_-]{1,64}")


@dataclass(frozen=True, slots=True)
class FinishedDownload:
    """A download that was checked and found whole."""

    path: Path
    size: int
    sha256: str
    about: Json


class DownloadFolder:
    """The folder of one video; inside its context, this process owns it."""

    def __init__(self, base: Path, video: str) -> None:
        if not _PLAIN.fullmatch(video):  # ids are checked where they come in; this one names a folder
            raise InputError("This is no YouTube id.", code="youtube_bad_id", remedy="copy the address again")
        # Ids differ by case alone, and some disks do not tell case: the hash does. None may begin with a hyphen.
        self.path = base.absolute() / _name(video)
        self._video = video
        self._lock = FileLock(self.path.with_suffix(".lock"), timeout=0, mode=0o600)

    def __enter__(self) -> DownloadFolder:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise Transient("Another download of this video is still at work.", code="busy", after=30.0) from None
        except OSError as error:
            raise to_read_error(error, self.path) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def finished(self) -> FinishedDownload | None:
        """Return what an earlier attempt finished, if it is still there."""
        kept = _load(self.path / _DONE)
        try:
            path = self.path / str(kept["name"])
            if path.stat().st_size != kept["size"]:
                return None
            return FinishedDownload(path, kept["size"], kept["sha256"], kept["about"])
        except (KeyError, TypeError, OSError):
            return None

    def prepare(self, formats: Sequence[StreamFormat]) -> int:
        """Make the folder fit for these formats; return the bytes kept.

        Writes the record that the next attempt decides by, before the first byte comes.
        """
        record: dict[str, Json] = {"video": self._video, "formats": to_record(formats)}
        safe = all(each.whole and each.size for each in formats)
        if not safe or _load(self.path / _RECORD) != record:
            self.empty()
        kept = self._keep(formats)
        _store(self.path / _RECORD, record)
        return kept

    def trim(self) -> int:
        """Remove what no later attempt can resume; return the bytes that stay."""
        record = _load(self.path / _RECORD)
        formats = parse_record(record.get("formats")) if isinstance(record, dict) else []
        if not formats or not all(each.whole and each.size for each in formats):
            self.empty()
            return 0
        return self._keep(formats)

    def _keep(self, formats: Sequence[StreamFormat]) -> int:
        """Remove all but useful files and parts; return the bytes left."""
        sizes = {f"{self._video}.{each.id}.{each.ext}": each.size or 0 for each in formats}
        if len(formats) > 1:  # before a merge, yt-dlp puts the format's id in once more
            sizes |= {
                f"{self._video}.{'+'.join(other.id for other in formats)}.f{each.id}.{each.ext}": each.size or 0
                for each in formats
            }
        bytes_kept = 0
        for entry in self.path.iterdir():
            size, whole = entry.lstat().st_size, sizes.get(entry.name)
            part = sizes.get(entry.name.removesuffix(".part")) if entry.name.endswith(".part") else None
            # A complete .part would be answered with 416 for ever; a whole file counts only with its exact size.
            if (whole and size == whole) or (part and size < part):
                bytes_kept += size
            elif entry.name != _RECORD:
                _remove(entry)
        return bytes_kept

    def empty(self) -> None:
        """Remove everything in it."""
        for entry in list(self.path.iterdir()):
            _remove(entry)

    def remove(self) -> None:
        """Remove the folder, the proof that its file is whole last.

        A kill on the way loses nothing.
        """
        for entry in sorted(self.path.iterdir(), key=lambda entry: entry.name == _DONE):
            _remove(entry)
        self.path.rmdir()
        self.path.with_suffix(".lock").unlink(missing_ok=True)

    @property
    def kept(self) -> bool:
        """True for what stays on purpose."""
        return (self.path / _KEPT).exists()

    @property
    def touched(self) -> float:
        """When something in it last changed, in epoch seconds."""
        return max(entry.lstat().st_mtime for entry in (self.path, *self.path.iterdir()))

    def tidy(self, media: Path) -> None:
        """Remove everything beside the downloaded file except captions."""
        for entry in list(self.path.iterdir()):
            if entry != media and not entry.name.startswith(CAPTIONS):
                _remove(entry)

    def finish(self, done: FinishedDownload) -> None:
        """Record that this file is whole, and all beside it there."""
        for entry in self.path.iterdir():
            _sync(entry)  # or the record could outlive what it vouches for
        kept = {"name": done.path.name, "size": done.size, "sha256": done.sha256, "about": done.about}
        _store(self.path / _DONE, kept)


def discard_download(path: Path) -> None:
    """Remove the folder of a fetched file, and no other folder."""
    folder = path.parent
    video = parse_video_id(folder)
    if video is not None and (folder / _DONE).exists():
        with suppress(OSError):  # the next run cleans up what is left
            DownloadFolder(folder.parent, video).remove()


def release_download(path: Path, *, keep: bool) -> None:
    """Remove a file whose upload is proved, or keep it uncounted."""
    if not keep:
        discard_download(path)
    elif (path.parent / _DONE).exists():
        (path.parent / _KEPT).touch()


def measure_usage(base: Path) -> dict[str, int]:
    """Return the bytes of each folder, without what is kept on purpose."""
    found = {}
    for folder in list_folders(base):
        try:
            if not (folder / _KEPT).exists():
                found[folder.name] = measure_folder(folder)
        except OSError:  # it was discarded just now
            continue
    return found


def measure_folder(folder: Path) -> int:
    """Return the bytes of what lies in a folder."""
    return sum(entry.lstat().st_size for entry in folder.iterdir())


def parse_video_id(folder: Path) -> str | None:
    """Return the video whose folder this is, or None for any other folder."""
    video = folder.name[3:-7]
    return video if video and folder.name == _name(video) else None


def list_folders(base: Path) -> list[Path]:
    """Return the folders of videos: the run's, and the embedded platform's."""
    return [entry for depth in ("", "*/youtube/") for entry in base.glob(f"{depth}yt_*") if entry.is_dir()]


def _name(video: str) -> str:
    return f"yt_{video}_{sha256(video.encode()).hexdigest()[:6]}"


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _sync(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())


def _store(path: Path, value: Json) -> None:
    """Write the whole record or nothing: a torn one must vouch for none."""
    beside = path.with_suffix(".new")
    with beside.open("w", encoding="utf-8") as stream:
        json.dump(value, stream, ensure_ascii=False)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)
