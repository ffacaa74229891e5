"""The client of YouTube: cookies, throttle, workers, and plain reasons."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import anyio
from anyio import to_thread

from pipeline.config.youtube import YouTubeSection
from pipeline.core import log
from pipeline.core.errors import NotYet, Permanent, ReelmillError, Transient
from pipeline.core.model import Json, Trouble
from pipeline.source.youtube import options
from pipeline.source.youtube.cookies import Cookies, read_cookies
from pipeline.source.youtube.failures import (
    STALLED,
    Action,
    DownloadFailure,
    FailureVerdict,
    build_trouble,
    classify,
    find_rule,
    parse_failure,
)
from pipeline.source.youtube.probe import LATER
from pipeline.source.youtube.throttle.gate import SiteThrottle
from pipeline.source.youtube.worker.pool import WorkerGone, WorkerPool, WorkerProcess

_log = log.get("youtube")
_IN_A_ROW = 3  #: failures that blame the machine, before the source is paused


class RequestFailed(Exception):
    """The worker ended a request with ``failed``. Travels inside this package only."""

    def __init__(self, failure: DownloadFailure) -> None:
        super().__init__(failure.raw)
        self.failure = failure


class YouTubeClient:
    """Asks the site through a worker, at its pace; errors are ours."""

    def __init__(self, rules: YouTubeSection, workers: WorkerPool, throttle: SiteThrottle) -> None:
        self.rules = rules
        self.workers = workers
        self.throttle = throttle
        self.options = options.checked(rules.options)
        self._streak = 0  # of failures in a row that blame this machine

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[WorkerProcess]:
        """Lend a worker for one job as soon as the throttle permits.

        Raises:
            Throttled: it is not time to ask, or the site refused this machine.
            Permanent, NotYet, Transient: what a failed request means.
        """
        permit = await self.throttle.acquire()
        try:
            async with self.workers.worker() as worker:
                yield worker
        except RequestFailed as failed:
            raise await self._handle_failure(failed.failure) from None
        except WorkerGone as gone:
            raise await self._handle_lost_worker(gone) from None
        finally:
            with anyio.CancelScope(shield=True):
                await self.throttle.release(permit)

    async def ask(
        self, worker: WorkerProcess, do: str, fields: Mapping[str, Json], *, wait: float = 0.0, seen: Any = None
    ) -> dict[str, Any]:
        """Send one request and return its last event.

        Raises:
            RequestFailed, WorkerGone: ``worker`` turns both into our errors.
        """
        event = await worker.ask(do, fields, quiet=options.quiet_limit(self.options, wait), seen=seen)
        if event["event"] == "failed":
            raise RequestFailed(parse_failure(event, download=do == "download"))
        return event

    async def cookies(self) -> str | None:
        """Return the cookies' text; the file is read for every job.

        Raises:
            Throttled: the file cannot be used; the source is paused.
        """
        if self.rules.cookies is None:
            return None
        found: Cookies | Trouble = await to_thread.run_sync(read_cookies, self.rules.cookies)
        if isinstance(found, Trouble):
            raise await self.throttle.record_refusal(found, find_rule("cookies_bad").pause, address=False)
        return found.text

    async def record_success(self) -> None:
        """Note that a whole request went well."""
        self._streak = 0
        await self.throttle.record_success()

    async def _handle_failure(self, failure: DownloadFailure) -> ReelmillError:
        """Return what to raise for a failure, after the throttle has learned from it."""
        verdict = classify(replace(failure, causes=tuple(self._sanitized(failure))))
        rule = verdict.rule
        _log.warning("youtube.failed", code=rule.code, raw=verdict.trouble.detail)
        if rule.action is Action.PAUSE:
            return await self.throttle.record_refusal(
                verdict.trouble, rule.pause, slower=rule.slower, address=rule.address
            )
        self._streak = self._streak + 1 if rule.environment else 0
        if self._streak > _IN_A_ROW:
            message = f"{self._streak} times in a row: {rule.message[0].lower()}{rule.message[1:]}"
            trouble = Trouble(f"youtube_{rule.code}", message, verdict.trouble.remedy, verdict.trouble.detail)
            return await self.throttle.record_refusal(trouble, rule.pause, address=False)
        if rule.action is Action.FAIL and not rule.environment:
            await self.throttle.record_success()  # a real answer about this video: the way is free
        return to_error(verdict)

    async def _handle_lost_worker(self, gone: WorkerGone) -> ReelmillError:
        """Return what to raise when the worker died."""
        if gone.missing:
            trouble = Trouble(
                "ytdlp_missing",
                "yt-dlp cannot be run.",
                "install reelmill again, or point [youtube] python at a Python that has yt-dlp",
                self.sanitize(str(gone)),
            )
            return await self.throttle.record_refusal(trouble, 600.0, address=False)
        return to_error(FailureVerdict(STALLED, build_trouble(STALLED, self.sanitize(str(gone)))))

    def sanitize(self, text: str) -> str:
        """Sanitize foreign text: remove the proxy, which may hold a password."""
        proxy = self.rules.proxy.get_secret_value() if self.rules.proxy is not None else ""
        user = urlsplit(proxy).netloc.rpartition("@")[0]  # yt-dlp says it with a scheme of its own
        for secret in (proxy, user, user.partition(":")[2]):
            text = text.replace(secret, "***") if len(secret) >= 4 else text
        return text

    def _sanitized(self, failure: DownloadFailure) -> list[Any]:
        return [replace(cause, message=self.sanitize(cause.message)) for cause in failure.causes]


def to_error(verdict: FailureVerdict) -> ReelmillError:
    """Return the error that carries out a verdict about one video."""
    trouble, rule = verdict.trouble, verdict.rule
    code, remedy, detail = trouble.code, trouble.remedy, trouble.detail
    if rule.action is Action.LATER:
        first, *then = LATER[rule.code]
        return NotYet(trouble.message, after=first, then=tuple(then), code=code, remedy=remedy, detail=detail)
    if rule.action is Action.FAIL:
        return Permanent(trouble.message, code=code, remedy=remedy, detail=detail)
    waits = rule.waits or None
    return Transient(trouble.message, untouched=True, waits=waits, code=code, remedy=remedy, detail=detail)
