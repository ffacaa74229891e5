"""``pipeline.app.run`` as a library: inside somebody else's program, in whatever thread that has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import anyio

from pipeline.app.runs.run import run
from pipeline.config.settings import load
from tests.support.media import clip


def test_a_run_needs_no_main_thread(tmp_path: Path) -> None:
    """Signals are set up in the main thread only; in another one, as in a web server, a run works without them."""
    film = clip(tmp_path / "a.mp4")
    settings = load(
        None, env={"REELMILL_RUN__OUTPUT": str(tmp_path / "out"), "REELMILL_RUN__STATE": str(tmp_path / "state")}
    )
    with ThreadPoolExecutor(1) as threads:
        report = threads.submit(anyio.run, partial(run, settings, [str(film)])).result(timeout=120)
    assert report.exit_code == 0
    assert len(list((tmp_path / "out").glob("*/video.json"))) == 1
