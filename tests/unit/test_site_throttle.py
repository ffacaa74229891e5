"""Rate limit and circuit breaker: gaps, hours, pauses that double, half-open for one, kept across processes."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import anyio
import pytest

from pipeline.core.errors import Throttled
from pipeline.core.model import Trouble
from pipeline.source.youtube.throttle.breaker import OutagePatience, ThrottleRules
from pipeline.source.youtube.throttle.gate import Permit, SiteThrottle
from pipeline.source.youtube.throttle.state import JournalState
from tests.support.clock import VirtualClock, run_virtual
from tests.support.memory_database import MemoryDatabase

DISK = Trouble("disk", "The disk is full.", "free some space")
BLOCK = Trouble("bot_check", "YouTube refused this machine's address (bot check).", "another network", "raw")


def throttle_over(
    journal: MemoryDatabase, clock: VirtualClock, seed: int, rules: ThrottleRules | None = None, **more: Any
) -> SiteThrottle:
    """Return the throttle of a new process, over what earlier ones left in a journal."""
    state = JournalState(journal, "shared"), JournalState(journal, "own")
    return SiteThrottle(*state, clock, Random(seed), rules or ThrottleRules(), **more)


async def starts(throttle: SiteThrottle, clock: VirtualClock, number: int) -> list[float]:
    """Start so many requests, waiting as long as each refusal says; return when they started."""
    found: list[float] = []
    while len(found) < number:
        try:
            await throttle.acquire()
        except Throttled as refused:
            await clock.sleep(refused.after or 0.0)
        else:
            found.append(clock.now())
    return found


def test_starts_are_spread_and_random() -> None:
    """From start to start it takes 12 to 20 seconds, never the same."""

    async def work() -> None:
        clock = VirtualClock()
        times = await starts(throttle_over(MemoryDatabase(), clock, 1, ThrottleRules()), clock, 50)
        gaps = [after - before for before, after in pairwise(times)]
        assert min(gaps) >= 12.0 - 1e-6
        assert max(gaps) <= 20.0 + 1e-6
        assert len({round(gap, 3) for gap in gaps}) > 40

    run_virtual(work())


def test_no_hour_holds_more_than_its_share() -> None:
    """However small the gap, any stretch of an hour holds at most what is allowed, over a restart too."""

    async def work() -> None:
        clock, journal = VirtualClock(), MemoryDatabase()
        rules = ThrottleRules(0.0, 5.0, per_hour=20)
        times = await starts(throttle_over(journal, clock, 1, rules), clock, 30)
        times += await starts(throttle_over(journal, clock, 2, rules), clock, 30)
        assert all(later - earlier >= 3600 - 1e-6 for earlier, later in zip(times, times[20:], strict=False))

    run_virtual(work())


def test_a_restart_does_not_forget_the_gap() -> None:
    """A run that is started again right away does not ask right away."""

    async def work() -> None:
        clock, journal = VirtualClock(), MemoryDatabase()
        await throttle_over(journal, clock, 1).acquire()
        with pytest.raises(Throttled) as refused:
            await throttle_over(journal, clock, 2).acquire()
        assert refused.value.after is not None
        assert 12 <= refused.value.after <= 20

    run_virtual(work())


def test_a_refusal_closes_the_source_and_each_next_one_for_longer() -> None:
    """An hour, two, four, then never more than six; the reason is told each time, and a restart remembers it."""

    async def work() -> None:
        clock, journal = VirtualClock(), MemoryDatabase()
        pauses = []
        for _ in range(5):
            throttle = throttle_over(journal, clock, 1)
            await starts(throttle, clock, 1)
            refused = await throttle.record_refusal(BLOCK, 3600.0)
            pauses.append(refused.after)
            assert refused.trouble.code == "bot_check"
            assert "until" in refused.trouble.message
            with pytest.raises(Throttled) as again:
                await throttle_over(journal, clock, 2).acquire()
            assert again.value.trouble.code == "bot_check"
        assert pauses == [3600.0, 7200.0, 14_400.0, 21_600.0, 21_600.0]

    run_virtual(work())


def test_after_a_pause_one_video_finds_out() -> None:
    """Until it has an answer, nothing else starts; a good answer opens the source for all."""

    async def work() -> None:
        clock = VirtualClock()
        throttle = throttle_over(MemoryDatabase(), clock, 1, ThrottleRules(0, 0))
        await throttle.record_refusal(BLOCK, 3600.0)
        await clock.sleep(3601)
        permit = await throttle.acquire()
        with pytest.raises(Throttled) as second:
            await throttle.acquire()
        assert "finding out" in second.value.trouble.message
        await throttle.record_success()
        assert await throttle.acquire() == await throttle.acquire() == Permit() != permit

    run_virtual(work())


@pytest.mark.parametrize("address", [True, False])
def test_a_probe_without_an_answer_lets_the_next_one_try(address: bool) -> None:
    """A cancelled or broken request decides nothing and blocks nothing: the next one finds out, and only one."""

    async def work() -> None:
        clock = VirtualClock()
        throttle = throttle_over(MemoryDatabase(), clock, 1, ThrottleRules(0, 0))
        await throttle.record_refusal(BLOCK, 3600.0, address=address)
        await clock.sleep(3601)
        first = await throttle.acquire()
        await throttle.release(first)
        second = await throttle.acquire()
        await throttle.release(first)  # said twice, it does not end the turn of another
        with pytest.raises(Throttled):
            await throttle.acquire()
        await throttle.release(second)
        third = await throttle.acquire()
        assert len({first, second, third}) == 3

    run_virtual(work())


def test_a_process_that_died_while_finding_out_stands_in_nobodys_way() -> None:
    """The next one takes its turn at once; one that hangs is waited for ten minutes."""

    async def work() -> None:
        clock, journal, dead = VirtualClock(), MemoryDatabase(), False
        rules = ThrottleRules(0, 0)
        first = throttle_over(journal, clock, 1, rules)
        await first.record_refusal(BLOCK, 3600.0)
        await clock.sleep(3601)
        await first.acquire()
        with pytest.raises(Throttled):
            await throttle_over(journal, clock, 2, rules, alive=lambda process: not dead).acquire()
        dead = True
        await throttle_over(journal, clock, 2, rules, alive=lambda process: not dead).acquire()
        with pytest.raises(Throttled):
            await throttle_over(journal, clock, 3, rules, alive=lambda process: True).acquire()
        await clock.sleep(601)
        await throttle_over(journal, clock, 3, rules, alive=lambda process: True).acquire()

    run_virtual(work())


def test_what_is_this_runs_own_trouble_stops_no_other() -> None:
    """A full disk pauses the run that has it; a bot check pauses every run behind the same address."""

    async def work() -> None:
        clock, machine = VirtualClock(), JournalState(MemoryDatabase(), "shared")
        mine, yours = (
            SiteThrottle(machine, JournalState(MemoryDatabase(), "own"), clock, Random(1), ThrottleRules(0, 0))
            for _ in range(2)
        )
        await mine.record_refusal(DISK, 600.0, address=False)
        await yours.acquire()
        with pytest.raises(Throttled) as full:
            await mine.acquire()
        await clock.sleep(601)
        await mine.record_refusal(BLOCK, 3600.0)
        with pytest.raises(Throttled) as blocked:
            await yours.acquire()
        assert (full.value.trouble.code, blocked.value.trouble.code) == ("disk", "bot_check")

    run_virtual(work())


def test_an_operator_opens_it_and_the_next_refusal_lasts_longer() -> None:
    """Lifted for its class only; then one video finds out, and what it meets doubles the pause."""

    async def work() -> None:
        clock = VirtualClock()
        throttle = throttle_over(MemoryDatabase(), clock, 1, ThrottleRules(0, 0))
        assert await throttle.end_pause() == []
        assert await throttle.status() == (0, None)
        await throttle.record_refusal(BLOCK, 3600.0)
        await throttle.record_refusal(DISK, 60.0, address=False)
        assert await throttle.end_pause(["cookies_bad"]) == []
        _, why = await throttle.status()
        assert why is not None
        assert why.code == "bot_check"
        assert await throttle.end_pause(["disk"]) == ["disk"]
        assert await throttle.end_pause() == ["bot_check"]
        assert await throttle.acquire() != Permit()
        assert await throttle.status() == (1, None)
        assert (await throttle.record_refusal(BLOCK, 3600.0)).after == 7200.0

    run_virtual(work())


def test_an_answer_from_before_the_refusal_opens_nothing() -> None:
    """Of two requests under way, the one that was let through late says nothing about now."""

    async def work() -> None:
        clock = VirtualClock()
        throttle = throttle_over(MemoryDatabase(), clock, 1, ThrottleRules(0, 0))
        await throttle.acquire()
        await throttle.acquire()
        first = await throttle.record_refusal(BLOCK, 3600.0)
        second = await throttle.record_refusal(BLOCK, 3600.0)
        assert first.after == second.after
        await throttle.record_success()
        with pytest.raises(Throttled):
            await throttle.acquire()

    run_virtual(work())


def test_too_fast_means_slower_for_a_long_time() -> None:
    """After a rate limit the gaps double; after fifty good answers they are as before."""

    async def work() -> None:
        clock = VirtualClock()
        throttle = throttle_over(MemoryDatabase(), clock, 1, ThrottleRules(10, 10))
        await throttle.record_refusal(BLOCK, 60.0, slower=True)
        await clock.sleep(61)
        times = await starts(throttle, clock, 1)
        for _ in range(50):
            await throttle.record_success()
            times += await starts(throttle, clock, 1)
        assert times[1] - times[0] == pytest.approx(20.0)
        assert times[-1] - times[-2] == pytest.approx(20.0)
        times += await starts(throttle, clock, 1)
        assert times[-1] - times[-2] == pytest.approx(10.0)

    run_virtual(work())


def test_a_clock_gone_wrong_does_not_stop_the_source_for_years() -> None:
    """Times from the future are cut to the longest pause there is."""

    async def work() -> None:
        clock, journal = VirtualClock(), MemoryDatabase()
        await journal.save("shared", {"next": 9e12, "until": 9e12, "trips": 1, "starts": [9e12], "slow": 9e9})
        with pytest.raises(Throttled) as refused:
            await throttle_over(journal, clock, 1).acquire()
        assert refused.value.after is not None
        assert refused.value.after <= 6 * 3600

    run_virtual(work())


def test_many_askers_start_one_by_one() -> None:
    """The limiter is one for all workers: twenty at once still keep the gap."""

    async def work() -> None:
        clock = VirtualClock()
        throttle = throttle_over(MemoryDatabase(), clock, 3, ThrottleRules(12, 20))
        times: list[float] = []

        async def ask() -> None:
            times.extend(await starts(throttle, clock, 1))

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ask)
        times.sort()
        assert all(after - before >= 12 - 1e-6 for before, after in pairwise(times))

    run_virtual(work())


def test_a_run_waits_for_an_outage_only_so_long() -> None:
    """Short pauses first; the one that would end beyond the patience is so long that the lane is parked. An answer resets."""

    async def work() -> None:
        clock = VirtualClock()
        patience = OutagePatience(300.0, 660.0)
        throttle = throttle_over(MemoryDatabase(), clock, 1, ThrottleRules(0, 0), patience=patience)

        async def refused() -> float:
            await throttle.acquire()
            return (await throttle.record_refusal(DISK, 120.0, address=False)).after or 0.0

        assert await refused() == 120.0
        await clock.sleep(121)
        assert await refused() == 660.0  # 240 would end 361 s after the first
        await clock.sleep(661)
        assert await refused() == 660.0  # still the same outage
        await clock.sleep(661)
        await throttle.record_success()
        assert await refused() == 120.0

    run_virtual(work())
