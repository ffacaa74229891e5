"""The local platform as a test double: a canned analysis, a clock moved by hand, and short ways to request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx

from pipeline.local.analysis.protocol import (
    AnalysisRefused,
    AnalysisRequest,
    Brief,
    Clip,
    ProbedFile,
    Reply,
    SentenceVectors,
    VideoWords,
    truncated,
)
from pipeline.local.api.http.faults import Faults
from pipeline.local.jobs.url_fetch import UrlPolicy
from pipeline.local.limits import PlatformLimits
from pipeline.local.platform import LocalPlatform

TOKEN = "secret-of-the-test"

VIDEO = b"not a film, but the canned analysis does not mind"

EPOCH = 1_800_000_000.0


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = EPOCH
        self.slept: list[float] = []
        self._moved = anyio.Event()

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time - EPOCH

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until = self.time + seconds
        while self.time < until:
            await self._moved.wait()

    def move(self, seconds: float) -> None:
        """Let time pass for everyone who waits."""
        self.time += seconds
        self._moved.set()
        self._moved = anyio.Event()


class Canned:
    """Answers at once and always the same; refuses bytes that begin with ``broken``."""

    def __init__(self, text: str = "", seconds: float = 60.0, size: tuple[int, int] = (1280, 720)) -> None:
        self.text = text
        self.seconds = seconds
        self.size = size
        self.asked: list[AnalysisRequest] = []
        self.title = ""  #: in every container
        self.model: str | None = "canned 1"  #: the sentence model; None: it cannot be used
        self.meanings: dict[str, str] = {}  #: word -> what it means
        self.encoded: list[list[str]] = []
        self.shown: list[tuple[float, float, str]] = []  #: on-screen text of every video

    def probe(self, path: Path) -> ProbedFile:
        with path.open("rb") as file:
            if file.read(6) == b"broken":
                raise AnalysisRefused("video_file_broken", "file could not be read")
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        width, height = self.size
        technical = {"video_width": width, "video_height": height, "video_duration_seconds": self.seconds}
        return ProbedFile(self.seconds, width, height, sha256, "video/mp4", technical, self.title)

    def answer(self, request: AnalysisRequest) -> Reply:
        self.asked.append(request)
        if request.prompt.startswith("refuse"):
            raise AnalysisRefused("token_limit_exceeded", "too much")
        end = self.seconds if request.end is None else min(request.end, self.seconds)
        return truncated(self.text or json.dumps(filled(request.schema, end, request.start or 0.0)), request, 100)

    def words(self, request: AnalysisRequest) -> VideoWords:
        """Captions are taken as they were handed over: each line one that stands for two seconds."""
        lines = "\n".join(request.captions).splitlines()
        said = [Clip("conversation", 2.0 * n, 2.0 * n + 2, line) for n, line in enumerate(lines)]
        spoken = [Clip("sentence", clip.start, clip.end, clip.text) for clip in said]
        unread = () if said else ("conversation",)
        return VideoWords((*said, *spoken, *(Clip("text_in_video", *shown) for shown in self.shown)), unread)

    def brief(self, request: AnalysisRequest) -> Brief:
        """The words as evidence, and two calm moments."""
        end = self.seconds if request.end is None else min(request.end, self.seconds)
        shots = (Clip("shot", 0.0, 4.0, "Shot 1."), Clip("shot", 4.0, 8.0, "Shot 2."))
        return Brief(request.start or 0.0, end, (*shots, *self.words(request).of("sentence")), (1.0, 5.0))

    def vectors(self, texts: Sequence[str]) -> SentenceVectors:
        """One number a concept: what ``meanings`` gives a word, else none."""
        self.encoded.append(list(texts))
        if self.model is None:
            raise AnalysisRefused("meaning_unavailable", "there is no sentence model")
        kinds = sorted(set(self.meanings.values()))
        rows = []
        for text in texts:
            said = {self.meanings[word] for word in text.lower().split() if word in self.meanings}
            rows.append(bytes(round(127 / max(1, len(said)) ** 0.5) * (kind in said) for kind in kinds))
        return SentenceVectors(self.model, tuple(rows))

    def picture(self, path: Path, at: float) -> bytes:
        return f"picture at {at:g}".encode()


def filled(schema: Mapping[str, Any] | None, seconds: float, start: float = 0.0) -> Any:
    """Return a value that fits a schema, with times inside the part that counts."""
    if schema is None:
        return "an answer in words"
    match schema.get("type"):
        case "object":
            inside = schema.get("properties", {})
            values = {name: filled(part, seconds, start) for name, part in inside.items()}
            return {
                **values,
                **{name: at for name, at in (("start_time", start), ("end_time", seconds)) if name in inside},
            }
        case "array":
            return [filled(schema.get("items"), seconds, start)]
        case "number" | "integer":
            return 1
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return schema.get("enum", ["text"])[0]


@asynccontextmanager
async def platform(folder: Path, **options: Any) -> AsyncIterator[tuple[LocalPlatform, httpx.AsyncClient]]:
    """Serve a platform with a canned analysis (unless ``analyzer`` says otherwise), and a client of it."""
    rules = options.pop("rules", None)
    options = {"analyzer": Canned(), "clock": ManualClock(), "workers": 2, **options}
    if rules is not None:
        options["faults"] = Faults(rules=rules)
    async with LocalPlatform(folder, token=TOKEN, **options) as served, client_of(served) as client:
        yield served, client


def client_of(served: LocalPlatform, token: str = TOKEN) -> httpx.AsyncClient:
    """Return a client with the key, at ``/v1.3``."""
    return httpx.AsyncClient(base_url=f"{served.base_url}/v1.3", headers={"x-api-key": token}, timeout=20)


def old_client_of(served: LocalPlatform, token: str = TOKEN) -> httpx.AsyncClient:
    """Return a client with the key, at ``/v1.2``."""
    return httpx.AsyncClient(base_url=f"{served.base_url}/v1.2", headers={"x-api-key": token}, timeout=20)


@asynccontextmanager
async def old_platform(folder: Path, **options: Any) -> AsyncIterator[tuple[LocalPlatform, httpx.AsyncClient]]:
    """Serve a platform as :func:`platform` does, with a client that speaks v1.2."""
    async with platform(folder, **options) as (served, _), old_client_of(served) as client:
        yield served, client


ENGINES = [
    {"engine_name": "marengo2.5", "engine_options": ["visual", "conversation", "text_in_video", "logo"]},
    {"engine_name": "pegasus1", "engine_options": ["visual", "conversation"]},
]

MODELS = [{"model_name": "marengo3.0", "model_options": ["visual", "audio"]}]


async def old_index(client: httpx.AsyncClient, name: str = "films", engines: Any = ENGINES, **more: Any) -> str:
    """Make an index on v1.2 and return its id."""
    answer = await client.post("/indexes", json={"index_name": name, "engines": engines, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["_id"])


async def new_index(client: httpx.AsyncClient, name: str = "films", **more: Any) -> str:
    """Make an index on v1.3 and return its id."""
    answer = await client.post("/indexes", json={"index_name": name, "models": MODELS, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["_id"])


async def task(
    client: httpx.AsyncClient, index_id: str, name: str = "film.mp4", content: bytes = VIDEO, captions: str = ""
) -> str:
    """Upload a file into an index on v1.2, with captions if given, and return the task's id."""
    data = {
        "index_id": index_id,
        **({"provide_transcription": "true", "transcription_file": captions} if captions else {}),
    }
    answer = await client.post("/tasks", data=data, files={"video_file": (name, content, "video/mp4")})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["_id"])


async def done(client: httpx.AsyncClient, task_id: str) -> dict[str, Any]:
    """Ask until the v1.2 task is final."""
    with anyio.fail_after(20):
        while True:
            found: dict[str, Any] = (await client.get(f"/tasks/{task_id}")).json()
            if found["status"] in ("ready", "failed"):
                return found


async def video(
    client: httpx.AsyncClient, index_id: str, name: str = "film.mp4", captions: str = "", **more: Any
) -> str:
    """Upload on v1.2, wait until it is ready, and return the video's id."""
    found = await done(client, await task(client, index_id, name, captions=captions, **more))
    assert found["status"] == "ready", found
    return str(found["video_id"])


async def indexed(client: httpx.AsyncClient, index_id: str, asset_id: str, **metadata: Any) -> str:
    """Put a ready asset into an index on v1.3, wait until that is done, and return the indexed asset's id."""
    base = f"/indexes/{index_id}/indexed-assets"
    answer = await client.post(base, json={"asset_id": asset_id, "user_metadata": metadata})
    assert answer.status_code == 202, answer.text
    with anyio.fail_after(20):
        while (found := (await client.get(f"{base}/{answer.json()['_id']}")).json())["status"] not in (
            "ready",
            "failed",
        ):
            pass
    assert found["status"] == "ready", found
    return str(found["_id"])


async def upload(client: httpx.AsyncClient, name: str = "film.mp4", content: bytes = VIDEO, **fields: str) -> str:
    """Upload directly and return the asset's id, whatever becomes of it."""
    data = {"method": "direct", "filename": name, **fields}
    answer = await client.post("/assets", data=data, files={"file": (name, content, "video/mp4")})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["_id"])


async def settled(client: httpx.AsyncClient, asset_id: str) -> dict[str, Any]:
    """Ask until the asset is ready or failed."""
    with anyio.fail_after(20):
        while True:
            asset: dict[str, Any] = (await client.get(f"/assets/{asset_id}")).json()
            if asset["status"] != "processing":
                return asset


async def ready(client: httpx.AsyncClient, name: str = "film.mp4", content: bytes = VIDEO, **fields: str) -> str:
    """Upload and wait until the asset is ready; return its id."""
    asset = await settled(client, await upload(client, name, content, **fields))
    assert asset["status"] == "ready", asset
    return str(asset["_id"])


def question(asset_id: str, **more: Any) -> dict[str, Any]:
    """Return the smallest analyze body."""
    return {"video": {"type": "asset_id", "asset_id": asset_id}, "prompt": "What is it about?", **more}


async def finished(client: httpx.AsyncClient, task_id: str) -> dict[str, Any]:
    """Ask until the task is final."""
    with anyio.fail_after(20):
        while True:
            task: dict[str, Any] = (await client.get(f"/analyze/tasks/{task_id}")).json()
            if task["status"] in ("ready", "failed", "canceled"):
                return task


SMALL = PlatformLimits(chunk_size=1000, first_urls=2)

ANY_URL = UrlPolicy(allow="any", timeout=5)
