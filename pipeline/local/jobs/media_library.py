"""The media folder: files that stand for YouTube's videos, named by id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.youtube_address import find_video_id

_MEDIA = ("mp4", "mkv", "webm", "mov", "m4v", "avi", "ts", "mpg", "mpeg", "flv", "wmv", "3gp", "ogv")
_CAPTIONS = ("vtt", "srt")
_MOST_CAPTIONS = 8_000_000  #: bytes


def youtube_id(url: object) -> str | None:
    """Return the video id of a YouTube address, or None for anything else."""
    return find_video_id(url) if isinstance(url, str) and len(url) <= 2048 else None


@dataclass(frozen=True, slots=True)
class LibraryVideo:
    """A video of the library; the title is empty where nothing has one."""

    path: Path
    title: str
    captions: str  #: text of a SubRip or WebVTT file beside it; empty without


class MediaLibrary:
    """Reads the folder at each call: files can be added. Blocking calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, video_id: str) -> LibraryVideo | None:
        """Return the video of an id: ``<id>.mp4`` or ``Some title [<id>].mp4``, with what lies beside it."""
        plain = (self.folder / f"{video_id}.{ending}" for ending in _MEDIA)
        path = next((path for path in plain if path.is_file()), None)
        path = path or next(self._named(video_id), None)
        if path is None:
            return None
        title = _described(path) or _named_title(path, video_id)
        # Names that are not UTF-8 hold lone surrogates, which the database cannot store.
        return LibraryVideo(path, title.encode("utf-8", "replace").decode(), _captions(path))

    def _named(self, video_id: str) -> Iterator[Path]:
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.iterdir()):
            if path.stem.endswith(f"[{video_id}]") and path.suffix[1:].lower() in _MEDIA and path.is_file():
                yield path


def _described(path: Path) -> str:
    """Return the title in yt-dlp's description beside the video, or empty."""
    try:
        data = json.loads(path.with_name(f"{path.stem}.info.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    title = data.get("title") if isinstance(data, dict) else None
    return " ".join(title.split()) if isinstance(title, str) else ""


def _named_title(path: Path, video_id: str) -> str:
    return path.stem.removesuffix(f"[{video_id}]").strip() if path.stem != video_id else ""


def _captions(path: Path) -> str:
    """Return the captions beside a video, ``<name>.vtt`` or ``<name>.<language>.vtt``; English ones first."""
    beside = [
        each
        for each in path.parent.iterdir()
        if each.name.startswith(f"{path.stem}.") and each.suffix[1:].lower() in _CAPTIONS
    ]
    for each in sorted(beside, key=lambda each: (not each.stem.rpartition(".")[2].startswith("en"), each.name)):
        try:
            if each.stat().st_size <= _MOST_CAPTIONS:
                return each.read_text(encoding="utf-8-sig", errors="replace")
        except OSError:
            continue
    return ""
