"""The real analysis: extracts a video's content once and answers from it.

It runs in a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from pipeline.core.model import Json
from pipeline.local.analysis.answer.free_text import reply
from pipeline.local.analysis.answer.schema_filler import fill
from pipeline.local.analysis.evidence import ExtractedContent
from pipeline.local.analysis.extract import media, reader
from pipeline.local.analysis.extract.voice import Detector, UnusableDetector, find_detector, with_voice
from pipeline.local.analysis.plugins.meaning.encoder import SentenceEncoder, unit_rows
from pipeline.local.analysis.plugins.meaning.models import INSTALL, UnusableModel, find_folder, open_model
from pipeline.local.analysis.protocol import (
    AnalysisRefused,
    AnalysisRequest,
    Brief,
    Clip,
    ProbedFile,
    Reply,
    SentenceVectors,
    VideoWords,
    count_tokens,
    truncated,
)
from pipeline.local.analysis.text.content_summary import ContentSummary, Vectors
from pipeline.local.analysis.text.moments import calm_moments
from pipeline.local.analysis.text.sentences import sentences
from pipeline.local.state.tables import BEGINS


class LocalAnalysis:
    """Implements :class:`Analyzer` with what a video's captions, on-screen text and pictures tell.

    Args:
        meaning: its sentence model: a folder, ``auto`` for the installed one, ``none``.
    """

    def __init__(self, meaning: str = "none") -> None:
        self._wanted = meaning

    def probe(self, path: Path) -> ProbedFile:
        try:
            header = media.read_header(path)
        except reader.UnreadableMedia as error:
            raise AnalysisRefused("video_file_broken", str(error)) from None
        facts = header.facts
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
            **({BEGINS: facts.begins} if facts.begins else {}),
        }
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return ProbedFile(facts.seconds, facts.width, facts.height, sha256, facts.mime, technical, header.title)

    def answer(self, request: AnalysisRequest) -> Reply:
        content = self._extract(request)
        evidence = sum(len(item.text) for item in content.evidence)
        return truncated(
            build_answer(content, request, self._vectors), request, count_tokens(request.prompt) + -(-evidence // 4)
        )

    def words(self, request: AnalysisRequest) -> VideoWords:
        content = self._extract(request)
        spoken, shown = content.of("conversation"), content.of("text_in_video")
        clips = [Clip(item.kind, item.start, item.end, item.text) for item in (*spoken, *shown)]
        clips += [Clip("sentence", item.start, item.end, item.text) for item in sentences(spoken)]
        no_ocr = ("text_in_video",) if reader.NO_OCR in content.notes else ()
        return VideoWords(tuple(clips), (*(() if spoken else ("conversation",)), *no_ocr))

    def brief(self, request: AnalysisRequest) -> Brief:
        content = self._extract(request)
        summary = ContentSummary(content, name=request.name, title=request.title, start=request.start, end=request.end)
        clips = [Clip("sentence", item.start, item.end, item.text) for item in summary.sentences]
        shown = (item for item in summary.evidence if item.kind != "conversation")
        clips += [Clip(item.kind, item.start, item.end, item.text) for item in shown]
        clips += [Clip("measured", summary.start, summary.end, text) for text in summary.measured]
        clips += [Clip("measured", each.start, each.end, each.text) for each in summary.moments]
        ordered = sorted(clips, key=lambda clip: (clip.start, clip.end))
        return Brief(summary.start, summary.end, tuple(ordered), tuple(calm_moments(summary.shots, content.motion)))

    def _extract(self, request: AnalysisRequest) -> ExtractedContent:
        """Return the content of a video, from the cache where that fits."""
        captions = hashlib.sha256("\0".join(request.captions).encode()).hexdigest()[:16]
        cached = Path(request.cache) / f"{request.sha256}-{captions}.json"
        kept = _kept(cached)
        try:
            content = kept or reader.read(Path(request.path), request.captions)
            content = with_voice(content, Path(request.path), self._detector)
        except reader.UnreadableMedia as error:
            raise AnalysisRefused("video_file_broken", str(error)) from None
        if content is not kept:
            # Whole or not at all; a cache need not survive a power cut.
            half = cached.with_name(f"{cached.stem}.{secrets.token_hex(6)}.part")
            half.write_bytes(content.to_json())
            os.replace(half, cached)
        return content

    @cached_property
    def _detector(self) -> Detector | None:
        """What tells speech from music; None without a usable one."""
        try:
            return find_detector()
        except UnusableDetector as error:  # a video can be read without
            sys.stderr.write(f"{error}\n")  # the log of the workers
            return None

    @cached_property
    def _encoder(self) -> SentenceEncoder:
        """The encoder of the model; raises UnusableModel."""
        folder = find_folder(self._wanted)
        if folder is None:
            raise UnusableModel(f"no sentence model is installed ({INSTALL})")
        return SentenceEncoder(open_model(folder, trusted=self._wanted != "auto"))

    @cached_property
    def _vectors(self) -> Vectors | None:
        """What tells the meaning of sentences; None without a usable model."""
        try:
            encoder = self._encoder if find_folder(self._wanted) is not None else None
        except UnusableModel as error:  # words alone will do
            sys.stderr.write(f"{error}\n")  # the log of the workers
            return None
        return (lambda texts: unit_rows(encoder.encode(texts))) if encoder is not None else None

    def vectors(self, texts: Sequence[str]) -> SentenceVectors:
        try:
            encoder = self._encoder
        except UnusableModel as error:
            raise AnalysisRefused("meaning_unavailable", str(error)) from None
        return SentenceVectors(encoder.model.id, tuple(row.tobytes() for row in encoder.encode(texts)))

    def picture(self, path: Path, at: float) -> bytes:
        found = media.jpeg_at(path, at, half_turn=reader.is_turned_wrongly(path, at))
        if found is None:
            raise AnalysisRefused("video_file_broken", "no picture can be decoded there")
        return found


def build_answer(content: ExtractedContent, request: AnalysisRequest, vectors: Vectors | None = None) -> str:
    """Return JSON text that fits the request's schema, or plain text without one.

    Counts in the prompt are heeded ("two sentences", "at most 5 chapters"), and so are lines that name a property in back
    quotes. A given title wins over what the video says; the file's name is the last resort. Only the part of the video from
    ``start`` to ``end`` counts, but times in the answer stay those of the whole video.

    Raises:
        AnalysisRefused: asks for what captions, on-screen text and measurements cannot tell.
    """
    summary = ContentSummary(
        content, name=request.name, title=request.title, start=request.start, end=request.end, vectors=vectors
    )
    if request.schema is None:
        return reply(summary, request.prompt)
    return json.dumps(fill(request.schema, summary, request.prompt), ensure_ascii=False)


def _kept(cached: Path) -> ExtractedContent | None:
    try:
        return ExtractedContent.from_json(cached.read_bytes())
    except FileNotFoundError:
        pass
    except ValueError:  # of an older version
        cached.unlink(missing_ok=True)
    return None
