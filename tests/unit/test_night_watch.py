"""The night watch of one run, in virtual time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pipeline.app.watch.night_watch import NightWatch
from pipeline.app.watch.ways import Ways, bare_report
from pipeline.core.errors import Busy, ConfigError
from pipeline.core.model import Trouble
from pipeline.views import Delivery, NamedItems, RunReport, Snapshot
from pipeline.watch.http import Post
from pipeline.watch.summary import describe, headline
from tests.support.clock import VirtualClock, run_virtual
from tests.support.run_harness import settings_for

ADDRESS = "https://hc.example.org/f00dfeed-1234"


class Noted(Ways):
    """Ways that lead into a list; a ping takes as long as is asked for."""

    def __init__(self, settings: Any, clock: VirtualClock, slow: float = 0.0) -> None:
        super().__init__(settings, clock)
        self.pings: list[tuple[str, str]] = []
        self.reports: list[RunReport] = []
        self.slow = slow

    async def ping(self, post: Post) -> Delivery:
        self.pings.append((post.address.partition("?")[0].rpartition("/")[2], post.body.decode()))
        await self._clock.sleep(self.slow)
        return Delivery("ping", "", True, 0.0)

    async def post_json(self, report: RunReport) -> Delivery:
        self.reports.append(report)
        return Delivery("post_json", "", True, 0.0)


def watching(folder: Path, slow: float = 0.0) -> tuple[NightWatch, Noted, VirtualClock]:
    """Return a night watch over noted ways."""
    watch = {"ping": SecretStr(ADDRESS), "post_json": SecretStr(ADDRESS)}
    settings, clock = settings_for(folder, watch=watch), VirtualClock()
    ways = Noted(settings, clock, slow)
    return NightWatch(settings, clock, ways), ways, clock


def look() -> Snapshot:
    """Return how a run stands."""
    return Snapshot(
        elapsed=1.0, items_total=40, items_done=12, items_failed=1, reading=False, lanes=(), spent_usd=0.4231,
        minutes=1.0, eta=None,
    )  # fmt: skip


def test_a_long_run_gives_a_sign_of_life_each_hour(tmp_path: Path) -> None:
    """One a full hour, with how it stands, until the run has ended; then none."""

    async def scene() -> list[tuple[str, str]]:
        night, ways, clock = watching(tmp_path)
        async with night.during(look):
            await clock.sleep(3 * 3600 + 1)
        await clock.sleep(7200)
        return ways.pings

    assert run_virtual(scene()) == [("start", ""), *[("log", "12 of 40 items done, 1 failed · $0.42")] * 3]


def test_a_start_that_is_not_answered_is_given_up_at_the_end(tmp_path: Path) -> None:
    """The end waits for no earlier ping, and follows it: a start that came last would be an alarm."""

    async def scene() -> tuple[float, list[str]]:
        night, ways, clock = watching(tmp_path, slow=11.0)
        begun = clock.now()
        async with night.during(look):
            await clock.sleep(1)
        lasted = clock.now() - begun
        await night.ended(bare_report(settings_for(tmp_path), "x", 0, "", clock.now()), None)
        return lasted, [event for event, _ in ways.pings]

    assert run_virtual(scene()) == (1.0, ["start", "0"])


def test_an_error_passes_as_it_is(tmp_path: Path) -> None:
    """The caller gets the very error, in no group."""
    error = ConfigError("no")

    async def scene() -> None:
        night, _, _ = watching(tmp_path)
        async with night.during(look):
            raise error

    with pytest.raises(ConfigError) as raised:
        run_virtual(scene())
    assert raised.value is error


@pytest.mark.parametrize(
    ("error", "code", "note"),
    [
        (ConfigError("The list is gone", remedy="write it"), 2, "The list is gone; write it"),
        (
            ExceptionGroup("g", [RuntimeError("with a secret")]),
            1,
            "unexpected RuntimeError: the log holds the traceback",
        ),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_run_without_a_report_is_told_as_its_code(tmp_path: Path, error: BaseException, code: int, note: str) -> None:
    """The same code that the process ends with; the words of what nobody foresaw stay in the log."""

    async def scene() -> Noted:
        night, ways, _ = watching(tmp_path)
        await night.failed(error)
        return ways

    ways = run_virtual(scene())
    assert [event for event, _ in ways.pings] == [str(code)]
    assert [(report.exit_code, report.note) for report in ways.reports] == [(code, note)]


def test_an_end_is_told_once(tmp_path: Path) -> None:
    """What goes wrong after the end was told is not told as another; a run that is turned away at the door never is."""

    async def scene() -> list[str]:
        night, ways, clock = watching(tmp_path)
        await night.failed(Busy("another run"))
        assert ways.pings == []
        await night.ended(bare_report(settings_for(tmp_path), "x", 3, "", clock.now()), None)
        await night.failed(KeyboardInterrupt())
        return [event for event, _ in ways.pings]

    assert run_virtual(scene()) == ["0"]


def test_the_first_line_says_what_matters(tmp_path: Path) -> None:
    """Outcome, money and where the results are: the page if there is one, else their folder."""
    report = replace(
        bare_report(settings_for(tmp_path), "x", 3, "", 1_800_000_000.0),
        this_run={"new": NamedItems(12, ("a.mp4", "b\x1b[31m.mp4")), "failed": NamedItems(1, ("c.mp4",))},
        usd=1234.5,
        troubles=[("c.mp4", Trouble("x", "It is broken.", "mend it"))],
        troubled=1,
    )
    assert headline(report) == f"finished: 12 new, 1 failed · $1,234.50 · {(tmp_path / 'out').as_uri()}"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.html").touch()
    lines = describe(report).splitlines()
    assert lines[0].endswith("/out/index.html")
    assert "new 12: a.mp4, b.mp4 and 10 more" in lines
    assert "- c.mp4: It is broken. → mend it" in lines
