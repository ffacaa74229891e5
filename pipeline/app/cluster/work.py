"""``work``: without a list. ``run --submit``: leave a list, and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.app.runs.config_check import check_output, check_settings
from pipeline.app.runs.run import open_session, read_strictly
from pipeline.app.wiring.components import named_sources
from pipeline.app.wiring.database import open_for_run, shared_database
from pipeline.app.wiring.state_folder import lock_state_folder
from pipeline.config.settings import Settings
from pipeline.core.errors import ConfigError
from pipeline.core.exit_codes import ExitCode
from pipeline.core.model import Lane
from pipeline.engine.hosts import Duty
from pipeline.views import RunReport, Submitted, Watch

#: Ends that a supervisor must not take for a worker that was told to stop, or has nothing to do.
_BROKEN = (ExitCode.UNEXPECTED, ExitCode.USAGE, ExitCode.NEEDS_OPERATOR)


async def work(settings: Settings, lanes: Sequence[str], *, until_idle: bool, watch: Watch | None = None) -> RunReport:
    """Work on the shared database, without a list, until a signal comes; report.

    ``lanes``: only these, all without any. ``until_idle``: end once nothing is left that this host can do.

    Raises:
        Busy: another process works on the state folder, or on the database alone.
        ConfigError: no database is shared, a bad configuration, or no such lane.
    """
    from pipeline.app.wiring.downloads import clean_up_downloads

    _need_shared(settings, "work")
    duty = Duty("work", _served(lanes), stays=not until_idle)
    plan = check_settings(settings)
    with lock_state_folder(settings.run.state):
        check_output(settings.run.output.absolute(), make=True)
        async with open_for_run(settings, duty) as shared:
            await clean_up_downloads(settings, shared.database, shared.clock)
            async with open_session(plan, shared, duty) as session:
                report = await session.run(iter(()), watch)
    if report.exit_code in _BROKEN:
        return report
    return replace(report, exit_code=int(ExitCode.DONE), note="", resume_at=None)  # the rest is the runs' to tell


async def submit(settings: Settings, sources: Sequence[str]) -> Submitted:
    """Put the sources into the shared queue; leave the work to others.

    It works beside a worker of the same state folder.

    Raises:
        Busy: somebody works on the database alone.
        ConfigError: no database is shared, nothing to do, a bad configuration, or bad lines under ``strict``.
    """
    _need_shared(settings, "run --submit")
    plan, given = check_settings(settings), named_sources(settings, sources)
    if not given:
        raise ConfigError(
            "run --submit: no sources were given",
            remedy="name files, folders, URLs or manifests, or set [run] manifests",
        )
    check_output(settings.run.output.absolute(), make=True)
    settings.run.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    entries, duty = await read_strictly(plan, given), Duty("submit")
    async with open_for_run(settings, duty) as shared, open_session(plan, shared, duty) as session:
        found = await session.submit(entries)
    return Submitted(
        lines=found.lines,
        duplicates=found.duplicates,
        lists=found.lists,
        actions=found.actions,
        bad_lines=found.bad,
        bad_count=found.bad_count,
        left_out=found.left_out,
        host=shared.company.host,
    )


def _need_shared(settings: Settings, command: str) -> None:
    if shared_database(settings) is None:
        raise ConfigError(
            f"{command}: [store] url names no database that hosts share; a file has one host",
            remedy="set [store] url; without one, `reelmill run` does all of it",
        )


def _served(names: Sequence[str]) -> frozenset[Lane]:
    known = [lane.value for lane in Lane]
    for name in names:
        if name not in known:
            raise ConfigError(f"work --lanes: there is no lane {name!r}", remedy=f"known are: {', '.join(known)}")
    return frozenset(map(Lane, names or known))
