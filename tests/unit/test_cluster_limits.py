"""The limiter of several hosts, in virtual time: one row for all, by the windows of the platform itself."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from random import Random

import anyio
import pytest

from pipeline.config.settings import BucketSection, LimitsSection
from pipeline.core.errors import DatabaseAway, Throttled
from pipeline.ports.quota import QuotaGauge, QuotaNote
from pipeline.ports.store import Change, T
from pipeline.provider.http.cluster_limits import ClusterLimiter
from pipeline.provider.http.rate_limits import NAME, SharedLimiter, end_waits, read_usage
from tests.support.clock import EPOCH, VirtualClock, run_virtual
from tests.support.memory_database import MemoryDatabase


class Row(MemoryDatabase):
    """A journal whose every change takes ten milliseconds, alone among all; counts what was written."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock, self.alone = clock, anyio.Lock()
        self.changes, self.away = Counter[int](), False

    async def change(self, name: str, change: Change[T]) -> T:
        async with self.alone:
            await self.clock.sleep(0.005)
            if self.away:
                raise DatabaseAway("away", code="database_away")
            answer = await super().change(name, change)
            await self.clock.sleep(0.005)
            self.changes[int(self.clock.monotonic())] += 1
            return answer


class Platform:
    """A platform with a limit per minute, counted where calls arrive; it refuses what is above."""

    def __init__(self, clock: VirtualClock, limit: int) -> None:
        self.clock, self.limit = clock, limit
        self.accepted: list[float] = []
        self.refused = 0

    async def call(self, takes: float) -> bool:
        """Take a call that is on its way for so long."""
        await self.clock.sleep(takes)
        now = self.clock.monotonic()
        if sum(at > now - 60 for at in self.accepted[-self.limit - 1 :]) >= self.limit:
            self.refused += 1
            return False
        self.accepted.append(now)
        return True


async def worker(limiter: SharedLimiter, clock: VirtualClock, platform: Platform, until: float, rng: Random) -> None:
    """Call as an engine does: a longer wait is slept, and asked again."""
    while clock.monotonic() < until:
        try:
            at = await limiter.admit("analyze", minutes=1.0)
        except Throttled as error:
            await clock.sleep(error.after or 0.0)
            continue
        accepted = await platform.call(rng.uniform(0.05, 2.0))
        if not accepted:
            limiter.learn("analyze", wait=5.0)
        limiter.answered("analyze", at, minutes=1.0, accepted=accepted)


async def measured(
    hosts: int, limit: int, minutes: int, sort: type[SharedLimiter], workers: int = 8
) -> tuple[Platform, Row]:
    """Return what a platform has seen of so many hosts, with so many workers each."""
    clock = VirtualClock()
    platform, row = Platform(clock, limit), Row(clock)
    rules = LimitsSection(analyze=BucketSection(requests_per_minute=limit))
    async with AsyncExitStack() as stack:
        limiters = [sort(rules, row, clock, Random(number)) for number in range(hosts)]
        for limiter in limiters:
            await stack.enter_async_context(limiter.beside())
        async with anyio.create_task_group() as group:
            for number in range(workers * hosts):
                rng = Random(number)
                group.start_soon(worker, limiters[number % hosts], clock, platform, 60.0 * minutes, rng)
    return platform, row


@pytest.mark.parametrize("limit", [20, 300])
@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_hosts_together_keep_and_use_a_limit(hosts: int, limit: int) -> None:
    """No call is refused, whatever minute the platform looks at; at least 98 % is used; the row changes twice a second and
    host at most; and no second is busier than with one limiter of as many workers, by more than 15 %.
    """
    minutes = 12
    platform, row = run_virtual(measured(hosts, limit, minutes, ClusterLimiter))
    alone, _ = run_virtual(measured(1, limit, minutes, SharedLimiter, 8 * hosts))
    assert platform.refused == 0
    assert len(platform.accepted) >= 0.98 * limit * minutes
    assert max(row.changes.values()) <= 2 * hosts + 1
    assert sum(row.changes.values()) <= 2 * hosts * 60 * minutes
    seconds = [max(Counter(map(int, each.accepted)).values()) for each in (platform, alone)]
    assert seconds[0] <= 1.15 * seconds[1] + 1, seconds


def test_hosts_that_know_nothing_of_each_other_are_refused() -> None:
    """The measurement can tell good from bad."""
    platform, _ = run_virtual(measured(4, 20, 5, SharedLimiter))
    assert platform.refused > 0


def rules(**analyze: float) -> LimitsSection:
    """Limits of the analyze group only."""
    return LimitsSection(analyze=BucketSection(**analyze))


async def usage(row: Row, limits: LimitsSection) -> list[QuotaGauge]:
    """Return how full the windows of analyses are."""
    return [each for each in read_usage(limits, await row.load(NAME), row.clock.now()) if each.group == "analyze"]


def test_a_refusal_stops_all_hosts_at_once_and_an_operator_ends_that() -> None:
    """One is told to come back in ten minutes: within two seconds no other asks. What a person has ended, none waits for."""

    async def work() -> None:
        clock = VirtualClock()
        row, calls = Row(clock), LimitsSection(analyze=BucketSection())
        one, two = (ClusterLimiter(calls, row, clock, Random(number)) for number in range(2))
        async with one.beside(), two.beside():
            await one.admit("analyze")
            await two.admit("analyze")
            one.learn("analyze", wait=600.0)
            await clock.sleep(0.6)
            assert (await row.load(NAME))["analyze"]["paused_until"] == pytest.approx(EPOCH + 600, abs=1)
            await clock.sleep(1.9)
            with pytest.raises(Throttled) as caught:
                await two.admit("analyze")
            assert 590 < (caught.value.after or 0) < 600.5
            await end_waits(row)
            await clock.sleep(5.0)
            await two.admit("analyze")
            await one.admit("analyze")

    run_virtual(work())


def test_what_an_answer_names_is_the_limit_of_all() -> None:
    """A limit that only one of them was told of, the others keep, with what all have asked before."""

    async def work() -> None:
        clock = VirtualClock()
        row = Row(clock)
        one, two = (ClusterLimiter(rules(), row, clock, Random(number)) for number in range(2))
        async with one.beside(), two.beside():
            for limiter in (one, two, two):
                at = await limiter.admit("analyze")
                limiter.answered("analyze", at)
            one.learn("analyze", notes=[QuotaNote("requests", "hour", 5.0)])
            await clock.sleep(5.0)
            await two.admit("analyze")
            await clock.sleep(5.0)
            await one.admit("analyze")
            for limiter in (one, two):
                with pytest.raises(Throttled):
                    await limiter.admit("analyze")
        (gauge,) = await usage(row, rules())
        assert (gauge.window, gauge.used, gauge.limit) == ("requests_per_hour", 5.0, 5.0)

    run_virtual(work())


def test_a_call_that_is_given_up_takes_nothing() -> None:
    """It waits for its turn at the row and is cancelled: its room is another's."""

    async def work() -> None:
        clock = VirtualClock()
        limiter = ClusterLimiter(rules(requests_per_hour=2), Row(clock), clock, Random(1))
        await limiter.admit("analyze")
        for wait in (0.1, 0.395):  # before its turn, and in the middle of it
            with anyio.move_on_after(wait):
                await limiter.admit("analyze")
        await clock.sleep(1.0)
        await limiter.admit("analyze")
        with pytest.raises(Throttled):
            await limiter.admit("analyze")
        await limiter.aclose()

    run_virtual(work())


def test_a_database_that_is_away_is_told_and_forgets_nothing() -> None:
    """All who ask meanwhile are told; what has happened stands in the row once it is back."""

    async def work() -> None:
        clock = VirtualClock()
        row = Row(clock)
        limiter = ClusterLimiter(rules(requests_per_hour=2), row, clock, Random(1))
        at = await limiter.admit("analyze")
        limiter.answered("analyze", at, accepted=False)
        row.away, told = True, []

        async def ask() -> None:
            try:
                await limiter.admit("analyze")
            except DatabaseAway as error:
                told.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)
        assert len(set(map(id, told))) == 3
        row.away = False
        for _ in range(2):
            await limiter.admit("analyze")
        with pytest.raises(Throttled):
            await limiter.admit("analyze")

    run_virtual(work())


def test_a_row_that_is_read_and_written_again_keeps_its_times() -> None:
    """A thousand changes do not move what was counted: capacity comes back when it should, and not before."""

    async def work() -> None:
        clock = VirtualClock()
        row = Row(clock)
        both = rules(requests_per_minute=1000, requests_per_day=1200)
        one, two = (ClusterLimiter(both, row, clock, Random(number)) for number in range(2))
        for number in range(1200):
            limiter = (one, two)[number % 2]
            at = await limiter.admit("analyze")
            limiter.answered("analyze", at)
        await one.aclose()
        await two.aclose()
        minute, day = await usage(row, both)
        assert day.used == 1200
        slots = (await row.load(NAME))["analyze"]["counted"]["requests_per_day"]
        assert sum(amount for _, amount in slots) == 1200
        assert slots[0][0] == pytest.approx(EPOCH, abs=300)
        assert minute.used <= 1000

    run_virtual(work())
