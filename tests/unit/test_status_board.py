"""The status board, in virtual time: how many requests it makes, and how soon everybody knows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import anyio
import pytest

from pipeline.core.errors import Permanent, Transient
from pipeline.ports.video_api import AnalysisStatus, MediaStatus
from pipeline.provider.dialects.protocol import Page, Request, Response
from pipeline.provider.dialects.v1_3.indexes import IndexV13
from pipeline.provider.dialects.v1_3.media import V13
from pipeline.provider.http.caller import ApiCaller
from pipeline.provider.http.rate_limits import Unlimited
from pipeline.provider.index_client import IndexClient
from pipeline.provider.status_board import ByIds, FilteredSweep, Pacer, Polling, StatusBoard
from tests.support.clock import VirtualClock, run_virtual


class Platform:
    """Uploads and analyses that are ready at a time of their own; answers after a network delay; counts requests."""

    def __init__(self, clock: VirtualClock, delay: float = 0.1) -> None:
        self.clock, self.delay = clock, delay
        self.ready_at: dict[str, float] = {}
        self.lists: list[float] = []
        self.singles: list[tuple[float, str]] = []
        self.word = "processing"
        self.fail: list[Exception] = []

    async def _network(self) -> None:
        await self.clock.sleep(self.delay)
        if self.fail:
            raise self.fail.pop()

    def _ready(self, key: str) -> bool:
        return self.clock.monotonic() >= self.ready_at[key]

    async def media_many(self, ids: Sequence[str]) -> Mapping[str, MediaStatus]:
        assert len(ids) <= 50
        self.lists.append(self.clock.monotonic())
        await self._network()
        return {
            key: MediaStatus("ready" if self._ready(key) else "working", "w") for key in ids if key in self.ready_at
        }

    async def media_one(self, key: str) -> MediaStatus:
        self.singles.append((self.clock.monotonic(), key))
        await self._network()
        if key not in self.ready_at:
            return MediaStatus("gone")
        return MediaStatus("ready" if self._ready(key) else "working", "w")

    async def page_of(self, word: str, page: int) -> Page[tuple[str, AnalysisStatus]]:
        self.lists.append(self.clock.monotonic())
        await self._network()
        if word == "refused":
            raise Permanent("no such filter", code="parameter_invalid")
        found = [key for key in self.ready_at if not self._ready(key)] if word == self.word else []
        entries = [(key, AnalysisStatus("working", word)) for key in found[(page - 1) * 50 : page * 50]]
        return Page(entries, page * 50 >= len(found))

    async def analysis_one(self, key: str) -> AnalysisStatus:
        self.singles.append((self.clock.monotonic(), key))
        await self._network()
        if key not in self.ready_at:
            return AnalysisStatus("gone")
        return AnalysisStatus("ready", "ready") if self._ready(key) else AnalysisStatus("working", self.word)

    def media(self, **options: Any) -> StatusBoard[MediaStatus]:
        """A board of uploads."""
        return self._board(ByIds(MediaStatus("working"), self.media_many, self.media_one, 50), **options)

    def analyses(
        self, words: Sequence[str] = ("queued", "pending", "processing"), **options: Any
    ) -> StatusBoard[AnalysisStatus]:
        """A board of analyses."""
        return self._board(FilteredSweep(AnalysisStatus("working"), self.page_of, self.analysis_one, words), **options)

    def _board(self, lister: Any, **options: Any) -> StatusBoard[Any]:
        options = {"first": 2.0, "spacing": 10.0, "settle": 30.0, **options}
        pacer = options.pop("pacer", None) or Pacer(60, 10.0, self.clock)
        return StatusBoard(lister, Polling(pacer, self.clock, **options))


async def wait_for(board: StatusBoard[Any], clock: VirtualClock, key: str, ended: dict[str, tuple[str, float]]) -> int:
    """Look as the engine does, until it is over; return how often."""
    looks = 0
    while True:
        status = await board.look(key)
        looks += 1
        if status.state != "working":
            ended[key] = (status.state, clock.monotonic())
            return looks
        assert status.look_again > 0
        await clock.sleep(status.look_again)


def most_in_a_minute(times: Sequence[float]) -> int:
    """The largest number of times in any stretch of 60 seconds."""
    return max(sum(1 for other in times if start <= other < start + 60) for start in times)


@pytest.mark.parametrize("kind", ["media", "analyses"])
def test_a_thousand_in_flight_cost_sixty_list_requests_a_minute(kind: str) -> None:
    """1,000 tasks, ready between one and ten minutes: at most 60 list requests in any minute, everyone served in time."""

    async def work() -> None:
        clock = VirtualClock()
        platform, rng = Platform(clock), Random(4)
        board: StatusBoard[Any] = platform.media() if kind == "media" else platform.analyses()
        platform.ready_at = {f"id{number}": rng.uniform(60, 600) for number in range(1000)}
        ended: dict[str, tuple[str, float]] = {}
        looks = list[int]()

        async def task(key: str) -> None:
            looks.append(await wait_for(board, clock, key, ended))

        async with anyio.create_task_group() as group:
            for key in platform.ready_at:
                group.start_soon(task, key)
        assert len(ended) == 1000
        assert most_in_a_minute(platform.lists) <= 60
        late = sorted(at - platform.ready_at[key] for key, (_, at) in ended.items())
        assert late[500] < 25
        assert late[-1] < 60
        assert len(platform.singles) <= (100 if kind == "media" else 1400)
        assert sum(looks) / 1000 < 45
        assert len(board) == 0

    run_virtual(work())


def test_both_boards_together_keep_the_limit() -> None:
    """Uploads and analyses share one pacer: 500 of each still cost at most 60 list requests a minute."""

    async def work() -> None:
        clock = VirtualClock()
        platform, rng = Platform(clock), Random(5)
        pacer = Pacer(60, 10.0, clock)
        boards: list[StatusBoard[Any]] = [platform.media(pacer=pacer), platform.analyses(pacer=pacer)]
        platform.ready_at = {f"id{number}": rng.uniform(60, 400) for number in range(1000)}
        ended: dict[str, tuple[str, float]] = {}
        async with anyio.create_task_group() as group:
            for number, key in enumerate(platform.ready_at):
                group.start_soon(wait_for, boards[number % 2], clock, key, ended)
        assert len(ended) == 1000
        assert most_in_a_minute(platform.lists) <= 60

    run_virtual(work())


@pytest.mark.parametrize("kind", ["media", "analyses"])
def test_a_single_short_task_is_not_slowed(kind: str) -> None:
    """With one in flight and a platform next door, the answer is known within a quarter of the time it took."""

    async def work() -> None:
        clock = VirtualClock()
        platform = Platform(clock, delay=0.001)
        pacer = Pacer(6000, 2.0, clock)
        options: dict[str, Any] = {"pacer": pacer, "first": 0.2, "spacing": 2.0, "settle": 0.0}
        board: StatusBoard[Any] = platform.media(**options) if kind == "media" else platform.analyses(**options)
        platform.ready_at = {"only": 1.5}
        ended: dict[str, tuple[str, float]] = {}
        await wait_for(board, clock, "only", ended)
        assert ended["only"][1] < 2.0
        assert platform.lists == []

    run_virtual(work())


def test_who_wakes_together_shares_one_request() -> None:
    """Fifty new askers in the same instant make one list request; asked again at once, they make none."""

    async def work() -> None:
        clock = VirtualClock()
        platform = Platform(clock)
        board = platform.media()
        platform.ready_at = {f"id{number}": 1e9 for number in range(50)}
        for _ in range(2):
            async with anyio.create_task_group() as group:
                for key in platform.ready_at:
                    group.start_soon(board.look, key)
        assert (len(platform.lists), len(platform.singles)) == (1, 0)

    run_virtual(work())


def test_gone_is_believed_only_after_a_while() -> None:
    """Right after creation an id may not be visible everywhere; later it is really gone."""

    async def work() -> None:
        clock = VirtualClock()
        platform = Platform(clock)
        board = platform.media()
        assert (await board.look("new")).state == "working"
        ended: dict[str, tuple[str, float]] = {}
        await wait_for(board, clock, "new", ended)
        state, at = ended["new"]
        assert state == "gone"
        assert 30 <= at < 45

    run_virtual(work())


def test_one_error_reaches_those_who_waited_for_it_and_nobody_else() -> None:
    """A failed request is an error for its askers; the next look works."""

    async def work() -> None:
        clock = VirtualClock()
        platform = Platform(clock)
        board = platform.media()
        platform.ready_at = {f"id{number}": 1e9 for number in range(10)}
        platform.fail = [Transient("down")]
        failed: list[str] = []

        async def look(key: str) -> None:
            try:
                await board.look(key)
            except Transient:
                failed.append(key)

        async with anyio.create_task_group() as group:
            for key in platform.ready_at:
                group.start_soon(look, key)
        assert len(failed) == 10
        assert (await board.look("id3")).state == "working"

    run_virtual(work())


def test_a_cancelled_asker_leaves_the_others_a_working_board() -> None:
    """Who made the request for all is stopped in the middle: another takes over."""

    async def work() -> None:
        clock = VirtualClock()
        platform = Platform(clock, delay=1.0)
        board = platform.media()
        platform.ready_at = {"a": 1e9, "b": 1e9}
        seen: list[str] = []

        async def first(scope: anyio.CancelScope) -> None:
            with scope:
                await board.look("a")

        async def second() -> None:
            seen.append((await board.look("b")).state)

        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(first, scope)
            group.start_soon(second)
            await clock.sleep(0.5)
            scope.cancel()
        assert seen == ["working"]
        assert len(platform.lists) == 2

    run_virtual(work())


def test_a_new_status_word_is_swept_and_a_refused_one_dropped() -> None:
    """An unknown word for "unfinished" joins the sweep; a word that the list refuses as filter leaves it."""

    async def work() -> None:
        clock = VirtualClock()
        platform = Platform(clock)
        board = platform.analyses(["queued", "refused"])
        platform.word = "reviewing"
        platform.ready_at = {f"id{number}": 300.0 for number in range(100)}
        ended: dict[str, tuple[str, float]] = {}
        async with anyio.create_task_group() as group:
            for key in platform.ready_at:
                group.start_soon(wait_for, board, clock, key, ended)
        assert len(ended) == 100
        assert len(platform.singles) <= 260

    run_virtual(work())


class Index:
    """The other side of a client: one index whose videos become ready at a time of their own, newest first in pages."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.ready_at: dict[str, float] = {}
        self.lists: list[float] = []
        self.singles = 0

    async def send(self, request: Request) -> Response:
        await self.clock.sleep(0.1)
        *_, last = request.path.split("/")
        if last != "indexed-assets":
            self.singles += 1
            return self._reply(self._shown(last))
        self.lists.append(self.clock.monotonic())
        page, newest = int(dict(request.params)["page"]), list(reversed(self.ready_at))
        data = [self._shown(key) for key in newest[(page - 1) * 50 : page * 50]]
        return self._reply({"data": data, "page_info": {"page": page, "total_page": -(-len(newest) // 50)}})

    def _shown(self, key: str) -> dict[str, str]:
        return {"_id": key, "status": "ready" if self.clock.monotonic() >= self.ready_at[key] else "indexing"}

    def _reply(self, body: Any) -> Response:
        return Response(200, {}, json.dumps(body).encode(), self.clock.now())


def test_five_hundred_indexings_share_their_lists() -> None:
    """The index client answers from a board of its own: at most 60 lists a minute, and hardly anything is asked alone."""

    async def work() -> None:
        clock, rng = VirtualClock(), Random(6)
        index, dialect = Index(clock), IndexV13()
        transport: Any = index
        caller = ApiCaller(V13(), transport, Unlimited(), clock, rng, 5.0)
        polling = Polling(Pacer(60, 10.0, clock), clock, first=2.0, spacing=10.0, settle=30.0)
        client = IndexClient(caller, dialect, polling, "t/v1.3")
        index.ready_at = {f"id{number}": rng.uniform(30, 300) for number in range(500)}
        late: list[float] = []

        async def wait(key: str) -> None:
            while (status := await client.indexing("films", key)).state == "working":
                await clock.sleep(status.look_again)
            assert status.video is not None
            late.append(clock.monotonic() - index.ready_at[key])

        async with anyio.create_task_group() as group:
            for key in index.ready_at:
                group.start_soon(wait, key)
        assert len(late) == 500
        assert most_in_a_minute(index.lists) <= 60
        assert max(late) < 60
        assert index.singles < 50

    run_virtual(work())


def test_the_pacer_names_the_time_of_a_later_turn() -> None:
    """Ten places in ten seconds: the eleventh is ten seconds away, the twenty-first twenty; one a minute is possible."""

    async def work() -> None:
        clock = VirtualClock()
        pacer = Pacer(60, 10.0, clock)
        assert [pacer.take() for _ in range(11)] == [True] * 10 + [False]
        assert (pacer.wait(1), pacer.wait(11)) == (10.0, 20.0)
        await clock.sleep(pacer.wait())
        assert pacer.take()
        slow = Pacer(1, 10.0, clock)
        assert (slow.take(), slow.take(), slow.wait()) == (True, False, 60.0)

    run_virtual(work())
