"""``reconcile``: compares database and account, plans, does what is agreed to.

It is safe to kill and to repeat. The state folder stays locked: no run can make what the plan does not know. Deleted are
ids that were in the plan and agreed to, each looked at and classified once more right before; what is deleted already is
simply gone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeAlias

from pipeline.app.account.knowledge_places import list_stores
from pipeline.app.account.repairs import upload_again
from pipeline.app.account.survey import Survey
from pipeline.app.wiring.database import open_alone
from pipeline.app.wiring.platform import ProviderClient, open_platform
from pipeline.app.wiring.run_plan import RunPlan, make_run_plan
from pipeline.config.settings import Settings
from pipeline.core import log
from pipeline.core.clock import SystemClock, parse_iso
from pipeline.core.errors import Ambiguous, Permanent, Throttled, Transient
from pipeline.core.model import NewTask, Trouble
from pipeline.ports.index_api import IndexApi, IndexInfo
from pipeline.ports.inventory import Inventory, RemoteObject
from pipeline.ports.store import Database
from pipeline.store.sqlite.scratch_index import ScratchIndex
from pipeline.views import Agreed, Expiring, Leftover, Reconciled, Reconciliation, Vanished

_log = log.get("reconcile")
_FEW = 50
_SOON = 14 * 86_400.0  #: seconds before its end at which an index is worth a word
#: Asks whoever decides; gets the plan.
Ask: TypeAlias = Callable[[Reconciliation], Agreed]
#: Puts tasks into the queue.
Submit: TypeAlias = Callable[[Sequence[NewTask]], Awaitable[int]]


async def reconcile(
    settings: Settings, *, ask: Ask | None = None, limit: int = 10_000, only: Sequence[str] = ()
) -> Reconciled:
    """Compare, and do what ``ask`` agrees to; without it nothing changes.

    ``only`` names ids to deal with.

    Raises:
        Busy: a run is at work on the state folder.
        ConfigError: there is no database yet.
        Throttled: a limit asks for more than the configured patience; what was done is done.
    """
    decided, clock, rng = make_run_plan(settings), SystemClock(), Random()
    with closing(ScratchIndex()) as scratch_index:
        async with (
            open_alone(settings) as database,
            open_platform(decided, database, clock, rng) as api,
        ):
            index = await _index(settings, api.index_api)
            survey = Survey(
                database, api.inventory, scratch_index, clock,
                places=[index.id] if index is not None else (), price=_price(decided),
            )  # fmt: skip
            await survey.load_local()
            plan = _with_index(await survey.compare(limit, only), index)
            plan = replace(plan, stores=await list_stores(api.knowledge))
            agreed = ask(plan) if ask is not None else Agreed()
            cleanup = Cleanup(survey, api.inventory, _submitter(decided, database, api))
            return await cleanup.apply(plan, agreed)


async def _index(settings: Settings, index_api: IndexApi) -> IndexInfo | None:
    """Return the configured index, if there is one; it is not made for this."""
    if not settings.index_name:
        return None
    try:
        return await index_api.index(settings.index_name)
    except Permanent as error:
        if error.trouble.code != "resource_not_exist":
            raise
        return None


def _with_index(plan: Reconciliation, index: IndexInfo | None) -> Reconciliation:
    end = parse_iso(index.expires) if index is not None else None
    if index is None or end is None or end > plan.at + _SOON:
        return plan
    return replace(plan, expiring=[*plan.expiring, Expiring("index", index.id, index.name, end)])


def _price(plan: RunPlan) -> Callable[[float], float]:
    """Return what uploading again costs by itself: nothing, but where it means indexing again."""
    indexes = bool(plan.settings.index_name)  # v1.2 has one always
    return lambda seconds: plan.prices.indexing(seconds / 60) if indexes else 0.0


def _submitter(plan: RunPlan, database: Database, api: ProviderClient) -> Submit:
    """Return a function that queues tasks with the lanes of a run."""

    async def submit(tasks: Sequence[NewTask]) -> int:
        from pipeline.app.wiring.components import Adapters, compose
        from pipeline.sink.disk import DiskSink

        nothing = Adapters({}, DiskSink(plan.settings.run.output), lambda _facts, _ceilings: None, lambda _paths: "")
        components = compose(plan, database, api, SystemClock(), Random(), "reconcile", adapters=nothing)
        return await components.pool.submit(tasks)

    return submit


@dataclass(slots=True)
class Cleanup:
    """Applies what was agreed to."""

    survey: Survey
    inventory: Inventory
    submit: Submit
    deleted: list[RemoteObject] = field(default_factory=list)
    gone: list[RemoteObject] = field(default_factory=list)
    changed: list[RemoteObject] = field(default_factory=list)
    refused: list[tuple[RemoteObject, Trouble]] = field(default_factory=list)

    async def apply(self, plan: Reconciliation, agreed: Agreed) -> Reconciled:
        """Delete and restart; return what became of each."""
        for leftover in agreed.delete:
            await self._delete(leftover)
        rearmed = await self._rearm(agreed.repair)
        return Reconciled(plan, self.deleted, self.gone, self.changed, self.refused, rearmed, agreed.declined)

    async def _delete(self, leftover: Leftover) -> None:
        planned = leftover.holding
        fresh = await self.inventory.get(planned)
        if fresh is None:
            self.gone.append(planned)
            return
        (classified,) = await self.survey.classify([fresh])
        if not _same(planned, fresh) or classified.disposition.value != leftover.verdict:
            _log.warning("changed", sort=planned.sort, id=planned.id, verdict=classified.disposition.value)
            self.changed.append(fresh)
            return
        try:
            await self.inventory.delete(fresh)
        except Throttled:
            raise
        except (Permanent, Transient, Ambiguous) as error:
            _log.warning("refused", sort=planned.sort, id=planned.id, why=error.trouble.message)
            self.refused.append((fresh, error.trouble))
        else:
            _log.info("deleted", sort=planned.sort, id=planned.id, name=planned.name)
            self.deleted.append(fresh)

    async def _rearm(self, vanished: Sequence[Vanished]) -> list[Vanished]:
        """Have those uploaded again that are still done here and still gone there."""
        rearmed: list[Vanished] = []
        for start in range(0, len(vanished), _FEW):
            part = {each.key: each for each in vanished[start : start + _FEW]}
            missing = await self.survey.missing(tuple(part))
            lost = [video for video in missing if self.survey.needed(video) == part[video.key].media_id]
            if lost:
                await self.submit([upload_again(video) for video in lost])
                rearmed += [part[video.key] for video in lost]
        return rearmed


def _same(planned: RemoteObject, fresh: RemoteObject) -> bool:
    """Return True if it is the very thing that the plan showed.

    Lists tell less than a single look.
    """
    told = [(planned.owner, fresh.owner), (planned.media, fresh.media)]
    alike = all(before == after for before, after in told if before and after)
    return alike and (planned.name, planned.created) == (fresh.name, fresh.created)
