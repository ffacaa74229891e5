"""The command line on a PostgreSQL database: made once, refused where it cannot be right, operated beside others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from pipeline.app.wiring import database as wiring
from pipeline.app.wiring.presence import new_presence
from pipeline.config.database_address import parse_address
from pipeline.config.settings import load
from pipeline.core.clock import SystemClock
from pipeline.core.model import State
from pipeline.engine.hosts import RUN
from pipeline.store.postgres.connection import Hold
from pipeline.store.postgres.database import PostgresDatabase, open_database
from tests.conformance.store_kit import bring
from tests.support.cli import command, toml
from tests.support.media import clips
from tests.support.postgres import Databases, databases

__all__ = ["databases"]
PROVIDER = {"kind": "local", "base_url": "http://127.0.0.1:9"}


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """The address of an empty database."""
    with asyncio.Runner() as runner:
        lent = databases.lent()
        yield runner.run(lent.__aenter__())
        runner.run(lent.__aexit__(None, None, None))


def configure(folder: Path, url: str, **sections: dict[str, object]) -> Path:
    """Write a configuration that names the database, and return its folder."""
    key = folder / "key"
    key.write_text("k", encoding="utf-8")
    provider = {**PROVIDER, "key_file": str(key), **sections.pop("provider", {})}
    (folder / "reelmill.toml").write_text(
        toml({"provider": provider, "store": {"url": url}, **sections}), encoding="utf-8"
    )
    return folder


@contextmanager
def at_work(url: str, hold: Hold) -> Iterator[None]:
    """Hold the database as another process does, with an item that failed."""

    async def begin() -> PostgresDatabase:
        database = await open_database(parse_address(url), hold=hold)
        await bring(database, State.FAILED, "file:/films/a.mp4", kind="item")
        return database

    with asyncio.Runner() as runner:
        database = runner.run(begin())
        try:
            yield
        finally:
            runner.run(database.aclose())


def test_migrate_makes_the_tables_once(tmp_path: Path, url: str, databases: Databases) -> None:
    """Without them nothing begins, and the sentence says what to do; twice is once; a file needs no such command."""

    async def create(statement: str) -> None:
        link = await asyncpg.connect(databases.server.url("postgres"))
        await link.execute(statement)
        await link.close()

    asyncio.run(create("CREATE DATABASE bare"))
    try:
        folder = configure(tmp_path, url.replace(f"/{parse_address(url).name}?", "/bare?"))
        for words in (("status",), ("run", "a.mp4"), ("retry", "--failed")):
            early = command(folder, *words)
            assert early.code == 2
            assert "reelmill migrate" in early.err
        assert "none -> " in command(folder, "migrate").out
        assert "up to date" in command(folder, "migrate").out
        assert command(folder, "migrate", "--json").json["before"] > 0
        assert command(folder, "status").code == 0
    finally:
        asyncio.run(create("DROP DATABASE bare WITH (FORCE)"))
    (tmp_path / "reelmill.toml").write_text("", encoding="utf-8")
    assert command(tmp_path, "migrate").code == 2


@pytest.mark.asyncio
async def test_a_run_begins_with_the_time_of_the_server(
    tmp_path: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow answer says nothing of it, so it is asked again: by its own wrong clock a host would take others' leases."""

    class Machine(SystemClock):
        since_boot = 50.0

        def now(self) -> float:
            return 9_000.0

        def monotonic(self) -> float:
            return Machine.since_boot

        async def sleep(self, seconds: float) -> None:
            Machine.since_boot += seconds

    async def time(_database: PostgresDatabase) -> float:
        Machine.since_boot += 2.0 if Machine.since_boot < 52.0 else 0.1
        return 1_000.0

    monkeypatch.setattr(wiring, "SystemClock", Machine)
    monkeypatch.setattr(PostgresDatabase, "time", time)
    async with databases.lent() as url:
        settings = load(configure(tmp_path, url, run={"state": str(tmp_path)}) / "reelmill.toml", env={})
        async with wiring.open_for_run(settings) as run:
            assert run.clock.now() == pytest.approx(1_000.0, abs=0.1)


def test_migrate_makes_the_roles_of_workers_and_readers(tmp_path: Path, url: str) -> None:
    """A reader looks at everything, and is told in words what it may not; twice is once."""
    assert " and " in command(configure(tmp_path, url), "migrate", "--roles").out
    worker, reader = command(tmp_path, "migrate", "--roles", "--json").json["roles"]
    for role in (worker, reader):
        configure(tmp_path, url.replace("//reelmill@", f"//{role}@"))
        for words in (("status",), ("list",), ("costs",), ("hosts",)):
            assert command(tmp_path, *words).code == 0, words
        assert "rights" not in command(tmp_path, "migrate").out
        assert "does not own" in command(tmp_path, "migrate", "--roles").err
    refused = command(tmp_path, "retry", "--failed")
    assert refused.code != 0
    assert "may not do that" in refused.err


def test_an_operator_works_beside_a_run(tmp_path: Path, url: str) -> None:
    """Who is at work is told; `retry` and `cancel` go on, what needs the database for itself says who has it."""
    folder = configure(tmp_path, url)
    with at_work(url, "beside"):
        status = command(folder, "status", "--json").json
        assert ":" in status["running"]
        assert command(folder, "retry", "--failed").code == 0
        assert command(folder, "cancel", "--all").code == 0
        busy = command(folder, "prune", "--runs", "10", "--yes")
        assert busy.code == 75
        assert status["running"] in busy.err
    assert command(folder, "status", "--json").json["running"] == ""
    assert command(folder, "prune", "--runs", "10", "--yes").code == 0


@pytest.mark.asyncio
async def test_runs_with_a_spending_limit_share(tmp_path: Path, databases: Databases) -> None:
    """The limit is kept where all of them write, so that none needs the database for itself."""
    async with databases.lent() as url:
        folders = [tmp_path / "one", tmp_path / "two"]
        for folder in folders:
            folder.mkdir()
            sections: dict[str, dict[str, object]] = {"budget": {"max_usd_per_day": 1.0}, "run": {"state": str(folder)}}
            configure(folder, url, **sections)
        one, two = (load(folder / "reelmill.toml", env={}) for folder in folders)
        async with wiring.open_for_run(one) as first, wiring.open_for_run(two) as second:
            assert first.company.host != second.company.host


@pytest.mark.parametrize(("sections", "why"), [({"provider": {"api": "v1.2"}}, "API v1.2")])
def test_a_run_that_cannot_share_says_why(
    tmp_path: Path, url: str, sections: dict[str, dict[str, object]], why: str
) -> None:
    """An API without keys cannot tell two calls from one."""
    clips(tmp_path / "films", 1)
    folder = configure(tmp_path, url, **sections)
    with at_work(url, "beside"):
        refused = command(folder, "run", "films")
        assert refused.code == 75
        assert why in refused.err


def test_a_platform_of_its_own_for_each_host_is_refused(tmp_path: Path, url: str) -> None:
    """They would know nothing of each other's videos; the remedy names the command."""
    (tmp_path / "reelmill.toml").write_text(
        toml({"provider": {"kind": "local"}, "store": {"url": url}}), encoding="utf-8"
    )
    refused = command(tmp_path, "run", "a.mp4")
    assert refused.code == 2
    assert "reelmill platform" in refused.err


def test_a_database_that_does_not_answer_is_told_without_its_password(tmp_path: Path) -> None:
    """One sentence with host, database and role, for a look and for a run, which waits a little before."""
    address = replace(parse_address("postgresql://mill@127.0.0.1/films"), hosts=(("127.0.0.1", 1),))
    url = "postgresql://mill@127.0.0.1:1/films"
    (tmp_path / "secret").write_text("hunter2", encoding="utf-8")
    folder = configure(tmp_path, url, store={"url": url, "password_file": "secret", "patience": 0})
    clips(tmp_path / "films", 1)
    for words in (("status",), ("migrate",), ("run", "films")):
        ended = command(folder, *words)
        assert ended.code == 2
        assert f"he {address}" in ended.err
        assert "hunter2" not in ended.out + ended.err


def test_hosts_are_listed_and_forgotten(tmp_path: Path, url: str) -> None:
    """One that ended is told of until it is forgotten; a name that is none, a living host and a file are refused."""
    (tmp_path / "state").mkdir()
    folder = configure(tmp_path, url, cluster={"host": "mill-1"}, run={"state": "state"})
    assert command(folder, "hosts").out.strip() == "no host has worked on this database yet"

    async def visit(*, leaves: bool) -> None:
        settings = load(folder / "reelmill.toml", env={})
        async with wiring.open_shared(settings, "beside") as database:
            presence = await new_presence(settings, database, SystemClock(), RUN)
            await presence.join()
            if leaves:
                await presence.leave()

    asyncio.run(visit(leaves=False))
    (living,) = command(folder, "hosts", "--json").json
    assert (living["name"], living["state"], living["role"], living["holds"]) == ("mill-1", "at work", "run", 0)
    assert command(folder, "status", "--json").json["hosts"] == [living]
    busy = command(folder, "hosts", "forget", "mill-1")
    assert (busy.code, "stop it first" in busy.err) == (75, True)
    asyncio.run(visit(leaves=True))
    assert "left" in command(folder, "hosts").out
    unknown = command(folder, "hosts", "forget", "mill-2")
    assert (unknown.code, "mill-1" in unknown.err) == (2, True)
    assert "mill-1 is forgotten" in command(folder, "hosts", "forget", "mill-1").out
    assert command(folder, "hosts", "--json").json == []
    assert command(folder, "hosts", "forget").code == 2
    (folder / "reelmill.toml").write_text("", encoding="utf-8")
    refused = command(folder, "hosts")
    assert (refused.code, "[store] url" in refused.err) == (2, True)
