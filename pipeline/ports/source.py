"""The port of sources: manifest lines, items, and the facts of a media file.

Conformance suite: ``tests/conformance/test_source.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from pipeline.core.model import (
    Json,
)


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """One line of a manifest; ``place`` is its file and line."""

    source: str  #: as written
    place: str = ""
    id: str = ""
    title: str = ""
    tags: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()  #: empty = as configured
    prompt: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    window: str = ""  #: the part that its questions are about, e.g. ``0:00-10:00``; empty: as configured


@dataclass(frozen=True, slots=True)
class Item:
    """A video or a list of videos, with its key, e.g. ``file:/films/a.mp4`` or ``youtube:video:<id>``."""

    key: str
    kind: Literal["file", "url", "youtube", "youtube_list"]
    locator: str  #: absolute path, or address
    line: ManifestLine
    bounds: Mapping[str, Json] = field(default_factory=dict)  #: what its list takes, from ``playlists.build_bounds``
    host: str = ""  #: on whose disk the file is; empty: on all that there are
    named: bool = True  #: by its line itself, not by a folder, pattern or playlist that it is in


@dataclass(frozen=True, slots=True)
class FoundCaptions:
    """The caption files beside a video, as one look found them."""

    files: tuple[Path, ...] = ()  #: .srt, .vtt or .ass, the most useful first
    stamp: str = ""  #: changes with each of the files; empty: there are none
    digest: str = ""  #: of the words of the one that is used; empty: none can be used
    spoken: str = ""  #: the language by which they were ordered


class CaptionLook(Protocol):
    """Looks at the caption files beside a video. Blocks, and never fails."""

    def beside(self, video: Path, spoken: str = "") -> tuple[Path, ...]:
        """Return a video's caption files, the most useful first."""
        ...

    def stamp(self, paths: Sequence[Path]) -> str:
        """Return what changes when one of these files does; empty for none."""
        ...

    def look(self, video: Path, spoken: str = "") -> FoundCaptions:
        """Return the files, with a stamp and a digest."""
        ...


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What a probe of the file found, before a byte moves."""

    path: Path
    size: int  #: bytes
    seconds: float
    width: int
    height: int
    container: str
    video_codec: str
    audio_codec: str  #: empty: silent
    mime: str
    sha256: str = ""  #: of the whole content
    mtime_ns: int = 0
    captions: tuple[Path, ...] = ()  #: .srt, .vtt or .ass files found beside it
    beside: FoundCaptions | None = None  #: the look that found them; None: they are not read
    thumbnail: Path | None = None  #: the picture that was fetched with it
    #: What the site says of a fetched video (title, channel …), or the file of itself (title, captions).
    about: Mapping[str, Json] = field(default_factory=dict)
    fetched: bool = False  #: the file is our own copy: to be removed once its upload is proved
    clock_start: float = 0.0  #: where the clock inside the file starts; a player calls that 0:00

    @property
    def aspect(self) -> float:
        """Long side over short side."""
        return max(self.width, self.height) / max(1, min(self.width, self.height))


class Source(Protocol):
    """Makes an item a file on this machine and reports its facts."""

    kind: str

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        """Return the facts of a readable media file, content hash included.

        Raises:
            InputError: this item cannot be used (missing, empty, unreadable, no video stream).
            Transient: try later.
        """
        ...
