"""``run``: feed, work, report. Everything that must be closed is closed here, in order."""

from __future__ import annotations

import gc
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import anyio
from anyio.abc import TaskStatus

from pipeline.app.operator.status import item_names, reason
from pipeline.app.runs.results_index import results_lines
from pipeline.app.runs.standing_queries import StandingQueries, check_queries, gravest
from pipeline.app.wiring.components import (
    Adapters,
    Components,
    compose,
    disk_adapters,
    job_planner,
    output_folder,
    read_entries,
)
from pipeline.app.wiring.platform import ProviderClient, choose_platform, open_platform
from pipeline.app.wiring.state_folder import has_database, lock_state_folder, open_for_writing
from pipeline.config.settings import Settings
from pipeline.core import log
from pipeline.core.clock import Clock, SystemClock, iso
from pipeline.core.errors import ConfigError, ReelmillError, StoreError
from pipeline.core.exit_codes import ExitCode
from pipeline.core.model import Parked, RunNote, Selection, State, Trouble
from pipeline.engine.admission import RunEnd
from pipeline.ingest.enqueue import Enqueuer, EnqueueReport, check_line
from pipeline.ports.source import Item
from pipeline.ports.store import Database
from pipeline.views import BadLine, QueryReport, RunReport, Snapshot

#: A live display: given a way to look at the run, shows it for as long as the context lasts.
Watch = Callable[[Callable[[], Snapshot]], AbstractAsyncContextManager[None]]

_log = log.get("run")

_INDEX = "index_current"

_PAGE = 500  #: items asked about at once

_FAILING = ("item", "listing", "video", "analysis", "indexing")

_SHOWN = 20  #: troubles named in the report


async def run(settings: Settings, sources: Sequence[str], *, watch: Watch | None = None) -> RunReport:
    """Ingest the sources (or the configured manifests), go on with what an earlier run left, and report.

    SIGINT or SIGTERM once: finish what is short, give the rest back; twice: stop now.

    Raises:
        Busy: another run works on the state folder.
        ConfigError: nothing to do, a bad configuration, or bad lines under ``strict``.
    """
    from pipeline.app.wiring.downloads import clean_up_downloads, open_youtube_client

    clock, rng = SystemClock(), Random()
    sources = list(sources) or list(settings.run.manifests)
    check_queries(settings)
    _check(settings, sources)
    with lock_state_folder(settings):
        _try_output(output_folder(settings))
        entries = _entries(settings, sources)
        async with open_for_writing(settings) as database:
            await _something_to_do(database, sources)
            await clean_up_downloads(settings, database, clock)
            async with (
                open_youtube_client(settings, database, clock, rng) as youtube,
                open_platform(settings, database, clock, rng, youtube=youtube) as api,
            ):
                adapters = disk_adapters(settings, database, youtube, clock, api.ceilings)
                return await RunSession(settings, database, api, clock, rng, adapters).run(entries, watch)


def _check(settings: Settings, sources: Sequence[str]) -> None:
    """Refuse what cannot work before a folder is made for it."""
    job_planner(settings)
    choose_platform(settings)
    if not sources and not has_database(settings):
        raise _nothing()


def _entries(settings: Settings, sources: Sequence[str]) -> Iterator[Item | BadLine]:
    """Return the entries; under ``strict`` all are read first, and one bad line refuses the run."""
    planner = job_planner(settings)
    entries = read_entries(settings, sources, planner)
    if not settings.run.strict:
        return entries
    read = list(entries)
    for entry in read:
        bad = entry if isinstance(entry, BadLine) else check_line(planner, entry)
        if bad is not None:
            raise ConfigError(
                f"{bad.place}: {bad.trouble.message} (--strict: nothing was started)",
                remedy=bad.trouble.remedy or "correct the line, or run without --strict",
            )
    return iter(read)


def _try_output(folder: Path) -> None:
    """Make sure that results can be written before the first call is paid for."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"{folder}: the output folder cannot be written ({error.strerror or error})",
            remedy="mend its rights, or choose another with --output or [run] output",
        ) from None


async def _something_to_do(database: Database, sources: Sequence[str]) -> None:
    if sources:
        return
    in_lane = (await database.counts()).in_lane
    if not any(in_lane.values()):
        raise _nothing()


def _nothing() -> ConfigError:
    return ConfigError(
        "There is nothing to ingest: no sources were given and nothing is unfinished",
        remedy="name files, folders, URLs or manifests, or set [run] manifests",
    )


@dataclass(slots=True)
class _Times:
    run_id: str
    started: float


class RunSession:
    """One run over open adapters."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        api: ProviderClient,
        clock: Clock,
        rng: Random,
        adapters: Adapters,
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        started = clock.now()
        owner = f"{socket.gethostname()}:{os.getpid()}:{started:.6f}"
        self._times = _Times(f"{iso(started).translate(str.maketrans('', '', '-:'))}-{os.getpid()}", started)
        self._provider = api.identity
        self.components: Components = compose(settings, database, api, clock, rng, owner, adapters)
        self.enqueuer = Enqueuer(
            self.components.pool,
            database,
            self.components.planner,
            self.components.sink,
            self.components.pool.submit,
            clock.now,
            settings.policy.attempts,
        )
        self.components.playlists.enqueue_with(self.enqueuer.enqueue_listed)
        self.queries = StandingQueries(
            settings, api.index_api, database, self.components.sink, self.components.spending, clock, rng
        )
        self._asked: list[QueryReport] = []
        self._reading = True

    async def run(self, entries: Iterator[Item | BadLine], watch: Watch | None = None) -> RunReport:
        """Feed and work until nothing is left that this run can do; write the index and the run's line."""
        _collect_seldom()
        pool = self.components.pool
        await self._database.note_run(RunNote(self._times.run_id, self._times.started))
        await self.components.spending.open(self._database)
        await self._forget_old_parks()
        _log.info("run.started", run=self._times.run_id, provider=self._provider)
        # Until this run has written it, the index counts as old: a death on the way must not leave it so for ever.
        current = bool(await self._database.load(_INDEX))
        await self._database.save(_INDEX, False)
        pool.feeding(+1)
        async with watch(self.snapshot) if watch is not None else nullcontext():
            async with anyio.create_task_group() as group:
                await group.start(self._obey_signals)
                with suppress(StoreError):  # which the pool meets as well, and ends the run by
                    await pool.take_over()  # before the list is read: what is running takes no new words
                group.start_soon(self._feed, entries)
                ending = await pool.run()
                await self._forget_idle_parks(ending)
                self._asked = await self.queries.ask_all(ending, self._times.run_id)
                group.cancel_scope.cancel()
            await self._write_index(current=current)
        report = await self._report(ending)
        await self._note(report)
        return report

    # ------------------------------------------------------------------------------------------------- beside

    async def _obey_signals(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            task_status.started()
            times = 0
            async for number in received:
                times += 1
                _log.warning("run.stopping", signal=signal.Signals(number).name, now=times > 1)
                self.components.pool.stop(now=times > 1)
                self.queries.stop(now=times > 1)

    async def _feed(self, entries: Iterator[Item | BadLine]) -> None:
        pool = self.components.pool
        try:
            await self.enqueuer.enqueue(entries)
        except ReelmillError as error:
            pool.halt(error.trouble, "store")
        finally:
            self._reading = False
            pool.feeding(-1)

    async def _forget_old_parks(self) -> None:
        """Drop parks whose time has come; later ones still hold, and end the run with the time to resume."""
        now = self._clock.now()
        held = await self._database.parked(now)
        for parked in held:
            self.components.pool.respect(parked)

    async def _forget_idle_parks(self, ending: RunEnd) -> None:
        """Take no pause that an earlier run has left behind for a stop where nobody waits for it."""
        with suppress(ReelmillError):  # a database that has failed is told of elsewhere
            waiting = (await self._database.counts()).in_lane if ending.parked else {}
            ending.parked = {lane: each for lane, each in ending.parked.items() if waiting.get(lane.value)}

    async def _write_index(self, *, current: bool) -> None:
        """Write ``results.jsonl`` unless it is there and nothing was published since it was written."""
        published = self.components.pool.metrics.words.get("publish.done", 0)
        if published or not current or not await self.components.sink.has_index():
            try:
                await self.components.sink.write_index(results_lines(self._database))
            except ReelmillError as error:
                _log.error("index.not_written", why=str(error), remedy=error.trouble.remedy)
                return
        await self._database.save(_INDEX, True)

    # -------------------------------------------------------------------------------------------------- views

    def snapshot(self) -> Snapshot:
        """Return how the run stands now; cheap, from memory."""
        pool, fed, now = self.components.pool, self.enqueuer.report, self._clock.now()
        total = fed.lines - fed.duplicates
        done = min(total, len(self.components.publish.completed) + fed.actions.get("nothing", 0))
        failed = self._failed()
        elapsed = max(0.001, now - self._times.started)
        left = max(0, total - done - failed)
        eta = None if self._reading or not done else left * elapsed / done
        return Snapshot(
            elapsed=elapsed,
            items_total=total,
            items_done=done,
            items_failed=failed,
            reading=self._reading,
            lanes=pool.metrics.lanes(self._clock.monotonic()),
            spent_usd=self.components.spending.run,
            minutes=self.components.spending.minutes,
            eta=eta,
            parked=list(pool.run_end.parked.values()),
            stopping=pool.stopping,
        )

    def _failed(self) -> int:
        words = self.components.pool.metrics.words
        now = sum(words.get(f"{kind}.{word}", 0) for kind in _FAILING for word in ("failed", "held"))
        return now + sum(self.enqueuer.report.actions.get(action, 0) for action in ("failed", "held"))

    async def _still_failed(self, keys: Sequence[str]) -> bool:
        """Return True if any of these items, looked at anew, is of the same content as before, which had failed."""
        for start in range(0, len(keys), _PAGE):
            items = await self._database.tasks(Selection(kinds=("item",), keys=tuple(keys[start : start + _PAGE])))
            about = tuple({item.subject for item in items})
            which = Selection(kinds=_FAILING, subjects=about, states=(State.FAILED, State.HELD), limit=1)
            if about and await self._database.tasks(which):
                return True
        return False

    async def _report(self, ending: RunEnd) -> RunReport:
        usd, minutes, doubtful = await self._database.spent(since=self._times.started)
        troubled = await self._database.tasks(Selection(states=(State.FAILED, State.HELD), limit=_SHOWN))
        names = await item_names(self._database, troubled)
        fed = self.enqueuer.report
        failed = bool(self._failed()) or await self._still_failed(fed.suspects)
        code, note = self._verdict(ending, fed, failed, (await self._database.counts()).in_lane)
        waits = [parked.until for parked in ending.parked.values()]
        resume = min([*waits, *([ending.later] if ending.later is not None else [])], default=None)
        return RunReport(
            run_id=self._times.run_id,
            started=self._times.started,
            ended=self._clock.now(),
            exit_code=int(code),
            items=await self._database.tally(),
            lines=fed.lines,
            bad_lines=fed.bad,
            bad_count=fed.bad_count,
            analyses=self.components.analysis.accepted,
            published=len(self.components.publish.completed),
            usd=usd,
            minutes=minutes,
            doubtful=doubtful,
            queries=self._asked,
            output=output_folder(self._settings),
            provider=self._provider,
            troubles=[(names[task.id], reason(task)) for task in troubled],
            resume_at=resume,
            note=note,
            duplicates=fed.duplicates,
        )

    def _verdict(
        self, ending: RunEnd, fed: EnqueueReport, failed: bool, waiting: Mapping[str, int]
    ) -> tuple[ExitCode, str]:
        if ending.halted is not None:
            causes = {"operator": ExitCode.NEEDS_OPERATOR, "config": ExitCode.USAGE}
            return causes.get(ending.cause, ExitCode.UNEXPECTED), _sentence(ending.halted)
        if ending.interrupted:
            return ExitCode.INTERRUPTED, "Interrupted; the same command goes on from here."
        if ending.output is not None:
            return ExitCode.INCOMPLETE, f"Results wait to be written: {_sentence(ending.output)}."
        if ending.budget is not None:
            return ExitCode.BUDGET, _sentence(ending.budget)
        if ending.parked:
            first = min(ending.parked.values(), key=lambda parked: parked.until)
            return ExitCode.QUOTA, _paused(first, waiting.get(first.scope, 0))
        asked = gravest(self._asked)
        if asked is not None and asked[0] is not ExitCode.INCOMPLETE:
            return asked
        if asked or failed or fed.bad_count or self.components.pool.metrics.words.get("publish.failed"):
            return ExitCode.INCOMPLETE, ""
        if ending.later is not None:
            return ExitCode.QUOTA, f"The rest cannot be had yet. Run again after {iso(ending.later)}."
        return ExitCode.DONE, ""

    async def _note(self, report: RunReport) -> None:
        summary = {
            "items": dict(report.items),
            "lines": report.lines,
            "bad_lines": report.bad_count,
            "analyses": report.analyses,
            "published": report.published,
            "usd": round(report.usd, 6),
            "minutes": round(report.minutes, 3),
            "doubtful": report.doubtful,
            "note": report.note,
            **({"queries": {query.name: query.state for query in report.queries}} if report.queries else {}),
        }
        await self._database.note_run(RunNote(report.run_id, report.started, report.ended, report.exit_code, summary))
        _log.info("run.ended", run=report.run_id, exit_code=report.exit_code, **summary)


def _collect_seldom() -> None:
    """What a run makes is mostly gone without help: looking for cycles every 700 objects costs 5 % of its time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _paused(parked: Parked, waiting: int) -> str:
    """Return why a lane is closed, how many wait for it, when it opens, and what can be done meanwhile."""
    trouble = parked.trouble
    wait = f"{waiting:,} {'item waits' if waiting == 1 else 'items wait'}"
    remedy = f" {trouble.remedy[0].upper()}{trouble.remedy[1:].rstrip('.')}." if trouble.remedy else ""
    return f"{trouble.message.rstrip('.')}; {wait}. Run again after {iso(parked.until)}.{remedy}"


def _sentence(trouble: Trouble) -> str:
    """Return message and remedy as one sentence; the platform's own messages come without a full stop."""
    return f"{trouble.message.rstrip('.')}; {trouble.remedy}" if trouble.remedy else trouble.message
