"""Every database: entries of the ledger that no task stands for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.core.model import DOUBT, REFUND, SETTLED, CostGroup, CostKey, Spend, State
from pipeline.ports.store import Database
from tests.conformance.store_kit import NOW, bring, each_database

database = each_database()


@pytest.mark.asyncio
async def test_what_no_task_paid_for_is_in_the_ledger_once(database: Database) -> None:
    """Each key once, the first entry stands; the sums and the reading side see it."""
    first = Spend("search/x/r1", "search", 0.004, at=NOW)
    await database.enter(first)
    await database.enter(Spend("search/x/r1", "search", 9.0, at=NOW + 1))
    await database.enter(Spend("search/x/r1/2", "search", 0.004, doubtful=True, at=NOW + 5))
    assert (await database.spends([""]))[0] == first
    assert await database.spent() == (pytest.approx(0.008), 0.0, 1)
    assert await database.spent(since=NOW + 5) == (pytest.approx(0.004), 0.0, 1)


DAY = 86_400.0
MIDNIGHT = 1_802_563_200.0  #: of 14 February 2027, UTC
FIRST = Spend("a", "analyze", 0.5, 2.0, "v1", at=MIDNIGHT, estimate=0.4, jobs="gist, summary", run="r1")


async def enter_all(database: Database) -> None:
    """Book a settled call, a refused one, an open one with a doubtful repeat, and one of an older release."""
    await bring(database, State.DONE, "file:/a.mp4", kind="item", subject="v1")
    await bring(database, State.DONE, "file:/copy of a.mp4", kind="item", subject="v1")
    refused = replace(FIRST, key="b", subject="v2")
    index = Spend("i", "index", 0.25, 4.0, "v2", at=MIDNIGHT + DAY, estimate=0.25, run="r2")
    for spend in (
        FIRST,
        replace(FIRST, key="a" + SETTLED, usd=-0.25, minutes=0.0, estimate=0.0),
        refused,
        replace(refused, key="b" + REFUND, usd=-0.5, minutes=-2.0, estimate=-0.4),
        index,
        replace(index, key="i/again", doubtful=True, at=MIDNIGHT + 2 * DAY),
        Spend("old/length", "index", -1.0, -3.0, "v3", at=MIDNIGHT - 40 * DAY),
    ):
        await database.enter(spend)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("kind", ["analyze", "index"]),
        ("job", ["gist, summary", "index"]),
        ("run", ["", "r1", "r2"]),
        ("source", ["file:/a.mp4", "v2", "v3"]),
        ("day", ["2027-01-05", "2027-02-14", "2027-02-15", "2027-02-16"]),
        ("month", ["2027-01", "2027-02"]),
    ],
)
async def test_the_ledger_is_summed_up_by_anything(database: Database, by: CostKey, names: list[str]) -> None:
    """Every entry is in one group, whatever the groups are: their sums are the ledger's."""
    await enter_all(database)
    groups = await database.costs(by)
    assert [group.name for group in groups] == names
    usd, minutes, doubtful = await database.spent()
    assert sum(group.usd + group.doubtful_usd for group in groups) == pytest.approx(usd)
    assert sum(group.minutes for group in groups) == pytest.approx(minutes)
    assert sum(group.doubtful for group in groups) == doubtful == 1
    assert sum(group.calls for group in groups) == 3


@pytest.mark.asyncio
async def test_an_answer_that_has_no_price_is_counted_apart(database: Database) -> None:
    """Two were asked without a price, one of them refused; one has a price; no other free call is among them."""
    unpriced = Spend("q1/r", "ask", 0.0, 0.0, "", at=MIDNIGHT, run="r")
    for spend in (
        unpriced,
        replace(unpriced, key="q2/r"),
        replace(unpriced, key="q2/r" + REFUND),
        replace(unpriced, key="q3/r", usd=0.5, estimate=0.5),
        replace(unpriced, key="q3/r" + SETTLED, usd=-0.5),
        replace(unpriced, key="f", what="analyze"),
    ):
        await database.enter(spend)
    found = {group.name: (group.calls, group.unpriced) for group in await database.costs("kind")}
    assert found == {"ask": (2, 1), "analyze": (1, 0)}


@pytest.mark.asyncio
async def test_a_doubt_without_an_amount_is_no_call(database: Database) -> None:
    """It only tells that the call, or another one for a part of it, is possibly paid twice."""
    for spend in (FIRST, Spend("a/again" + DOUBT, "analyze", 0.0, 0.0, "v1", doubtful=True, at=MIDNIGHT, run="r1")):
        await database.enter(spend)
    (group,) = await database.costs("kind")
    assert (group.calls, group.settled, group.doubtful, group.usd) == (1, 0, 1, pytest.approx(0.5))


@pytest.mark.asyncio
async def test_what_is_settled_refused_and_doubtful_stands_apart(database: Database) -> None:
    """A settlement changes what counts and not what was expected; a refused call is none; a doubtful one has columns of
    its own.
    """
    await enter_all(database)
    kinds = {group.name: group for group in await database.costs("kind", since=MIDNIGHT)}
    assert kinds["analyze"] == CostGroup("analyze", 1, 1, pytest.approx(0.4), pytest.approx(0.25), 2.0, videos=2)
    assert kinds["index"] == CostGroup("index", 2, 0, 0.25, 0.25, 8.0, 1, 0.25, 1)
    assert [group.name for group in await database.costs("day", since=MIDNIGHT + DAY)] == ["2027-02-15", "2027-02-16"]
    assert await database.costs("month", since=MIDNIGHT + 3 * DAY) == []
