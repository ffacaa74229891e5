"""The port of sources: manifest lines, items, and the facts of a media file.

Conformance suite: ``tests/conformance/test_source.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True)
class Item:
    """A video or a list of videos, with its key, e.g. ``file:/films/a.mp4`` or ``youtube:video:<id>``."""

    key: str
    kind: Literal["file", "url", "youtube", "youtube_list"]
    locator: str  #: absolute path, or address
    line: ManifestLine
    bounds: Mapping[str, Json] = field(default_factory=dict)  #: what its list takes, from ``playlists.build_bounds``


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
    captions: tuple[Path, ...] = ()  #: .srt/.vtt files found beside it
    thumbnail: Path | None = None  #: the picture that was fetched with it
    #: What the site says of a fetched video (title, channel …), or the file of itself (title, captions).
    about: Mapping[str, Json] = field(default_factory=dict)
    fetched: bool = False  #: the file is our own copy: to be removed once its upload is proved

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
