"""``python -m tests.faults.fork_server``: a process that forks platforms, one at a time, and raises each again when it dies.

The first of a family has an appointment: it kills itself before or after its nth change on the disk. A process of its own,
because only one without threads can be forked; and quick, because everything is imported once.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from pipeline.local.limits import PlatformLimits
from pipeline.local.platform import LocalPlatform
from tests.contract.platform_double import TOKEN, Canned
from tests.support.cli import environment
from tests.support.fast_loop import BriskClock, run_brisk

SMALL = PlatformLimits(chunk_size=8192, first_urls=2)

_CHANGES = ("mkdir", "fsync", "replace", "unlink")


class Appointment:
    """Counts what changes on the disk, and dies there."""

    def __init__(self, number: int, when: str) -> None:
        self.left, self.when = number, when
        for name in _CHANGES:
            setattr(os, name, partial(self._change, getattr(os, name)))

    def _change(self, real: Callable[..., Any], *args: Any, **more: Any) -> Any:
        self.left -= 1
        if self.left == 0 and self.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return real(*args, **more)
        finally:
            if self.left == 0 and self.when == "after":
                os.kill(os.getpid(), signal.SIGKILL)


async def serve(folder: Path, port: int, clock: BriskClock, told: int) -> None:
    """Serve until killed; say where, once."""
    async with LocalPlatform(
        folder, token=TOKEN, clock=clock, analyzer=Canned(seconds=5.0), workers=2, limits=SMALL, port=port
    ) as served:
        os.write(told, served.base_url.encode())
        await anyio.sleep_forever()


def born(folder: Path, port: int, clock: BriskClock, appointment: tuple[int, str]) -> tuple[int, str]:
    """Fork a platform; return its number and where it serves, empty if it died before it did."""
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(heard)
        if appointment[0]:
            Appointment(*appointment)
        run_brisk(serve(folder, port, clock, told))
        os._exit(0)
    os.close(told)
    base_url = os.read(heard, 1000).decode()
    os.close(heard)
    return pid, base_url


def family(words: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Keep a platform alive until the next line comes in: say where, and in the end how many died."""
    clock = BriskClock()
    clock._start, clock._zero = words["start"], words["zero"]
    folder = Path(words["folder"])
    pid, base_url = born(folder, words["port"], clock, (words["number"], words["when"]))
    deaths = 0
    while not base_url:  # it died while it was starting
        os.waitpid(pid, 0)
        deaths += 1
        pid, base_url = born(folder, words["port"], clock, (0, ""))
    yield {"base_url": base_url}
    while not select.select([0], [], [], 0.01)[0]:
        if os.waitpid(pid, os.WNOHANG)[0]:
            deaths += 1
            pid, _ = born(folder, words["port"], clock, (0, ""))
    os.read(0, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    yield {"deaths": deaths}


@dataclass
class Nursery:
    """The other end of the pipe."""

    process: subprocess.Popen[bytes]

    @contextmanager
    def platform(self, folder: Path, clock: BriskClock, port: int, number: int, when: str) -> Iterator[list[str]]:
        """Serve for a while. The list holds the address, and afterwards the number of deaths."""
        words = {
            "folder": str(folder), "port": port, "number": number, "when": when, "start": clock._start, "zero": clock._zero,
        }  # fmt: skip
        said = [self._say(json.dumps(words).encode() + b"\n")["base_url"]]
        try:
            yield said
        finally:
            said.append(str(self._say(b".")["deaths"]))

    def _say(self, words: bytes) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(words)
        self.process.stdin.flush()
        return dict(json.loads(self.process.stdout.readline()))


@contextmanager
def nursery() -> Iterator[Nursery]:
    """Start the process and end it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.fork_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2], env=environment(), bufsize=0,
    )  # fmt: skip
    try:
        yield Nursery(process)
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait(30)


def _line() -> bytes:
    """Read a line and not a byte more: what follows is for :func:`family`."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def main() -> None:
    """Read one line for each family."""
    while line := _line():
        for said in family(json.loads(line)):
            print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
