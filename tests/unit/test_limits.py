"""The shared limiter, in virtual time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.settings import BucketSection, LimitsSection
from pipeline.core.errors import ReelmillError, Throttled
from pipeline.ports.quota import QuotaNote
from pipeline.ports.video_api import Question
from pipeline.provider.dialects.protocol import Response
from pipeline.provider.dialects.quota_notes import quota_notes
from pipeline.provider.http.groups import guessed_end
from pipeline.provider.http.rate_limits import NAME, SharedLimiter, Unlimited, read_usage
from pipeline.provider.http.windows import Window
from tests.simulation.schedule import Fault
from tests.simulation.wire import Accidents
from tests.support.clock import EPOCH, VirtualClock, run_virtual
from tests.support.vendor import Account


class Memory:
    """A journal in a dictionary; counts how often it is written."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.saves = 0

    async def note_run(self, note: Any) -> None:
        raise NotImplementedError

    async def load(self, name: str) -> Any:
        return self.kept.get(name)

    async def save(self, name: str, value: Any) -> None:
        self.saves += 1
        self.kept[name] = value


def limits(**analyze: float) -> LimitsSection:
    """Limits of the analyze group only."""
    return LimitsSection(analyze=BucketSection(**analyze))


async def admitted(limiter: SharedLimiter, clock: VirtualClock, until: float, **amounts: float) -> list[float]:
    """Ask for room as an engine does until a time; return when it was given."""
    given_at: list[float] = []
    while clock.monotonic() < until:
        try:
            await limiter.admit("analyze", **amounts)
            given_at.append(clock.monotonic())
        except Throttled as error:
            await clock.sleep(error.after or 0.0)
    return given_at


def seen(headers: Mapping[str, str], at: float = EPOCH) -> Sequence[QuotaNote]:
    """Return what an answer with these headers says."""
    return quota_notes(Response(200, headers, b"{}", at))


def most_in(times: list[float], span: float) -> int:
    """The largest number of times that fall into any stretch of ``span`` seconds."""
    return max(sum(1 for other in times if start <= other < start + span) for start in times)


def test_no_minute_holds_more_than_the_limit() -> None:
    """Whatever minute one looks at: never more than ten; and over ten minutes nearly all the room is used."""

    async def work() -> None:
        clock = VirtualClock()
        limiter = SharedLimiter(limits(requests_per_minute=10), Memory(), clock, Random(1))
        times = await admitted(limiter, clock, 600)
        assert most_in(times, 60) <= 10
        assert len(times) >= 100

    run_virtual(work())


def test_a_short_wait_is_slept_and_a_long_one_is_raised() -> None:
    """Up to a second is waited for on the spot; more is the engine's business, and takes nothing."""

    async def work() -> None:
        clock = VirtualClock()
        limiter = SharedLimiter(limits(requests_per_minute=1), Memory(), clock, Random(1))
        await limiter.admit("analyze")
        with pytest.raises(Throttled) as caught:
            await limiter.admit("analyze")
        assert caught.value.after is not None
        assert 58 <= caught.value.after <= 62.1
        assert caught.value.group == "analyze"
        await clock.sleep(59.5)
        before = clock.monotonic()
        await limiter.admit("analyze")
        assert 0 < clock.monotonic() - before <= 1.0

    run_virtual(work())


def test_minutes_and_tokens_count_beside_requests() -> None:
    """Every bucket must have room; one call larger than a whole bucket goes when the bucket is empty, or it never would."""

    async def work() -> None:
        clock = VirtualClock()
        rules = limits(minutes_per_hour=60, tokens_per_minute=1000)
        limiter = SharedLimiter(rules, Memory(), clock, Random(1))
        await limiter.admit("analyze", minutes=90, tokens=10)
        with pytest.raises(Throttled) as hour:
            await limiter.admit("analyze", minutes=1)
        assert (hour.value.after or 0) > 3000
        await limiter.admit("analyze", tokens=990)
        with pytest.raises(Throttled) as minute:
            await limiter.admit("analyze", tokens=1)
        assert (minute.value.after or 0) < 70

    run_virtual(work())


def test_a_restart_remembers_the_day() -> None:
    """What was used of a day's quota, and a pause, survive the process; other groups are untouched."""

    async def work() -> None:
        clock, journal = VirtualClock(), Memory()
        rules = limits(requests_per_day=3)
        first = SharedLimiter(rules, journal, clock, Random(1))
        for _ in range(3):
            await first.admit("analyze")
        first.learn("search", wait=500)
        await first.aclose()
        second = SharedLimiter(rules, journal, clock, Random(1))
        with pytest.raises(Throttled) as day:
            await second.admit("analyze")
        assert (day.value.after or 0) > 86_000
        with pytest.raises(Throttled):
            await second.admit("search")
        await second.admit("read")

    run_virtual(work())


def test_a_kill_forgets_at_most_two_seconds() -> None:
    """Counters are written while running, but not at every request."""

    async def work() -> None:
        clock, journal = VirtualClock(), Memory()
        limiter = SharedLimiter(limits(requests_per_day=1000), journal, clock, Random(1))
        for _ in range(500):
            await limiter.admit("analyze")
            await clock.sleep(0.02)
        assert 4 <= journal.saves <= 7
        kept = sum(amount for _, amount in journal.kept["limits"]["analyze"]["counted"]["requests_per_day"])
        assert kept >= 390

    run_virtual(work())


def test_a_429_pauses_the_group_for_everybody() -> None:
    """One worker is told to wait a minute: none of the others asks before it is over."""

    async def work() -> None:
        clock = VirtualClock()
        limiter = SharedLimiter(LimitsSection(), Memory(), clock, Random(1))
        limiter.learn("analyze", wait=60)
        limiter.learn("analyze", wait=5)  # a later, shorter word does not shorten the pause
        times: list[float] = []

        async def worker() -> None:
            times.extend((await admitted(limiter, clock, 61))[:1])

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(worker)
        assert min(times) >= 60

    run_virtual(work())


def test_headers_teach_how_much_is_left() -> None:
    """Two requests are left until the reset: the third waits for it. Nonsense in headers is ignored."""

    async def work() -> None:
        clock = VirtualClock()
        limiter = SharedLimiter(LimitsSection(analyze=BucketSection()), Memory(), clock, Random(1))
        for bad in ({}, {"x-ratelimit-remaining": "x"}, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "nan"}):
            limiter.learn("analyze", notes=seen(bad))
        limiter.learn("analyze", notes=seen({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH - 5)}))
        await limiter.admit("analyze")
        headers: Mapping[str, str] = {"x-ratelimit-remaining": "2", "x-ratelimit-reset": str(EPOCH + 300)}
        limiter.learn("analyze", notes=seen(headers))
        limiter.learn("analyze", notes=seen({**headers, "x-ratelimit-remaining": "3"}))  # an older answer, come late
        await limiter.admit("analyze")
        await limiter.admit("analyze")
        with pytest.raises(Throttled) as caught:
            await limiter.admit("analyze")
        assert 299 <= (caught.value.after or 0) <= 301
        await clock.sleep(300.1)
        await limiter.admit("analyze")

    run_virtual(work())


def test_a_clock_turned_back_locks_nobody_out() -> None:
    """Counters from a future that never was are dropped."""

    async def work() -> None:
        clock = VirtualClock()
        limiter = SharedLimiter(limits(requests_per_hour=1), Memory(), clock, Random(1))
        clock.skew = 10 * 3600
        await limiter.admit("analyze")
        clock.skew = 0
        await limiter.admit("analyze")
        assert clock.monotonic() == 0

    run_virtual(work())


def test_a_damaged_memory_is_no_obstacle() -> None:
    """Whatever the journal holds, the limiter starts and limits."""

    async def work() -> None:
        damaged: tuple[Any, ...] = (
            {"analyze": {"windows": {"requests_per_day": {"x": 1, "5": "y"}}, "left": "?"}},
            [],
            {"read": 7},
            "x",
        )
        for kept in damaged:
            journal = Memory()
            journal.kept["limits"] = kept
            limiter = SharedLimiter(limits(requests_per_day=1), journal, VirtualClock(), Random(1))
            await limiter.admit("analyze")
            with pytest.raises(Throttled):
                await limiter.admit("analyze")

    run_virtual(work())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 40), st.floats(0.1, 8)), max_size=60),
    st.floats(5, 30),
    st.sampled_from([60.0, 3600.0]),
)
def test_a_window_is_never_overfull(steps: list[tuple[float, float]], limit: float, span: float) -> None:
    """Property: of everything that was let in, no stretch of the span holds more than the limit."""
    window, now, let_in = Window(limit, span), EPOCH, list[tuple[float, float]]()
    for pause, amount in steps:
        now += pause * span / 60
        if amount <= limit and window.wait(amount, now) == 0:
            window.take(amount, now)
            let_in.append((now, amount))
    for start, _ in let_in:
        assert sum(amount for at, amount in let_in if start <= at < start + span) <= limit + 1e-6


def test_the_wait_of_a_window_is_enough() -> None:
    """After the named wait there is room: nobody is sent away twice for the same reason."""
    window = Window(5, 60)
    for second in range(5):
        window.take(1, EPOCH + second)
    wait = window.wait(3, EPOCH + 5)
    assert window.wait(3, EPOCH + 5 + wait - 0.25) > 0
    assert window.wait(3, EPOCH + 5 + wait) == 0


def test_a_call_counts_from_its_answer_on() -> None:
    """The platform may have seen it just before it answered: room comes back a whole window after that, and no sooner."""

    async def work() -> None:
        clock = VirtualClock()
        limiter = SharedLimiter(limits(requests_per_minute=2), Memory(), clock, Random(1))
        await limiter.admit("analyze")
        await clock.sleep(7)
        limiter.answered("analyze", EPOCH)
        await limiter.admit("analyze")
        with pytest.raises(Throttled) as caught:
            await limiter.admit("analyze")
        assert 59.9 <= (caught.value.after or 0) <= 60.6
        assert "2 requests per minute" in str(caught.value)

    run_virtual(work())


def test_what_a_refusal_gives_back_is_saved() -> None:
    """The next run has the room of a last call that was refused."""

    async def work() -> None:
        clock, journal, most = VirtualClock(), Memory(), limits(minutes_per_day=600)
        limiter = SharedLimiter(most, journal, clock, Random(1))
        await limiter.admit("analyze", minutes=30)
        limiter.answered("analyze", EPOCH, minutes=30, accepted=False)
        await limiter.aclose()
        used = {each.window: each.used for each in read_usage(most, journal.kept[NAME], clock.now())}
        assert used["minutes_per_day"] == 0.0

    run_virtual(work())


@pytest.mark.parametrize(
    ("befalls", "counts"),
    [
        ("", True),
        ("lost", True),  # the platform has it, and its answer never came
        ("silent", True),
        ("cut", True),  # a success that cannot be read
        ("502 after", True),
        ("refused", False),  # no connection
        ("429 words", False),
        ("429 empty", False),
        ("401", False),
    ],
)
def test_what_may_have_been_accepted_counts_for_the_day(befalls: str, counts: bool) -> None:
    """Only what certainly was not uses up nothing: no stretch of a day ever holds more than the limit."""

    async def work() -> None:
        clock, journal, most = VirtualClock(), Memory(), limits(minutes_per_day=600)
        limiter, account = SharedLimiter(most, journal, clock, Random(1)), Account(clock)
        vendor: Any = account._vendors["v1.3"]
        asset = vendor.make("asset", "film", size=1)
        await clock.sleep(60)
        account.accidents = Accidents((Fault("pay", 1, befalls),) if befalls else ())
        api = account.open("v1.3", "fake/v1", limiter)
        form = {"type": "object", "properties": {}}
        question = Question("rm-1", asset.id, "What is it?", form, 512, 0.0, "pegasus1.5", minutes=30.0)
        with suppress(ReelmillError):
            await api.submit_analysis(question, lambda: None)
        await limiter.aclose()
        (gauge,) = [
            each for each in read_usage(most, journal.kept[NAME], clock.now()) if each.window == "minutes_per_day"
        ]
        assert gauge.used == (30.0 if counts else 0.0)

    run_virtual(work())


def test_what_is_too_large_for_the_rest_of_a_day_lets_smaller_calls_pass() -> None:
    """A long video waits alone while there is room for shorter ones; after many of those, or at the very end, all wait."""

    async def work() -> None:
        clock = VirtualClock()
        limiter = SharedLimiter(limits(minutes_per_day=600), Memory(), clock, Random(1))
        await limiter.admit("analyze", minutes=570)
        with pytest.raises(Throttled) as caught:
            await limiter.admit("analyze", minutes=40)
        assert caught.value.alone
        assert str(caught.value) == "too long for what is left of 600 minutes per day"
        await limiter.admit("analyze", minutes=22)
        with pytest.raises(Throttled) as caught:
            await limiter.admit("analyze", minutes=40)
        assert not caught.value.alone  # 98.7 % are used
        assert "600 minutes per day" in str(caught.value)
        limiter = SharedLimiter(limits(minutes_per_day=600), Memory(), clock, Random(1))
        await limiter.admit("analyze", minutes=500)
        alone = []
        for _ in range(34):
            with pytest.raises(Throttled) as caught:
                await limiter.admit("analyze", minutes=101)
            alone.append(caught.value.alone)
        assert alone == [True] * 32 + [False, True]

    run_virtual(work())


def test_a_learned_limit_is_kept_with_its_age_and_never_above_the_configured_one() -> None:
    """An answer names 6 a minute where 10 are configured, and 100 a day where nothing is: both hold, for a week."""

    async def work() -> None:
        clock, journal, rules = VirtualClock(), Memory(), limits(requests_per_minute=10)
        first = SharedLimiter(rules, journal, clock, Random(1))
        await first.start()
        first.learn("analyze", notes=[QuotaNote("requests", "minute", 6), QuotaNote("requests", "day", 100)])
        for _ in range(6):
            await first.admit("analyze")
        with pytest.raises(Throttled):
            await first.admit("analyze")
        await first.aclose()
        await clock.sleep(600)
        shown = {
            each.window: each for each in read_usage(rules, journal.kept[NAME], clock.now()) if each.group == "analyze"
        }
        assert {name: (each.used, each.limit) for name, each in shown.items()} == {
            "requests_per_minute": (0, 6),
            "requests_per_day": (6, 100),
        }
        assert shown["requests_per_day"].learned_at == EPOCH
        first.learn("analyze", notes=[QuotaNote("requests", "minute", 60)])
        assert first._groups["analyze"].windows["requests_per_minute"][1].limit == 10
        await clock.sleep(8 * 86_400)
        second = SharedLimiter(rules, journal, clock, Random(1))
        await second.start()
        windows = second._groups["analyze"].windows
        assert {name: window.limit for name, (_, window) in windows.items()} == {"requests_per_minute": 10}

    run_virtual(work())


def test_a_daily_wall_without_a_time_is_tried_at_midnight_and_then_every_hour() -> None:
    """No hammering where nobody says when a quota comes back; a wall that is not the calendar's is met hour by hour."""

    async def work() -> None:
        clock, journal = VirtualClock(), Memory()
        midnight = (EPOCH // 86_400 + 1) * 86_400
        limiter = SharedLimiter(LimitsSection(), journal, clock, Random(1))
        await limiter.start()
        for expected in (midnight, midnight + 3_601, midnight + 7_202):
            limiter.learn("analyze", wait=2.0, notes=[QuotaNote("requests", "day", reached=True)])
            with pytest.raises(Throttled) as caught:
                await limiter.admit("analyze")
            assert (caught.value.after or 0) + clock.now() == pytest.approx(expected, abs=2)
            await limiter.aclose()
            limiter = SharedLimiter(LimitsSection(), journal, clock, Random(1))
            await clock.sleep(expected - clock.now() + 1)
            await limiter.admit("analyze")

    run_virtual(work())
    assert guessed_end("hour", EPOCH + 10, 0.0) == (EPOCH // 3600 + 1) * 3600


def test_the_counters_of_an_earlier_release_count() -> None:
    """Its journal numbers slots of a sixtieth: what was used of the day stays used."""

    async def work() -> None:
        clock, journal = VirtualClock(), Memory()
        slot = int((EPOCH - 3600) // 1440)
        journal.kept[NAME] = {"analyze": {"paused_until": 0.0, "windows": {"requests_per_day": {str(slot): 3.0}}}}
        limiter = SharedLimiter(limits(requests_per_day=3), journal, clock, Random(1))
        with pytest.raises(Throttled) as caught:
            await limiter.admit("analyze")
        assert 86_400 - 3600 - 10 <= (caught.value.after or 0) <= 86_400 - 3600 + 2 * 1440 + 1

    run_virtual(work())


def test_a_local_platform_is_not_limited() -> None:
    """The unlimited limiter lets everything through and keeps nothing."""

    async def work() -> None:
        clock, limiter = VirtualClock(), Unlimited()
        limiter.learn("analyze", wait=1000)
        for _ in range(1000):
            await limiter.admit("analyze", minutes=1e9)
        assert clock.monotonic() == 0

    run_virtual(work())
