"""Our side of the second process: a block asked for, a block returned."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO

import anyio
from anyio import to_thread

from pipeline.app.gallery.making.block import BlockJob, MadeBlock
from pipeline.app.wiring.state_folder import database_file
from pipeline.config.settings import Settings
from pipeline.core import log
from pipeline.core.model import Json
from pipeline.media.process import ChildProcess, ChildProcessEnded, last_line

MAIN = "pipeline.app.gallery.making.main"
_PATIENCE = 120.0  #: seconds for one block
_log = log.get("gallery")


class BlockProcess:
    """A process that makes blocks, started with the first one or before."""

    def __init__(self, settings: Settings, secrets: list[str], now: float) -> None:
        self._facts: dict[str, Json] = {
            "state": str(settings.run.state.absolute()),
            "words": [str(settings.run.output.absolute()), settings.gallery.paths == "absolute", secrets],
            "now": now,
        }
        self._database = None if settings.store.url else database_file(settings.run.state)
        self._process: ChildProcess | None = None
        self._answer: IO[bytes] | None = None  #: what it writes blocks into; a file without a name
        self._errors: IO[bytes] | None = None  #: what it says on stderr, likewise

    def can_help(self) -> bool:
        """Return whether there is a file that another process can read."""
        return self._database is not None and self._database.is_file()

    async def start(self) -> None:
        """Start it ahead: it takes as long to load as some blocks to make."""
        if self.can_help():
            with suppress(OSError):  # told with the first block
                await self._started()

    async def make(self, job: BlockJob) -> MadeBlock | None:
        """Make a block; None if the process did not help, and will not again."""
        request = {
            **self._facts,
            "number": job.number,
            "videos": {task.key: number for number, task, _ in job.videos},
            "posters": [data.folder for _, _, data in job.videos if data.folder in job.posters],
            "stale": job.stale,
        }
        try:
            with anyio.fail_after(_PATIENCE):
                process, answer = await self._started()
                size = await process.ask({**request, "answer": answer})
                return await to_thread.run_sync(_read, answer, size)
        except ChildProcessEnded:
            why = await self._end()
        except (OSError, TimeoutError, ValueError) as error:
            why = repr(error)
        _log.warning("gallery.made_alone", why=why[:300])
        await self.aclose()
        return None

    async def aclose(self) -> None:
        """End the process. Cannot be cancelled."""
        await self._end()
        for file in filter(None, (self._answer, self._errors)):
            file.close()
        self._answer = self._errors = None

    async def _end(self) -> str:
        """End the process; return how, with its last line."""
        process, self._process = self._process, None
        if process is None:
            return ""
        await process.aclose()
        said = last_line(self._errors) if self._errors is not None else ""
        return f"its process ended with {process.returncode}{said and f': {said}'}"

    async def _started(self) -> tuple[ChildProcess, int]:
        """Return the process, and the number of the file of its answers."""
        self._answer = self._answer or TemporaryFile()  # noqa: SIM115 - closed with the process
        self._errors = self._errors or TemporaryFile()  # noqa: SIM115 - as above
        number = self._answer.fileno()
        self._process = self._process or await ChildProcess.start(MAIN, self._errors, [number])
        return self._process, number


def _read(file: int, size: int) -> MadeBlock:
    return MadeBlock.from_json(json.loads(os.pread(file, size, 0)))
