"""What is left out of folders and patterns.

Working files of downloaders, text named like a video, folders of systems.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.model import Trouble
from pipeline.source.manifest.lines import HEAD, find_text_problem
from pipeline.views import LeftOut

#: Unfinished: ``film.mp4.part``, ``film.part``, ``film.mp4.part-Frag12``.
_PARTIAL = re.compile(
    r"\.(?:part|partial|filepart|crdownload|download|opdownload|aria2|ytdl|!ut|!qb|unconfirmed)(?:-Frag\d+(?:\.part)?)?$",
    re.IGNORECASE,
)
_NAMES = {
    "unfinished": re.compile(r"\.te?mp\.\w{2,4}$", re.IGNORECASE),  # film.temp.mp4 of yt-dlp
    #: One stream of a video, before picture and sound are put together: film.f137.mp4, film.fhls-1080p.mp4.
    "stream": re.compile(r"\.f(?:\d{3,4}(?:-\w+)?|(?:hls|dash|https?)[-_][^.]*)\.\w{2,4}$"),
}
#: Of storage systems and tools; their pictures and previews are no videos of the user's.
_SYSTEM = frozenset({
    "@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin", "system volume information",
    "lost+found", "__macosx", "node_modules",
})  # fmt: skip
_ALSO_TEXT = frozenset({"ts", "mts"})  #: MPEG transport streams, and TypeScript
_WORDS = {
    "unfinished": ("unfinished download", "unfinished downloads"),
    "stream": ("single stream of a download", "single streams of downloads"),
    "text": ("text file named like a video", "text files named like videos"),
    "system": ("folder of a storage system or tool", "folders of storage systems or tools"),
}


@dataclass(slots=True)
class Sieve:
    """Says what a folder or pattern leaves out, unless spelled out."""

    pattern: str = ""
    left: dict[str, str] = field(default_factory=dict)  #: path -> why

    def takes(self, path: str, ending: str) -> bool:
        """Return False for a file that is left out; may read its head."""
        name = Path(path).name
        shapes = (why for why, shape in _NAMES.items() if shape.search(name) and not shape.search(self.pattern))
        return self._note(path, next(shapes, "") or ("text" if ending in _ALSO_TEXT and _is_text(path) else ""))

    def enters(self, folder: str) -> bool:
        """Return False for a folder that is left out."""
        return self._note(folder, "system" if Path(folder).name.lower() in _SYSTEM else "")

    def passes_over(self, path: str) -> None:
        """Remember a file if it is an unfinished download."""
        self._note(path, "unfinished" if _PARTIAL.search(path) else "")

    def _note(self, path: str, why: str) -> bool:
        if why:
            self.left[path] = why
        return not why

    def told(self, place: str, source: str) -> LeftOut:
        """Return what was left out, for the report."""
        counts = dict(sorted(Counter(self.left.values()).items()))
        words = [f"{number:,} {_WORDS[why][number != 1]}" for why, number in counts.items()]
        return LeftOut(
            place, source, Trouble("left_out", f"{', '.join(words)}.", "name a file itself to take it"), counts
        )


def _is_text(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False  # whoever opens it will say why
    trouble = find_text_problem(head)
    packets = head[:1] == head[188:189] == b"G"
    return bool(head) and not packets and (trouble is None or trouble.code == "manifest_utf16")
