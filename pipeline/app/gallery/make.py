"""``gallery``: the page over the results, made without a run and beside one."""

from __future__ import annotations

from pipeline.app.gallery.write import GalleryWriter
from pipeline.app.wiring.state_folder import lock_holder, open_read_only
from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.sink.disk import DiskSink
from pipeline.views import GalleryMade


async def gallery(settings: Settings) -> GalleryMade:
    """Write the whole page from the database, and say where it is.

    Raises:
        ConfigError: there is no database yet.
        ReelmillError: the output folder cannot be written.
    """
    async with open_read_only(settings.run.state) as database:
        writer = GalleryWriter(database, DiskSink(settings.run.output), settings, SystemClock())
        return await writer.write(whole=True, remember=False, running=bool(lock_holder(settings.run.state)))
