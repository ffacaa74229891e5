"""Whole runs whose analyses are asked by the batch: each paid once, whatever becomes of the batch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.model import Selection, State
from pipeline.provider.client import TwelveLabs
from pipeline.provider.http.rate_limits import Unlimited
from pipeline.views import RunReport
from tests.simulation.schedule import Fault
from tests.simulation.vendor import Asked, Reply, refused
from tests.simulation.wire import Accidents
from tests.support.clock import EPOCH, run_virtual
from tests.support.fakes import clips, items
from tests.support.scripted_run import Life, priced

FILMS = 4


def life_of(folder: Path, *faults: Fault, fates: tuple[str, ...] = (), **sections: dict[str, Any]) -> Life:
    """Return a life whose analyses go by the batch, at a platform that costs money."""
    life = Life.at(folder, **priced(**{"batches": {"mode": "always"}, "jobs": {"enabled": ("gist",)}, **sections}))
    life.platform.accidents = Accidents(faults)
    life.platform.fates["batch"] = list(fates)
    return life


def runs(life: Life, folder: Path, count: int = 1, films: int = FILMS) -> list[RunReport]:
    """Run so often over some clips."""

    async def go() -> list[RunReport]:
        entries = items(clips(folder, films))
        return [await life.run(entries) for _ in range(count)]

    return run_virtual(go())


def used_by(life: Life) -> dict[str, float]:
    """Return what the runs to come use of the limits, summed up while they go on."""
    used, real = {"minutes": 0.0, "tokens": 0.0}, life.platform.open

    class Counting(Unlimited):
        async def admit(self, group: str, *, minutes: float = 0.0, tokens: float = 0.0) -> None:
            used["minutes"] += minutes
            used["tokens"] += tokens

    def opened(version: str, identity: str) -> TwelveLabs:
        api = real(version, identity)
        api.caller._limiter = Counting()
        return api

    life.platform.open = opened  # type: ignore[method-assign]
    return used


def batches(life: Life) -> list[int]:
    """Return how many items each batch of the platform has."""
    return [len(thing.data["items"]) for thing in life.platform.things.values() if thing.kind == "batch"]


def asked(life: Life) -> Counter[int]:
    """Return how often a question was accepted, and of how many questions that is so."""
    return Counter(n for (effect, _), n in life.platform.effects().items() if effect == "analysis")


def spends(life: Life) -> dict[str, float]:
    """Return what our ledger says of analyses: USD by the question, settled."""
    sums: dict[str, float] = {}
    for row in life.database._spends.values():
        if row[1] == "analyze":
            key = str(row[0]).partition("/")[0]
            sums[key] = sums.get(key, 0.0) + float(row[2])
    return sums


def billed(life: Life) -> float:
    """Return what the platform bills for analyses."""
    return sum(float(t.data["usd"]) for t in life.platform.things.values() if t.kind == "analysis")


def test_a_backlog_is_one_batch(tmp_path: Path) -> None:
    """Four videos are one call; each is answered, written and settled by the usage of its own answer."""
    life = life_of(tmp_path)
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, report.items["done"]) == (0, FILMS)
    assert (batches(life), asked(life)) == ([FILMS], {1: FILMS})
    assert len(life.sink.folders) == FILMS
    assert sum(spends(life).values()) == pytest.approx(billed(life))


def test_the_tasks_of_a_batch_end(tmp_path: Path) -> None:
    """Nothing is left of it but what the next run may ask: no members, no work."""
    life = life_of(tmp_path)
    runs(life, tmp_path, 2)
    left = run_virtual(life.tasks("batch"))
    assert {task.state for task in left} == {State.DONE}
    assert [task.data.get("members") for task in left if task.key != "packer"] == [{}]
    assert (batches(life), asked(life)) == ([FILMS], {1: FILMS})


def test_an_analysis_does_not_wait_for_a_lease(tmp_path: Path) -> None:
    """It may look just while its batch is at work: it comes back soon after the batch has ended."""
    life = life_of(tmp_path)
    (report,) = runs(life, tmp_path)
    ended = max(thing.ready for thing in life.platform.things.values() if thing.kind == "analysis")
    assert report.ended is not None
    assert report.ended - ended < 30.0


def test_off_is_off(tmp_path: Path) -> None:
    """Without a word about batches, everything is asked alone."""
    life = life_of(tmp_path, batches={})
    runs(life, tmp_path)
    assert (batches(life), asked(life)) == ([], {1: FILMS})


@pytest.mark.parametrize(("crowded", "seconds", "waits"), [(False, 60, "join"), (True, 400, "submit")])
def test_off_is_off_for_what_waits(tmp_path: Path, crowded: bool, seconds: int, waits: str) -> None:
    """An earlier run has ended before it packed them, or before their batch could be sent: they are asked alone, and nothing
    is in doubt.
    """
    life = life_of(tmp_path, run={"max_time": seconds})

    async def go() -> RunReport:
        if crowded:
            crowd(life)
        entries = items(clips(tmp_path, FILMS))
        assert (await life.run(entries)).exit_code == 6
        assert waits in {task.stage for kind in ("analysis", "batch") for task in await life.tasks(kind)}
        life.configure(tmp_path, **priced(jobs={"enabled": ("gist",)}, batches={"mode": "off"}))
        return await life.run(entries)

    report = run_virtual(go())
    assert (report.exit_code, report.doubtful, asked(life)) == (0, 0, {1: FILMS})
    assert FILMS not in batches(life)


def test_auto_leaves_a_single_video_alone(tmp_path: Path) -> None:
    """A night with one video would only wait for its batch."""
    life = life_of(tmp_path, batches={"mode": "auto"}, prices={"batch_factor": 0.5})
    runs(life, tmp_path, films=1)
    assert batches(life) == []


def test_auto_takes_batches_where_they_cost_less(tmp_path: Path) -> None:
    """From the configured number on; the ledger is settled by the lower price."""
    life = life_of(tmp_path, batches={"mode": "auto", "min_analyses": 3}, prices={"batch_factor": 0.5})
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, sum(batches(life)) >= 2) == (0, True)
    assert sum(spends(life).values()) < billed(life)


def test_a_batch_is_no_larger_than_a_limit_of_the_operators(tmp_path: Path) -> None:
    """Two minutes of video an hour are two films of a minute, alone or together."""
    life = life_of(tmp_path, limits={"analyze": {"minutes_per_hour": 2, "minutes_per_day": 3}})
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, batches(life), asked(life)) == (0, [2, 2], {1: FILMS})


def test_a_window_takes_no_more_room_in_a_batch_than_it_looks_at(tmp_path: Path) -> None:
    """Half a minute of each of four films is two minutes of video."""
    life = life_of(tmp_path, limits={"analyze": {"minutes_per_hour": 2, "minutes_per_day": 3}})
    report = run_virtual(life.run(items(clips(tmp_path, FILMS), window="0:00-0:30")))
    assert (report.exit_code, batches(life), asked(life)) == (0, [FILMS], {1: FILMS})


def test_a_batch_counts_for_the_limits_of_minutes_and_tokens(tmp_path: Path) -> None:
    """As much as its analyses would alone: what comes after it waits for as long."""
    counted = []
    for mode in ("always", "off"):
        (tmp_path / mode).mkdir()
        life = life_of(tmp_path / mode, batches={"mode": mode})
        counted.append(used_by(life))
        runs(life, tmp_path / mode)
    assert counted[0] == counted[1]
    assert counted[0]["minutes"] == FILMS
    assert counted[0]["tokens"] > 0


def test_another_model_goes_alone(tmp_path: Path) -> None:
    """Batches take one model only."""
    life = life_of(tmp_path, provider={"kind": "twelvelabs", "model": "pegasus1.6"})
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, batches(life)) == (0, [])


@pytest.mark.parametrize("fate", ["double", "shuffle"])
def test_results_in_another_order_or_twice_are_each_its_own(tmp_path: Path, fate: str) -> None:
    """Items are known by their key: order, repeats and foreign ones change nothing."""
    life = life_of(tmp_path, fates=(fate,))
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, report.doubtful, batches(life), asked(life)) == (0, 0, [FILMS], {1: FILMS})


def test_an_item_that_the_results_lose_is_looked_for_and_found(tmp_path: Path) -> None:
    """The platform lists it among the analyses: it is paid once and answered."""
    life = life_of(tmp_path, fates=("lose",))
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, report.doubtful, asked(life)) == (0, 0, {1: FILMS})


def test_what_an_expired_batch_has_not_answered_is_packed_again(tmp_path: Path) -> None:
    """What it has answered is kept; the rest costs nothing, and goes into the next batch under names of its own."""
    life = life_of(tmp_path, fates=("expire",))
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, report.items["done"]) == (0, FILMS)
    assert batches(life) == [FILMS, FILMS // 2]
    assert asked(life) == {1: FILMS + FILMS // 2}
    assert sum(spends(life).values()) == pytest.approx(billed(life))


def test_what_expires_again_and_again_is_asked_alone(tmp_path: Path) -> None:
    """After three batches that did not get to it."""
    life = life_of(tmp_path, fates=("expire",) * 9)
    (report,) = runs(life, tmp_path, films=1)
    assert (report.exit_code, batches(life)) == (0, [1, 1, 1])


def test_a_batch_that_somebody_cancels_in_the_console_fails_its_items_free_of_charge(tmp_path: Path) -> None:
    """The operator's retry asks again; nothing of the first time is counted."""
    life = life_of(tmp_path, fates=("cancel",))
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, report.items["failed"]) == (3, FILMS)
    assert sum(spends(life).values()) == pytest.approx(0.0)

    async def again() -> RunReport:
        await life.retry()
        return await life.run(items(clips(tmp_path, FILMS)))

    assert run_virtual(again()).exit_code == 0
    assert asked(life) == {1: 2 * FILMS}


def test_a_failed_item_is_free_and_hinders_no_other(tmp_path: Path) -> None:
    """``completed`` is not success: each item's own status counts."""
    life = life_of(tmp_path)
    life.platform.fates["answer"] = ["failed"]
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, report.items["failed"], report.items["done"]) == (3, 1, FILMS - 1)
    assert sum(spends(life).values()) == pytest.approx(billed(life))
    assert run_virtual(life.troubles()) == {"analysis": "analysis_failed"}


#: The first call after the uploads is the batch.
CREATE = FILMS + 1


@pytest.mark.parametrize("what", ["lost", "silent", "500 after", "cut", "html", "blank", "alien", "odd ids", "late"])
def test_a_batch_whose_answer_is_lost_is_found_by_its_items(tmp_path: Path, what: str) -> None:
    """The account's batches are asked for our keys: found, never sent again."""
    life = life_of(tmp_path, Fault("pay", CREATE, what, 60.0 if what == "late" else 0.0))
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, report.doubtful, batches(life), asked(life)) == (0, 0, [FILMS], {1: FILMS})


@pytest.mark.parametrize("what", ["dropped", "429 after"])
def test_a_batch_that_never_arrived_is_told_as_doubtful_item_by_item(tmp_path: Path, what: str) -> None:
    """It is looked for, then each item alone; what is asked again is booked as possibly paid twice. A 429 without the
    platform's own words proves nothing, either.
    """
    life = life_of(tmp_path, Fault("pay", CREATE, what))
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, report.doubtful, batches(life), asked(life)) == (0, FILMS, [], {1: FILMS})


def listed(life: Life) -> list[str]:
    """Return, as the runs go on, the video of each list of analyses in which something is looked for; empty: of all."""
    lists: list[str] = []
    vendor: Any = life.platform._vendors["v1.3"]
    real = vendor._analyses

    def noted(asked: Asked) -> Reply:
        if not asked.get("status"):
            lists.append(asked.get("asset_id"))
        reply: Reply = real(asked)
        return reply

    vendor._analyses = noted
    return lists


@pytest.mark.parametrize("arrived", [True, False])
def test_the_items_of_a_lost_batch_are_looked_for_together(tmp_path: Path, arrived: bool) -> None:
    """No list of batches shows it. Each of the four looks takes a few requests and the pages of the list of all, however
    many they are; what is there is paid once.
    """
    films = 30
    life = life_of(tmp_path, Fault("pay", films + 1, "lost" if arrived else "dropped"))
    lists, vendor = listed(life), life.platform._vendors["v1.3"]
    shown = vendor.shown
    vendor.shown = lambda *kinds: [] if "batch" in kinds else shown(*kinds)  # type: ignore[method-assign]
    (report,) = runs(life, tmp_path, films=films)
    assert (report.exit_code, report.doubtful, asked(life)) == (0, 0 if arrived else films, {1: films})
    assert len(lists) <= 4 * (4 + 2)
    assert lists.count("") >= 1


def test_the_items_that_the_results_lose_are_looked_for_together(tmp_path: Path) -> None:
    """All of them: each is found, and paid once."""
    films = 30
    life = life_of(tmp_path)
    lists = listed(life)
    vendor: Any = life.platform._vendors["v1.3"]
    vendor._results = lambda batch: b""
    (report,) = runs(life, tmp_path, films=films)
    assert (report.exit_code, report.doubtful, asked(life)) == (0, 0, {1: films})
    assert len(lists) <= 4 + 2


def test_the_careful_policy_holds_each_item_of_a_lost_batch(tmp_path: Path) -> None:
    """Nobody can tell, so a person decides, item by item."""
    life = life_of(tmp_path, Fault("pay", CREATE, "dropped"), policy={"on_ambiguous_create": "hold"})
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, report.items["held"], asked(life)) == (3, FILMS, {})


@pytest.mark.parametrize("what", ["429 nested", "429 words", "refused"])
def test_a_batch_that_is_surely_not_accepted_is_sent_again(tmp_path: Path, what: str) -> None:
    """A limit, or no connection: it waits, and nothing is in doubt."""
    life = life_of(tmp_path, Fault("pay", CREATE, what))
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, report.doubtful, batches(life), asked(life)) == (0, 0, [FILMS], {1: FILMS})


def crowd(life: Life) -> None:
    """Let somebody else have as many batches at work as an account may have."""
    api: Any = life.platform._vendors["v1.3"]
    for number in range(5):
        batch = api.make("batch", "", items=[])
        thing = api.make("analysis", f"other-{number}", 3_000.0, asset="", key="", text="{}", tokens=1, usd=0.0)
        batch.data["items"].append(thing.id)


def test_no_more_batches_than_the_account_may_have(tmp_path: Path) -> None:
    """Somebody else's five are active: ours waits for its turn, while nothing else does."""
    life = life_of(tmp_path)

    async def go() -> RunReport:
        crowd(life)
        return await life.run(items(clips(tmp_path, FILMS)))

    report = run_virtual(go())
    assert (report.exit_code, batches(life)[5:], asked(life)) == (0, [FILMS], {1: FILMS})


def refusing(life: Life, bad: Callable[[list[dict[str, Any]]], Reply | None]) -> None:
    """Let the platform refuse batches as ``bad`` says of their items."""
    vendor: Any = life.platform._vendors["v1.3"]
    create = vendor._create
    vendor._create = lambda request: bad(json.loads(request.body)["requests"]) or create(request)


def test_what_was_cancelled_before_it_was_sent_is_packed_again(tmp_path: Path) -> None:
    """The operator retries all of a batch that found no room and was given up: the same analyses are another batch."""
    life = life_of(tmp_path, run={"max_time": 400})

    async def scenario() -> RunReport:
        crowd(life)
        entries = items(clips(tmp_path, FILMS))
        assert (await life.run(entries)).exit_code == 6
        await life.database.command("cancel", Selection(("item", "video", "analysis", "publish")), life.clock.now())
        await life.run(entries)
        await life.retry()
        await life.clock.sleep(4_000)
        return await life.run(entries)

    report = run_virtual(scenario())
    assert (report.exit_code, report.items["done"], batches(life)[5:], asked(life)) == (0, FILMS, [FILMS], {1: FILMS})


def test_a_refused_batch_is_halved_until_the_culprit_is_alone(tmp_path: Path) -> None:
    """One question that the platform refuses costs the others nothing."""
    life = life_of(tmp_path)

    def picky(wanted: list[dict[str, Any]]) -> Reply | None:
        culprit = min(life.platform.uploads, key=lambda each: life.platform.uploads[each])
        named = any(each["video"]["asset_id"] == culprit for each in wanted)
        return refused(400, "parameter_invalid", nested=True) if named else None

    refusing(life, picky)
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, report.doubtful, asked(life)) == (0, 0, {1: FILMS})
    assert sum(batches(life)) == FILMS - 1


def test_an_account_that_may_not_use_batches_goes_on_without(tmp_path: Path) -> None:
    """The plan does not have them: everything is asked alone, and nothing stops."""
    life = life_of(tmp_path)
    refusing(life, lambda _: refused(403, "api_allowed_for_paid_plan", nested=True))
    (report,) = runs(life, tmp_path)
    assert (report.exit_code, report.doubtful, batches(life), asked(life)) == (0, 0, [], {1: FILMS})


def test_cancelled_items_cancel_their_batch(tmp_path: Path) -> None:
    """Once nobody wants any of it, the platform is told to stop."""
    life = life_of(tmp_path)
    life.platform.behave(think=3_000.0)

    async def go() -> None:
        session = life.session()
        entries = items(clips(tmp_path, FILMS))

        async def operator() -> None:
            await life.clock.sleep(400.0)
            assert batches(life) == [FILMS]
            await life.database.command("cancel", Selection(kinds=("analysis",)), life.clock.now())

        import anyio

        async with anyio.create_task_group() as group:
            group.start_soon(operator)
            await session.run(iter(entries))

    run_virtual(go())
    (batch,) = [thing for thing in life.platform.things.values() if thing.kind == "batch"]
    assert batch.data["stopped"]
    assert billed(life) == 0.0


def test_a_batch_that_was_accepted_in_the_future_counts_from_now(tmp_path: Path) -> None:
    """A clock that was a month ahead is put right: a batch that is gone is given up after a minute, not after a month."""
    life, month = life_of(tmp_path, run={"max_time": 400}), 30 * 86_400.0
    life.platform.behave(think=5_000.0)

    async def go() -> float:
        life.clock.skew += month
        entries = items(clips(tmp_path, FILMS))
        assert (await life.run(entries)).exit_code == 6
        assert {task.stage for task in await life.tasks("batch")} >= {"await"}
        life.clock.skew -= month
        for thing in list(life.platform.things.values()):
            thing.made = thing.listed = thing.ready = life.clock.now() - EPOCH
            if thing.kind == "batch":
                del life.platform.things[thing.id]
        life.configure(tmp_path, **priced(jobs={"enabled": ("gist",)}, batches={"mode": "always"}))
        began = life.clock.monotonic()
        report = await life.run(entries)
        assert (report.exit_code, asked(life)) == (0, {1: FILMS})
        return life.clock.monotonic() - began

    assert run_virtual(go()) < 3_600
