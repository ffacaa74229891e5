"""``gallery``: the page over the results, made without a run and beside one."""

from __future__ import annotations

from pipeline.app.gallery.posters import Progress, poster_maker
from pipeline.app.gallery.write import GalleryWriter
from pipeline.app.wiring.database import open_read_only, who_works
from pipeline.app.wiring.signals import obeying
from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.sink.disk import DiskSink
from pipeline.views import GalleryMade


async def make_gallery(settings: Settings, *, told: Progress = lambda _done, _all: None) -> GalleryMade:
    """Make posters and the whole page, and say where it is.

    ``told(done, all)`` is called while posters are made; a first SIGINT or SIGTERM ends that, the page is written all the
    same.

    Raises:
        ConfigError: there is no database yet.
        ReelmillError: the output folder cannot be written.
    """
    clock, sink = SystemClock(), DiskSink(settings.run.output)
    async with open_read_only(settings) as database:
        # A run may be at work, so nothing is noted in the database.
        async with poster_maker(database, sink, settings, clock, remember=False) as posters:
            with obeying(lambda _: posters.stop()):
                await posters.finish(float("inf"), told)
        writer = GalleryWriter(database, sink, settings, clock)
        return await writer.write(whole=True, remember=False, running=bool(await who_works(settings)))
