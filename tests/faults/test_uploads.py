"""Uploads in parts that die: at every boundary of every chunk, what is sent again is at most one chunk per worker."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest

from pipeline.core.errors import Permanent, Transient
from pipeline.ports.video_api import UploadSession
from pipeline.provider.dialects.protocol import Call, Request, Response
from pipeline.provider.upload import ChunkSender
from tests.support.clock import VirtualClock, run_virtual
from tests.support.fakes import Crash
from tests.unit.test_provider_upload import Cloud

T = TypeVar("T")

CHUNK, LAST, TOTAL = 1000, 17, 24
SIZE = (TOTAL - 1) * CHUNK + LAST
WHOLE = UploadSession("u", "a", CHUNK, TOTAL, 0.0)


@dataclass
class Deadly(Cloud):
    """The platform as our process sees it until it dies at one of the moments that are counted here."""

    dies_at: int = 0
    moments: int = 0
    dead: bool = False
    received: Counter[int] = field(default_factory=Counter)  #: bytes per chunk, whatever became of them

    def moment(self) -> None:
        """Let a moment pass, or die in it; the dead do nothing any more."""
        self.moments += 1
        if self.dead or self.moments == self.dies_at:
            self.dead = True
            raise Crash(f"moment {self.moments}")

    async def call(self, call: Call[T]) -> T:
        self.moment()
        answer = await super().call(call)
        self.moment()
        return answer

    async def send(self, request: Request) -> Response:
        assert request.range is not None
        self.moment()
        self.received[self.addresses[request.url][0]] += request.range.length
        self.moment()
        answer = await super().send(request)
        self.moment()
        return answer


def small(folder: Path) -> Path:
    """A file of 24 chunks whose bytes tell where they are from."""
    path = folder / "film"
    path.write_bytes(Random(4).randbytes(SIZE))
    return path


def run(cloud: Cloud, path: Path, parallel: int) -> None:
    """One process: it ends, or dies."""

    async def work() -> None:
        await ChunkSender(cloud, cloud.dialect, WHOLE, path, lambda _: None, parallel=parallel).run()

    try:
        run_virtual(work())
    except Crash:
        pass
    except BaseExceptionGroup as group:
        if group.subgroup(Crash) is None:
            raise


def again(received: Counter[int]) -> int:
    """Return the bytes that came more than once."""
    return sum(size - (LAST if index == TOTAL else CHUNK) for index, size in received.items())


@pytest.mark.parametrize("parallel", [1, 4])
def test_death_at_every_moment_costs_one_chunk_per_worker(tmp_path: Path, parallel: int) -> None:
    """Before, in and after every request: the next process sends what is missing, byte-exact, and hardly more."""
    path = small(tmp_path)
    content, worst = path.read_bytes(), 0
    for dies_at in count(1):
        cloud = Deadly(VirtualClock(), dies_at=dies_at)
        run(cloud, path, parallel)
        died = cloud.dead
        cloud.dead, cloud.dies_at = False, 0
        run(cloud, path, parallel)
        assert cloud.status == "completed"
        assert b"".join(cloud.stored[index] for index in range(1, TOTAL + 1)) == content
        worst = max(worst, again(cloud.received))
        if not died:
            break
    assert dies_at > 3 * TOTAL + 2 * TOTAL // parallel
    assert 0 < worst <= parallel * CHUNK


@pytest.mark.parametrize("parallel", [1, 3, 8])
def test_any_number_of_deaths_costs_a_chunk_per_worker_each(tmp_path: Path, parallel: int) -> None:
    """Fifty seeds, each a night of deaths at random: the bill is never more than the deaths times the workers."""
    path = small(tmp_path)
    for seed in range(50):
        rng, deaths = Random(seed), 0
        cloud = Deadly(VirtualClock())
        while cloud.status != "completed":
            cloud.dead, cloud.moments, cloud.dies_at = False, 0, rng.randrange(2, 40)
            run(cloud, path, parallel)
            deaths += cloud.dead
            assert deaths < 200, f"seed {seed} makes no progress"
        assert again(cloud.received) <= deaths * parallel * CHUNK, seed
        assert b"".join(cloud.stored[index] for index in range(1, TOTAL + 1)) == path.read_bytes(), seed


def test_addresses_that_expire_at_once_end_the_attempt_and_not_the_upload(tmp_path: Path) -> None:
    """A storage that refuses every second address: each is renewed, everything arrives, nothing is stored twice."""
    path = small(tmp_path)
    cloud = Deadly(VirtualClock(), lifetime=1.5)
    run(cloud, path, 4)
    assert cloud.status == "completed"
    assert len(cloud.put) == TOTAL
    assert cloud.asked.count("presigned-urls") > 2


def test_a_list_of_chunks_without_end_is_given_up(tmp_path: Path) -> None:
    """A platform that always has one more page costs a bounded number of requests."""
    path, cloud = small(tmp_path), Cloud(VirtualClock())
    cloud._state = lambda params: {  # type: ignore[method-assign]
        "status": "active", "uploaded_chunks": [{"index": 1, "status": "pending"}], "page_info": {"page": 1, "total_page": 2},
    }  # fmt: skip
    with pytest.raises(Transient):
        run(cloud, path, 4)
    assert len(cloud.asked) <= TOTAL + 1


def test_a_session_of_a_billion_pieces_is_refused(tmp_path: Path) -> None:
    """No list of them is ever made."""
    path = small(tmp_path)
    with pytest.raises(Permanent) as caught:
        ChunkSender(
            Cloud(VirtualClock()),
            Cloud(VirtualClock()).dialect,
            UploadSession("u", "a", 1, 10**9, 0.0),
            path,
            print,
            parallel=4,
        )
    assert caught.value.trouble.code == "bad_session"
