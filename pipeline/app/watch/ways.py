"""The configured ways to tell somebody.

Each is bounded in time, raises nothing and logs its own failure.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Literal

from pydantic import SecretStr

from pipeline.config.settings import Settings
from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.view_json import dumps
from pipeline.views import Delivery, RunReport
from pipeline.watch.http import Post, deliver, shown

_log = log.get("watch")
_TRY = "`reelmill notify test` tries it again"


class Ways:
    """Tells in each configured way."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._watch, self._header, self._clock = settings.watch, settings.post_header, clock

    async def ping(self, post: Post) -> Delivery:
        """Send one ping."""
        return await self._note("ping", shown(post.address), deliver(post, self._watch.timeout, self._clock))

    async def post_json(self, report: RunReport) -> Delivery:
        """Post a report as ``run --json`` prints it."""
        assert self._watch.post_json is not None
        address = self._watch.post_json.get_secret_value()
        post = Post(address, dumps(report).encode(), "application/json", _headers(self._header))
        return await self._note("post_json", shown(address), deliver(post, self._watch.timeout, self._clock))

    async def _note(self, way: Literal["ping", "post_json"], to: str, sending: Awaitable[str]) -> Delivery:
        began = self._clock.monotonic()
        why = await sending
        done = Delivery(way, to, not why, self._clock.monotonic() - began, why)
        if why:
            _log.warning("watch.failed", way=way, to=to, why=why, remedy=_TRY)
        else:
            _log.debug("watch.told", way=way, to=to)
        return done


def bare_report(settings: Settings, run_id: str, code: int, note: str, now: float) -> RunReport:
    """Return the report of a run that did nothing."""
    return RunReport(
        run_id=run_id,
        started=now,
        ended=now,
        exit_code=int(code),
        items={},
        lines=0,
        bad_lines=(),
        bad_count=0,
        analyses=0,
        published=0,
        usd=0.0,
        minutes=0.0,
        doubtful=0,
        output=settings.run.output.absolute(),
        provider="",
        note=log.redact(note),
    )


def _headers(header: SecretStr | None) -> dict[str, str]:
    if header is None:
        return {}
    name, _, value = header.get_secret_value().partition(":")
    return {name: value.strip()}
