"""What was found in a video. One list; everything the local platform answers is a view of it and carries its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from pipeline.core.model import Json

#: ``chapter`` is a chapter mark of the container; the other three are also what a search can be narrowed to.
EvidenceKind: TypeAlias = Literal["conversation", "text_in_video", "shot", "chapter"]

CAPTIONS_GIVEN = "captions given"  #: source of captions handed in beside the file

ON_SCREEN = "on-screen text"

HEADING = "on-screen text (heading)"  #: the largest line near the top of a picture

PICTURE = "picture"

CHAPTER_MARKS = "embedded chapters"

STILL_BELOW = 0.12  #: a shot with less motion is a picture that stands


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing read or measured. ``start`` and ``end`` are seconds from the beginning of the video."""

    start: float
    end: float
    kind: EvidenceKind
    text: str  #: as read, white space collapsed; never composed, except the plain description of a shot
    source: (
        str  #: ``embedded captions (eng)``, ``captions given``, ``on-screen text``, ``picture``, ``embedded chapters``
    )


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


@dataclass(frozen=True, slots=True)
class Shot:
    """A span without a cut."""

    start: float
    end: float
    motion: float  #: share of the picture that moves, averaged over the shot, 0 to 1
    colours: tuple[str, ...]  #: in order of area, at most three

    @property
    def still(self) -> bool:
        """True for a picture that stands, such as a slide, even with a camera in its corner."""
        return self.motion < STILL_BELOW


@dataclass(frozen=True, slots=True)
class ExtractedContent:
    """Everything found in one video, in time order within each kind. Small: text and times only, no pictures."""

    facts: Facts
    evidence: tuple[Evidence, ...]
    title: str  #: from the container's metadata; empty without
    shots: tuple[Shot, ...] = ()
    notes: tuple[str, ...] = ()  #: what was not looked at and why, one sentence each

    def of(self, *kinds: EvidenceKind) -> tuple[Evidence, ...]:
        """Return the evidence of these kinds."""
        return tuple(item for item in self.evidence if item.kind in kinds)

    def as_json(self) -> dict[str, Json]:
        """Return the whole as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> ExtractedContent:
        """Read back what :meth:`as_json` wrote, before or after a trip through JSON text.

        Raises:
            KeyError, TypeError, ValueError: the data was written by something else.
        """
        evidence = tuple(Evidence(**item) for item in data["evidence"])
        if strange := {item.kind for item in evidence} - set(get_args(EvidenceKind)):
            raise ValueError(f"unknown kinds of evidence: {sorted(strange)}")
        return cls(
            facts=Facts(**data["facts"]),
            evidence=evidence,
            title=data["title"],
            shots=tuple(Shot(s["start"], s["end"], s["motion"], tuple(s["colours"])) for s in data["shots"]),
            notes=tuple(data["notes"]),
        )


Picture: TypeAlias = npt.NDArray[np.uint8]  #: height x width x 3 (RGB) or height x width (grey)
