"""The second process that makes blocks; run as ``python -m``.

It opens the database for reading and takes one request a line. The made block goes into a file, because a pipe would have
to be emptied in many turns by a process that computes.
"""

from __future__ import annotations

import gc
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal

from pipeline.app.gallery.making.block import BlockJob, BlockMaker, MadeBlock
from pipeline.app.gallery.safe_words import SafeWords
from pipeline.app.gallery.standing import Standing
from pipeline.app.operator.attention import noted
from pipeline.app.wiring.state_folder import open_read_only
from pipeline.core.model import Json, Selection
from pipeline.ingest.payloads import PublishData
from pipeline.media.process_lines import serve_lines
from pipeline.ports.store import Database


class _Server:
    """Answers requests; the first one says of which database."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()  # never closed: the process ends with its pipe
        self._database: Database | None = None
        self._maker: BlockMaker | None = None

    async def answer(self, request: dict[str, Any]) -> Json:
        """Return what one request gets."""
        if self._database is None or self._maker is None:
            self._database = await self._stack.enter_async_context(open_read_only(Path(request["state"])))
            output, absolute, secrets = request["words"]
            words = SafeWords(Path(output), absolute=absolute, folders=[Path(request["state"])], secrets=secrets)
            standing = Standing(words, await noted(self._database), request["now"])
            self._maker = BlockMaker(self._database, words, standing)
        numbers: dict[str, int] = request["videos"]
        tasks = await self._database.tasks(Selection(("publish",), keys=tuple(numbers)))
        videos = [(numbers[task.key], task, PublishData.of(task)) for task in tasks]
        job = BlockJob(request["number"], videos, frozenset(request["posters"]), request["stale"])
        return _leave(self._maker.make(job, await self._maker.read(job)), request["answer"])


def _leave(made: MadeBlock, number: int) -> int:
    """Write a block over what is in a file; return its length."""
    content = json.dumps(made.as_json(), ensure_ascii=False).encode("utf-8", "surrogatepass")
    with open(number, "wb", closefd=False) as file:
        file.seek(0)
        file.write(content)
    return len(content)


def main() -> None:
    """Serve over stdin and stdout."""
    gc.disable()  # it ends soon, and makes no circles worth the search
    server = _Server()
    with start_blocking_portal() as portal:
        serve_lines(lambda request: portal.call(server.answer, request))


if __name__ == "__main__":
    main()
