"""``python -m tests.faults.canned_platform FOLDER [MEDIA]``: the local platform as a process, its analysis canned.

Real HTTP and a real ledger; real analysis of hundreds of videos would cost minutes and prove nothing about dying. It fetches
any address, and takes the files in MEDIA for YouTube's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from pipeline.core.clock import SystemClock
from pipeline.local.jobs.url_fetch import UrlPolicy
from pipeline.local.platform import LocalPlatform
from tests.contract.platform_double import Canned
from tests.support.cli import KEY, environment


async def main(folder: Path, media: Path | None = None) -> None:
    """Serve until killed; say where on stdout."""
    async with LocalPlatform(
        folder, token=KEY, clock=SystemClock(), analyzer=Canned(seconds=5.0), workers=2, media=media,
        url_policy=UrlPolicy(allow="any"),
    ) as served:  # fmt: skip
        print(served.base_url, flush=True)
        await anyio.sleep_forever()


@contextmanager
def canned(folder: Path, media: Path | None = None) -> Iterator[tuple[str, Path]]:
    """Serve in a process of its own; yield its address and its database, which can be read whether it runs or not."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.canned_platform", *map(str, filter(None, (folder, media)))],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2], env=environment(),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), folder / "platform.sqlite3"
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    anyio.run(main, *map(Path, sys.argv[1:]))
