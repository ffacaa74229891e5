"""``run``: everything is checked and opened here, in order, and closed again."""

from __future__ import annotations

import gc
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from random import Random

from pipeline.app.runs.config_check import check_output, check_settings
from pipeline.app.runs.session import RunSession
from pipeline.app.watch.night_watch import NightWatch
from pipeline.app.wiring.agreement import agree
from pipeline.app.wiring.components import disk_adapters, named_sources, read_entries
from pipeline.app.wiring.database import RunDatabase, has_database, open_for_run, open_if_present, own_host_name
from pipeline.app.wiring.platform import open_platform
from pipeline.app.wiring.run_plan import RunPlan
from pipeline.app.wiring.signals import obeying
from pipeline.app.wiring.state_folder import host_id, lock_state_folder
from pipeline.config.settings import Settings
from pipeline.core import log
from pipeline.core.clock import SystemClock
from pipeline.core.errors import ConfigError
from pipeline.engine.hosts import RUN, Duty
from pipeline.ingest.enqueue import check_line, recall_missing
from pipeline.ports.source import Item
from pipeline.ports.store import Database
from pipeline.views import BadLine, LeftOut, MissingFile, RunReport, Watch

_log = log.get("run")


async def run(settings: Settings, sources: Sequence[str], *, watch: Watch | None = None) -> RunReport:
    """Ingest the sources, or the configured manifests and what is unfinished; report.

    SIGINT or SIGTERM once: finish what is short, give the rest back; twice: stop now. Once the work is done, a signal ends
    the telling of others and nothing else.

    Raises:
        Busy: another run works on the state folder.
        ConfigError: nothing to do, a bad configuration, or bad lines under ``strict``.
    """
    night = NightWatch(settings, SystemClock())
    with ExitStack() as to_the_end:
        try:
            report = await _run(settings, sources, watch, night, to_the_end)
        except BaseException as error:
            await night.failed(error)
            raise
        return await night.after(report)


async def _run(
    settings: Settings, sources: Sequence[str], watch: Watch | None, night: NightWatch, to_the_end: ExitStack
) -> RunReport:
    from pipeline.app.wiring.downloads import clean_up_downloads

    sources = named_sources(settings, sources)
    plan = check_settings(settings)
    folder = settings.run.state
    if not sources and not has_database(settings):
        raise _nothing()
    with lock_state_folder(folder):
        check_output(settings.run.output.absolute(), make=True)
        entries = await read_strictly(plan, sources)
        async with open_for_run(settings) as shared:
            database, clock = shared.database, shared.clock
            await _something_to_do(database, sources)
            await clean_up_downloads(settings, database, clock)
            async with open_session(plan, shared, RUN) as session:
                to_the_end.enter_context(
                    obeying(_nothing_more)
                )  # from here on there is a report, whatever signals come
                async with night.during(session.snapshot):
                    report = await session.run(entries, watch)
            await night.ended(report, database)
            return report


@asynccontextmanager
async def open_session(plan: RunPlan, shared: RunDatabase, duty: Duty) -> AsyncIterator[RunSession]:
    """Open the platform and put a session together."""
    from pipeline.app.wiring.downloads import open_youtube_client

    settings, database, clock, rng = plan.settings, shared.database, shared.clock, Random()
    if shared.company.presence is not None and duty.role != "submit":
        await agree(plan, database, shared.company.presence)
    async with (
        open_youtube_client(settings, database, clock, rng) as youtube,
        open_platform(plan, database, clock, rng, youtube=youtube) as api,
    ):
        adapters = disk_adapters(settings, database, youtube, clock, api.ceilings, shared.company.host)
        session = RunSession(plan, database, api, clock, rng, adapters, shared.company, duty)
        gc.freeze()  # what there is now stays to the end of the process: garbage is not looked for among it
        yield session


async def read_strictly(plan: RunPlan, sources: Sequence[str]) -> Iterator[Item | BadLine]:
    """Return the entries; under ``strict`` one bad line refuses the run."""
    if plan.settings.store.url:
        host_id(plan.settings.run.state)  # by which this host is known from now on
    host = await own_host_name(plan.settings)
    entries = read_entries(plan.settings, sources, plan.planner, host)
    if not plan.settings.run.strict:
        return entries
    read: Sequence[Item | BadLine] = list(entries)
    if any(isinstance(entry, MissingFile) for entry in read):
        async with open_if_present(plan.settings) as database:
            read = await recall_missing(database, read) if database is not None else read
    for entry in read:
        bad = entry if isinstance(entry, BadLine) else check_line(plan.planner, entry)
        if bad is not None and not isinstance(bad, LeftOut):
            raise ConfigError(
                f"{bad.place}: {bad.trouble.message} (--strict: nothing was started)",
                remedy=bad.trouble.remedy or "correct the line, or run without --strict",
            )
    return iter(read)


async def _something_to_do(database: Database, sources: Sequence[str]) -> None:
    if sources:
        return
    in_lane = (await database.counts()).in_lane
    if not any(in_lane.values()):
        raise _nothing()


def _nothing_more(number: signal.Signals) -> None:
    """Go on: the work is done, and closing takes no time."""
    _log.info("run.ending", signal=number.name)


def _nothing() -> ConfigError:
    return ConfigError(
        "There is nothing to ingest: no sources were given and nothing is unfinished",
        remedy="name files, folders, URLs or manifests, or set [run] manifests",
    )
