"""Workers without the price of starting Python and loading yt-dlp: forked, in sessions of their own, by one that has both.

From its first request on such a worker is like any other: the same script, the same pipes in effect, a process group that
it leads. Only how it came about differs, so tests that use this start some of theirs the whole way.
"""

from __future__ import annotations

import os
import select
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process, SocketStream

from pipeline.source.youtube.worker.pool import WorkerCommand, WorkerProcess, start_worker

#: Takes the worker's end of a line and forks what will speak through it; answers with its process number.
_FORGE = """
import importlib, os, runpy, signal, socket, sys
importlib.import_module("yt_dlp")
script, door = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))

def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]: pass
    except ChildProcessError:
        pass

signal.signal(signal.SIGCHLD, reap)
while True:
    told, fds, *_ = socket.recv_fds(door, 1, 2)
    if not told:
        break
    pid = os.fork()
    if pid == 0:
        door.close()
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for fd, at in ((fds[0], 0), (fds[0], 1), (fds[1], 2)):
            os.dup2(fd, at)
        for fd in fds:
            os.close(fd)
        runpy.run_path(script, run_name="__main__")
        os._exit(0)
    for fd in fds:
        os.close(fd)
    door.send(pid.to_bytes(8, "big"))
"""


class Forge:
    """``WorkerPool.start`` by forking; every ``whole``-th worker is started the ordinary way. Linux only."""

    def __init__(self, folder: Path, command: WorkerCommand, whole: int = 8) -> None:
        self.alive: list[int] = []  #: the process groups that were begun, newest last
        self._folder, self._command, self._whole = folder, command, whole
        self._begun = 0

    async def __aenter__(self) -> Forge:
        script = self._folder / "forge.py"
        script.write_text(_FORGE, encoding="utf-8")
        self._door, theirs = socket.socketpair()
        command = [self._command.python, str(script), str(self._command.script), str(theirs.fileno())]
        environment = self._command.environment(os.environ)
        self._process = await anyio.open_process(command, stderr=None, env=environment, pass_fds=[theirs.fileno()])
        theirs.close()
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            self._door.close()
            await self._process.wait()
            await self._process.aclose()

    async def start(self, command: WorkerCommand, environment: Mapping[str, str]) -> WorkerProcess:
        """Return a worker that has said hello."""
        self._begun += 1
        worker = await (start_worker(command, environment) if self._begun % self._whole == 0 else self._forked())
        self.alive.append(worker.pid)
        return worker

    async def _forked(self) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        stderr = tempfile.TemporaryFile()  # noqa: SIM115 - the worker object closes it
        with theirs:
            socket.send_fds(self._door, [b"!"], [theirs.fileno(), stderr.fileno()])
        await anyio.wait_readable(self._door)
        pid = int.from_bytes(self._door.recv(8), "big")
        worker = WorkerProcess(Forked(pid, await SocketStream.from_socket(ours)), stderr)
        await worker.greet()
        return worker


class Forked(Process):
    """What the run's side needs of a process that is not its child."""

    def __init__(self, pid: int, line: SocketStream) -> None:
        self._pid, self._line = pid, line
        self._handle = os.pidfd_open(pid)
        self._over = False

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def returncode(self) -> int | None:
        self._over = self._over or bool(select.select([self._handle], [], [], 0)[0])
        return -9 if self._over else None

    @property
    def stdin(self) -> Any:
        return self._line

    @property
    def stdout(self) -> Any:
        return self._line

    @property
    def stderr(self) -> None:
        return None

    async def wait(self) -> int:
        if not self._over:
            await anyio.wait_readable(self._handle)
            self._over = True
        return -9

    async def aclose(self) -> None:
        if self._handle >= 0:
            await self.wait()
            os.close(self._handle)
            self._handle = -1
        await self._line.aclose()

    def terminate(self) -> None:
        self.send_signal(15)

    def kill(self) -> None:
        self.send_signal(9)

    def send_signal(self, signal: int) -> None:
        os.kill(self._pid, signal)
