"""Looks for what lost answers have left behind: many share one list, and none is answered otherwise than alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import anyio
import pytest

from pipeline.core.errors import Transient
from pipeline.ports.video_api import Question
from pipeline.provider.client import TwelveLabs
from tests.simulation.ledger import Thing
from tests.simulation.vendor import Asked, Reply
from tests.support.clock import VirtualClock, run_virtual
from tests.support.vendor import Account

MANY = 120
QUESTION = Question("", "", "", None, 512, 0.0, "pegasus1.5")


class Looks:
    """An account with analyses, and one process that looks for some of them."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.account = Account(self.clock)
        self.vendor: Any = self.account._vendors["v1.3"]
        self.api: TwelveLabs = self.account.open("v1.3", "fake/v1")
        self.lists: list[str] = []  #: the asset of each list that was asked for; empty: the list of all
        real = self.vendor._analyses
        self.before: Callable[[Asked], None] = lambda asked: None

        def listed(asked: Asked) -> Reply:
            self.before(asked)
            self.lists.append(asked.get("asset_id"))
            reply: Reply = real(asked)
            return reply

        self.vendor._analyses = listed

    def accept(self, *numbers: int) -> list[Thing]:
        """Be the platform that has accepted these."""
        return [
            self.vendor.make("analysis", f"rm-{n}", asset=f"{n:024x}", key="", text="{}", tokens=1, usd=0.0)
            for n in numbers
        ]

    async def find(self, number: int, as_of: float | None = None, since: float | None = None) -> str | None:
        """Look for one."""
        began = self.clock.now() if since is None else since
        return await self.api.find_analysis(
            replace(QUESTION, key=f"rm-{number}", media_id=f"{number:024x}", since=began, as_of=as_of)
        )

    async def find_all(self, since: float) -> list[str | None]:
        """Look for many that were lost at one time, a tenth of a second apart."""
        found = []
        for number in range(MANY):
            await self.clock.sleep(0.1)
            found.append(await self.find(number, since + 1.0, since))
        return found


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_many_share_the_list_of_all(share: float) -> None:
    """Each finds its own, or that it is not there; the requests are those of a few looks and of the pages."""

    async def go() -> None:
        it, rng = Looks(), Random(share)
        since = it.clock.now()
        there = {n: thing for n in range(MANY) if rng.random() < share for thing in it.accept(n)}
        await it.clock.sleep(2.0)
        found = await it.find_all(since)
        assert found == [there[n].id if n in there else None for n in range(MANY)]
        pages = max(1, -(-len(there) // 50))
        assert it.lists.count("") == pages
        assert len(it.lists) <= 4 + 2 * pages

    run_virtual(go())


def test_a_few_are_asked_for_alone() -> None:
    """A list of all would cost more. So it would for many that were lost one after another, each due at its own time."""

    async def go() -> None:
        it = Looks()
        for number in range(4):
            assert await it.find(number, it.clock.now()) is None
        for number in range(MANY):
            await it.clock.sleep(0.5)
            assert await it.find(number, it.clock.now() - 0.2) is None
        assert "" not in it.lists

    run_virtual(go())


def test_a_list_that_was_read_too_early_serves_nobody() -> None:
    """What was accepted since is found, although the list of all does not have it."""

    async def go() -> None:
        it = Looks()
        since = it.clock.now()
        await it.clock.sleep(2.0)
        await it.find_all(since)
        await it.clock.sleep(60.0)
        (late,) = it.accept(7)
        assert await it.find(7, it.clock.now(), since) == late.id
        assert await it.find(7, None, since) == late.id
        (later,) = it.accept(8)
        found = [await it.find(8, None, since) for _ in range(20)]
        assert found == [later.id] * 20

    run_virtual(go())


def test_what_is_deleted_while_the_list_is_read_hides_nothing() -> None:
    """It moves others to a page that was read before: they are asked for alone."""

    async def go() -> None:
        it = Looks()
        since = it.clock.now()
        things = it.accept(*range(MANY))
        await it.clock.sleep(2.0)

        def delete(asked: Asked) -> None:
            if (asked.get("asset_id"), asked.get("page")) == ("", "2"):
                it.account.lose(*(thing.id for thing in things[:10]))

        it.before = delete
        found = await it.find_all(since)
        assert found[10:] == [thing.id for thing in things[10:]]

    run_virtual(go())


def test_a_list_that_cannot_be_read_hides_nothing() -> None:
    """Each is asked for alone."""

    async def go() -> None:
        it = Looks()
        since = it.clock.now()
        (thing,) = it.accept(MANY - 1)
        real = it.vendor._analyses
        it.vendor._analyses = lambda asked: real(asked) if asked.get("asset_id") else Reply(200, {"data": None})
        await it.clock.sleep(2.0)
        assert (await it.find_all(since))[-1] == thing.id

    run_virtual(go())


def test_what_has_no_proper_id_is_there_all_the_same() -> None:
    """Nobody may take it for absent, and call again."""

    async def go() -> None:
        it = Looks()
        since = it.clock.now()
        (thing,) = it.accept(99)
        real = it.vendor._task_body
        it.vendor._task_body = lambda each, listed: {
            **real(each, listed=listed),
            **({"_id": "../x", "task_id": "../x"} if each is thing else {}),
        }
        it.accept(98)
        await it.clock.sleep(2.0)
        for number in range(99):
            await it.find(number, since + 1.0, since)
        asked = len(it.lists)
        with pytest.raises(Transient, match="cannot be read"):
            await it.find(99, since + 1.0, since)
        assert asked < 99

    run_virtual(go())


def test_a_clock_that_was_set_back_hides_nothing() -> None:
    """What was made while it was ahead looks older than its intent: it is looked for alone, as far back as one page goes."""

    async def go() -> None:
        it = Looks()
        for number in range(MANY, 2 * MANY):
            it.accept(number)
        (thing,) = it.accept(0)
        await it.clock.sleep(4_000.0)
        it.accept(*range(MANY, 2 * MANY))
        ahead = it.clock.now() + 3_000.0
        assert [await it.find(0, None, ahead) for _ in range(20)] == [thing.id] * 20

    run_virtual(go())


@pytest.mark.parametrize("ahead", [-3_600.0, 3_600.0])
def test_a_platform_with_another_clock_hides_nothing(ahead: float) -> None:
    """Its clock is told by the list that is read, also where a process begins with many looks at one time."""

    async def go() -> None:
        it = Looks()
        it.account.behave(ahead=ahead)
        since = it.clock.now()
        things = it.accept(*range(MANY))
        await it.clock.sleep(2.0)
        found: dict[int, str | None] = {}

        async def look(number: int) -> None:
            found[number] = await it.find(number, since + 1.0, since)

        async with anyio.create_task_group() as group:
            for number in range(MANY):
                group.start_soon(look, number)
        assert found == {number: thing.id for number, thing in enumerate(things)}

    run_virtual(go())


@pytest.mark.parametrize("ahead", [-3_600.0, 3_600.0])
def test_a_batch_is_found_by_a_platform_with_another_clock(ahead: float) -> None:
    """The first list of a process tells the clock by which a batch is young, however many others came after it."""

    async def go() -> None:
        it = Looks()
        it.account.behave(ahead=ahead)
        since = it.clock.now()
        batches = []
        for thing in it.accept(*range(12)):
            await it.clock.sleep(2.0)
            batches.append(it.vendor.make("batch", "", items=[thing.id]))
        assert it.api.batches is not None
        assert await it.api.batches.find({"rm-0"}, since) == batches[0].id

    run_virtual(go())
