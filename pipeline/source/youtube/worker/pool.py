"""The worker pool of yt-dlp processes: starts, asks, watches, ends them.

A worker serves many jobs, one at a time. Whatever interrupts a job (a cancel, a stall, garbage on the pipe) ends the whole
process group at once: it has nothing to save, and ``storage.folder`` decides about what it left on disk.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from pipeline.core import log
from pipeline.core.model import Json
from pipeline.media.process import last_line
from pipeline.ports import transfers

_log = log.get("youtube")
SCRIPT = Path(__file__).with_name("main.py")
PROTOCOL = 1
_LONGEST_LINE = 8_000_000
_START = 60.0  #: seconds for a worker to say hello
_SILENT = 60.0  #: seconds without any line: even the heartbeat has stopped
_MERGING = 900.0  #: seconds that a post-processing step may be quiet
_MAX_JOBS = 50  #: of one worker
_MAX_MEMORY = 300 * 1024 * 1024  #: bytes, after which a worker is replaced
#: What of our environment the worker may see: no keys, no configuration of ours.
_ENVIRONMENT = (
    "PATH", "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "XDG_CACHE_HOME", "DENO_DIR", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy",
    "all_proxy", "no_proxy",
)  # fmt: skip


class WorkerGone(Exception):
    """The worker died, stalled, or wrote nonsense.

    ``missing``: this interpreter cannot run it at all.
    """

    def __init__(self, why: str, *, missing: bool = False) -> None:
        super().__init__(why)
        self.missing = missing


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """The command that starts a worker."""

    python: str = sys.executable
    plugins: bool = False
    script: Path = SCRIPT

    def environment(self, ours: Mapping[str, str]) -> dict[str, str]:
        """Return the worker's environment: our short list, by default without plugins."""
        kept = {name: ours[name] for name in _ENVIRONMENT if name in ours}
        return kept | {"PYTHONUTF8": "1"} | ({} if self.plugins else {"YTDLP_NO_PLUGINS": "1"})


@dataclass(frozen=True, slots=True)
class Hello:
    """The worker's greeting: versions."""

    yt_dlp: str
    ejs: str
    python: str


class WorkerProcess:
    """One running worker process."""

    def __init__(self, process: Process, stderr: IO[bytes]) -> None:
        assert process.stdout is not None
        self._process = process
        self._stderr = stderr  # a file, so that a chatty child is never blocked
        self._lines = BufferedByteReceiveStream(process.stdout)
        self._number = 0
        self._jobs = 0
        self._rss = 0
        self.busy = False  #: a request is under way: after an interruption, only ending the process is safe
        self.hello = Hello("", "", "")

    @property
    def pid(self) -> int:
        """The id of the process and of the group that it leads."""
        return self._process.pid

    @property
    def exhausted(self) -> bool:
        """True if it must not get another job."""
        return self.busy or self._jobs >= _MAX_JOBS or self._rss > _MAX_MEMORY or self._process.returncode is not None

    async def greet(self) -> None:
        """Wait for its hello and check the protocol, or end it.

        Raises:
            WorkerGone: ``missing`` when this Python has no yt-dlp, or an older worker script.
        """
        try:
            await self._check_hello()
        except BaseException:  # a cancel must not leave it behind
            await self.end()
            raise

    async def _check_hello(self) -> None:
        event = await self._next(_START)
        if event.get("event") != "hello" or event.get("protocol") != PROTOCOL:
            raise WorkerGone("it speaks another protocol", missing=True)
        if not event.get("yt_dlp"):
            raise WorkerGone(str(event.get("problem") or "it has no yt-dlp"), missing=True)
        self.hello = Hello(str(event["yt_dlp"]), str(event.get("ejs") or ""), str(event.get("python") or ""))

    async def ask(
        self,
        do: str,
        fields: Mapping[str, Json],
        *,
        quiet: float,
        seen: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Send one request and return the event that ends it, ``failed`` included.

        ``quiet`` is how many seconds yt-dlp may do nothing; ``seen`` gets the events on the way.

        Raises:
            WorkerGone: it died, stood still, or wrote what is no event. The process must then be ended.
        """
        self._number += 1
        self.busy = True
        assert self._process.stdin is not None
        try:
            request = {"id": self._number, "do": do, **fields}
            await self._process.stdin.send(json.dumps(request).encode() + b"\n")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            raise WorkerGone(self._last_message()) from None
        merging = False
        while True:
            event = await self._next(_SILENT)
            if event.get("id") != self._number:
                continue
            name = event["event"]
            if name == "beat":
                self._check_heartbeat(event, _MERGING if merging else quiet)
            elif name in ("progress", "stage", "entries"):
                if name == "progress":
                    transfers.stands_at(int(event.get("bytes") or 0), int(event.get("total") or 0))
                merging = not event.get("over") if name == "stage" else False
                if seen is not None:
                    seen(event)
            else:
                return self._finish(event)

    def _check_heartbeat(self, event: Mapping[str, Any], allowed: float) -> None:
        if float(event.get("quiet") or 0.0) > allowed:
            raise WorkerGone(f"nothing has come for {allowed:.0f} s")

    def _finish(self, event: dict[str, Any]) -> dict[str, Any]:
        self.busy = False
        self._jobs += event["event"] == "probed" or event["event"] == "listed"
        self._rss = int(event.get("rss") or 0)
        return event

    async def _next(self, patience: float) -> dict[str, Any]:
        try:
            with anyio.fail_after(patience):
                line = await self._lines.receive_until(b"\n", _LONGEST_LINE)
        except TimeoutError:
            raise WorkerGone(f"no sign of life for {patience:.0f} s") from None
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise WorkerGone(self._last_message()) from None
        except anyio.DelimiterNotFound:
            raise WorkerGone("it writes a line without end") from None
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            raise WorkerGone(f"it writes nonsense: {line[:200]!r}") from None
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            raise WorkerGone(f"it writes nonsense: {line[:200]!r}")
        return event

    def _last_message(self) -> str:
        said = last_line(self._stderr)
        return f"it ended: {said}" if said else "it ended without a word"

    async def end(self) -> None:
        """Kill it and everything it started. Never raises, never waits long, cannot be cancelled."""
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with anyio.move_on_after(5):
                await self._process.wait()
            with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self._process.aclose()
            self._stderr.close()


async def start_worker(command: WorkerCommand, environment: Mapping[str, str]) -> WorkerProcess:
    """Start a worker and wait for its hello.

    Raises:
        WorkerGone: ``missing`` when the interpreter is not there or has no yt-dlp.
    """
    stderr = tempfile.TemporaryFile()  # noqa: SIM115 - the worker object closes it
    try:
        with anyio.CancelScope(shield=True):  # milliseconds; a cancel in between would lose a process that runs already
            process = await anyio.open_process(
                [command.python, str(command.script)],
                stderr=stderr,
                env=command.environment(environment),
                start_new_session=True,
            )
    except OSError as error:
        stderr.close()
        raise WorkerGone(f"{command.python}: {error.strerror or error}", missing=True) from None
    except BaseException:
        stderr.close()
        raise
    worker = WorkerProcess(process, stderr)
    await worker.greet()
    _log.debug("worker.started", pid=worker.pid, yt_dlp=worker.hello.yt_dlp, ejs=worker.hello.ejs)
    return worker


@dataclass(slots=True)
class WorkerPool:
    """Up to ``width`` workers, started on demand and reused."""

    command: WorkerCommand
    width: int
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    start: Callable[[WorkerCommand, Mapping[str, str]], Awaitable[WorkerProcess]] = start_worker
    _idle: list[WorkerProcess] = field(default_factory=list)
    _slots: anyio.CapacityLimiter | None = None

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[WorkerProcess]:
        """Lend a worker for one job, kept unless interrupted or exhausted.

        Raises:
            WorkerGone: none can be started.
        """
        self._slots = self._slots or anyio.CapacityLimiter(self.width)
        async with self._slots:
            worker = await self._reuse() or await self.start(self.command, self.environment)
            try:
                yield worker
            finally:
                if worker.exhausted:
                    await worker.end()
                else:
                    self._idle.append(worker)

    async def _reuse(self) -> WorkerProcess | None:
        """Return an idle worker that is still alive, or None."""
        while self._idle:
            worker = self._idle.pop()
            if not worker.exhausted:
                return worker
            await worker.end()
        return None

    async def aclose(self) -> None:
        """End all idle workers. Idempotent."""
        while self._idle:
            await self._idle.pop().end()
