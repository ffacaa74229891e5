"""One run over open adapters: enqueue, work, ask the standing queries, write the index."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from random import Random
from typing import TypeVar

import anyio

from pipeline.app.gallery.posters import poster_maker
from pipeline.app.gallery.write import GalleryWriter, write_safely
from pipeline.app.runs.activity import RunActivity
from pipeline.app.runs.results_index import ResultsIndex
from pipeline.app.runs.run_report import RunReporter
from pipeline.app.runs.standing_queries import StandingQueries
from pipeline.app.wiring.components import Adapters, compose
from pipeline.app.wiring.database import ALONE, Company
from pipeline.app.wiring.platform import ProviderClient
from pipeline.app.wiring.run_plan import RunPlan
from pipeline.app.wiring.signals import obeying
from pipeline.core import log
from pipeline.core.clock import Clock, iso
from pipeline.core.errors import ReelmillError, StoreError
from pipeline.core.model import Lane, RunNote, Trouble
from pipeline.engine.admission import RunEnd
from pipeline.engine.hosts import RUN, Duty
from pipeline.engine.store_retry import retry_while_away
from pipeline.engine.turns import close_run, end_turn, open_run, take_turn
from pipeline.ingest.enqueue import Enqueuer, EnqueueReport
from pipeline.ingest.tasks.absent_hosts import release_items, release_videos
from pipeline.ports.source import Item
from pipeline.ports.store import Database
from pipeline.views import BadLine, QueryReport, RunReport, Snapshot, Watch

T = TypeVar("T")
_log = log.get("run")
_RELEASE = 30.0  #: seconds between looks for what absent hosts have left
_TEND = 15.0  #: seconds between looks whether results have changed, of a process that stays
_SELDOM = 600.0  #: seconds after which index and page are written although there is work
_POSTERS = 30.0  #: seconds that the end of a run waits for posters; the next run makes the rest


class RunSession:
    """One run over open adapters."""

    def __init__(
        self,
        plan: RunPlan,
        database: Database,
        api: ProviderClient,
        clock: Clock,
        rng: Random,
        adapters: Adapters,
        company: Company = ALONE,
        duty: Duty = RUN,
    ) -> None:
        self._database = database
        self._clock = clock
        self._settings = plan.settings
        started = clock.now()
        who = f"{company.host}-{os.getpid()}" if company.host else f"{os.getpid()}"  # in a container, all are number 1
        self.run_id = f"{iso(started).translate(str.maketrans('', '', '-:'))}-{who}"
        self._company, family, self._duty = company, company.family, duty
        owner = f"{family or socket.gethostname() + ':'}{os.getpid()}:{started:.6f}"
        self.components = compose(plan, database, api, clock, rng, owner, adapters, self.run_id, family, duty)
        company.know(self.components.steps)
        pool, sink, spending = self.components.pool, self.components.sink, self.components.spending
        attempts, captions = plan.policy.attempts, adapters.captions
        self.enqueuer = Enqueuer(pool, database, plan.planner, sink, pool.submit, clock.now, attempts, captions)
        self.components.playlists.enqueue_with(self.enqueuer.enqueue_listed)
        self.queries = StandingQueries(plan, api.index_api, database, sink, spending, clock, rng, self.run_id)
        run = RunNote(self.run_id, started)
        self.posters = poster_maker(database, sink, plan.settings, clock, wanted=plan.settings.gallery.enabled)
        published = self.posters.published
        pool.observer = self._activity = RunActivity(database, started, clock, published, spending.entered)
        enqueued = self.enqueuer.report
        self._reporter = RunReporter(
            run, api.identity, self.components, enqueued, self._activity, database, clock,
            noted=duty.role == "run", shared=bool(company.host),
        )  # fmt: skip
        self._reading = True
        self._stopped = False  #: told to stop
        self._hurried = False  #: told a second time
        if company.presence is not None:
            company.presence.watch(self._trouble, lambda taken: pool.halt(taken, "config"))
        self._recalled = anyio.Event()  #: the platform was told of what is cancelled

    async def run(self, entries: Iterator[Item | BadLine], watch: Watch | None = None) -> RunReport:
        """Enqueue and work until this run can do no more; write index and report.

        A signal or ``max_time`` ends it sooner, and takes no report away.
        """
        with obeying(self._stop):
            return await self._run(entries, watch)

    async def _run(self, entries: Iterator[Item | BadLine], watch: Watch | None) -> RunReport:
        pool = self.components.pool
        await self._insist(self._reporter.start)
        if self._company.host and self._duty.role == "run":
            await self._insist(lambda: open_run(self._database, self._company.host, self.run_id))
        await self._insist(lambda: self.components.spending.open(self._database))
        await self._insist(self.components.looks.open)
        pool.feeding(+1)
        queries: list[QueryReport] = []
        async with self.posters, watch(self.snapshot) if watch is not None else nullcontext():
            async with anyio.create_task_group() as group:
                with suppress(StoreError):  # which the pool meets as well, and ends the run by
                    await pool.take_over()  # before the list is read: what is running takes no new words
                group.start_soon(self._feed, entries)
                group.start_soon(self.posters.beside)
                group.start_soon(self._company.beside)
                if self._company.host:
                    group.start_soon(self._release_absent)
                if (limit := self._settings.run.max_time) is not None:
                    group.start_soon(self._end_after, limit)
                if self._duty.stays:
                    group.start_soon(self._tend_results)
                if watch is not None:
                    group.start_soon(self._activity.work.look_for_names)
                group.start_soon(self._recall)
                ending = await pool.run()
                if not self._stopped:
                    await self._recalled.wait()
                await self._forget_idle_parks(ending)
                if self._duty.role == "run":
                    queries = await self.queries.ask_all(ending, self.run_id, because=await self._why_not_ask())
                await self.posters.finish(_POSTERS)
                ending.unread = self._reading
                group.cancel_scope.cancel()
            await self._write_index(ending)
        finished = await self._insist(lambda: self._reporter.finish(ending, queries))
        report = await self._with_page(finished, ending)
        self._reporter.log_end(report)
        return report

    async def submit(self, entries: Iterator[Item | BadLine]) -> EnqueueReport:
        """Enqueue, and leave the work to others."""
        return await self.enqueuer.enqueue(entries)

    def snapshot(self) -> Snapshot:
        """Return how the run stands now; cheap, from memory."""
        return self._reporter.snapshot(reading=self._reading)

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call to the database until it goes through.

        Told to stop, it is waited for no longer than steps are.
        """
        patience = self._settings.store.patience
        if self._stopped:
            patience = min(patience, self._settings.run.stop_grace)
        return await retry_while_away(call, self._clock, patience)

    # ------------------------------------------------------------------------------------------------- beside

    def _trouble(self) -> Trouble | None:
        """Return why this host takes nothing on, or writes nothing."""
        ending = self.components.pool.run_end
        return ending.halted or ending.output

    def _stop(self, number: signal.Signals) -> None:
        """Finish what is short, and give the rest back; the second time, stop now."""
        self._hurried, self._stopped = self._stopped, True
        _log.warning("run.stopping", signal=number.name, now=self._hurried)
        self.components.pool.stop(now=self._hurried)
        self.queries.stop(now=self._hurried)
        self.posters.stop()

    async def _end_after(self, seconds: float) -> None:
        """Once the time is up, finish what is short, and give the rest back."""
        await self._clock.sleep(seconds)
        _log.info("run.time_up", after=seconds)
        self.components.pool.stop(time_up=True)
        self.queries.stop()
        self.posters.stop()

    async def _feed(self, entries: Iterator[Item | BadLine]) -> None:
        pool = self.components.pool
        try:
            await self.enqueuer.enqueue(entries)
        except ReelmillError as error:
            pool.halt(error.trouble, "store")
        finally:
            self._reading = False
            pool.feeding(-1)

    async def _recall(self) -> None:
        """Tell the platform what was cancelled here, where it could not be told then."""
        try:
            with suppress(ReelmillError):  # which the pool meets as well; what is left is noted
                await self.components.recalls.carry_out()
        finally:
            self._recalled.set()

    async def _forget_idle_parks(self, ending: RunEnd) -> None:
        """Drop parks that nobody waits for, and a limit that answers made room below."""
        with suppress(ReelmillError):  # a database that has failed is told of elsewhere
            waiting = (await self._database.counts()).in_lane if ending.parked or ending.budget else {}
            ending.parked = {lane: each for lane, each in ending.parked.items() if waiting.get(lane.value)}
            ending.budget = ending.budget if waiting.get(Lane.ANALYZE.value) else None

    async def _why_not_ask(self) -> str:
        """Return why another run asks the standing queries; empty: this one does."""
        presence = self._company.presence
        if presence is None or not self._settings.queries:
            return ""
        try:
            last = await close_run(self._database, presence.name, [host.name for host in await presence.others()])
        except ReelmillError:  # a database that has failed is told of elsewhere
            return "The database does not tell whether another run asks it."
        return "" if last else "Another run is still at work; the one that ends last asks it."

    async def _release_absent(self) -> None:
        """Go on with what hosts have left that do not come back."""
        pool = self.components.pool
        while True:
            with suppress(ReelmillError):  # which the pool meets as well
                for host, forgotten in (await pool.neighbours.absent()).items():
                    now = self._clock.now()
                    videos = await release_videos(self._database, host, now, all_of_them=forgotten)
                    items = await release_items(self._database, host, now) if forgotten else 0
                    if videos or items:
                        _log.warning("host.released", host=host, videos=videos, items=items, forgotten=forgotten)
                        pool.wake()
            await self._clock.sleep(_RELEASE)

    async def _tend_results(self) -> None:
        """Write index and page when nothing is at work, or now and then.

        One host at a time does so.
        """
        written = self._clock.monotonic()
        while True:
            await self._clock.sleep(_TEND)
            busy = bool(self._activity.work.views()) and self._clock.monotonic() - written < _SELDOM
            with suppress(ReelmillError):  # it is written the next time
                if busy or not await self._database.changed_videos(0, 1):
                    continue
                if await take_turn(self._database, "results", self._company.host, self._clock.now(), _SELDOM):
                    written = self._clock.monotonic()
                    await self._write_page_and_index()
                    await end_turn(self._database, "results", self._company.host)

    async def _write_page_and_index(self) -> None:
        await ResultsIndex(self._database, self.components.sink).bring_up_to_date()
        if self._settings.gallery.enabled:
            await write_safely(GalleryWriter(self._database, self.components.sink, self._settings, self._clock))

    async def _write_index(self, ending: RunEnd) -> None:
        """Write ``results.jsonl``, as much of it as has changed."""
        try:
            await self._insist(lambda: ResultsIndex(self._database, self.components.sink).bring_up_to_date())
        except ReelmillError as error:
            _log.error("index.not_written", why=str(error), remedy=error.trouble.remedy)
            ending.output = ending.output or error.trouble

    async def _with_page(self, report: RunReport, ending: RunEnd) -> RunReport:
        """Write the page over the results, last: it tells of this run, too."""
        if not self._settings.gallery.enabled or self._hurried or ending.output is not None:
            return report
        writer = GalleryWriter(self._database, self.components.sink, self._settings, self._clock)
        made = await write_safely(writer)
        edited = list(self.components.sink.edited)  # somebody else's file may have stood in the page's place
        if isinstance(made, Trouble):
            return replace(report, page_trouble=made, edited=edited)
        return replace(report, page=made.page, edited=edited)
