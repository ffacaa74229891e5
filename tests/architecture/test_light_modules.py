"""What a run against the cloud loads: decoding is not its work, and a decoder costs it 15 MB and a fifth of a second."""

from __future__ import annotations

import subprocess
import sys

#: Libraries of pictures, films, terminals' colours and servers.
HEAVY = {"PIL", "av", "numpy", "starlette", "uvicorn", "yt_dlp", "typer"}
#: Where a run begins, apart from the look into its files.
RUN = ("pipeline.app.runs.session", "pipeline.app.wiring.platform", "pipeline.provider.client", "pipeline.sink.disk",
       "pipeline.app.wiring.run_plan", "pipeline.app.wiring.state_folder", "pipeline.ingest.tasks.video")  # fmt: skip


def test_a_run_against_the_cloud_loads_no_decoder() -> None:
    """A process of its own, for this one has loaded everything."""
    code = f"import sys, {', '.join(RUN)}\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
