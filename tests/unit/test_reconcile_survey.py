"""A whole comparison over a real database and an account with behaviour: what is found, what is done, and what is not."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.account.reconcile import Cleanup
from pipeline.app.account.survey import Survey
from pipeline.core.errors import Throttled, Transient
from pipeline.core.model import Json, Lane, NewTask, Placed, Selection, State, Task
from pipeline.ingest.remote_names import analysis_digest, upload_digest
from pipeline.ports.inventory import OpenSession, RemoteObject
from pipeline.store.sqlite.scratch_index import ScratchIndex
from pipeline.views import Agreed, Reconciled, Reconciliation
from tests.conformance.store_kit import bring
from tests.support.fake_inventory import FakeInventory
from tests.support.fakes import Crash, Wreck, Wrecked
from tests.support.memory_database import MemoryDatabase

NOW = 1_800_000_000.0
DAY = 86_400.0


class Still:
    """A clock that stands."""

    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return NOW

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


def key_of(number: int) -> str:
    """Return the key of video ``number``."""
    return f"sha256:{number:064x}"


def upload(number: int, id_: str = "", generation: int = 0, **more: Any) -> RemoteObject:
    """Return an asset of video ``number``."""
    name = f"film-{upload_digest(key_of(number))}-{generation}.mp4"
    return replace(RemoteObject("asset", id_ or f"a{number}", name, key_of(number), "ready", NOW - DAY), **more)


@dataclass
class World:
    """A database and an account that outlive processes."""

    database: MemoryDatabase
    inventory: FakeInventory

    async def video(self, number: int, state: State = State.DONE, **data: Any) -> None:
        """Put a video into the database, and its item."""
        known = {"provider": self.inventory.identity, "media_id": f"a{number}", "generation": 0, "size": 1, **data}
        await self._bring("video", key_of(number), key_of(number), known, state)
        line = {"source": f"films/{number}.mp4", "locator": f"films/{number}.mp4", "type": "file"}
        await self._bring("item", f"file:{number}", key_of(number), line, State.DONE)

    async def analysis(self, number: int, state: State = State.DONE, **data: Any) -> RemoteObject:
        """Put an analysis into the database; return what the platform has of it."""
        key = f"{key_of(number)}/q"
        known = {"media_id": f"a{number}", "task_id": f"t{number}", "wishes": [], **data}
        await self._bring("analysis", key, key_of(number), known, state)
        return RemoteObject("analysis", f"t{number}", f"rm-{analysis_digest(key)}-0", "", "ready", NOW - DAY)

    async def _bring(self, kind: str, key: str, subject: str, data: Mapping[str, Json], state: State) -> None:
        await bring(self.database, state, key, kind=kind, subject=subject, data=data, lane=Lane.POLL)

    async def plan(self, limit: int = 100, only: Sequence[str] = (), **more: Any) -> Reconciliation:
        """Compare as one process does."""
        return (await self.process(limit=limit, only=only, **more)).plan

    async def process(
        self, wreck: Wreck | None = None, *, do: bool = False, strays: bool = False, limit: int = 100,
        only: Sequence[str] = (), between: Any = None, **more: Any,
    ) -> Reconciled:  # fmt: skip
        """Compare and, with ``do``, carry everything out. ``between`` happens after somebody has agreed."""
        scratch_index = ScratchIndex()
        inventory: Any = self.inventory
        if wreck is not None:
            inventory = Wrecked(inventory, wreck, "inventory", spared=("objects", "sessions"))
        try:
            survey = Survey(self.database, inventory, scratch_index, Still(), **more)
            await survey.load_local()
            plan = await survey.compare(limit, only)
            doomed = [*plan.orphans, *(plan.strays if strays else [])]
            if between is not None:
                await between()
            tidier = Cleanup(survey, inventory, self._submit)
            return await tidier.apply(plan, Agreed(doomed, plan.repairable) if do else Agreed())
        finally:
            scratch_index.close()

    async def _submit(self, tasks: Sequence[NewTask]) -> int:
        return await self.database.submit([Placed(new, Lane.UPLOAD, 10, Lane.UPLOAD, 10) for new in tasks], NOW)

    async def task(self, number: int) -> Task:
        """Return a video's task."""
        (found,) = await self.database.tasks(Selection(kinds=("video",), keys=(key_of(number),)))
        return found


def world() -> World:
    """Return an empty one."""
    return World(MemoryDatabase(), FakeInventory())


def ids(leftovers: Any) -> list[str]:
    """Return the ids of leftovers, in order."""
    return [each.holding.id for each in leftovers]


@pytest.mark.asyncio
async def test_a_plan_names_what_is_left_over_in_the_order_of_deletion(tmp_path: Path) -> None:
    """Entries of indexes before analyses before assets; foreign things are counted and never named."""
    it = world()
    await it.video(1)
    await it.video(2, State.CANCELLED)
    held = await it.analysis(1, gen=1)
    it.inventory.put(
        upload(1), upload(1, "twin"), upload(2), upload(7), held,
        RemoteObject("asset", "x", "holiday.mp4"), RemoteObject("analysis", "y", "theirs"),
        RemoteObject("indexed", "e2", upload(2).name, key_of(2), place="films", media="a2"),
        RemoteObject("indexed", "e7", upload(7).name, key_of(7), place="films", media="a7"),
        RemoteObject("indexed", "e8", upload(8).name, "", place="films", media="a8"),
        RemoteObject("indexed", "by hand", upload(2).name, "", place="films", media="a2"),
        RemoteObject("indexed", "elsewhere", upload(2).name, key_of(2), place="not ours", media="a2"),
    )  # fmt: skip
    plan = await it.plan(places=["films"])
    assert ids(plan.orphans) == ["e2", "t1", "a2", "twin"]
    assert [each.verdict for each in plan.orphans] == ["cancelled", "superseded", "cancelled", "superseded"]
    assert [each.item for each in plan.orphans] == ["films/2.mp4", "films/1.mp4", "films/2.mp4", "films/1.mp4"]
    assert ids(plan.strays) == ["e7", "a7"]
    assert plan.counts == {
        "indexed": {"foreign": 2, "stray": 1, "cancelled": 1},
        "analysis": {"foreign": 1, "superseded": 1},
        "asset": {"foreign": 1, "stray": 1, "cancelled": 1, "superseded": 1, "kept": 1},
    }


@pytest.mark.asyncio
async def test_deleting_takes_what_was_agreed_to_and_nothing_else(tmp_path: Path) -> None:
    """Strays only where asked for; what appears after the plan stays; a second plan has nothing more to do."""
    it = world()
    await it.video(1)
    it.inventory.put(upload(1), upload(1, "twin"), upload(7), RemoteObject("asset", "x", "holiday.mp4"))

    async def late() -> None:
        it.inventory.put(upload(1, "late twin"))

    done = await it.process(do=True, between=late)
    assert (it.inventory.deleted, done.clean) == (["twin"], True)
    assert ids((await it.plan()).orphans) == ["late twin"]
    await it.process(do=True, strays=True)
    assert sorted(it.inventory.there) == ["a1", "x"]
    last = await it.plan()
    assert (last.orphans, last.strays, last.vanished) == ([], [], [])


@pytest.mark.asyncio
async def test_what_is_not_the_same_any_more_is_left_alone(tmp_path: Path) -> None:
    """Renamed, claimed by somebody, or needed by the database since: looked at again right before, and not deleted."""
    it = world()
    for number in (1, 2, 3, 4):
        await it.video(number)
        it.inventory.put(upload(number), upload(number, f"twin{number}"))

    async def meanwhile() -> None:
        it.inventory.put(upload(1, "twin1", name="mine now.mp4"))
        it.inventory.put(upload(2, "twin2", created=NOW))
        await it.analysis(3, State.PENDING, media_id="twin3")
        it.inventory.there.pop("twin4")

    done = await it.process(do=True, between=meanwhile)
    assert it.inventory.deleted == []
    assert sorted(each.id for each in done.changed) == ["twin1", "twin2", "twin3"]
    assert ([each.id for each in done.gone], done.clean) == (["twin4"], False)


@pytest.mark.asyncio
async def test_a_refusal_stops_nothing_else(tmp_path: Path) -> None:
    """What the platform does not let go of is reported with its reason; a limit beyond patience ends the command."""
    it = world()
    await it.video(1)
    it.inventory.put(upload(1), upload(1, "t1"), upload(1, "t2"), upload(1, "t3"), upload(1, "t4"))
    it.inventory.busy = {"t2"}
    it.inventory.failures = [Transient("the platform answered with status 503", code="provider_down")]
    done = await it.process(do=True)
    assert [(each.id, why.code) for each, why in done.refused] == [("t4", "provider_down"), ("t2", "conflict")]
    assert (it.inventory.deleted, done.clean) == (["t3", "t1"], False)
    it.inventory.failures = [Throttled("the platform's rate limit is reached", after=9_999, group="read")]
    with pytest.raises(Throttled):
        await it.process(do=True)


@pytest.mark.asyncio
async def test_a_vanished_upload_is_armed_again_once(tmp_path: Path) -> None:
    """Only a done video of this platform whose file is still there, and that nobody has stopped; under a new generation; a
    repeat changes nothing.
    """
    it = world()
    film = tmp_path / "film.mp4"
    film.write_bytes(b"12345")
    await it.video(1, path=str(film), size=5)
    await it.video(2, path=str(tmp_path / "gone.mp4"), size=5)
    await it.video(3, url="https://media.example/film.mp4")
    await it.video(4, State.FAILED, path=str(film), size=5)
    await it.video(5, path=str(film), size=5, provider="local/v1.3")
    await it.video(6, path=str(film), size=4)
    await it.video(7, path=str(film), size=5)
    await it.video(8, path=str(film), size=5)
    await it.analysis(8, State.CANCELLED)
    it.inventory.put(upload(7))
    done = await it.process(do=True, price=lambda seconds: 1.0)
    found = {each.key: (each.repair, each.usd) for each in done.plan.vanished}
    assert found == {
        key_of(1): ("file", 1.0), key_of(2): ("none", 0.0), key_of(3): ("address", 1.0), key_of(6): ("none", 0.0),
    }  # fmt: skip
    assert sorted(each.key for each in done.rearmed) == [key_of(1), key_of(3)]
    task = await it.task(1)
    assert (task.state, task.stage, task.data["generation"], task.data["settled"]) == (State.PENDING, "place", 1, False)
    assert (await it.task(2)).state is State.DONE
    again = await it.process(do=True)
    assert [each.key for each in again.plan.vanished] == [key_of(2), key_of(6)]
    assert (await it.task(1)).data["generation"] == 1


@pytest.mark.asyncio
async def test_a_list_that_shifts_does_not_make_anything_vanish(tmp_path: Path) -> None:
    """Deletions by others while the pages are read hide fifty assets from the list: they are asked for before believed."""
    it = world()
    for number in range(150):
        await it.video(number, url="https://media.example/film.mp4")
        it.inventory.put(upload(number))
    it.inventory.put(*(RemoteObject("asset", f"x{number}", "holiday.mp4") for number in range(50)))

    def another(sort: str, page: int) -> None:
        if (sort, page) == ("asset", 1):
            for number in range(50):
                it.inventory.there.pop(f"x{number}", None)

    it.inventory.before_page = another
    plan = await it.plan()
    assert plan.counts["asset"] == {"foreign": 50, "kept": 100}
    assert plan.vanished == []
    it.inventory.there.pop("a10")
    assert [each.media_id for each in (await it.plan()).vanished] == ["a10"]


@pytest.mark.asyncio
async def test_answers_nobody_has_fetched_and_open_uploads_are_told_of(tmp_path: Path) -> None:
    """A finished answer that the database waits for, near the end of its thirty days; sessions in use and left behind."""
    it = world()
    for number, (state, days) in enumerate(
        [(State.PENDING, 29), (State.FAILED, 24), (State.PENDING, 3), (State.DONE, 29)]
    ):
        await it.video(number)
        it.inventory.put(upload(number), replace(await it.analysis(number, state), created=NOW - days * DAY))
    await it.video(8, State.PENDING, media_id="", session={"upload_id": "u8", "asset_id": "r8"})
    await it.video(9, State.CANCELLED, media_id="", session={"upload_id": "u9", "asset_id": "r9"})
    it.inventory.opened = [OpenSession(f"u{number}", 10, NOW, NOW + DAY) for number in (7, 8, 9)]
    plan = await it.plan()
    assert [(each.id, each.item, each.until) for each in plan.expiring] == [
        ("t1", "films/1.mp4", NOW + 6 * DAY), ("t0", "films/0.mp4", NOW + DAY),
    ]  # fmt: skip
    assert [(each.id, each.state, each.item) for each in plan.sessions] == [
        ("u7", "foreign", ""), ("u8", "in use", "films/8.mp4"), ("u9", "left behind", "films/9.mp4"),
    ]  # fmt: skip


@pytest.mark.asyncio
async def test_a_plan_is_bounded_and_can_be_narrowed(tmp_path: Path) -> None:
    """Beyond the limit everything is counted and left for the next time; named ids are dealt with alone."""
    it = world()
    await it.video(1)
    it.inventory.put(upload(1), *(upload(1, f"twin{number}") for number in range(5)), upload(9))
    plan = await it.plan(limit=2)
    assert (len(plan.orphans), len(plan.strays), plan.left_out) == (2, 1, 3)
    assert plan.counts["asset"]["superseded"] == 5
    done = await it.process(do=True, strays=True, only=["twin3", "a1", "nobody"])
    assert (it.inventory.deleted, done.plan.not_found) == (["twin3"], ["a1", "nobody"])


@pytest.mark.asyncio
async def test_it_can_die_at_every_call_and_be_repeated(tmp_path: Path) -> None:
    """Before and after each look and each deletion a process dies; another one ends with the same account and rows."""

    async def scene() -> World:
        it = world()
        await it.video(1)
        await it.video(2, url="https://media.example/film.mp4")
        await it.video(3, State.CANCELLED)
        it.inventory.put(upload(1), upload(1, "twin"), upload(3), upload(4), RemoteObject("asset", "x", "holiday.mp4"))
        it.inventory.put(RemoteObject("indexed", "e3", upload(3).name, key_of(3), place="films", media="a3"))
        return it

    async def whole(it: World) -> Any:
        tasks = await it.database.tasks(Selection())
        return sorted(it.inventory.there), [(task.key, task.state, task.stage, task.data) for task in tasks]

    calm, counted = await scene(), Wreck()
    await calm.process(counted, do=True, places=["films"])
    wanted = await whole(calm)
    assert wanted[0] == ["a1", "a4", "x"]
    points = [(number, when) for number in range(1, len(counted.calls) + 1) for when in ("before", "after")]
    for point in points:
        it = await scene()
        with pytest.raises(Crash):
            await it.process(Wreck(point), do=True, places=["films"])
        await it.process(do=True, places=["films"])
        assert await whole(it) == wanted, point
    assert len(points) >= 16


@pytest.mark.asyncio
async def test_a_large_account_streams(tmp_path: Path) -> None:
    """Five thousand assets in pages of fifty: a plan holds what it is about, not what it has read."""
    it = world()
    await it.video(1)

    class Endless(FakeInventory):
        async def objects(self, object_type: Any, index_id: str = "") -> Any:
            for page in range(100 if object_type == "asset" else 0):
                self.pages += 1
                yield [upload(5 if page == 7 else 1, f"{page}-{number}") for number in range(49)] + [upload(1)]

    it.inventory = Endless(there={"a1": upload(1)})
    tracemalloc.start()
    try:
        plan = await it.plan(limit=10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert plan.counts == {"asset": {"kept": 100, "superseded": 99 * 49, "stray": 49}}
    assert (it.inventory.pages, len(plan.orphans), len(plan.strays)) == (100, 10, 10)
    assert peak < 2_000_000


@pytest.mark.asyncio
async def test_the_older_api_is_compared_by_videos_and_tasks(tmp_path: Path) -> None:
    """v1.2: the video is what an analysis needs, the task what made it; a video goes before its task."""
    it = world()
    it.inventory.identity, it.inventory.object_types = "fake/v1.2", ("video", "task")
    it.inventory.upload_type, it.inventory.per_index = "video", ("video",)
    for number in (1, 2):
        await it.video(
            number, media_id=f"t{number}", answer_id=f"v{number}", index_id="films", external="https://y.example/v"
        )
    old = upload(1).name
    it.inventory.put(
        RemoteObject("video", "v1", "A title", place="films"), RemoteObject("video", "v0", old, place="films"),
        RemoteObject("task", "t1", "A title", place="films", media="v1"),
        RemoteObject("task", "t0", old, place="films", media="v0"),
        RemoteObject("task", "t2", "Another", place="films", media="v2"), RemoteObject("task", "x", "Theirs", place="films"),
    )  # fmt: skip
    done = await it.process(do=True)
    assert (it.inventory.deleted, done.clean) == (["v0", "t0"], True)
    assert [(each.key, each.media_id) for each in done.rearmed] == [(key_of(2), "v2")]
    assert done.plan.counts == {
        "video": {"superseded": 1, "kept": 1},
        "task": {"foreign": 1, "kept": 2, "superseded": 1},
    }


@pytest.mark.asyncio
async def test_the_register_keeps_the_first_key_and_every_want() -> None:
    """A word that is noted twice stays with its first owner; it is missed if anybody wanted it and it was not met."""
    scratch_index = ScratchIndex()
    await scratch_index.add([("a", "1", False), ("b", "2", True), ("c", "3", True)])
    await scratch_index.add([("a", "9", True)])
    await scratch_index.mark_seen(["b", "unknown"])
    assert await scratch_index.find(["a", "b", "z"]) == {"a": "1", "b": "2"}
    assert await scratch_index.unseen("", 10) == [("a", "1"), ("c", "3")]
    assert await scratch_index.unseen("a", 10) == [("c", "3")]
    scratch_index.close()
