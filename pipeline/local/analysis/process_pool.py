"""The worker pool of the analysis: processes, or threads for an injected one."""

from __future__ import annotations

import base64
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from pipeline.core.model import Json
from pipeline.local.analysis.protocol import (
    AnalysisCrashed,
    AnalysisRefused,
    AnalysisRequest,
    Analyzer,
    ProbedFile,
    Reply,
    VideoWords,
    dispatch,
)

_MOST_ANSWER = 256 * 1024 * 1024  #: bytes of one line from the process


class AnalysisPool(ABC):
    """Where the analysis is done.

    A cancelled call stops the work where it can be stopped.
    Every call raises AnalysisRefused or AnalysisCrashed.
    """

    @abstractmethod
    async def call(self, do: str, data: Mapping[str, Json]) -> Json:
        """Do ``probe``, ``picture``, ``answer`` or ``words``."""

    @abstractmethod
    async def aclose(self) -> None:
        """End everything now."""

    async def probe(self, path: Path) -> ProbedFile:
        """Probe a file."""
        return ProbedFile(**await self.call("probe", {"path": str(path)}))

    async def answer(self, request: AnalysisRequest) -> Reply:
        """Answer a question."""
        return Reply(**await self.call("answer", asdict(request)))

    async def words(self, request: AnalysisRequest) -> VideoWords:
        """Return what is said and written."""
        return VideoWords.from_json(await self.call("words", asdict(request)))

    async def picture(self, path: Path, at: float) -> bytes:
        """Return the picture at a time as a JPEG."""
        return base64.b64decode(await self.call("picture", {"path": str(path), "at": at}))


class ThreadPool(AnalysisPool):
    """For an injected analysis: quick, and trusted not to crash."""

    def __init__(self, analyzer: Analyzer, workers: int) -> None:
        self._analyzer = analyzer
        self._room = anyio.CapacityLimiter(workers + 1)

    async def call(self, do: str, data: Mapping[str, Json]) -> Json:
        return await anyio.to_thread.run_sync(
            dispatch, self._analyzer, do, data, limiter=self._room, abandon_on_cancel=True
        )

    async def aclose(self) -> None:
        pass


class ProcessPool(AnalysisPool):
    """For the real analysis: a crash takes one process, not the server.

    The processes are in sessions of their own, so that Ctrl-C in the terminal does not reach them; they end when
    their pipe does, so a killed server leaves none behind. Probes and pictures have a slot of their own and never wait for
    a long analysis.
    """

    def __init__(self, workers: int, log: Path) -> None:
        self._long = anyio.CapacityLimiter(workers)
        self._quick = anyio.CapacityLimiter(1)
        self._log = log
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()

    async def call(self, do: str, data: Mapping[str, Json]) -> Json:
        async with self._quick if do in ("probe", "picture") else self._long:
            worker = self._idle.pop() if self._idle else await self._spawn()
            try:
                line = await worker.ask(json.dumps({"do": do, "data": data}).encode() + b"\n")
            except BaseException as error:
                await self._retire(worker)
                if isinstance(error, anyio.EndOfStream | anyio.IncompleteRead | anyio.BrokenResourceError):
                    raise AnalysisCrashed(f"the analysis process ended unexpectedly, see {self._log}") from None
                raise
            self._idle.append(worker)
        found = json.loads(line)
        if "refused" in found:
            raise AnalysisRefused(*found["refused"])
        if "broken" in found:
            raise AnalysisCrashed(found["broken"])
        return found["ok"]

    async def _spawn(self) -> _Worker:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TWELVELABS_API_KEY")}
        with self._log.open("ab") as log:
            process = await anyio.open_process(
                [sys.executable, "-m", "pipeline.local.analysis.process_main"],
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        worker = _Worker(process)
        self._all.add(worker)
        return worker

    async def _retire(self, worker: _Worker) -> None:
        self._all.discard(worker)
        with anyio.CancelScope(shield=True):
            await worker.aclose()

    async def aclose(self) -> None:
        self._idle.clear()
        async with AsyncExitStack() as stack:
            for worker in list(self._all):
                stack.push_async_callback(self._retire, worker)


class _Worker:
    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)

    async def ask(self, line: bytes) -> bytes:
        await self._stdin.send(line)
        return await self._stdout.receive_until(b"\n", _MOST_ANSWER)

    async def aclose(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.aclose()


def create_pool(analyzer: Analyzer | None, workers: int, log: Path) -> AnalysisPool:
    """Return processes for the real analysis, threads for an injected one."""
    return ProcessPool(workers, log) if analyzer is None else ThreadPool(analyzer, workers)
