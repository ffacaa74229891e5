"""Every database: items as a whole, some at a time."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest

from pipeline.core.model import ItemQuery, ListedItem, Spend, Standing, State
from pipeline.ports.store import Database
from pipeline.store.sqlite import catalog
from tests.conformance.store_kit import NOW, bring, each_database

database = each_database()
ALL: tuple[Standing, ...] = ("done", "working", "failed", "held", "cancelled")
WORDS = dict(zip(State, ("working", "working", "done", "failed", "cancelled", "held"), strict=True))


async def listed(database: Database, **which: Any) -> list[ListedItem]:
    """Return all items of a query."""
    async with aclosing(database.items(ItemQuery(**which))) as pages:
        return [each async for page in pages for each in page]


async def keys(database: Database, **which: Any) -> list[str]:
    """Return the keys of the items of a query."""
    return [each.item.key for each in await listed(database, **which)]


async def fill(database: Database) -> None:
    """Put an item of each state, and done ones whose videos have a task of each."""
    for state in State:
        await bring(database, state, f"own-{state}", kind="item", due=0.0)
    for state in State:
        await bring(database, State.DONE, f"part-{state}", kind="item", subject=f"v-{state}")
        await bring(database, state, f"v-{state}", kind="video", subject=f"v-{state}", due=0.0)
        await bring(database, State.CANCELLED, f"a-{state}", kind="analysis", subject=f"v-{state}")


@pytest.mark.asyncio
async def test_an_item_stands_as_the_worst_of_its_parts(database: Database) -> None:
    """By itself until it is done, then by its video's tasks, as the tally counts; each filter has just its own."""
    await fill(database)
    expected = {f"own-{state}": word for state, word in WORDS.items()}
    expected |= {f"part-{state}": "done" if word == "cancelled" else word for state, word in WORDS.items()}
    assert {each.item.key: each.standing for each in await listed(database)} == expected
    tally = await database.tally()
    for word in ALL:
        found = await keys(database, standing=(word,))
        assert sorted(found) == sorted(key for key, each in expected.items() if each == word)
        assert len(found) == tally[word]
    several = await keys(database, standing=("held", "cancelled"))
    assert several == ["part-held", "own-held", "own-cancelled"] or len(several) == 3


@pytest.mark.asyncio
async def test_the_newest_come_first_or_the_texts_decide(database: Database) -> None:
    """By the first text that is not empty, ASCII letters in any case; of equals the first submitted comes first."""
    titled = (
        ("c", {"line": {"title": "zebra"}}),
        ("a", {"line": {"title": ""}, "place": "Beta"}),
        ("b", {"place": "beta"}),
    )
    for key, data in (*titled, ("d", {}), ("e", {"line": {"title": "Ähre"}})):
        await bring(database, State.DONE, key, kind="item", subject=f"v-{key}", data=data)
    await bring(database, State.DONE, "v-d", kind="publish", subject="v-d", data={"title": "Alpha"})
    assert await keys(database) == ["e", "d", "b", "a", "c"]
    order = (("item", "$.line.title"), ("publish", "$.title"), ("item", "$.place"))
    assert await keys(database, order=order) == ["d", "a", "b", "c", "e"]
    assert await keys(database, order=order, standing=("done",), mentions=("beta",)) == ["a", "b"]


@pytest.mark.asyncio
@pytest.mark.parametrize("few", [-1, 20_000])
async def test_items_are_chosen_by_how_their_keys_begin(
    database: Database, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any order and with any other wish, whether they are few or many; letters in their own case."""
    monkeypatch.setattr(catalog, "FEW", few)
    for key in ("url:b", "file:a", "url:A", "URL:c", "urls:d", "url"):
        await bring(database, State.DONE, key, kind="item", data={"title": key})
    await bring(database, State.DONE, "url:x", kind="video")
    await bring(database, State.FAILED, "url:failed", kind="item")
    assert await keys(database, begins="url:") == ["url:failed", "url:A", "url:b"]
    assert await keys(database, begins="url:", standing=("failed",)) == ["url:failed"]
    assert await keys(database, begins="url:", order=(("item", "$.title"),)) == ["url:failed", "url:A", "url:b"]
    assert await keys(database, begins="url:", mentions=("A",)) == ["url:failed", "url:A"]
    assert await keys(database, begins="youtube:") == []


@pytest.mark.asyncio
async def test_facts_and_costs_of_the_video_come_along(database: Database) -> None:
    """What other tasks hold, None where there is nothing; the sum of its ledger, the doubtful calls among it."""
    await bring(database, State.DONE, "a", kind="item", subject="v")
    await bring(database, State.DONE, "copy", kind="item", subject="v")
    await bring(database, State.FAILED, "none", kind="item")
    await bring(database, State.DONE, "v", kind="publish", subject="v", data={"folder": "a--1", "more": {"list": [1]}})
    await database.enter(Spend("1", "analyze", 0.5, subject="v", at=NOW))
    await database.enter(Spend("1/again", "analyze", 0.25, subject="v", doubtful=True, at=NOW))
    await database.enter(Spend("2", "search", 9.0, at=NOW))
    facts = (("publish", "$.folder"), ("publish", "$.nothing"), ("video", "$.seconds"))
    for each in (await listed(database, facts=facts))[1:]:
        assert (list(each.facts), each.usd, each.doubtful) == (["a--1", None, None], 0.75, 1)
    failed = (await listed(database, facts=facts))[0]
    assert (list(failed.facts), failed.usd, failed.doubtful) == ([None] * 3, 0.0, 0)


@pytest.mark.asyncio
@pytest.mark.parametrize("text", ['50%_"x"', "Ärger", "back\\slash", "^"])
async def test_texts_are_found_in_item_and_results(database: Database, text: str) -> None:
    """A text is a text, whatever it means to JSON or LIKE; several must all be there."""
    await bring(database, State.DONE, "a", kind="item", subject="v", data={"title": f"so {text} it is"})
    await bring(database, State.DONE, "b", kind="item", subject="w", data={"title": "nothing"})
    await bring(database, State.DONE, "w", kind="publish", subject="w", data={"folder": f"{text}--w"})
    await bring(database, State.DONE, "c", kind="item", data={"title": "other"})
    assert await keys(database, mentions=(text,)) == ["b", "a"]
    assert await keys(database, mentions=(text, "so")) == ["a"]
    assert await keys(database, mentions=(text, "absent")) == []


@pytest.mark.asyncio
async def test_what_no_longer_counts_is_left_out_of_a_written_video(database: Database) -> None:
    """A stopped task that no list names does not make an item failed whose results are there."""
    for key in ("written", "open"):
        await bring(database, State.DONE, key, kind="item", subject=f"v-{key}")
        await bring(database, State.FAILED, f"a-{key}", kind="analysis", subject=f"v-{key}")
    await bring(database, State.DONE, "v-written", kind="publish", subject="v-written")
    assert [each.standing for each in await listed(database)] == ["failed", "failed"]
    assert [each.standing for each in await listed(database, ignored=[2, 4])] == ["failed", "done"]
    assert await keys(database, ignored=[2, 4], standing=("failed",)) == ["open"]
