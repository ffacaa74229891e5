"""The other sides, with behaviour: a platform that remembers what it accepted, a source, a sink, and a way to die.

Nothing here asserts. What a test wants to know, it reads from ``FakePlatform.ledger``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipeline.core.clock import Clock
from pipeline.core.errors import Ambiguous, InputError, Permanent
from pipeline.ports.index_api import (
    IndexedVideo,
    IndexInfo,
    IndexingStatus,
    IndexSpec,
    ListFilter,
    SearchHit,
    SearchQuery,
    SearchResults,
)
from pipeline.ports.sink import OutFile
from pipeline.ports.source import Item, ManifestLine, MediaFacts
from pipeline.ports.video_api import AnalysisStatus, Answer, Ceilings, MediaStatus, NewUpload, Question, UploadSession


class Crash(BaseException):
    """The process dies here. A BaseException, so that nothing in the product can catch it."""


@dataclass
class Wreck:
    """Counts calls and dies at one of them; afterwards everything it guards is dead.

    ``point`` is (number of the call, "before" | "after" | "lost"): ``lost`` lets the call happen on the other side and
    raises Ambiguous instead of dying, as a connection reset does.
    """

    point: tuple[int, str] | None = None
    calls: list[str] = field(default_factory=list)
    dead: bool = False

    async def around(self, name: str, call: Callable[[], Any]) -> Any:
        """Make the call, or die before or after it."""
        if self.dead:
            raise Crash(f"{name} after death")
        self.calls.append(name)
        number, when = self.point or (0, "")
        mine = number == len(self.calls)
        # Threads may swap two neighbouring calls between runs: a lost answer needs another side to lose it.
        if mine and when == "before":
            self.die(name)
        result = await call()
        if self.dead:
            raise Crash(f"{name} after death")
        if mine and (when == "after" or (when == "lost" and not name.startswith("api."))):
            self.die(name)
        if mine and when == "lost":
            raise Ambiguous(f"the answer to {name} was lost")
        return result

    def die(self, name: str) -> None:
        """End everything."""
        self.dead = True
        raise Crash(name)


class Wrecked:
    """Stands in front of a port; every async method goes through the wreck."""

    def __init__(self, inner: Any, wreck: Wreck, prefix: str, spared: Iterable[str] = ()) -> None:
        self._inner = inner
        self._wreck = wreck
        self._prefix = prefix
        self._spared = frozenset(spared)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "index_api":
            return Wrecked(found, self._wreck, f"{self._prefix}.index_api", spared=("videos", "indexing"))
        if not callable(found) or name in self._spared:
            return found

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            return await self._wreck.around(f"{self._prefix}.{name}", lambda: found(*args, **kwargs))

        return guarded


@dataclass
class _Asset:
    id: str
    name: str
    ready_at: float
    doomed: bool = False
    made: float = 0.0


@dataclass
class _Asked:
    id: str
    question: Question
    ready_at: float


def _never(name: str) -> bool:
    return False


@dataclass
class FakePlatform:
    """The provider's side: lives on when our process dies. Everything it accepts is in the ledger."""

    clock: Clock
    settle_seconds: float = 12.0
    answer_seconds: float = 25.0
    ledger: list[tuple[str, str]] = field(default_factory=list)  #: (effect, our key)
    assets: dict[str, _Asset] = field(default_factory=dict)
    asked: dict[str, _Asked] = field(default_factory=dict)
    chunks: dict[str, set[int]] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)
    indexed: dict[str, tuple[str, float]] = field(default_factory=dict)  #: id -> (asset, ready at)
    seconds: float = 60.0
    spoil: Callable[[Question, str], str] | None = None  #: turns a good answer text into a bad one
    doomed: Callable[[str], bool] = _never

    def effects(self) -> dict[tuple[str, str], int]:
        """Return how often each paid effect was accepted."""
        found: dict[tuple[str, str], int] = {}
        for entry in self.ledger:
            found[entry] = found.get(entry, 0) + 1
        return found

    def accept(self, effect: str, key: str) -> str:
        """Write the ledger and return a new id."""
        self.ledger.append((effect, key))
        return f"{effect}-{len(self.ledger):04}"

    def answer_to(self, question: Question) -> str:
        """Return an answer that fits the schema and the video, derived from the question alone."""
        value = {
            name: _fitting(name, form, self.seconds) for name, form in (question.schema or {})["properties"].items()
        }
        return json.dumps(value)


def _fitting(name: str, form: Mapping[str, Any], seconds: float) -> Any:
    kind = form.get("type")
    if "enum" in form:
        return form["enum"][0]
    if kind == "array":
        inner = form["items"]
        if inner.get("type") == "object":
            return [_span(inner, start, start + seconds / 4) for start in (0.0, seconds / 4, seconds / 2)]
        return [f"{name}{number}" for number in range(1, 6)]
    if kind == "object":
        return {key: _fitting(key, value, seconds) for key, value in form["properties"].items()}
    if kind in ("number", "integer"):
        return 1
    return True if kind == "boolean" else f"A plain sentence about {name}."


def _span(form: Mapping[str, Any], start: float, end: float) -> dict[str, Any]:
    times = {"start_time": start, "end_time": end}
    return {key: times.get(key, f"Words for {key} at {start:.0f}.") for key in form["properties"]}


class FakeApi:
    """Our client's view of a FakePlatform: the VideoApi port."""

    identity = "fake/v1"
    grace = 3.0
    features = frozenset({"fuse", "multipart"})

    def __init__(self, platform: FakePlatform, ceilings: Ceilings | None = None) -> None:
        self._there = platform
        self.index_api = FakePlatformIndexApi(platform)
        self.ceilings = ceilings or Ceilings()
        self.looks = 0

    async def create_asset(self, upload: NewUpload, still_ours: Callable[[], None]) -> str:
        still_ours()
        return self._new_asset("asset", upload.name)

    def _new_asset(self, effect: str, name: str) -> str:
        there = self._there
        asset_id = there.accept(effect, name)
        there.assets[asset_id] = _Asset(
            asset_id, name, there.clock.now() + there.settle_seconds, there.doomed(name), there.clock.now()
        )
        return asset_id

    async def find_asset(self, upload: NewUpload) -> str | None:
        return next((asset.id for asset in self._there.assets.values() if asset.name == upload.name), None)

    async def open_session(self, upload: NewUpload, still_ours: Callable[[], None]) -> UploadSession:
        still_ours()
        asset_id = self._new_asset("session", upload.name)
        self._there.chunks[asset_id] = set()
        size = max(1, -(-upload.size // 4))
        return UploadSession(f"u-{asset_id}", asset_id, size, -(-upload.size // size), self._there.clock.now() + 86_400)

    async def send_chunks(self, session: UploadSession, path: Path, progress: Callable[[int], None]) -> None:
        done = self._there.chunks.get(session.asset_id)
        if done is None:
            raise Permanent("the session is gone", code="session_expired")
        missing = [number for number in range(1, session.total_chunks + 1) if number not in done]
        for number in missing:
            await self._there.clock.sleep(0.1)
            done.add(number)
            progress(session.chunk_size)
        if missing:
            self._there.ledger.append(("bytes", session.asset_id))

    async def media(self, media_id: str) -> MediaStatus:
        self.looks += 1
        asset = self._there.assets.get(media_id)
        if asset is None:
            return MediaStatus("gone")
        if self._there.clock.now() < asset.ready_at:
            return MediaStatus("working", "processing", look_again=5.0)
        if asset.doomed:
            return MediaStatus("failed", "failed", "file could not be read")
        return MediaStatus("ready", "ready", facts={"duration": self._there.seconds})

    async def submit_analysis(self, question: Question, still_ours: Callable[[], None]) -> str | Answer:
        still_ours()
        if question.media_id not in self._there.assets:
            raise Permanent("no such asset", code="resource_not_exist")
        task_id = self._there.accept("analysis", question.key)
        self._there.asked[task_id] = _Asked(task_id, question, self._there.clock.now() + self._there.answer_seconds)
        return task_id

    async def find_analysis(self, question: Question) -> str | None:
        return next((asked.id for asked in self._there.asked.values() if asked.question.key == question.key), None)

    async def analysis(self, question: Question, task_id: str) -> AnalysisStatus:
        self.looks += 1
        asked = self._there.asked.get(task_id)
        if asked is None:
            return AnalysisStatus("gone", "gone")
        if self._there.clock.now() < asked.ready_at:
            return AnalysisStatus("working", "processing", look_again=5.0)
        text = self._there.answer_to(asked.question)
        reason = "stop"
        if self._there.spoil is not None:
            text = self._there.spoil(asked.question, text)
            reason = "length" if text == "length" else "stop"
        return AnalysisStatus("ready", "ready", answer=Answer(text, reason, {"task_id": task_id, "data": text}))

    async def check(self) -> Mapping[str, Any]:
        return {"fake": True}

    async def aclose(self) -> None:
        return None


class OldApi(FakeApi):
    """A dialect like v1.2: uploads go into an index, questions are answered at once, and answers cannot be asked for."""

    identity = "fake/v1.2"
    features = frozenset({"url", "index_first", "external"})
    answer_latency = 2.0

    async def create_asset(self, upload: NewUpload, still_ours: Callable[[], None]) -> str:
        still_ours()
        if upload.index_id not in self._there.indexes.values():
            raise Permanent("no such index", code="resource_not_exist")
        made = self._new_asset("task", upload.url if upload.method == "external" else upload.name)
        await self._there.clock.sleep(self.answer_latency)  # accepted; the answer is on its way
        return made

    async def find_asset(self, upload: NewUpload) -> str | None:
        if upload.method != "external":
            return await super().find_asset(upload)
        mine = [
            asset.id
            for asset in self._there.assets.values()
            if not {asset.id, asset.name} & upload.taken and asset.made >= upload.since
        ]
        if len(mine) > 1:
            raise Ambiguous("several tasks could be ours", code="ambiguous")
        return mine[0] if mine else None

    async def media(self, media_id: str) -> MediaStatus:
        status = await super().media(media_id)
        if status.state == "ready":
            return replace(status, facts={**status.facts, "video_id": f"video-of-{media_id}"})
        return status

    async def submit_analysis(self, question: Question, still_ours: Callable[[], None]) -> str | Answer:
        still_ours()
        assert question.legacy is not None
        assert question.media_id.startswith("video-of-")
        self._there.accept("ask", question.key)
        body = _OLD_ANSWERS[question.legacy["path"], question.legacy["body"].get("type", "")]
        return Answer(json.dumps(body), "stop", body)

    async def find_analysis(self, question: Question) -> str | None:
        raise Ambiguous("this API cannot be asked whether it answered", code="ambiguous")


_OLD_ANSWERS: Mapping[tuple[str, str], Any] = {
    ("/gist", ""): {"title": "A title", "topics": ["one topic"], "hashtags": ["one", "two", "three", "four", "five"]},
    ("/summarize", "summary"): {"summary": "One sentence."},
    ("/summarize", "chapter"): {
        "chapters": [
            {
                "chapter_number": 0,
                "start": 0,
                "end": 30,
                "chapter_title": "First",
                "chapter_summary": "The first half.",
            },
            {
                "chapter_number": 1,
                "start": 30,
                "end": 60,
                "chapter_title": "Second",
                "chapter_summary": "The second half.",
            },
        ]
    },
    ("/summarize", "highlight"): {
        "highlights": [{"start": 5, "end": 9, "highlight": "A moment", "highlight_summary": "It happens."}]
    },
    ("/generate", ""): {"data": "A free answer."},
}


class FakePlatformIndexApi:
    """Indexes with unique names, and assets put into them; a search finds every video that is ready."""

    identity = "fake/v1"

    def __init__(self, platform: FakePlatform) -> None:
        self._there = platform

    async def create_index(self, spec: IndexSpec) -> str:
        if spec.name not in self._there.indexes:
            self._there.indexes[spec.name] = self._there.accept("index", spec.name)
        return self._there.indexes[spec.name]

    async def index_asset(self, index_id: str, asset_id: str, metadata: Mapping[str, Any]) -> str:
        made = self._there.accept("indexed", asset_id)
        self._there.indexed[made] = (asset_id, self._there.clock.now() + 40)
        return made

    async def find_indexed(self, index_id: str, asset_id: str) -> str | None:
        return next((made for made, (asset, _) in self._there.indexed.items() if asset == asset_id), None)

    async def indexed(self, index_id: str, video_id: str) -> IndexedVideo:
        asset_id, ready = self._there.indexed[video_id]
        status = "ready" if self._there.clock.now() >= ready else "indexing"
        return IndexedVideo(video_id, "clip", 60.0, status=status, asset_id=asset_id)

    async def indexing(self, index_id: str, video_id: str) -> IndexingStatus:
        video = await self.indexed(index_id, video_id)
        return IndexingStatus(
            "ready" if video.status == "ready" else "working", video.status, look_again=5.0, video=video
        )

    async def index(self, id_or_name: str) -> IndexInfo:
        for name, index_id in self._there.indexes.items():
            if id_or_name in (name, index_id):
                models = (("marengo3.0", ("visual", "audio")),)
                return IndexInfo(index_id, name, models, (), len(self._there.indexed), 60.0, "")
        raise Permanent("no such index", code="resource_not_exist")

    async def search(self, query: SearchQuery) -> SearchResults:
        self._there.accept("search", query.text)
        hits = [
            SearchHit(made, 1.0, 2.0, rank=rank, text=query.text)
            for rank, made in enumerate(list(self._there.indexed), 1)
        ]
        return SearchResults(hits, len(hits), len(hits), 60.0)

    async def videos(self, index_id: str, which: ListFilter) -> AsyncIterator[IndexedVideo]:
        for video_id in list(self._there.indexed):
            yield await self.indexed(index_id, video_id)


class FakeSource:
    """Files whose content is their identity; no decoding."""

    kind = "file"

    def __init__(self, seconds: float = 60.0) -> None:
        self._seconds = seconds

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        path = Path(item.locator)
        try:
            content = path.read_bytes()  # noqa: ASYNC240 - a few bytes
        except OSError as error:
            raise InputError(f"{path}: no such file", code="file_missing") from error
        stat = path.stat()  # noqa: ASYNC240
        return MediaFacts(
            path, len(content), self._seconds, 640, 360, "mp4", "h264", "aac", "video/mp4",
            sha256(content).hexdigest(), stat.st_mtime_ns,
        )  # fmt: skip


@dataclass
class FakeSink:
    """Results in a dictionary; writing twice is allowed, and the last one counts."""

    folders: dict[str, dict[str, str | bytes]] = field(default_factory=dict)
    index: list[str] = field(default_factory=list)

    def folder(self, subject: str, title: str) -> str:
        return sha256(subject.encode()).hexdigest()[:8]

    async def write(self, folder: str, files: Sequence[OutFile]) -> Mapping[str, int]:
        self.folders[folder] = {file.name: file.content for file in files}
        return {file.name: len(file.content) for file in files}

    async def add(self, folder: str, files: Sequence[OutFile]) -> None:
        self.folders.setdefault(folder, {}).update({file.name: file.content for file in files})

    async def missing(self, folder: str, sizes: Mapping[str, int]) -> bool:
        there = self.folders.get(folder, {})
        return any(name not in there for name in sizes)

    async def write_index(self, lines: AsyncIterator[str]) -> None:
        self.index = [line async for line in lines]

    async def has_index(self) -> bool:
        return bool(self.index)


def items(paths: Iterable[Path], **words: Any) -> list[Item]:
    """Return items for these files, as a manifest would name them."""
    return [Item(f"file:{path}", "file", str(path), ManifestLine(str(path), "test", **words)) for path in paths]


def clips(folder: Path, number: int) -> list[Path]:
    """Make files of different content."""
    made = []
    for index in range(number):
        path = folder / f"clip-{index}.mp4"
        path.write_bytes(f"content {index}".encode() * 20)
        made.append(path)
    return made
