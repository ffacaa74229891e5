"""The configured ways to tell somebody.

Each is bounded in time, raises nothing and logs its own failure.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Literal

import anyio
from pydantic import SecretStr

from pipeline.app.watch.textfile import write_textfile
from pipeline.config.settings import Settings
from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.view_json import dumps
from pipeline.views import Delivery, RunReport
from pipeline.watch.beside import run_beside
from pipeline.watch.child import run_child
from pipeline.watch.digest import notify
from pipeline.watch.http import Post, deliver, shown

_log = log.get("watch")
_PLACE = re.compile(r"\{summary\}|\{exit_code\}")
_LINES = 50  #: of what a command said, into the log
_TRY = "`reelmill notify test` tries it again"


class Ways:
    """Tells in each configured way."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._watch, self._header, self._clock = settings.watch, settings.post_header, clock
        self.untold: list[Delivery] = []  #: what failed so far

    async def ping(self, post: Post) -> Delivery:
        """Send one ping."""
        return await self._note("ping", shown(post.address), deliver(post, self._watch.timeout, self._clock))

    async def post_json(self, report: RunReport) -> Delivery:
        """Post a report as ``run --json`` prints it."""
        assert self._watch.post_json is not None
        address = self._watch.post_json.get_secret_value()
        post = Post(address, dumps(report).encode(), "application/json", _headers(self._header))
        return await self._note("post_json", shown(address), deliver(post, self._watch.timeout, self._clock))

    async def on_end(self, report: RunReport) -> Delivery:
        """Run the operator's command with a report; what it prints goes into the log."""
        return await self._note("on_end", self._watch.on_end[0], self._command(report))

    async def _command(self, report: RunReport) -> str:
        text = dumps(report).encode()
        with tempfile.NamedTemporaryFile(prefix="reelmill-", suffix=".json") as file:
            file.write(text)
            file.flush()
            places = {"{summary}": file.name, "{exit_code}": str(report.exit_code)}
            words = [_PLACE.sub(lambda found: places[found[0]], word) for word in self._watch.on_end]
            ended = await run_child(words, text, self._watch.on_end_timeout)
        if ended.said:
            _log.info("watch.on_end", said=ended.said.splitlines()[-_LINES:])
        return ended.why

    async def textfile(self, path: Path, content: bytes) -> Delivery:
        """Put a textfile in place."""
        return await self._note("textfile", str(path), self._write(path, content))

    async def _write(self, path: Path, content: bytes) -> str:
        with anyio.move_on_after(self._watch.timeout):
            return await run_beside(write_textfile, path, content)
        return f"it was not written within {self._watch.timeout:g} s"

    async def notify(self, title: str, body: str) -> list[Delivery]:
        """Send a message to each address of apprise."""
        addresses = [each.get_secret_value() for each in self._watch.notify]
        began = self._clock.monotonic()
        whys = await notify(addresses, title, body, self._watch.notify_timeout)
        took = self._clock.monotonic() - began
        names = [f"entry {number} ({each.partition(':')[0]})" for number, each in enumerate(addresses, 1)]
        return [self._done(Delivery("notify", to, not why, took, why)) for to, why in zip(names, whys, strict=True)]

    async def _note(
        self, way: Literal["ping", "post_json", "on_end", "textfile"], to: str, sending: Awaitable[str]
    ) -> Delivery:
        began = self._clock.monotonic()
        try:
            why = await sending
        except OSError as error:
            why = error.strerror or type(error).__name__
        return self._done(Delivery(way, to, not why, self._clock.monotonic() - began, why))

    def _done(self, each: Delivery) -> Delivery:
        if each.sent:
            _log.debug("watch.told", way=each.way, to=each.to)
        else:
            self.untold.append(each)
            _log.warning("watch.failed", way=each.way, to=each.to, why=each.why, remedy=_TRY)
        return each


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
