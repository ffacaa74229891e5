"""What a video's pictures show, shot by shot, in the model's words.

Each answer is kept beside the extracted content as soon as it is there, so that no picture is paid for twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from pipeline.core.log import get
from pipeline.core.model import Json
from pipeline.core.text import plain
from pipeline.kit.schema_profile import mismatch
from pipeline.local.analysis.plugins.model.chat import ChatClient
from pipeline.local.analysis.plugins.model.endpoint import ModelEndpoint, ModelTrouble
from pipeline.local.analysis.plugins.model.questions import LOOK, build_correction, build_look
from pipeline.local.analysis.plugins.model.replies import read_value
from pipeline.local.analysis.process_pool import AnalysisPool
from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused, AnalysisRequest, Clip

_AT_ONCE = 8  #: pictures of one question
_MOST = 96  #: pictures of one video
_NEAR = 0.6  #: seconds by which a model may round a time
_TOKENS = 2000  #: of one answer
_LONGEST = 600  #: characters about one picture
_log = get("platform")


@dataclass(frozen=True, slots=True)
class _Shot:
    start: float
    end: float
    at: float  #: a calm moment


class ModelSeer:
    """Describes one picture of each shot."""

    def __init__(self, endpoint: ModelEndpoint, chat: ChatClient, pool: AnalysisPool) -> None:
        self._endpoint = endpoint
        self._chat = chat
        self._pool = pool

    async def see(self, request: AnalysisRequest) -> list[Clip]:
        """Return clips of the kinds ``visual`` and ``logo``; none if it could not look.

        Raises:
            AnalysisRefused: the file cannot be read.
            AnalysisCrashed: the analysis broke down.
        """
        brief = await self._pool.brief(request)
        spans = [clip for clip in brief.clips if clip.kind == "shot"]
        shots = [_Shot(clip.start, clip.end, at) for clip, at in zip(spans, brief.calm, strict=False)]
        if len(shots) > _MOST:
            shots = [shots[at * len(shots) // _MOST] for at in range(_MOST)]
        kept = _SeenFile(request, self._endpoint.name)
        found = await anyio.to_thread.run_sync(kept.load)
        missing = [shot for shot in shots if f"{shot.at:g}" not in found]
        try:
            for some in _batches(missing):
                found |= await self._look(request, some)
                await anyio.to_thread.run_sync(kept.store, found)
        except ModelTrouble as trouble:
            _log.warning("model.not_seen", model=self._endpoint.name, host=self._endpoint.host, why=trouble.why)
            return []
        return list(_clips(shots, found))

    async def _look(self, request: AnalysisRequest, shots: Sequence[_Shot]) -> dict[str, list[str]]:
        """Return what each picture shows, and its logos, by its time; raises ModelTrouble."""
        self._chat.check_rested()
        pictures = [(shot.at, await self._picture(request, shot.at)) for shot in shots]
        messages = build_look([(at, picture) for at, picture in pictures if picture])
        said = await self._chat.ask(messages, LOOK, _TOKENS, pictures_needed=True)
        found, problem = _read(said.text, shots)
        if problem:
            again = [*messages, *build_correction(said.text, problem)]
            found, problem = _read((await self._chat.ask(again, LOOK, _TOKENS, pictures_needed=True)).text, shots)
        if problem:
            raise ModelTrouble(f"its answer was not believed. {problem}")
        return found

    async def _picture(self, request: AnalysisRequest, at: float) -> bytes:
        try:
            return await self._pool.picture(Path(request.path), at)
        except (AnalysisRefused, AnalysisCrashed):
            raise ModelTrouble(f"the picture at {at:g} s cannot be decoded") from None


class _SeenFile:
    """The file with what a model has said of a content's pictures. Blocking calls."""

    def __init__(self, request: AnalysisRequest, model: str) -> None:
        self._path = (
            Path(request.cache) / f"{request.sha256}-seen-{hashlib.sha256(model.encode()).hexdigest()[:16]}.json"
        )

    def load(self) -> dict[str, list[str]]:
        """Return what was said before, by the time of the picture."""
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def store(self, found: Mapping[str, list[str]]) -> None:
        """Write it, whole or not at all."""
        half = self._path.with_name(f"{self._path.stem}.{secrets.token_hex(6)}.part")
        half.write_text(json.dumps(found), encoding="utf-8")
        os.replace(half, self._path)


def _batches(shots: Sequence[_Shot]) -> list[Sequence[_Shot]]:
    return [shots[at : at + _AT_ONCE] for at in range(0, len(shots), _AT_ONCE)]


def _read(text: str, shots: Sequence[_Shot]) -> tuple[dict[str, list[str]], str]:
    """Return what each shot shows, and what is wrong with the answer."""
    try:
        value: Json = read_value(text)
    except ModelTrouble as trouble:
        return {}, f"{trouble.why[:1].upper()}{trouble.why[1:]}."
    if wrong := mismatch(value, LOOK):
        return {}, f"The schema does not hold: {wrong}."
    found: dict[str, list[str]] = {}
    for entry in value["pictures"]:
        shot = min(shots, key=lambda shot: abs(shot.at - entry["at"]))
        shows, logos = plain(entry["shows"], _LONGEST), plain(str(entry.get("logos", "")), _LONGEST)
        if abs(shot.at - entry["at"]) > _NEAR:
            return {}, f"There is no picture at {entry['at']:g} s."
        if shows:
            found[f"{shot.at:g}"] = [shows, logos]
    lacking = [f"{shot.at:g}" for shot in shots if f"{shot.at:g}" not in found]
    return found, f"Nothing is said of the pictures at {', '.join(lacking)} s." if lacking else ""


def _clips(shots: Sequence[_Shot], found: Mapping[str, list[str]]) -> list[Clip]:
    clips = [Clip("visual", shot.start, shot.end, found[f"{shot.at:g}"][0]) for shot in shots]
    logos = ((shot, found[f"{shot.at:g}"][1]) for shot in shots)
    return clips + [Clip("logo", shot.start, shot.end, words) for shot, words in logos if words]
