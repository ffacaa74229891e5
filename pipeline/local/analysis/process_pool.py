"""The worker pool of the analysis: processes, or threads for an injected one."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

import anyio

from pipeline.core.model import Json
from pipeline.local.analysis.protocol import (
    AnalysisCrashed,
    AnalysisRefused,
    AnalysisRequest,
    Analyzer,
    Brief,
    ProbedFile,
    Reply,
    SentenceVectors,
    VideoWords,
    dispatch,
)
from pipeline.media.process import ChildProcess, ChildProcessEnded


class AnalysisPool(ABC):
    """Where the analysis is done.

    A cancelled call stops the work where it can be stopped.
    Every call raises AnalysisRefused or AnalysisCrashed.
    """

    @abstractmethod
    async def call(self, do: str, data: Mapping[str, Json], *, quick: bool = False) -> Json:
        """Do ``probe``, ``picture``, ``answer``, ``words``, ``brief`` or ``vectors``.

        Where ``quick`` is set, it does not wait for a long analysis.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """End everything now."""

    async def probe(self, path: Path) -> ProbedFile:
        """Probe a file."""
        return ProbedFile(**await self.call("probe", {"path": str(path)}, quick=True))

    async def answer(self, request: AnalysisRequest) -> Reply:
        """Answer a question."""
        return Reply(**await self.call("answer", asdict(request)))

    async def words(self, request: AnalysisRequest) -> VideoWords:
        """Return what is said and written."""
        return VideoWords.from_json(await self.call("words", asdict(request)))

    async def brief(self, request: AnalysisRequest) -> Brief:
        """Return the evidence that a question is to be answered from."""
        return Brief.from_json(await self.call("brief", asdict(request)))

    async def picture(self, path: Path, at: float) -> bytes:
        """Return the picture at a time as a JPEG."""
        return base64.b64decode(await self.call("picture", {"path": str(path), "at": at}, quick=True))

    async def vectors(self, texts: Sequence[str], *, quick: bool = False) -> SentenceVectors:
        """Return the vectors of texts by the sentence model that is there."""
        return SentenceVectors.from_json(await self.call("vectors", {"texts": list(texts)}, quick=quick))


class ThreadPool(AnalysisPool):
    """For an injected analysis: quick, and trusted not to crash."""

    def __init__(self, analyzer: Analyzer, workers: int) -> None:
        self._analyzer = analyzer
        self._room = anyio.CapacityLimiter(workers + 1)

    async def call(self, do: str, data: Mapping[str, Json], *, quick: bool = False) -> Json:
        return await anyio.to_thread.run_sync(
            dispatch, self._analyzer, do, data, limiter=self._room, abandon_on_cancel=True
        )

    async def aclose(self) -> None:
        pass


class ProcessPool(AnalysisPool):
    """For the real analysis: a crash takes one process, not the server.

    Quick questions have a slot of their own and never wait for a long analysis.
    """

    def __init__(self, workers: int, log: Path, meaning: str) -> None:
        self._long = anyio.CapacityLimiter(workers)
        self._quick = anyio.CapacityLimiter(1)
        self._log = log
        self._meaning = meaning
        self._idle: list[ChildProcess] = []
        self._all: set[ChildProcess] = set()

    async def call(self, do: str, data: Mapping[str, Json], *, quick: bool = False) -> Json:
        async with self._quick if quick else self._long:
            worker = self._idle.pop() if self._idle else await self._spawn()
            try:
                found = await worker.ask({"do": do, "data": dict(data), "meaning": self._meaning})
            except BaseException as error:
                await self._retire(worker)
                if isinstance(error, ChildProcessEnded):
                    raise AnalysisCrashed(f"the analysis process ended unexpectedly, see {self._log}") from None
                raise
            self._idle.append(worker)
        if "refused" in found:
            raise AnalysisRefused(*found["refused"])
        if "broken" in found:
            raise AnalysisCrashed(found["broken"])
        return found["ok"]

    async def _spawn(self) -> ChildProcess:
        with self._log.open("ab") as log:
            worker = await ChildProcess.start("pipeline.local.analysis.process_main", log)
        self._all.add(worker)
        return worker

    async def _retire(self, worker: ChildProcess) -> None:
        self._all.discard(worker)
        await worker.aclose()

    async def aclose(self) -> None:
        self._idle.clear()
        async with AsyncExitStack() as stack:
            for worker in list(self._all):
                stack.push_async_callback(self._retire, worker)


def create_pool(analyzer: Analyzer | None, workers: int, log: Path, meaning: str = "none") -> AnalysisPool:
    """Return processes for the real analysis, threads for an injected one.

    ``meaning`` is the sentence model of the real one: a folder, ``auto`` or ``none``.
    """
    return ProcessPool(workers, log, meaning) if analyzer is None else ThreadPool(analyzer, workers)
