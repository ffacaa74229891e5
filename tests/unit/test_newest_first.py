"""Watching uploads in a list that knows neither ids nor status words (v1.2 tasks), in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import anyio
import pytest

from pipeline.core.errors import Transient
from pipeline.ports.video_api import MediaStatus
from pipeline.provider.dialects.protocol import Page
from pipeline.provider.status_board import NewestFirst, Pacer, Polling, StatusBoard
from tests.support.clock import VirtualClock, run_virtual

PAGE = 50


class Tasks:
    """Indexing tasks, newest first; counts how often each was asked about alone, and the lists."""

    def __init__(self, clock: VirtualClock, shown: Callable[[str], bool] = lambda _: False) -> None:
        self.clock = clock
        self.ends: dict[str, tuple[float, str]] = {}  #: in the order they were made: when it ends, and how
        self.lists: list[float] = []
        self.singles: dict[str, int] = {}
        self.remains = 0.0
        self.trouble: list[Exception] = []
        self._shown = shown  #: whether a list names the video of a ready one

    def status(self, key: str, *, listed: bool) -> MediaStatus:
        at, word = self.ends[key]
        if self.clock.monotonic() < at:
            return MediaStatus("working", "indexing", look_again=self.remains)
        facts = {"video_id": key} if not listed or self._shown(key) else {}
        return MediaStatus("ready", "ready", facts=facts) if word == "ready" else MediaStatus("failed", "failed")

    async def page(self, page: int) -> Page[tuple[str, MediaStatus]]:
        self.lists.append(self.clock.monotonic())
        await self.clock.sleep(0.1)
        if self.trouble:
            raise self.trouble.pop()
        newest = list(reversed(self.ends))
        shown = newest[(page - 1) * PAGE : page * PAGE]
        return Page([(key, self.status(key, listed=True)) for key in shown], page * PAGE >= len(newest))

    async def one(self, key: str) -> MediaStatus:
        self.singles[key] = self.singles.get(key, 0) + 1
        await self.clock.sleep(0.1)
        return self.status(key, listed=False) if key in self.ends else MediaStatus("gone")

    def board(self, **options: float) -> StatusBoard[MediaStatus]:
        """A board over this list."""
        lister = NewestFirst(
            MediaStatus("working"), self.page, self.one,
            lambda status: status.state != "ready" or "video_id" in status.facts, PAGE,
        )  # fmt: skip
        waits = {"first": 2.0, "spacing": 10.0, "settle": 0.0, **options}
        polling = Polling(Pacer(60, 10.0, self.clock), self.clock, **waits)
        return StatusBoard(lister, polling, advice=lambda status: status.look_again)


async def ended(board: StatusBoard[MediaStatus], clock: VirtualClock, key: str) -> MediaStatus:
    """Look as the engine does, until it is over."""
    while True:
        status = await board.look(key)
        if status.state != "working":
            return status
        assert status.look_again > 0
        await clock.sleep(status.look_again)


@pytest.mark.parametrize("shown", [True, False])
def test_hundreds_in_flight_share_few_lists(shown: bool) -> None:
    """300 tasks among 2,000 older ones: at most 60 lists a minute, each asked about alone a few times at most."""

    async def work() -> None:
        clock, rng = VirtualClock(), Random(5)
        tasks = Tasks(clock, lambda _: shown)
        tasks.ends = {f"old-{number}": (0.0, "ready") for number in range(2_000)}
        ours = [f"ours-{number}" for number in range(300)]
        tasks.ends |= {key: (rng.uniform(60, 600), rng.choice(["ready", "ready", "failed"])) for key in ours}
        board, found = tasks.board(), dict[str, MediaStatus]()

        async def one(key: str) -> None:
            found[key] = await ended(board, clock, key)
            assert clock.monotonic() - tasks.ends[key][0] < 60

        async with anyio.create_task_group() as group:
            for key in ours:
                group.start_soon(one, key)
        assert {key: status.word for key, status in found.items()} == {key: tasks.ends[key][1] for key in ours}
        assert all(status.facts.get("video_id") == key for key, status in found.items() if status.state == "ready")
        busiest = max(sum(1 for other in tasks.lists if at <= other < at + 60) for at in tasks.lists)
        assert busiest <= 60
        failed = [key for key in ours if tasks.ends[key][1] == "failed"]
        assert sum(tasks.singles.get(key, 0) for key in failed) <= 20  # the list says all there is to say of them
        assert sum(tasks.singles.values()) <= (40 if shown else 340)

    run_virtual(work())


def test_a_straggler_is_asked_about_alone() -> None:
    """One very old task behind thousands of younger ones does not make every sweep read them all."""

    async def work() -> None:
        clock = VirtualClock()
        tasks = Tasks(clock)
        tasks.ends = {"straggler": (300.0, "ready")}
        tasks.ends |= {f"theirs-{number}": (0.0, "ready") for number in range(5_000)}
        tasks.ends |= {f"ours-{number}": (400.0, "ready") for number in range(3)}
        board, found = tasks.board(), list[str]()

        async def one(key: str) -> None:
            found.append((await ended(board, clock, key)).facts["video_id"])

        async with anyio.create_task_group() as group:
            for key in ("straggler", "ours-0", "ours-1", "ours-2"):
                group.start_soon(one, key)
        assert sorted(found) == ["ours-0", "ours-1", "ours-2", "straggler"]
        assert len(tasks.lists) < 3 * 45

    run_virtual(work())


def test_the_platform_s_own_estimate_saves_requests() -> None:
    """A task that will take hours is not looked at every ten seconds, and is seen soon after it is ready all the same."""

    async def work() -> None:
        clock = VirtualClock()
        tasks = Tasks(clock)
        tasks.ends = {"long": (12_471.0, "ready")}
        board = tasks.board()
        tasks.remains = 120.0
        assert (await ended(board, clock, "long")).state == "ready"
        assert sum(tasks.singles.values()) < 110
        assert clock.monotonic() < 12_471 + 121

    run_virtual(work())


def test_a_task_that_is_gone_or_a_list_that_fails_is_told() -> None:
    """Nobody waits for ever for what is not there, and an outage reaches those who asked."""

    async def work() -> None:
        clock = VirtualClock()
        tasks = Tasks(clock)
        tasks.ends = {f"ours-{number}": (1e9, "ready") for number in range(60)}
        board = tasks.board()
        assert (await ended(board, clock, "never-was")).state == "gone"
        for key in tasks.ends:
            await board.look(key)
        tasks.trouble = [Transient("down")]
        await clock.sleep(60)
        with pytest.raises(Transient):
            await board.look("ours-1")
        assert (await board.look("ours-1")).state == "working"

    run_virtual(work())
