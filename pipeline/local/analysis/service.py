"""The real analysis: reads a video once and answers from what it found. Runs in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path

from pipeline.core.model import Json
from pipeline.local.analysis.answer.answer import answer
from pipeline.local.analysis.evidence import ExtractedContent
from pipeline.local.analysis.extract import media, reader
from pipeline.local.analysis.protocol import (
    AnalysisRefused,
    AnalysisRequest,
    Clip,
    ProbedFile,
    Reply,
    VideoWords,
    count_tokens,
    truncated,
)
from pipeline.local.analysis.text.sentences import sentences


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class LocalAnalysis:
    """The real one: reads the video once and keeps the reading, then answers from it as often as asked."""

    def probe(self, path: Path) -> ProbedFile:
        """Probe a file and hash its content."""
        try:
            facts = reader.probe(path)
            title, _ = media.title_and_chapters(path)
        except reader.UnreadableMedia as error:
            raise AnalysisRefused("video_file_broken", str(error)) from None
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
        return ProbedFile(facts.seconds, facts.width, facts.height, file_sha256(path), facts.mime, technical, title)

    def answer(self, ask: AnalysisRequest) -> Reply:
        """Answer from the reading."""
        reading = self._reading(ask)
        text = answer(
            reading, prompt=ask.prompt, schema=ask.schema, name=ask.name, title=ask.title, start=ask.start, end=ask.end
        )
        evidence = sum(len(item.text) for item in reading.evidence)
        return truncated(text, ask, count_tokens(ask.prompt) + -(-evidence // 4))

    def words(self, ask: AnalysisRequest) -> VideoWords:
        """Return captions, the sentences in them, and the lines on the screen."""
        reading = self._reading(ask)
        spoken, shown = reading.of("conversation"), reading.of("text_in_video")
        clips = [Clip(item.kind, item.start, item.end, item.text) for item in (*spoken, *shown)]
        clips += [Clip("sentence", item.start, item.end, item.text) for item in sentences(spoken)]
        unread = [
            *(() if spoken else ("conversation",)),
            *(("text_in_video",) if reader.NO_OCR in reading.notes else ()),
        ]
        return VideoWords(tuple(clips), tuple(unread))

    def picture(self, path: Path, at: float) -> bytes:
        """Decode one picture."""
        found = media.jpeg_at(path, at)
        if found is None:
            raise AnalysisRefused("video_file_broken", "no picture can be decoded there")
        return found

    def _reading(self, ask: AnalysisRequest) -> ExtractedContent:
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
            raise AnalysisRefused("video_file_broken", str(error)) from None
        _keep(kept, json.dumps(reading.as_json(), ensure_ascii=False).encode())
        return reading


def _keep(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; it is a cache, so it need not survive a power cut."""
    half = path.with_name(f"{path.stem}.{secrets.token_hex(6)}.part")
    half.write_bytes(content)
    os.replace(half, path)
