"""``costs``: what was paid, summed up by anything; reads only."""

from __future__ import annotations

from pipeline.app.wiring.database import open_read_only
from pipeline.config.settings import Settings
from pipeline.core.model import CostKey
from pipeline.money_views import CostsView

_BY_TIME = ("day", "month", "run")  #: in this order; the rest dearest first


async def costs(settings: Settings, by: CostKey, *, since: float = 0.0) -> CostsView:
    """Return the ledger since ``since``, epoch seconds, in groups.

    Raises:
        ConfigError: there is no database yet.
    """
    async with open_read_only(settings) as database:
        groups = await database.costs(by, since)
        if by not in _BY_TIME:
            groups.sort(key=lambda group: (-group.total_usd, group.name))
        return CostsView(by, since, groups)
