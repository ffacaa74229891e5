"""``python -m tests.faults.canned_platform FOLDER``: the local platform as a process, with a real ledger over HTTP.

Real analysis of hundreds of videos would cost minutes and prove nothing about dying.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from pipeline.core.clock import SystemClock
from pipeline.local.platform import LocalPlatform
from tests.contract.platform_double import Canned
from tests.support.cli import KEY, environment


async def main(folder: Path) -> None:
    """Serve until killed; say where on stdout."""
    async with LocalPlatform(folder, token=KEY, clock=SystemClock(), analyzer=Canned(seconds=5.0), workers=2) as served:
        print(served.base_url, flush=True)
        await anyio.sleep_forever()


@contextmanager
def canned(folder: Path) -> Iterator[tuple[str, Path]]:
    """Serve in a process of its own; yield its address and its database, which can be read whether it runs or not."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.canned_platform", str(folder)], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2], env=environment(),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), folder / "platform.sqlite3"
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
