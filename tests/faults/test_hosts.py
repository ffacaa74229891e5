"""Several processes on one PostgreSQL and one platform: together they do the work once, whichever of them dies."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import asyncpg
import pytest

from pipeline.config.database_address import parse_address
from pipeline.core.model import Lane, Selection
from pipeline.store.postgres.database import open_database
from pipeline.store.postgres.migrate import migrate
from tests.conformance.store_kit import placed
from tests.support.cli import Platform, Running, Terminal, customer, serving, until
from tests.support.media import clips
from tests.support.postgres import PASSWORD, Databases, databases

__all__ = ["databases"]
VIDEOS = 10


def host(folder: Path, platform: Platform, url: str, engine: str = "none") -> Terminal:
    """Return a terminal of one more host: a state folder of its own, and the results that all write."""
    folder.mkdir()
    (folder / "secret").write_text(PASSWORD, encoding="utf-8")
    return customer(
        folder, platform, run={"output": str(folder.parent / "out")},
        store={"url": url, "password_file": "secret", "engine": engine},
        policy={"lease": 6}, gallery={"enabled": False}, source={"shared": [str(folder.parent / "films")]},
        log={"level": "debug"},
    )  # fmt: skip


async def worker(url: str) -> str:
    """Make the role of a database's workers, with the password that all have; return its name."""
    role = (await migrate(parse_address(url), make_roles=True)).roles[0]
    link = await asyncpg.connect(url)
    await link.execute(f"ALTER ROLE {role} PASSWORD '{PASSWORD}'")
    await link.close()
    return role


def tells(process: Running) -> bool:
    """Tell whether a process says the password: in its streams, or to whoever lists the processes."""
    listed = Path(f"/proc/{process.pid}/cmdline")
    shown = listed.read_text(encoding="utf-8") if process.alive and listed.exists() else ""
    return PASSWORD in process.said() + process.out.read_text(encoding="utf-8") + shown


async def lose_hints(url: str) -> int:
    """Empty the table of PgQueuer's jobs; return how many there were."""
    link = await asyncpg.connect(url)
    there: int = await link.fetchval("SELECT count(*) FROM reelmill.pgqueuer")
    await link.execute("TRUNCATE reelmill.pgqueuer")
    await link.close()
    return there


async def put_strange(url: str) -> None:
    """Put a task as a newer release would, at a step that this one does not know."""
    database = await open_database(parse_address(url), engine="pgqueuer")
    await database.submit([placed("strange", kind="video", stage="polish", lane=Lane.WRITE, rank=99)], 0.0)
    await database.aclose()


async def still_there(url: str) -> tuple[str, int]:
    """Return the state of that task, and how often it was claimed."""
    database = await open_database(parse_address(url), hold="")
    (task,) = await database.tasks(Selection(keys=("strange",)))
    await database.aclose()
    return task.state.value, task.claims


async def hints_left(url: str) -> int:
    """Count PgQueuer's jobs."""
    link = await asyncpg.connect(url)
    left: int = await link.fetchval("SELECT count(*) FROM reelmill.pgqueuer")
    await link.close()
    return left


@pytest.mark.asyncio
@pytest.mark.slow(seconds=15)
async def test_a_run_does_not_need_the_hints_of_pgqueuer(tmp_path: Path, databases: Databases) -> None:
    """A host dies and all hints are lost, twice, in the middle: everything is done once, and no hint is left over.

    What a newer release has put stays for it, due and uncounted.
    """
    films = tmp_path / "films"
    clips(films, VIDEOS)
    async with databases.lent() as url:
        with serving(tmp_path / "platform") as platform:
            tcp = databases.server.url(parse_address(url).name, role=await worker(url), tcp=True)
            one, two = (host(tmp_path / name, platform, tcp, "pgqueuer") for name in ("one", "two"))
            await put_strange(url)
            try:
                first, second = one.start("run", str(films)), two.start("run", str(films))
                until(lambda: len(platform.paid()) >= VIDEOS // 2, "both to be in the middle")
                first.signal(signal.SIGKILL)
                lost = await lose_hints(url)
                until(lambda: len(platform.paid()) >= VIDEOS, "the other to go on")
                lost += await lose_hints(url)
                assert lost
                ended = second.wait()
                assert ended.code == 0, ended.err
                assert platform.twice() == []
                effects = Counter(effect for effect, _ in platform.paid())
                assert effects == {"asset_created": VIDEOS, "analyze_task_created": VIDEOS}
                assert len(list((tmp_path / "out").glob("*/video.json"))) == VIDEOS
                assert await hints_left(url) <= 1  # of what stays, where it was swept again since
                assert await still_there(url) == ("pending", 0)
            finally:
                one.close()
                two.close()


@pytest.mark.asyncio
@pytest.mark.slow(seconds=15)
async def test_a_host_that_dies_leaves_its_work_to_the_other(tmp_path: Path, databases: Databases) -> None:
    """Two runs share a list; one is killed in the middle. The other ends with all done; nothing is lost, paid twice or told."""
    films = tmp_path / "films"
    clips(films, VIDEOS)
    async with databases.lent() as url:
        with serving(tmp_path / "platform") as platform:
            role = await worker(url)
            tcp = databases.server.url(parse_address(url).name, role=role, tcp=True)
            one, two = host(tmp_path / "one", platform, tcp), host(tmp_path / "two", platform, tcp)
            try:
                first, second = one.start("run", str(films)), two.start("run", str(films))
                until(lambda: len(platform.paid()) >= VIDEOS // 2, "both to be in the middle")
                assert not tells(first)
                first.signal(signal.SIGKILL)
                ended = second.wait()
                assert not tells(second)
                assert ended.code == 0, ended.err
                assert platform.twice() == []
                effects = Counter(effect for effect, _ in platform.paid())
                assert effects == {"asset_created": VIDEOS, "analyze_task_created": VIDEOS}
                assert len(list((tmp_path / "out").glob("*/video.json"))) == VIDEOS
                again = one.run("run", str(films))
                assert (again.code, platform.twice(), len(platform.paid())) == (0, [], 2 * VIDEOS)
            finally:
                one.close()
                two.close()
        database = await open_database(parse_address(url), hold="")
        try:
            tally = await database.tally()
            assert tally == {"done": VIDEOS, "failed": 0, "held": 0, "cancelled": 0, "working": 0}
        finally:
            await database.aclose()
