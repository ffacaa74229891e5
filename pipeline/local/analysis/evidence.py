"""The content extracted from a video: evidence, each piece with its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

#: ``chapter`` is a chapter mark of the container; the other three are also what a search can be narrowed to.
EvidenceKind: TypeAlias = Literal["conversation", "text_in_video", "shot", "chapter"]
CAPTIONS_GIVEN = "captions given"  #: source of captions handed in beside the file
ON_SCREEN = "on-screen text"
HEADING = "on-screen text (heading)"  #: the largest line near the top of a picture
PICTURE = "picture"
CHAPTER_MARKS = "embedded chapters"
SILENT_BELOW = -60.0  #: dBFS
SPEECH_FROM = 0.3  #: share of a second from which on somebody speaks in it; the rest are pauses
STILL_BELOW = 0.12  #: a shot with less motion is a picture that stands


@dataclass(frozen=True, slots=True)
class Evidence:
    """One piece read or measured, from ``start`` to ``end`` seconds."""

    start: float
    end: float
    kind: EvidenceKind
    text: str  #: as read, white space collapsed; never composed, except the plain description of a shot
    source: str  #: ``embedded captions (eng)`` or one of the constants above


@dataclass(frozen=True, slots=True)
class Facts:
    """What the container says and the first frame shows."""

    seconds: float
    width: int  #: pixels as shown
    height: int
    fps: float  #: 0.0 where the container does not say
    container: str  #: FFmpeg's name of the format, e.g. ``mov,mp4,m4a,3gp,3g2,mj2``
    video_codec: str
    audio_codec: str  #: empty without sound
    has_audio: bool
    size: int  #: bytes
    bitrate: int  #: bits per second, over the whole file
    mime: str
    filmed: str  #: ISO 8601, as the file says; empty where it does not
    camera: str  #: make and model, as the file says; empty where it does not
    begins: float = 0.0  #: where the clock inside the file starts; all times here count from there


@dataclass(frozen=True, slots=True)
class Shot:
    """A span without a cut."""

    start: float
    end: float
    motion: float  #: share of the picture that moves, averaged over the shot, 0 to 1
    colours: tuple[str, ...]  #: in order of area, at most three

    @property
    def still(self) -> bool:
        """True for a picture that stands, even with a camera in its corner."""
        return self.motion < STILL_BELOW


@dataclass(frozen=True, slots=True)
class ExtractedContent:
    """Everything found in one video, in time order within each kind."""

    facts: Facts
    evidence: tuple[Evidence, ...]
    title: str  #: from the container's metadata; empty without
    shots: tuple[Shot, ...] = ()
    motion: tuple[float, ...] = ()  #: share of the picture that moves, second by second, cuts left out
    loudness: tuple[float, ...] = ()  #: dBFS, second by second; empty where no sound was decoded
    notes: tuple[str, ...] = ()  #: what was not looked at and why, one sentence each
    speech: tuple[float, ...] = ()  #: share of speech, second by second; empty where nobody listened

    def of(self, *kinds: EvidenceKind) -> tuple[Evidence, ...]:
        """Return the evidence of these kinds."""
        return tuple(item for item in self.evidence if item.kind in kinds)

    def to_json(self) -> bytes:
        """Return the whole as JSON text."""
        return _CONTENT.dump_json(self)

    @classmethod
    def from_json(cls, text: bytes) -> ExtractedContent:
        """Read back what :meth:`to_json` wrote; raises ValueError for anything else."""
        return _CONTENT.validate_json(text)


_CONTENT = TypeAdapter(ExtractedContent)
Picture: TypeAlias = npt.NDArray[np.uint8]  #: height x width x 3 (RGB) or height x width (grey)
