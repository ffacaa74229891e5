"""The demo: make videos, run the jobs on them with the embedded platform."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import anyio

from pipeline.app.runs.run import run
from pipeline.config.settings import Settings
from pipeline.core.errors import ConfigError
from pipeline.views import RunReport, Watch

#: Lets every command go on in the demo's folder.
_CONFIG = """\
# Made by `reelmill demo`: the configuration of this folder. Add films of your own to [run] manifests, or change it.
[run]
state = "state"
output = "out"
manifests = ["videos"]

[provider]
kind = "local"
"""


async def demo(
    settings: Settings, folder: Path, *, count: int, watch: Watch | None = None
) -> tuple[list[Path], RunReport]:
    """Make captioned slide videos, ingest them locally, return both with the report."""
    from pipeline.local.demo.videos import make_demo

    if await anyio.Path(folder).is_file():
        raise ConfigError(
            f"demo: {folder} is a file; the demo makes its own videos in a folder",
            remedy=f"`reelmill run {folder}` ingests this one; `reelmill demo` makes some",
        )
    try:
        videos = await anyio.to_thread.run_sync(make_demo, folder / "videos", count)
    except OSError as error:
        raise ConfigError(
            f"demo: {folder}: the videos cannot be written: {error.strerror or error}",
            remedy="name a folder that you may write: reelmill demo FOLDER",
        ) from None
    await anyio.to_thread.run_sync(_write_config, folder)
    local = settings.model_copy(
        update={
            "run": settings.run.model_copy(update={"state": folder / "state", "output": folder / "out"}),
            "provider": settings.provider.model_copy(update={"kind": "local", "base_url": ""}),
        }
    )
    return videos, await run(local, [str(video) for video in videos], watch=watch)


def _write_config(folder: Path) -> None:
    """Write the folder's configuration, unless there is one."""
    with suppress(FileExistsError), (folder / "reelmill.toml").open("x", encoding="utf-8") as file:
        file.write(_CONFIG)
