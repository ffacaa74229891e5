"""The night watch of one run: what is told, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio

from pipeline.app.watch.ways import Ways, bare_report
from pipeline.config.settings import Settings
from pipeline.core.clock import Clock
from pipeline.core.errors import ReelmillError, decide_exit
from pipeline.core.exit_codes import ExitCode
from pipeline.views import RunReport, Snapshot
from pipeline.watch import ping
from pipeline.watch.summary import describe, describe_progress


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
            group.start_soon(self._ping_hourly, snapshot)
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised below: the group would hide it in a group of errors
                failed = error
            group.cancel_scope.cancel()
        if failed is not None:
            raise failed

    async def ended(self, report: RunReport) -> None:
        """Tell how the run ended, in all ways at once; only once."""
        self._told = True
        address, hook = self._settings.watch.ping, self._settings.watch.post_json
        async with anyio.create_task_group() as group:
            if address is not None:
                ok, text = self._settings.watch.ping_ok, describe(report)
                last = ping.end(address.get_secret_value(), self._rid, report.exit_code, ok, text)
                group.start_soon(self._ways.ping, last)
            if hook is not None:
                group.start_soon(self._ways.post_json, report)

    async def failed(self, error: BaseException) -> None:
        """Tell that the run was refused or broke.

        Where another run is at work, that one tells.
        """
        code, decisive = decide_exit(error)
        if code is ExitCode.BUSY or self._told:
            return
        with anyio.CancelScope(shield=True):
            await self.ended(bare_report(self._settings, str(self._rid), code, _why(code, decisive), self._clock.now()))

    async def _ping_hourly(self, snapshot: Callable[[], Snapshot]) -> None:
        secret = self._settings.watch.ping
        if secret is None:
            return
        address = secret.get_secret_value()
        await self._ways.ping(ping.start(address, self._rid))
        while True:
            await self._clock.sleep(ping.EVERY)
            await self._ways.ping(ping.sign_of_life(address, self._rid, describe_progress(snapshot())))


def _why(code: ExitCode, error: BaseException) -> str:
    """Return why there was no run, as one sentence."""
    if isinstance(error, ReelmillError):
        return "; ".join(filter(None, (error.trouble.message.rstrip("."), error.trouble.remedy)))
    return f"unexpected {type(error).__name__}: the log holds the traceback" if code is ExitCode.UNEXPECTED else ""
