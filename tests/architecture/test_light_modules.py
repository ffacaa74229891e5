"""What processes load: a decoder costs a run against the cloud 15 MB and a fifth of a second, and it decodes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.support.gallery_library import Library

#: Libraries of pictures, films, terminals' colours and servers.
HEAVY = {"PIL", "av", "numpy", "starlette", "uvicorn", "yt_dlp", "typer"}
#: What only long commands need: a client of HTTP, logs, locks, tables that move, and our own rooms that do the work.
LONG = {"httpx", "structlog", "filelock", "prometheus_client", "rich.live", "rich.traceback", "pygments", "jobs",
        "pipeline.engine.pool", "pipeline.local", "pipeline.ingest.tasks", "pipeline.app.runs"}  # fmt: skip
#: Where a run begins, apart from the look into its files.
RUN = ("pipeline.app.runs.session", "pipeline.app.wiring.platform", "pipeline.provider.client", "pipeline.sink.disk",
       "pipeline.app.wiring.run_plan", "pipeline.app.wiring.state_folder", "pipeline.ingest.tasks.video")  # fmt: skip


def test_a_run_against_the_cloud_loads_no_decoder() -> None:
    """A process of its own, for this one has loaded everything."""
    code = f"import sys, {', '.join(RUN)}\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


@pytest.mark.parametrize("words", [["status"], ["show", "unfinished 000.mp4"]])
def test_a_short_command_loads_no_more_than_it_needs(tmp_path: Path, words: list[str]) -> None:
    """It reads a few rows and shows a table: loading is most of its time."""
    library = Library(tmp_path, 10)
    anyio.run(library.make)
    code = f"""import sys
from pipeline.__main__ import main
sys.argv = ["reelmill", *{words!r}]
try:
    main()
finally:
    print(*sorted({HEAVY - {"typer"} | LONG!r} & set(sys.modules)), sep=", ", file=sys.stderr)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "unfinished" in ran.stdout
    assert ran.stderr.split() == []
