"""``notify test``: tries every configured way, now."""

from __future__ import annotations

from uuid import uuid4

from pipeline.app.watch.gauges import read_gauges
from pipeline.app.watch.ways import Ways, bare_report
from pipeline.app.wiring.database import open_if_present
from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.core.errors import ConfigError
from pipeline.views import Delivery
from pipeline.watch import ping

_TEST = "This is a test of reelmill: no run has ended."


async def notify_test(settings: Settings) -> list[Delivery]:
    """Tell a test in every configured way; return what became of each.

    The ping is one that changes nothing there.

    Raises:
        ConfigError: no way is configured.
    """
    watch, clock = settings.watch, SystemClock()
    ways, told = Ways(settings, clock), list[Delivery]()
    report = bare_report(settings, "test", 0, _TEST, clock.now())
    if watch.ping is not None:
        told.append(await ways.ping(ping.sign_of_life(watch.ping.get_secret_value(), uuid4(), _TEST)))
    if watch.post_json is not None:
        told.append(await ways.post_json(report))
    if watch.textfile is not None:
        async with open_if_present(settings) as database:
            content = await read_gauges(settings, database, None, clock.now())
        told.append(await ways.textfile(watch.textfile, content))
    if watch.notify:
        told += await ways.notify("reelmill: a test", _TEST)
    if watch.on_end:
        told.append(await ways.on_end(report))
    if not told:
        raise ConfigError(
            "[watch] names nobody to be told", remedy="set ping, post_json, on_end, textfile or notify there"
        )
    return told
