"""A process with a time limit: the operator's command, or apprise."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

import anyio
from anyio.abc import Process

from pipeline.core import log

#: Variables of ours that no other program needs.
_OURS = ("TWELVELABS_API_KEY", "REELMILL_POST_HEADER", "REELMILL_WATCH__")
_KEPT = 8_000  #: bytes of what it said last


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """How a process ended."""

    why: str  #: it did not do its work; empty if it did
    said: str = ""  #: the end of what it wrote to stdout and stderr


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the key, the webhook's header and the addresses."""
    kept = log.without_secrets(environment)
    return {name: value for name, value in kept.items() if not name.startswith(_OURS) or name.endswith("_FILE")}


async def run_child(words: Sequence[str], given: bytes, timeout: float) -> ChildEnd:
    """Run a program without a shell, ``given`` on its standard input; never raises.

    After ``timeout`` seconds, or when the caller is cancelled, the program and all that it started are killed. What it
    says goes into a file, so that neither a chatty program nor one that left another behind is waited for.
    """
    try:
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as output:
            stdin.write(given)
            stdin.seek(0)
            code = await _run(words, stdin, output, timeout)
            said = _tail(output)
    except (OSError, ValueError) as error:
        return ChildEnd(f"it cannot be started: {getattr(error, 'strerror', None) or error}")
    if code is None:
        return ChildEnd(f"it did not end within {timeout:g} s and was killed", said)
    return ChildEnd(f"it ended with code {code}" if code else "", said)


async def _run(words: Sequence[str], stdin: IO[bytes], output: IO[bytes], timeout: float) -> int | None:
    with anyio.CancelScope(shield=True):  # milliseconds; a cancel in between would lose a process that runs already
        process = await anyio.open_process(
            list(words),
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=without_secrets(os.environ),
            start_new_session=True,
        )
    try:
        with anyio.move_on_after(timeout):
            return await process.wait()
        return None
    finally:
        if process.returncode is None:
            await _kill(process)


async def _kill(process: Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with anyio.move_on_after(5, shield=True):
        await process.wait()


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _KEPT))
    return output.read(_KEPT).decode("utf-8", "replace")
