"""What waits, told by reason."""

from __future__ import annotations

from typing import Literal

from pipeline import __version__
from pipeline.app.operator.waiting import find_waits
from pipeline.core.model import Lane, NewTask, Parked, Placed, State, Trouble
from pipeline.ingest.payloads import ItemData
from pipeline.views import HostView
from tests.conformance.store_kit import NOW, bring, moved
from tests.support.clock import run_virtual
from tests.support.memory_database import MemoryDatabase

LATE = Trouble("timeout", "No answer came.")


def item(path: str, due: float, lane: Lane = Lane.FETCH, stage: str = "resolve") -> Placed:
    """Return a line that is to be looked into at a time."""
    data = ItemData(source=path, locator=path).to_json()
    return Placed(NewTask("item", f"file:{path}", stage, data, "", due), lane, 0)


def test_each_reason_is_told_once_with_its_end() -> None:
    """A parked lane, an error that is backed off from, the usual course, and what only needs a run; soonest end first."""

    async def scenario() -> None:
        database = MemoryDatabase()
        for key, wait in (("v1", 50.0), ("v2", 70.0)):
            task = await bring(database, State.RUNNING, key, kind="video", stage="place", lane=Lane.UPLOAD, subject=key)
            await database.apply(moved(task, State.PENDING, wake_at=NOW + wait, trouble=LATE), NOW)
        await database.submit(
            [
                item("/due.mp4", 0.0), item("/later.mp4", NOW + 30), item("/a", 0.0, Lane.DOWNLOAD, "download"),
                item("/b", NOW + 9000, Lane.DOWNLOAD, "download"),
            ],
            NOW,
        )  # fmt: skip
        await database.park(Parked("download", NOW + 3600, Trouble("bot_check", "YouTube refused.")), NOW)
        parked, usual, late, due = await find_waits(database, NOW, running=False)
        assert (parked.code, parked.items, parked.due, parked.until) == ("bot_check", 2, NOW + 3600, NOW + 9000)
        assert (parked.why, parked.parked, parked.example) == ("YouTube refused.", True, "/a")
        assert (usual.code, usual.items, usual.why, usual.due) == ("stage", 1, "waits to be looked into", NOW + 30)
        assert (late.code, late.items, late.due, late.until) == ("timeout", 2, NOW + 50, NOW + 70)
        assert (due.code, due.items, due.due, due.example) == ("due", 1, None, "/due.mp4")
        assert due.why == "goes on with the next run"
        assert (await find_waits(database, NOW, running=True))[-1].why == "waits for its turn"
        await database.aclose()

    run_virtual(scenario())


def host(name: str, release: str, state: Literal["at work", "away", "left"] = "at work") -> HostView:
    """Return a host as others see it."""
    return HostView(name, state, "work", NOW, NOW, release, [], 0)


def test_what_only_another_release_knows_is_not_promised_to_the_next_run() -> None:
    """It waits for a host that has it; where such a host is at work, for its turn."""

    async def scenario() -> None:
        database = MemoryDatabase()
        await database.submit([item("/new.mp4", 0.0, stage="dream")], NOW)
        ours, newer = host("a", __version__), host("b", "99.0")
        for hosts in ([ours], [ours, host("b", "99.0", "left")]):
            (waits,) = await find_waits(database, NOW, running=False, hosts=hosts)
            assert (waits.code, waits.items, waits.due) == ("newer_release", 1, None)
            assert "update this one" in waits.why
        (waits,) = await find_waits(database, NOW, running=True, hosts=[ours, newer])
        assert (waits.code, waits.why) == ("due", "waits for its turn")
        await database.aclose()

    run_virtual(scenario())
