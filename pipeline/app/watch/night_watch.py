"""The night watch of one run: what is told, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import anyio

from pipeline.app.watch.digest import NAME, make_digest
from pipeline.app.watch.ways import Ways, bare_report
from pipeline.app.wiring.database import has_database, open_for_operator
from pipeline.app.wiring.signals import obeying
from pipeline.config.settings import Settings
from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import ReelmillError, decide_exit
from pipeline.core.exit_codes import ExitCode
from pipeline.ports.store import Database
from pipeline.views import RunReport, Snapshot
from pipeline.watch import ping
from pipeline.watch.summary import describe, describe_progress

_log = log.get("watch")


class NightWatch:
    """Tells how one run goes in every configured way, and never fails it."""

    def __init__(self, settings: Settings, clock: Clock, ways: Ways | None = None) -> None:
        self._settings, self._clock = settings, clock
        self._ways = ways or Ways(settings, clock)
        self._rid = uuid4()
        self._told = False

    @asynccontextmanager
    async def during(self, snapshot: Callable[[], Snapshot]) -> AsyncIterator[None]:
        """Tell that the run has begun, and each hour how it stands.

        Nothing of it outlives the context.
        """
        failed: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(_safely, "ping", partial(self._ping_hourly, snapshot))
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised below: the group would hide it in a group of errors
                failed = error
            group.cancel_scope.cancel()
        if failed is not None:
            raise failed

    async def ended(self, report: RunReport, database: Database | None) -> None:
        """Tell how the run ended, once, in all ways but the command."""
        self._told, watch = True, self._settings.watch
        ways: Mapping[str, tuple[object, Callable[[], Awaitable[Any]]]] = {
            "ping": (watch.ping, partial(self._ping_end, report)),
            "post_json": (watch.post_json, partial(self._ways.post_json, report)),
            "textfile": (watch.textfile, partial(self._write_gauges, report.exit_code, database)),
            "notify": (watch.notify, partial(self._send_digest, report, database)),
        }
        with _until_a_signal():
            async with anyio.create_task_group() as group:
                for name, (wanted, tell) in ways.items():
                    if wanted:
                        group.start_soon(_safely, name, tell)

    async def after(self, report: RunReport) -> RunReport:
        """Run the operator's command; the run has left the state folder.

        Returns the report with those who could not be told.
        """
        if self._settings.watch.on_end:
            with _until_a_signal():
                await _safely("on_end", partial(self._ways.on_end, report))
        return replace(report, untold=self._ways.untold)

    async def failed(self, error: BaseException) -> None:
        """Tell that the run was refused or broke.

        Where another run is at work, that one tells.
        """
        code, decisive = decide_exit(error)
        if code is ExitCode.BUSY or self._told:
            return
        report = bare_report(self._settings, str(self._rid), code, _why(code, decisive), self._clock.now())
        with anyio.CancelScope(shield=True):
            async with AsyncExitStack() as stack:
                await self.ended(report, await self._open(stack))
            await self.after(report)

    async def _open(self, stack: AsyncExitStack) -> Database | None:
        """Open the database of earlier runs; None where none can be used."""
        watch = self._settings.watch
        if watch.textfile is None and not watch.notify:
            return None
        with suppress(ReelmillError):
            if has_database(self._settings):
                return await stack.enter_async_context(open_for_operator(self._settings))
        return None

    async def _ping_end(self, report: RunReport) -> None:
        watch = self._settings.watch
        assert watch.ping is not None
        address, text = watch.ping.get_secret_value(), describe(report)
        await self._ways.ping(ping.end(address, self._rid, _outcome(report), watch.ping_ok, text))

    async def _write_gauges(self, code: int, database: Database | None) -> None:
        from pipeline.app.watch.gauges import read_gauges  # a library that few runs need

        assert self._settings.watch.textfile is not None
        content = await read_gauges(self._settings, database, code, self._clock.now())
        await self._ways.textfile(self._settings.watch.textfile, content)

    async def _send_digest(self, report: RunReport, database: Database | None) -> None:
        digest = await make_digest(report, database, self._settings.watch.digest, self._clock.now())
        if digest is None:
            return
        sent = [each.sent for each in await self._ways.notify(digest.title, digest.body)]
        if any(sent) and database is not None:
            await database.save(NAME, digest.memory)

    async def _ping_hourly(self, snapshot: Callable[[], Snapshot]) -> None:
        secret = self._settings.watch.ping
        if secret is None:
            return
        address = secret.get_secret_value()
        await self._ways.ping(ping.start(address, self._rid))
        while True:
            await self._clock.sleep(ping.EVERY)
            await self._ways.ping(ping.sign_of_life(address, self._rid, describe_progress(snapshot())))


@contextmanager
def _until_a_signal() -> Iterator[None]:
    """Let SIGINT or SIGTERM end the telling, and that alone."""
    with anyio.CancelScope() as scope, obeying(lambda _: scope.cancel()):
        yield
    if scope.cancelled_caught:
        _log.warning("watch.cut_short", why="a signal came while others were told")


def _outcome(report: RunReport) -> int:
    """Return the exit code of a run, as if its time had been enough."""
    if not report.time_up:
        return report.exit_code
    return ExitCode.INCOMPLETE if report.troubled or report.bad_count else ExitCode.DONE


def _why(code: ExitCode, error: BaseException) -> str:
    """Return why there was no run, as one sentence."""
    if isinstance(error, ReelmillError):
        return "; ".join(filter(None, (error.trouble.message.rstrip("."), error.trouble.remedy)))
    return f"unexpected {type(error).__name__}: the log holds the traceback" if code is ExitCode.UNEXPECTED else ""


async def _safely(way: str, tell: Callable[[], Awaitable[Any]]) -> None:
    """Tell; whatever goes wrong is logged and fails nothing."""
    try:
        await tell()
    except ReelmillError as error:  # of the database
        _log.warning("watch.failed", way=way, why=str(error), remedy=error.trouble.remedy)
    except Exception:  # noqa: BLE001 - a fault of ours here must not cost the run's own outcome
        _log.exception("watch.failed", way=way, why="unexpected")
