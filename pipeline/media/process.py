"""A process for work apart from ours: JSON lines in and out.

Mostly it is work on foreign media: a crash, a hang or a memory that grows takes this process and nothing else. It stands in
a session of its own, so that Ctrl-C in the terminal does not reach it, and ends when its pipe does: a killed parent leaves
none behind.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from pipeline.core import log
from pipeline.core.model import Json

_LONGEST = 256 * 1024 * 1024  #: bytes of one answer
_TAIL = 600  #: bytes of its output that are looked at
_PATIENCE = 5.0  #: seconds that a killed process may take to end: one that waits for a disk does so for ever


def last_line(output: IO[bytes]) -> str:
    """Return the last line that a process wrote; empty without one."""
    try:
        end = os.fstat(output.fileno()).st_size
        said = os.pread(output.fileno(), _TAIL, max(0, end - _TAIL)).decode("utf-8", "replace").strip()
    except (OSError, ValueError):  # it is closed
        return ""
    return said.splitlines()[-1][:400] if said else ""


class ChildProcessEnded(Exception):
    """The process has ended before it answered, or its answer had no end."""


class ChildProcess:
    """The parent's side of one process; one request at a time."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)
        self._silent = False  # it has closed its pipe: it is dead, or dying

    @classmethod
    async def start(cls, module: str, stderr: int | IO[bytes], shared: Sequence[int] = ()) -> ChildProcess:
        """Start ``python -m module``, which calls :func:`pipeline.media.process_lines.serve_lines`.

        It gets no API key of ours, and imports nothing from the folder that we work in, where anything may lie.
        ``shared``: files that it may use, too, by the same numbers.
        """
        kept = log.without_secrets(os.environ)
        environment = {k: v for k, v in kept.items() if not k.startswith("TWELVELABS_API_KEY")}
        environment.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's: one worker uses one core
        with anyio.CancelScope(shield=True):  # milliseconds; a cancel in between would lose a process that runs already
            process = await anyio.open_process(
                [sys.executable, "-P", "-m", module],
                stderr=stderr,
                env=environment,
                start_new_session=True,
                pass_fds=shared,
            )
        return cls(process)

    @property
    def returncode(self) -> int | None:
        """How it ended, as ``subprocess`` tells it; None while it runs."""
        return self._process.returncode

    async def ask(self, request: Json) -> Json:
        """Return the answer. After any interruption only :meth:`aclose` is left.

        Raises:
            ChildProcessEnded: it ended instead, or its answer is too large.
        """
        try:
            await self._stdin.send(json.dumps(request).encode() + b"\n")
            return json.loads(await self._stdout.receive_until(b"\n", _LONGEST))
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
            self._silent = True
            raise ChildProcessEnded from None
        except anyio.DelimiterNotFound:
            raise ChildProcessEnded from None

    async def aclose(self) -> None:
        """Kill it. Never raises, never waits long, cannot be cancelled."""
        with anyio.CancelScope(shield=True):
            if self._silent:  # `kill` would take its exit status away from whoever waits for it
                with anyio.move_on_after(_PATIENCE):
                    await self._process.wait()
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    self._process.kill()
            with anyio.move_on_after(_PATIENCE):
                await self._process.wait()
            if self._process.returncode is not None:  # else there is nothing to be done about it
                await self._process.aclose()
