"""What the server asks of the analysis, and the real analysis behind it. The latter runs in a process of its own."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.core.model import Json

if TYPE_CHECKING:
    from pipeline.local.analysis.evidence import ExtractedContent


class Refused(Exception):
    """The video or the question cannot be served; ``code`` is an error code of the API."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Look:
    """A quick look at an uploaded file."""

    seconds: float
    width: int
    height: int
    sha256: str
    mime: str
    technical: dict[str, Json]  #: ``technical_metadata`` of the API
    title: str = ""  #: from the container's metadata


@dataclass(frozen=True, slots=True)
class AnalysisRequest:
    """One question about one stored video. Times are seconds; ``schema`` None asks for free text."""

    path: str
    sha256: str
    readings: str  #: folder of finished readings
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


@dataclass(frozen=True, slots=True)
class Clip:
    """Words between two times, seconds. ``kind`` is ``conversation`` (one caption), ``sentence`` (what captions say, cut
    where sentences end) or ``text_in_video`` (one line on the screen).
    """

    kind: str
    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Words:
    """All words of a video. ``unread`` names the kinds that nobody could look for, so that none means none."""

    clips: tuple[Clip, ...]
    unread: tuple[str, ...] = ()

    def of(self, kind: str) -> list[Clip]:
        """Return the clips of a kind, in time order."""
        return [clip for clip in self.clips if clip.kind == kind]

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Words:
        """Read back what ``dataclasses.asdict`` and JSON have made of it."""
        return cls(tuple(Clip(**clip) for clip in data["clips"]), tuple(data["unread"]))


class Analyse(Protocol):
    """The seam between server and analysis; tests inject a trivial one. Blocking calls, made off the event loop."""

    def look(self, path: Path) -> Look:
        """Probe a file; raises :class:`Refused` where it is not a readable video."""
        ...

    def answer(self, ask: AnalysisRequest) -> Reply:
        """Answer; raises :class:`Refused`."""
        ...

    def words(self, ask: AnalysisRequest) -> Words:
        """Return what is said, as far as captions tell, and what is written; raises :class:`Refused`."""
        ...

    def picture(self, path: Path, at: float) -> bytes:
        """Return the picture at a time, seconds, as a JPEG; raises :class:`Refused`."""
        ...


def tokens(text: str) -> int:
    """Return the length in tokens as this platform counts them: four characters each."""
    return max(1, -(-len(text) // 4))


def cut(text: str, ask: AnalysisRequest, input_tokens: int) -> Reply:
    """Make a reply of a whole text, cut where it is longer than the caller wanted."""
    count = tokens(text)
    if count <= ask.max_tokens:
        return Reply(text, "stop", input_tokens, count)
    return Reply(text[: ask.max_tokens * 4], "length", input_tokens, ask.max_tokens)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class LocalAnalysis:
    """The real one: reads the video once and keeps the reading, then answers from it as often as asked."""

    def look(self, path: Path) -> Look:
        """Probe a file and hash its content."""
        from pipeline.local.analysis.extract import media, reader

        try:
            facts = reader.probe(path)
            title, _ = media.title_and_chapters(path)
        except reader.UnreadableMedia as error:
            raise Refused("video_file_broken", str(error)) from None
        technical: dict[str, Json] = {
            "file_size_bytes": facts.size,
            "file_mime_type": facts.mime,
            "file_container_format": facts.container,
            "video_codec": facts.video_codec,
            "video_width": facts.width,
            "video_height": facts.height,
            "video_fps": facts.fps,
            "video_duration_seconds": facts.seconds,
            "video_bitrate_bps": facts.bitrate,
            "has_audio": facts.has_audio,
            **({"audio_codec": facts.audio_codec} if facts.has_audio else {}),
        }
        return Look(facts.seconds, facts.width, facts.height, digest(path), facts.mime, technical, title)

    def answer(self, ask: AnalysisRequest) -> Reply:
        """Answer from the reading."""
        from pipeline.local.analysis.answer import answer

        reading = self._reading(ask)
        try:
            text = answer.answer(
                reading,
                prompt=ask.prompt,
                schema=ask.schema,
                name=ask.name,
                title=ask.title,
                start=ask.start,
                end=ask.end,
            )
        except answer.CannotAnswer as error:
            raise Refused(error.code, error.message) from None
        evidence = sum(len(item.text) for item in reading.evidence)
        return cut(text, ask, tokens(ask.prompt) + -(-evidence // 4))

    def words(self, ask: AnalysisRequest) -> Words:
        """Return captions, the sentences in them, and the lines on the screen."""
        from pipeline.local.analysis.extract.reader import NO_OCR
        from pipeline.local.analysis.text.sentences import sentences

        reading = self._reading(ask)
        spoken, shown = reading.of("conversation"), reading.of("text_in_video")
        clips = [Clip(item.kind, item.start, item.end, item.text) for item in (*spoken, *shown)]
        clips += [Clip("sentence", item.start, item.end, item.text) for item in sentences(spoken)]
        unread = [*(() if spoken else ("conversation",)), *(("text_in_video",) if NO_OCR in reading.notes else ())]
        return Words(tuple(clips), tuple(unread))

    def picture(self, path: Path, at: float) -> bytes:
        """Decode one picture."""
        from pipeline.local.analysis.extract import media

        found = media.jpeg_at(path, at)
        if found is None:
            raise Refused("video_file_broken", "no picture can be decoded there")
        return found

    def _reading(self, ask: AnalysisRequest) -> ExtractedContent:
        from pipeline.local.analysis.evidence import ExtractedContent
        from pipeline.local.analysis.extract import reader

        given = hashlib.sha256("\0".join(ask.captions).encode()).hexdigest()[:16]
        kept = Path(ask.readings) / f"{ask.sha256}-{given}.json"
        try:
            return ExtractedContent.from_json(json.loads(kept.read_bytes()))
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError):  # of an older version: read the video again
            kept.unlink(missing_ok=True)
        try:
            reading = reader.read(Path(ask.path), ask.captions)
        except reader.UnreadableMedia as error:
            raise Refused("video_file_broken", str(error)) from None
        _keep(kept, json.dumps(reading.as_json(), ensure_ascii=False).encode())
        return reading


def _keep(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; it is a cache, so it need not survive a power cut."""
    half = path.with_name(f"{path.stem}.{secrets.token_hex(6)}.part")
    half.write_bytes(content)
    os.replace(half, path)


def serve(analyse: Analyse, do: str, data: Mapping[str, Json]) -> Json:
    """Carry out one request in JSON values and return the answer in JSON values. Raises :class:`Refused`."""
    if do == "look":
        return asdict(analyse.look(Path(data["path"])))
    if do == "picture":
        return base64.b64encode(analyse.picture(Path(data["path"]), data["at"])).decode()
    ask = AnalysisRequest.from_json(data)
    if do == "words":
        return asdict(analyse.words(ask))
    return asdict(analyse.answer(ask))
