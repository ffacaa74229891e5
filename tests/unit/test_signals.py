"""Who hears SIGINT and SIGTERM, and who hears them next."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.lowlevel
import pytest

from pipeline.app.wiring.signals import obeying, raising, run_interruptible
from tests.support.cli import own_signals

BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    """Give this process its handlers back."""
    with own_signals():
        yield


@pytest.mark.parametrize("number", BOTH)
def test_the_innermost_hears_and_gives_back(number: signal.Signals) -> None:
    """One who listens inside another hears alone, and afterwards the other hears again; nothing is raised."""
    heard = []

    async def scenario() -> str:
        with obeying(lambda each: heard.append(("outer", each))):
            with obeying(lambda each: heard.append(("inner", each))):
                signal.raise_signal(number)
                await anyio.lowlevel.checkpoint()
            signal.raise_signal(number)
            await anyio.lowlevel.checkpoint()
        return "done"

    assert run_interruptible(scenario) == "done"
    assert heard == [("inner", number), ("outer", number)]


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_that_nobody_obeys_cancels_and_cleans_up(number: signal.Signals) -> None:
    """The work ends at its next wait, with its cleanup, and the command is interrupted."""
    cleaned = []

    async def scenario() -> None:
        try:
            signal.raise_signal(number)
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                signal.raise_signal(number)  # in the middle of it, too
                await anyio.sleep(0.01)
            cleaned.append(1)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        run_interruptible(scenario)
    assert cleaned == [1]
    assert signal.getsignal(number) is before


def test_a_signal_after_the_last_wait_takes_no_result_away() -> None:
    """What is done is done."""

    async def scenario() -> int:
        signal.raise_signal(signal.SIGINT)
        return 7

    assert run_interruptible(scenario) == 7


def test_a_signal_before_the_loop_is_ready_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It interrupts before anything has begun."""
    begun, real = [], anyio.run

    def late(body: object) -> object:
        signal.raise_signal(signal.SIGTERM)
        return real(body)  # type: ignore[arg-type]

    async def scenario() -> None:
        await anyio.lowlevel.checkpoint()
        begun.append(1)

    monkeypatch.setattr(anyio, "run", late)
    with pytest.raises(KeyboardInterrupt):
        run_interruptible(scenario)
    assert begun == []


def test_in_another_thread_nobody_listens() -> None:
    """There the signals are the main thread's."""
    before = [signal.getsignal(number) for number in BOTH]

    def elsewhere() -> list[object]:
        async def scenario() -> list[object]:
            with obeying(lambda _: None):
                return [signal.getsignal(number) for number in BOTH]

        return run_interruptible(scenario)

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(elsewhere).result() == before


@pytest.mark.parametrize("number", BOTH)
def test_a_call_that_blocks_is_left_at_once(number: signal.Signals) -> None:
    """A question on the terminal."""
    with pytest.raises(KeyboardInterrupt), raising():
        signal.raise_signal(number)
