"""Makes posters in a process that a file may take down."""

from __future__ import annotations

import base64
import signal
import subprocess
from dataclasses import dataclass

import anyio

from pipeline.core.model import Json
from pipeline.media.process import ChildProcess, ChildProcessEnded

_PATIENCE = 60.0  #: seconds for one poster: its processor time is limited, so what takes longer waits for a disk
_MOST = 200  #: posters of one process: FFmpeg's libraries keep a little of each file
MAIN = "pipeline.media.poster_main"


class PostersUnavailable(Exception):
    """The process cannot be started: no film is at fault."""


@dataclass(frozen=True, slots=True)
class MadePoster:
    """A poster, or why there is none."""

    data: bytes = b""
    why: str = ""


class PosterProcess:
    """The process, started when it is needed and again after it has died."""

    def __init__(self) -> None:
        self._process: ChildProcess | None = None
        self._asked = 0

    async def of_film(self, path: str, at: float | None, seconds: float) -> MadePoster:
        """Make a film's poster; see :func:`pipeline.media.poster.film_poster`.

        Raises:
            PostersUnavailable: no process can be started, or somebody has killed it.
        """
        return await self._make({"path": path, "at": at, "seconds": seconds})

    async def of_picture(self, data: bytes) -> MadePoster:
        """Make a poster of a thumbnail; raises as :meth:`of_film`."""
        return await self._make({"picture": base64.b64encode(data).decode()})

    async def aclose(self) -> None:
        """End the process. Cannot be cancelled."""
        process, self._process = self._process, None
        if process is not None:
            await process.aclose()

    async def _make(self, request: Json) -> MadePoster:
        if self._asked >= _MOST:
            await self.aclose()
        process = self._process or await self._start()
        self._asked += 1
        try:
            with anyio.fail_after(_PATIENCE):
                answer = await process.ask(request)
        except BaseException as error:
            await self.aclose()
            if isinstance(error, TimeoutError):
                return MadePoster(why=f"it took more than {_PATIENCE:.0f} s")
            if not isinstance(error, ChildProcessEnded):
                raise
            if process.returncode == -signal.SIGKILL:  # its own limits end it otherwise
                raise PostersUnavailable("its process was killed") from None
            return MadePoster(why=f"its process ended with {process.returncode}")
        return MadePoster(base64.b64decode(answer.get("poster", "")), str(answer.get("refused", "")))

    async def _start(self) -> ChildProcess:
        """Start a process and see that it works."""
        try:
            self._process = process = await ChildProcess.start(MAIN, subprocess.DEVNULL)
        except OSError as error:
            raise PostersUnavailable(f"no process can be started: {error.strerror}") from None
        self._asked = 0
        try:
            with anyio.fail_after(_PATIENCE):
                await process.ask({})
        except (ChildProcessEnded, TimeoutError):
            await self.aclose()
            raise PostersUnavailable("the process that makes them does not start") from None
        return process
