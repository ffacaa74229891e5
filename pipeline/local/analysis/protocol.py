"""What the server asks of the analysis: requests, answers and refusals."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from pipeline.core.model import Json


class AnalysisRefused(Exception):
    """The request cannot be served; ``code`` is an error code of the API."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class AnalysisCrashed(Exception):
    """The analysis itself broke down (not the video's fault as far as we know)."""


@dataclass(frozen=True, slots=True)
class ProbedFile:
    """What a quick look at an uploaded file tells."""

    seconds: float
    width: int
    height: int
    sha256: str
    mime: str
    technical: dict[str, Json]  #: ``technical_metadata`` of the API
    title: str = ""  #: from the container's metadata


@dataclass(frozen=True, slots=True)
class AnalysisRequest:
    """One question about one stored video; ``schema`` None asks for free text."""

    path: str
    sha256: str
    cache: str  #: folder of extracted contents
    name: str
    title: str
    captions: tuple[str, ...]  #: texts of WebVTT or SRT files handed in by the caller
    prompt: str = ""
    schema: Mapping[str, Json] | None = None
    start: float | None = None
    end: float | None = None
    max_tokens: int = 4096

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> AnalysisRequest:
        """Read back what ``dataclasses.asdict`` and JSON have made of it."""
        return cls(**{**data, "captions": tuple(data["captions"])})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. ``finish_reason`` is ``length`` where ``max_tokens`` cut it."""

    text: str
    finish_reason: str
    input_tokens: int
    output_tokens: int
    warning: str = ""  #: why it is not as good as it might be
    written_by: str = ""  #: the model that wrote it; empty: quoted and measured


@dataclass(frozen=True, slots=True)
class Clip:
    """Words between two times, seconds.

    ``kind`` is ``conversation`` (one caption), ``sentence`` (what captions say, cut where sentences end) or
    ``text_in_video`` (one line on the screen).
    """

    kind: str
    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class VideoWords:
    """All words of a video.

    ``unread`` names the kinds that could not be looked for: there, no clips do not mean no words.
    """

    clips: tuple[Clip, ...]
    unread: tuple[str, ...] = ()

    def of(self, kind: str) -> list[Clip]:
        """Return the clips of a kind, in time order."""
        return [clip for clip in self.clips if clip.kind == kind]

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> VideoWords:
        """Read back what ``dataclasses.asdict`` and JSON have made of it."""
        return cls(tuple(Clip(**clip) for clip in data["clips"]), tuple(data["unread"]))


@dataclass(frozen=True, slots=True)
class Brief:
    """All evidence of the part that counts, for a model; seconds.

    ``clips`` are in time order: besides the kinds of a search there are ``chapter``, ``shot`` and ``measured``.
    """

    start: float
    end: float
    clips: tuple[Clip, ...]
    calm: tuple[float, ...] = ()  #: a moment of each shot at which little moves

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Brief:
        """Read back what ``dataclasses.asdict`` and JSON have made of it."""
        clips = tuple(Clip(**clip) for clip in data["clips"])
        return cls(data["start"], data["end"], clips, tuple(data["calm"]))


@dataclass(frozen=True, slots=True)
class SentenceVectors:
    """Vectors of texts, in their order; vectors of different models cannot be compared."""

    model: str
    rows: tuple[bytes, ...]  #: one signed byte a number

    def to_json(self) -> dict[str, Json]:
        """Return JSON values."""
        return {"model": self.model, "rows": [base64.b64encode(row).decode() for row in self.rows]}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> SentenceVectors:
        """Read back what :meth:`to_json` has made."""
        return cls(data["model"], tuple(base64.b64decode(row) for row in data["rows"]))


class Analyzer(Protocol):
    """An analysis; its blocking calls raise :class:`AnalysisRefused`."""

    def probe(self, path: Path) -> ProbedFile:
        """Take a quick look at a file, which must be a readable video."""
        ...

    def answer(self, request: AnalysisRequest) -> Reply:
        """Answer a question."""
        ...

    def words(self, request: AnalysisRequest) -> VideoWords:
        """Return what is said, as far as captions tell, and what is written."""
        ...

    def brief(self, request: AnalysisRequest) -> Brief:
        """Return the evidence that a question is to be answered from."""
        ...

    def picture(self, path: Path, at: float) -> bytes:
        """Return the picture at a time, seconds, as a JPEG."""
        ...

    def vectors(self, texts: Sequence[str]) -> SentenceVectors:
        """Return the vectors of texts by the sentence model that is there."""
        ...


def count_tokens(text: str) -> int:
    """Return the length in tokens as this platform counts them: four characters each."""
    return max(1, -(-len(text) // 4))


def truncated(text: str, request: AnalysisRequest, input_tokens: int) -> Reply:
    """Build the reply of a whole text, cut to the wanted length."""
    count = count_tokens(text)
    if count <= request.max_tokens:
        return Reply(text, "stop", input_tokens, count)
    return Reply(text[: request.max_tokens * 4], "length", input_tokens, request.max_tokens)


def dispatch(analyzer: Analyzer, do: str, data: Mapping[str, Json]) -> Json:
    """Carry out one request in JSON values; raises :class:`AnalysisRefused`."""
    if do == "probe":
        return asdict(analyzer.probe(Path(data["path"])))
    if do == "picture":
        return base64.b64encode(analyzer.picture(Path(data["path"]), data["at"])).decode()
    if do == "vectors":
        return analyzer.vectors(data["texts"]).to_json()
    request = AnalysisRequest.from_json(data)
    if do == "brief":
        return asdict(analyzer.brief(request))
    return asdict(analyzer.words(request) if do == "words" else analyzer.answer(request))
