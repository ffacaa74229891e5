"""The caption files of a video, and whether they changed. Blocks."""

from __future__ import annotations

import os
import unicodedata
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.config.source import SourceSection
from pipeline.core.model import fingerprint
from pipeline.ports.source import FoundCaptions
from pipeline.source.captions import ENDINGS, FOLDERS, choose_captions, find_captions

_LISTINGS = 16
_VIDEOS = frozenset(f".{each}" for each in SourceSection().extensions)
_BOUNDARIES = ". _-(["


@dataclass(frozen=True, slots=True)
class _FolderListing:
    """What a folder holds, as far as captions go."""

    captions: tuple[str, ...] = ()  #: all names
    begins: Mapping[str, Sequence[str]] = field(default_factory=dict)  #: those names by how they begin
    folders: Mapping[str, Sequence[str]] = field(default_factory=dict)  #: names of folders by their folded names
    videos: int = 0


class CaptionFiles:
    """``ports.CaptionLook``: a folder is listed once, until it changes."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int], _FolderListing] = OrderedDict()

    def beside(self, video: Path, spoken: str = "") -> tuple[Path, ...]:
        """Return a video's caption files, the most useful first."""
        listed = self._listed(video.parent)
        names = dict.fromkeys(self._candidates(video, listed))
        if not names:
            return ()
        return tuple(video.parent / name for name in find_captions(video.name, names, spoken, alone=listed.videos == 1))

    def stamp(self, paths: Sequence[Path]) -> str:
        """Return what changes when one of these files does; empty for none."""
        facts = []
        for path in sorted(paths):
            try:
                found = path.stat()
            except OSError:  # captions are a help, never a condition
                continue
            facts.append((_name_in_stamp(path), found.st_size, found.st_mtime_ns))
        return fingerprint(facts) if facts else ""

    def look(self, video: Path, spoken: str = "") -> FoundCaptions:
        """Return the files, with a stamp and a digest."""
        files = self.beside(video, spoken)
        stamp = self.stamp(files)  # before it is read: what changes meanwhile is seen by the next look
        chosen = choose_captions(files)
        return FoundCaptions(files, stamp, "" if chosen is None else fingerprint(chosen[1].text), spoken)

    def _candidates(self, video: Path, listed: _FolderListing) -> Iterator[str]:
        """Yield names that may be a video's, as seen from its folder."""
        begins = (_folded(video.name), _folded(video.stem))
        for begin in begins:
            yield from listed.begins.get(begin, ())
        for folder in (name for each in FOLDERS for name in listed.folders.get(each, ())):
            inside = self._listed(video.parent / folder)
            for begin in begins:
                names = inside.captions if listed.videos == 1 else inside.begins.get(begin, ())
                yield from (f"{folder}/{name}" for name in names)
                for own in inside.folders.get(begin, ()):
                    yield from (f"{folder}/{own}/{name}" for name in self._listed(video.parent / folder / own).captions)

    def _listed(self, folder: Path) -> _FolderListing:
        try:
            key = (str(folder), folder.stat().st_mtime_ns)
            known = self._known.get(key)
            if known is None:
                known = self._known[key] = _list(folder)
                while len(self._known) > _LISTINGS:
                    self._known.popitem(last=False)
        except OSError:
            return _FolderListing()
        return known


def _list(folder: Path) -> _FolderListing:
    names: list[str] = []
    folders: dict[str, list[str]] = {}
    videos = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            ending = os.path.splitext(entry.name)[1].lower()
            if ending in ENDINGS and entry.is_file():
                names.append(entry.name)
            elif ending in _VIDEOS:
                videos += 1
            elif entry.is_dir():
                folders.setdefault(_folded(entry.name), []).append(entry.name)
    return _FolderListing(tuple(names), _by_beginning(names), folders, videos)


def _name_in_stamp(path: Path) -> str:
    """Return a file's name, with the folder of captions that it lies in."""
    depth = next(
        (depth for depth in (-2, -3) if len(path.parts) >= -depth and _folded(path.parts[depth]) in FOLDERS), -1
    )
    return "/".join(path.parts[depth:])


def _by_beginning(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        body = _folded(name)[:-4]
        for end in range(1, len(body) + 1):
            if end == len(body) or body[end] in _BOUNDARIES:
                found.setdefault(body[:end], []).append(name)
    return found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
