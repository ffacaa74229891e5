"""Which caption files lie beside a video, and whether they changed. Blocks."""

from __future__ import annotations

import os
import unicodedata
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.core.model import fingerprint
from pipeline.ports.source import FoundCaptions
from pipeline.source.captions import ENDINGS, choose_captions, find_captions

_FOLDERS = 16
_BOUNDARIES = ". _-(["


class CaptionFiles:
    """``ports.CaptionLook``: a folder is listed once, until it changes."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int], Mapping[str, Sequence[str]]] = OrderedDict()

    def beside(self, video: Path, spoken: str = "") -> tuple[Path, ...]:
        """Return a video's caption files, the most useful first."""
        listed = self._listed(video.parent)
        names = {name: None for begin in (video.name, video.stem) for name in listed.get(_folded(begin), ())}
        return tuple(video.parent / name for name in find_captions(video.name, names, spoken)) if names else ()

    def stamp(self, paths: Sequence[Path]) -> str:
        """Return what changes when one of these files does; empty for none."""
        facts = []
        for path in sorted(paths):
            try:
                found = path.stat()
            except OSError:  # captions are a help, never a condition
                continue
            facts.append((path.name, found.st_size, found.st_mtime_ns))
        return fingerprint(facts) if facts else ""

    def look(self, video: Path, spoken: str = "") -> FoundCaptions:
        """Return the files, with a stamp and a digest."""
        files = self.beside(video, spoken)
        stamp = self.stamp(files)  # before it is read: what changes meanwhile is seen by the next look
        chosen = choose_captions(files)
        return FoundCaptions(files, stamp, "" if chosen is None else fingerprint(chosen[1].text), spoken)

    def _listed(self, folder: Path) -> Mapping[str, Sequence[str]]:
        """Return caption names by how they begin, up to each boundary."""
        try:
            key = (str(folder), folder.stat().st_mtime_ns)
            known = self._known.get(key)
            if known is None:
                with os.scandir(folder) as entries:
                    names = [e.name for e in entries if e.name.lower().endswith(ENDINGS) and e.is_file()]
                known = self._known[key] = _by_beginning(names)
                while len(self._known) > _FOLDERS:
                    self._known.popitem(last=False)
        except OSError:
            return {}
        return known


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
