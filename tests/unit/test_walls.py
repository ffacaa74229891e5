"""A wall that no answer names: how it is known, what is learned of it, and when it is tried again. In virtual time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from pipeline.config.settings import BucketSection, LimitsSection
from pipeline.core.backoff import Backoff
from pipeline.core.errors import Throttled
from pipeline.ports.quota import QuotaNote
from pipeline.provider.http.rate_limits import NAME, SharedLimiter, end_waits, read_usage
from tests.bench.quota import Walls
from tests.support.clock import EPOCH, VirtualClock, run_virtual
from tests.unit.test_limits import Memory

DAY, HOUR, MINUTE = 86_400.0, 3_600.0, 60.0
_BACKOFF = Backoff(first=2.0, most=120.0)  #: of the caller, where a 429 names no time
_LENGTHS = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 25.0)


@dataclass
class Sender:
    """Sends one call after the other as the limiter lets it, and starts anew where it is told to wait for long."""

    walls: Walls
    clock: VirtualClock = field(default_factory=VirtualClock)
    journal: Memory = field(default_factory=Memory)
    rng: Random = field(default_factory=lambda: Random(1))
    retry_after: float | None = None  #: seconds that each 429 names
    length: Callable[[Random], float] = lambda rng: rng.choice(_LENGTHS)  #: minutes of video of the next call
    limits: LimitsSection = field(default_factory=LimitsSection)
    refusals: list[float] = field(default_factory=list)  #: moments, seconds since the start
    accepted: list[float] = field(default_factory=list)

    async def send(self, until: float) -> None:
        """Send until a moment, seconds since the start."""
        limiter, streak = SharedLimiter(self.limits, self.journal, self.clock, self.rng), 0
        while self.clock.monotonic() < until:
            minutes = self.length(self.rng)
            try:
                await limiter.admit("analyze", minutes=minutes)
            except Throttled as error:
                if (error.after or 0.0) > 600:
                    await limiter.aclose()
                    limiter = SharedLimiter(self.limits, self.journal, self.clock, self.rng)
                await self.clock.sleep(min(error.after or 0.0, until - self.clock.monotonic()))
                continue
            taken = self.clock.now()
            await self.clock.sleep(self.rng.random())
            refused = bool(self.walls.call(0, minutes, self.clock.now() - EPOCH))
            await self.clock.sleep(self.rng.random())
            streak = streak + 1 if refused else 0
            if refused:
                wait = _BACKOFF.delay(streak, self.rng) if self.retry_after is None else self.retry_after
                limiter.learn("analyze", wait=wait)
            (self.refusals if refused else self.accepted).append(self.clock.monotonic())
            limiter.answered("analyze", taken, minutes=minutes, accepted=not refused)
        await limiter.aclose()

    def refused(self, begin: float, end: float) -> int:
        """Count the refusals between two moments."""
        return sum(begin <= at < end for at in self.refusals)

    def used(self, begin: float, end: float) -> int:
        """Count what was accepted between two moments."""
        return sum(begin <= at < end for at in self.accepted)


def sender(limits: dict[str, float], days: float, *, calendar: bool = False, **more: Any) -> Sender:
    """Return a sender in front of walls that nobody names."""
    return Sender(Walls(limits, days * DAY, calendar=calendar), **more)


def gauges(it: Sender) -> dict[str, tuple[float, bool]]:
    """Return window -> (limit, whether it was met unnamed) of what ``status`` shows of a day."""
    shown = read_usage(it.limits, it.journal.kept[NAME], EPOCH + max(it.accepted))
    return {each.window: (each.limit, each.unnamed) for each in shown if each.window.endswith("_day")}


MIDNIGHT = 16 * HOUR  #: the first one: the test clock begins at 08:00 UTC


@pytest.mark.parametrize("retry_after", [None, 1.0, 30.0], ids=["no header", "a second", "half a minute"])
@pytest.mark.parametrize("calendar", [True, False], ids=["midnight", "rolling"])
def test_a_daily_wall_that_nobody_names_is_learned(calendar: bool, retry_after: float | None) -> None:
    """A dozen refusals on the first day; then the allowance is used to its edge, and one call in 200 is refused at most."""
    it = sender({"requests_per_day": 300}, 4, calendar=calendar, retry_after=retry_after)
    run_virtual(it.send(4 * DAY))
    first = MIDNIGHT if calendar else DAY
    assert it.refused(0, first) <= 16
    assert it.refused(first, 4 * DAY) <= 0.005 * it.used(first, 4 * DAY)
    days = 5 if calendar else 4
    assert len(it.accepted) >= 0.98 * 300 * days
    assert gauges(it) == {"requests_per_day": (300, True)}


def test_a_wall_of_minutes_is_told_from_one_of_calls() -> None:
    """Videos of all lengths: the second day shows what is counted, and shorter ones use up the rest of a day."""
    it = sender({"minutes_per_day": 1_800}, 4, calendar=True)
    run_virtual(it.send(4 * DAY))
    assert it.refused(MIDNIGHT, 4 * DAY) <= 0.005 * it.used(MIDNIGHT, 4 * DAY)
    assert it.walls.used["minutes_per_day"] >= 0.97 * 5 * 1_800
    [(limit, unnamed)] = gauges(it).values()
    assert unnamed
    assert 1_770 <= limit <= 1_800


@pytest.mark.parametrize("retry_after", [None, 300.0], ids=["no header", "five minutes"])
def test_an_hourly_wall_that_nobody_names_is_learned(retry_after: float | None) -> None:
    """It opens again within the hour, and is no daily one, however late it is known."""
    it = sender({"requests_per_hour": 120}, 1, retry_after=retry_after)
    run_virtual(it.send(DAY))
    assert it.refused(0, 3 * HOUR) <= 12
    assert it.refused(3 * HOUR, DAY) <= 0.005 * it.used(3 * HOUR, DAY)
    assert it.used(3 * HOUR, DAY) >= 0.95 * 21 * 120


def test_a_minutes_wall_is_none_of_a_day() -> None:
    """Slower than configured: refused again and again, and accepted again within the minute. Nothing waits for a day."""
    it = sender({"requests_per_minute": 4}, 1)
    run_virtual(it.send(3 * HOUR))
    assert it.used(0, 3 * HOUR) >= 0.5 * 4 * 180
    assert gauges(it) == {}


def test_a_platform_that_refuses_all_for_some_minutes_is_no_wall() -> None:
    """Five minutes of 429 in the middle of the work teach nothing, and end no run."""
    it = sender({}, 1)
    it.walls.closed = (HOUR, HOUR + 300)
    run_virtual(it.send(3 * HOUR))
    assert it.used(HOUR, HOUR + 1_000) > 30
    assert it.used(HOUR + 1_000, 3 * HOUR) >= 0.95 * 10 * (2 * HOUR - 1_000) / MINUTE
    assert gauges(it) == {}


def test_an_allowance_that_was_learned_too_small_grows() -> None:
    """On the first day others used most of the account: the second day asks on, and finds the whole."""
    it = sender({"requests_per_day": 300}, 4, calendar=True)
    for _ in range(200):
        it.walls.call(1, 1.0, 0.0)
    run_virtual(it.send(4 * DAY))
    assert it.used(0, MIDNIGHT) == 100
    assert it.used(MIDNIGHT, MIDNIGHT + DAY) >= 0.98 * 300
    assert it.refused(MIDNIGHT + DAY, 4 * DAY) <= 2


def test_an_allowance_that_shrinks_is_learned_anew() -> None:
    """The plan was changed: the wall is met earlier, and the next days keep to it."""
    it = sender({"requests_per_day": 300}, 6, calendar=True)
    run_virtual(it.send(2 * DAY))
    it.walls.limits = {"requests_per_day": 100}
    run_virtual(it.send(6 * DAY))
    assert it.refused(MIDNIGHT + 4 * DAY, 6 * DAY) == 0
    assert it.used(MIDNIGHT + 4 * DAY, 6 * DAY) >= 98
    assert gauges(it)["requests_per_day"][0] == 100


def test_a_belief_is_tested_once_a_week() -> None:
    """Ten days: one refusal shows on the second that the wall stands, and one more a week later."""
    it = sender({"requests_per_day": 50}, 10, calendar=True)
    run_virtual(it.send(10 * DAY))
    assert it.refused(MIDNIGHT + DAY, MIDNIGHT + 7 * DAY) == 0
    assert it.refused(MIDNIGHT + 7 * DAY, 10 * DAY) == 1


def test_a_wall_met_on_the_first_call_of_all_is_not_hammered() -> None:
    """Others have used the day up: nothing is known of what is allowed, and still few calls are made until midnight."""
    it = sender({"requests_per_day": 40}, 2, calendar=True)
    for _ in range(40):
        it.walls.call(1, 1.0, 0.0)
    run_virtual(it.send(2 * DAY))
    assert it.refused(0, MIDNIGHT) <= 16
    assert it.used(MIDNIGHT, MIDNIGHT + HOUR) == 40


def test_a_night_that_ends_at_the_wall_goes_on_the_next_night() -> None:
    """Cron at 8 o'clock, four hours a night: whether midnight or the same hour opens it, the whole day is used."""
    for calendar in (True, False):
        it = sender({"requests_per_day": 300}, 5, calendar=calendar)

        async def nights(it: Sender = it) -> None:
            for night in range(5):
                await it.send(night * DAY + 4 * HOUR)
                await it.clock.sleep((night + 1) * DAY - it.clock.monotonic())

        run_virtual(nights())
        assert all(it.used(night * DAY, (night + 1) * DAY) >= 0.97 * 300 for night in range(5))
        assert it.refused(2 * DAY, 5 * DAY) <= 2


def test_a_call_larger_than_the_whole_allowance_is_not_hammered() -> None:
    """Two hours of video where 100 minutes a day are let through: it is refused now and then, and the others go on."""
    it = sender({"minutes_per_day": 100}, 6, calendar=True)
    run_virtual(it.send(3 * DAY))
    it.length = lambda rng: 120.0
    run_virtual(it.send(6 * DAY))
    assert 1 <= it.refused(3 * DAY, 6 * DAY) <= 30


@pytest.mark.parametrize("jump", [30 * DAY, -30 * DAY], ids=["forward", "back"])
def test_a_clock_that_jumps_a_month_neither_parks_for_long_nor_hammers(jump: float) -> None:
    """At a wall that is closed and at one that is learned: the platform's own days go on, and hardly a call is wasted."""
    for moment in (2 * HOUR, MIDNIGHT + 4 * HOUR):
        it = sender({"requests_per_day": 100}, 4, calendar=True)
        run_virtual(it.send(moment))
        it.clock.skew += jump
        run_virtual(_by_platform(it, 4 * DAY))
        assert it.refused(moment, 4 * DAY) <= 30
        assert it.used(MIDNIGHT + DAY, 4 * DAY) >= 150


async def _by_platform(it: Sender, until: float) -> None:
    """Send while the platform's clock is right and ours is not."""
    inner, skew = it.walls.call, it.clock.skew
    it.walls.call = lambda video, minutes, now: inner(video, minutes, now - skew)  # type: ignore[method-assign]
    await it.send(until)


def test_a_quota_that_the_platform_names_is_no_wall_of_ours() -> None:
    """Its own words go first: midnight, as they say, and no allowance is guessed beside it."""

    async def work() -> None:
        clock, journal = VirtualClock(), Memory()
        limiter = SharedLimiter(LimitsSection(), journal, clock, Random(1))
        await limiter.start()
        for _ in range(6):
            limiter.learn("analyze", wait=100.0, notes=[QuotaNote("requests", "day", 300.0, reached=True)])
            await clock.sleep(100)
        await limiter.aclose()
        assert {each.unnamed for each in read_usage(LimitsSection(), journal.kept[NAME], clock.now())} == {False}

    run_virtual(work())


def test_a_closed_wall_says_so_and_can_be_opened_by_hand() -> None:
    """The sentence tells that no answer names a limit; ``retry --parked`` forgets the wall, not what was counted."""
    it = sender({"requests_per_day": 30}, 1)
    run_virtual(it.send(HOUR))

    async def ask() -> None:
        await SharedLimiter(it.limits, it.journal, it.clock, Random(1)).admit("analyze", minutes=1)

    with pytest.raises(Throttled, match="no answer says why"):
        run_virtual(ask())
    run_virtual(end_waits(it.journal))
    run_virtual(ask())
    assert sum(amount for _, amount in it.journal.kept[NAME]["analyze"]["counted"]["requests_per_day"]) == 31


@pytest.mark.parametrize(
    "kept",
    [
        {"closed": 7, "learned": []},
        {"closed": {"since": "x"}, "learned": {"day": {"limits": {"requests": -1}}}},
        {"closed": {"since": 1e300, "until": 1e300, "refused_at": 1e300, "met": {"requests_per_day": [1]}}},
        {"learned": {"day": {"turn": "noon", "limits": {"requests": float("nan"), "grains": 5}}, "week": {}}},
        {"learned": {"day": {"turn": None, "limits": {}, "at": None}}},
        "x",
        [],
    ],
)
def test_a_damaged_memory_of_walls_is_no_obstacle(kept: Any) -> None:
    """Whatever the journal holds of walls, the limiter starts and lets in."""

    async def work() -> None:
        journal = Memory()
        journal.kept[NAME] = {"analyze": {"wall": kept}}
        rules = LimitsSection(analyze=BucketSection())
        limiter = SharedLimiter(rules, journal, VirtualClock(), Random(1))
        await limiter.admit("analyze", minutes=1)
        assert [each for each in read_usage(rules, journal.kept[NAME], EPOCH) if each.group == "analyze"] == []

    run_virtual(work())
