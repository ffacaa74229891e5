"""``gallery --serve``: the page over HTTP, for this machine alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import unquote

import anyio

from pipeline.app.gallery.file_server import HEADERS, FileServer, LinkedFile
from pipeline.app.gallery.safe_words import SafeWords
from pipeline.app.wiring.database import open_if_present
from pipeline.app.wiring.signals import obeying
from pipeline.config.settings import Settings
from pipeline.core.clock import Clock, SystemClock
from pipeline.core.model import Selection
from pipeline.ingest.payloads import ItemData
from pipeline.ports.store import Records, read_pages

HOST = "127.0.0.1"
PORT = 8475  #: the same each time, so that bookmarks last
_FRESH = 10.0  #: seconds for which what the page links to is not read again


async def serve_gallery(settings: Settings, *, port: int | None, ready: Callable[[str], None]) -> None:
    """Serve the output folder's page on loopback until SIGINT or SIGTERM.

    ``ready(address)`` is called once it answers. Films beside the output folder are served where the page links to them.

    Raises:
        ConfigError: the port is taken.
    """
    from pipeline.local.server import EmbeddedServer

    media = LinkedMedia(settings, SystemClock())
    files = FileServer(settings.run.output, media.find)
    server = EmbeddedServer(files, HOST, PORT if port is None else port, headers=HEADERS, setting="--port")
    base = server.bind()
    files.port = int(base.rpartition(":")[2])
    try:
        async with anyio.create_task_group() as group:
            with obeying(lambda _: group.cancel_scope.cancel()):
                await group.start(server.run)
                ready(base + files.home)
                await anyio.sleep_forever()
    finally:
        server.close()


class LinkedMedia:
    """The files that the page links to, as the database knows them now."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._words = SafeWords(settings.run.output)
        self._clock = clock
        self._known: Mapping[str, LinkedFile] = {}
        self._read_at = float("-inf")
        self._lock = anyio.Lock()

    async def find(self, place: str) -> LinkedFile | None:
        """Return the file at a path, if the page links to it."""
        async with self._lock:
            if place not in self._known and self._clock.monotonic() - self._read_at > _FRESH:
                async with open_if_present(self._settings) as database:
                    self._known = await self._read(database) if database is not None else {}
                self._read_at = self._clock.monotonic()
        return self._known.get(place)

    async def _read(self, records: Records) -> dict[str, LinkedFile]:
        published: set[str] = set()
        async for page in read_pages(records, Selection(("publish",), limit=1000)):
            published |= {task.key for task in page}
        found: dict[str, LinkedFile] = {}
        home = self._settings.run.output.absolute().name
        async for page in read_pages(records, Selection(("item",), limit=1000)):
            for task in page:
                item = ItemData.of(task)
                address = unquote(self._words.media(item)) if task.subject in published else ""
                if address:
                    place = address.removeprefix("../") if address.startswith("../") else f"{home}/{address}"
                    found[place] = LinkedFile(item.locator, item.size, item.mtime_ns)
        return found
