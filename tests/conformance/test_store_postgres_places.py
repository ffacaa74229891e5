"""The PostgreSQL database alone: what needs the disk of one host waits for that host, and for no other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from pipeline.config.database_address import DatabaseAddress
from pipeline.core.model import Lane, Selection, State, Task
from pipeline.engine.hosts import Host, Neighbours, Presence, forget_host
from pipeline.ingest.tasks.absent_hosts import release_items, release_videos
from pipeline.ingest.tasks.item import ItemTaskType
from pipeline.ingest.tasks.video import VideoTaskType
from pipeline.ingest.waiting import LOCAL, host_waited_for
from pipeline.ports.store import WaitingHere
from pipeline.store.postgres import queries
from pipeline.store.postgres.database import PostgresDatabase
from tests.conformance.postgres_kit import linked, opened
from tests.conformance.store_kit import NOW, bring, claim, moved, placed
from tests.conformance.test_store_postgres_state import _touched
from tests.support.clock import VirtualClock


@pytest_asyncio.fixture
async def hosts(address: DatabaseAddress) -> AsyncIterator[tuple[PostgresDatabase, PostgresDatabase]]:
    """The database, opened by two hosts: ``one`` and ``two``."""
    async with opened(address) as one, opened(address) as two:
        one.serve("one")
        two.serve("two")
        yield one, two


def local(key: str, host: str, *, kind: str = "item", stage: str = "resolve", **given: Any) -> Any:
    """Return a task whose step needs the disk of a host."""
    return placed(key, kind=kind, stage=stage, data={"host": host}, **given)


@pytest.mark.asyncio
async def test_a_task_is_given_to_the_host_that_has_its_file(hosts: tuple[PostgresDatabase, PostgresDatabase]) -> None:
    """To no other, whoever asks first and however long it is due; what needs no disk goes to anybody."""
    one, two = hosts
    await one.submit([local("a", "one"), local("b", "two"), placed("free", kind="item", stage="resolve")], 0.0)
    assert await one.places() == {"one": WaitingHere(1, 0.0), "two": WaitingHere(1, 0.0)}
    assert {task.key for task in await claim(two, owner="two:1")} == {"b", "free"}
    assert await two.next_due([Lane.FETCH]) is None
    assert await one.next_due([Lane.FETCH]) == 0.0
    assert [task.key for task in await claim(one, owner="one:1")] == ["a"]
    assert await one.places() == {}


@pytest.mark.asyncio
async def test_the_place_follows_stage_and_data(hosts: tuple[PostgresDatabase, PostgresDatabase]) -> None:
    """Uploading needs the disk, waiting for the platform does not; what another host has found again is its own by then."""
    one, two = hosts
    await bring(one, State.RUNNING, "v", kind="video", stage="upload", data={"host": "one", "title": '"host":'})
    (task,) = await one.tasks(Selection(keys=("v",)))
    await one.apply(moved(task, State.PENDING, stage="settle", wake_at=NOW), NOW)
    assert await one.places() == {}
    (task,) = await claim(two)
    await two.apply(moved(task, State.PENDING, stage="place", wake_at=NOW), NOW)
    assert await claim(two) == []
    again = placed("v", kind="video", stage="place", data={"host": "two"}, restart_at="fan_out")
    await two.submit([again], NOW)
    assert await claim(one) == []
    assert [task.key for task in await claim(two)] == ["v"]


@pytest.mark.asyncio
async def test_what_an_absent_host_has_left_is_anybodys(hosts: tuple[PostgresDatabase, PostgresDatabase]) -> None:
    """Once its data says that the host is gone; found page by page, by kind."""
    one, two = hosts
    await one.submit([local(f"a{number}", "one") for number in range(5)], 0.0)
    await one.submit(
        [local("v", "one", kind="video", stage="upload"), local("w", "two", kind="video", stage="send")], 0.0
    )
    first = await two.tasks_of_place("one", "item", 0, 3)
    assert [task.key for task in first] == ["a0", "a1", "a2"]
    assert [task.key for task in await two.tasks_of_place("one", "item", first[-1].id, 9)] == ["a3", "a4"]
    assert [task.key for task in await two.tasks_of_place("one", "video", 0, 9)] == ["v"]
    gone = [
        placed(f"a{number}", kind="item", stage="resolve", data={"host_gone": True}, restart_at="resolve")
        for number in range(5)
    ]
    assert await two.submit(gone, NOW) == 0
    assert {task.key for task in await claim(two)} == {*(f"a{number}" for number in range(5)), "w"}


@pytest.mark.asyncio
async def test_every_stage_has_its_place(address: DatabaseAddress) -> None:
    """As people are told: a new stage that reads a file has to be named in a migration, and in the words of `status`."""
    anywhere = {"download", "again", "price", "find", "settle", "fan_out"}
    async with linked(address) as link:
        for kind, stages in (("item", ItemTaskType.STAGES), ("video", VideoTaskType.STAGES)):
            assert {stage.name for stage in stages} - anywhere == set(LOCAL[kind])
            for stage in stages:
                for data in (
                    {},
                    {"host": "one"},
                    {"host": "one", "host_gone": True},
                    {"host": "one", "host_gone": False},
                ):
                    found = await link.fetchval(
                        "SELECT reelmill.place_of($1, $2, $3)",
                        kind,
                        stage.name,
                        json.dumps(data, separators=(",", ":")),
                    )
                    task = Task(1, kind, "k", stage.name, data, State.PENDING, stage.lane, 0)
                    assert found == host_waited_for(task), (kind, stage.name, data)


@pytest.mark.asyncio
async def test_a_claim_walks_no_queue_of_another_host(
    address: DatabaseAddress, hosts: tuple[PostgresDatabase, PostgresDatabase]
) -> None:
    """However long the list of another host's files, a claim and a look touch as many blocks as before."""
    one, _ = hosts

    async def measured() -> list[int]:
        async with linked(address) as link:
            await link.execute("SET search_path = reelmill; ANALYZE task")
            claimed = await _touched(link, queries.FIND_DUE, ["fetch", "poll"], [5, 5], NOW, "one", None, None)
            return [claimed, await _touched(link, queries.BRING_FORWARD, NOW, ["fetch", "poll"])]

    await one.submit([local(f"mine{number}", "one") for number in range(20)], 0.0)
    few = await measured()
    await one.submit([local(f"theirs{number}", "two") for number in range(4_000)], 0.0)
    many = await measured()
    assert all(after < 2 * before + 60 for before, after in zip(few, many, strict=True)), (few, many)


@pytest.mark.asyncio
async def test_the_downloads_of_a_host_that_is_gone_are_released(
    hosts: tuple[PostgresDatabase, PostgresDatabase],
) -> None:
    """Not before its time; its files wait on, but for those that another host has, too. Forgotten, all of it is released."""
    one, two = hosts
    clock = VirtualClock()

    async def standing() -> tuple[dict[str, bool], set[str]]:
        """Release what may be; return who is gone, and what waits for them still."""
        gone = await Neighbours(two, clock, "two", 900.0).absent()
        for name, forgotten in gone.items():
            await release_videos(two, name, clock.now(), all_of_them=forgotten)
            if forgotten:
                await release_items(two, name, clock.now())
        rest = [await two.tasks_of_place("one", kind, 0, 9) for kind in ("item", "video")]
        return gone, {task.key for page in rest for task in page}

    await Presence(one, clock, Host("one", "1f", "seat", "boot", "0.1.0", "work")).join()
    data = {"host": "one", "path": "/a.mp4"}
    await one.submit(
        [
            placed("fetched", kind="video", stage="upload", data={**data, "fetched": True}),
            placed("own", kind="video", stage="upload", data=data),
            placed("both", kind="video", stage="upload", data=data),
            placed("same", kind="item", stage="again", data={"type": "file", "host": "two"}, subject="both"),
            local("item", "one"),
        ],
        0.0,
    )
    assert await standing() == ({}, {"item", "fetched", "own", "both"})
    clock.skew += 901.0
    assert await standing() == ({"one": False}, {"item", "own"})
    await forget_host(two, "one")
    assert await standing() == ({"one": True}, set())
    given = await claim(two)
    assert {task.key for task in given} == {"fetched", "own", "both", "same", "item"}
    assert all(
        task.stage != "fan_out" for task in given
    )  # where each stood, so that what may have been sent is looked for
