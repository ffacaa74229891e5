"""Makes the captions' data files, many of them in a process of their own.

To read captions takes a third of the time of a page, and waits for nothing: a second processor does it meanwhile.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import anyio

from pipeline.core import log
from pipeline.gallery.data_files import captions_script
from pipeline.media.process import MediaProcess, MediaProcessEnded

MAIN = "pipeline.gallery.caption_main"
_MANY = 1_000_000  #: characters from which a process is worth its start
_PATIENCE = 120.0  #: seconds for one request
_log = log.get("gallery")


class CaptionScripts:
    """Makes data files of captions; ends its process when it is closed."""

    def __init__(self) -> None:
        self._process: MediaProcess | None = None
        self._asked = 0  #: characters so far
        self._alone = False  #: a process did not help

    async def make(self, texts: Sequence[tuple[str, str]]) -> list[str]:
        """Return the content of each file, by folder and text.

        Empty where a text has no cue.
        """
        self._asked += sum(len(text) for _, text in texts)
        if texts and self._asked > _MANY and not self._alone:
            try:
                with anyio.fail_after(_PATIENCE):
                    self._process = self._process or await MediaProcess.start(MAIN, subprocess.DEVNULL)
                    made: list[str] = (await self._process.ask({"texts": list(texts)}))["scripts"]
                    return made
            except (OSError, TimeoutError, MediaProcessEnded, ValueError) as error:
                _log.info("gallery.captions_alone", why=repr(error)[:300])
                self._alone = True
                await self.aclose()
        return [captions_script(folder, text) for folder, text in texts]

    async def aclose(self) -> None:
        """End the process. Cannot be cancelled."""
        process, self._process = self._process, None
        if process is not None:
            await process.aclose()
