"""``cancel``, at the platform: what it is at work on is cancelled there, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.errors import ReelmillError, StoreError
from pipeline.core.model import Recalled
from pipeline.ingest.ending.note import count_recalls

if TYPE_CHECKING:
    from pipeline.app.wiring.run_plan import RunPlan
    from pipeline.config.settings import Settings
    from pipeline.ports.store import Database


async def tell_platform(settings: Settings, database: Database, *, embedded: bool = False) -> Recalled | None:
    """Tell the platform of what is noted; None: nothing is to be told now.

    The embedded platform works only while a run does, which tells it then, unless ``embedded`` has it started for this.
    """
    noted = await count_recalls(database)
    if not noted:
        return None
    from pipeline.app.wiring.run_plan import make_run_plan

    try:
        plan = make_run_plan(settings)
        if plan.platform.local and not plan.platform.base_url and not embedded:
            return None
        return await _tell(plan, database)
    except StoreError:
        raise
    except ReelmillError as error:
        return Recalled(untold=noted, trouble=error.trouble)


async def _tell(plan: RunPlan, database: Database) -> Recalled:
    from random import Random

    from pipeline.app.wiring.platform import open_platform
    from pipeline.budget.limits import SpendingLimits
    from pipeline.core.clock import SystemClock
    from pipeline.ingest.ending.costs import AnalysisCosts
    from pipeline.ingest.ending.recalls import Recalls
    from pipeline.ingest.look_schedule import LookSchedule
    from pipeline.ingest.paid_call import Billing

    clock = SystemClock()
    spending = SpendingLimits(plan.settings.budget, clock)  # nothing is asked, so nothing reserved
    billing = Billing(spending, database, clock, patience=plan.settings.store.patience)
    costs = AnalysisCosts(plan.planner, plan.prices.analysis, billing)
    async with open_platform(plan, database, clock, Random()) as api:
        looks = LookSchedule(api.grace, clock, database, api.identity)
        await looks.open()
        return await Recalls(api, api.batches, costs, database, looks, clock).carry_out()
