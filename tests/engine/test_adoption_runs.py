"""Two databases on one account: the second adopts what the first has left there, and pays for the rest only."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.core.errors import Permanent, Transient
from pipeline.ingest.adoption import Adoption
from pipeline.ingest.payloads import AnalysisData
from pipeline.ingest.remote_names import build_custom_id, build_upload_name
from pipeline.ingest.request_builder import build_question
from pipeline.ports.inventory import ObjectType, RemoteObject
from pipeline.ports.video_api import Ceilings
from pipeline.sink.disk import DiskSink
from tests.support.clock import run_virtual
from tests.support.fake_inventory import FakeInventory
from tests.support.fakes import FakeSink, clips, items
from tests.support.memory_database import MemoryDatabase
from tests.support.scripted_run import Life, priced


def another(life: Life) -> Life:
    """Return another state folder on the same account, with an output folder of its own."""
    return Life(life.settings, MemoryDatabase(), life.platform, life.clock, FakeSink(), life.source, life.api)


async def spent(life: Life) -> float:
    """Return the sum of the ledger in USD."""
    usd, _minutes, _doubtful = await life.database.spent()
    return float(usd)


def test_an_empty_database_adopts_everything(tmp_path: Path) -> None:
    """Uploads, entries of the index and answers are found, under other file names too; the ledger stays empty."""
    life = Life.at(tmp_path, **priced(index={"name": "films"}, jobs={"fuse": False}))
    (tmp_path / "moved").mkdir()

    async def scenario() -> None:
        films = clips(tmp_path, 3)
        assert (await life.run(items(films))).exit_code == 0
        paid, other = list(life.platform.ledger), another(life)
        moved = [film.rename(tmp_path / "moved" / f"renamed {film.name}") for film in films]
        report = await other.run(items(moved))
        assert (report.exit_code, report.analyses, report.usd) == (0, 0, 0.0)
        assert life.platform.ledger == paid
        assert await other.answers() == await life.answers()
        assert await spent(other) == 0.0
        assert (await other.run(items(clips(tmp_path, 4)))).exit_code == 0
        assert len(life.effects_of("asset")) == 4

    run_virtual(scenario())


def test_what_was_cut_off_or_refused_is_adopted_with_what_followed(tmp_path: Path) -> None:
    """The history of an answer is gone with the database: its last form counts."""
    life = Life.at(tmp_path, **priced())
    life.platform.spoil = lambda asked, text: "no JSON" if "highlights" in asked.prompt else text

    async def scenario() -> None:
        assert (await life.run(items(clips(tmp_path, 2)))).exit_code != 0
        life.platform.spoil = None
        await life.retry()
        assert (await life.run(())).exit_code == 0
        paid, other = list(life.platform.ledger), another(life)
        assert (await other.run(items(clips(tmp_path, 2)))).exit_code == 0
        assert life.platform.ledger == paid
        assert [job for _, job, _ in await other.answers()] == [job for _, job, _ in await life.answers()]

    run_virtual(scenario())


def test_answers_that_were_asked_for_at_other_times_are_adopted(tmp_path: Path) -> None:
    """Two jobs on one night and a third on another: one night with all three and an empty database pays for nothing."""
    life = Life.at(tmp_path, **priced(jobs={"enabled": ("gist", "summary")}))

    async def scenario() -> None:
        await life.run(items(clips(tmp_path, 2)))
        life.configure(tmp_path, **priced(jobs={"enabled": ("chapters", "gist", "summary")}))
        await life.run(items(clips(tmp_path, 2)))
        paid = list(life.platform.ledger)
        assert len(life.effects_of("analysis")) == 4
        other = another(life)
        assert (await other.run(items(clips(tmp_path, 2)))).exit_code == 0
        assert life.platform.ledger == paid
        assert await other.answers() == await life.answers()
        life.configure(tmp_path, **priced(jobs={"enabled": ("gist", "highlights")}))
        assert (await another(life).run(items(clips(tmp_path, 2)))).exit_code == 0
        assert len(life.effects_of("analysis")) == 6

    run_virtual(scenario())


@pytest.mark.parametrize("keeps_keys", [True, False])
@pytest.mark.parametrize(
    "later", [0.0, 1.0, 7.0, 20.0, 60.0] if os.environ.get("REELMILL_TEST_ALL") else [0.0, 1.0, 7.0]
)
@pytest.mark.parametrize("ceilings", [Ceilings(), Ceilings(direct_bytes=10)], ids=["direct", "multipart"])
def test_two_first_runs_at_the_same_time_pay_once(
    tmp_path: Path, ceilings: Ceilings, later: float, keeps_keys: bool
) -> None:
    """Two empty databases, one account, one list: both runs end with all results, each question and entry is paid once."""
    life = Life.at(tmp_path, ceilings, **priced(index={"name": "films"}, lanes={"upload": 1}))
    other = Life.at(tmp_path, ceilings, **priced(index={"name": "films"}, lanes={"upload": 1}))
    other.platform = life.platform
    other.api = type(life.api)(life.platform, ceilings)
    life.platform.behave(keeps_keys=keeps_keys, arrive=0.3, answer=0.5)

    async def scenario() -> None:
        films = clips(tmp_path, 5)
        async with anyio.create_task_group() as group:
            group.start_soon(life.run, items(films))
            await anyio.sleep(later)
            group.start_soon(other.run, items(list(reversed(films)) if later == 1.0 else films))
        for effect in ("analysis", "indexed"):
            assert list(Counter(life.effects_of(effect)).values()) == [1] * 5, effect
        assert len(await life.answers()) == len(await other.answers()) == 20
        assert await life.answers() == await other.answers()

    run_virtual(scenario())


@pytest.mark.parametrize("gone", ["asset", "analysis"])
def test_what_is_half_there_is_completed(tmp_path: Path, gone: str) -> None:
    """An answer that was deleted in the account is asked for, a deleted upload is sent again; nothing fails."""
    life = Life.at(tmp_path, **priced())

    async def scenario() -> None:
        assert (await life.run(items(clips(tmp_path, 1)))).exit_code == 0
        life.platform.lose(kind=gone)
        assert (await another(life).run(items(clips(tmp_path, 1)))).exit_code == 0
        assert len(life.effects_of("asset")) == (2 if gone == "asset" else 1)
        assert len(life.effects_of("analysis")) == 2

    run_virtual(scenario())


def test_an_upload_in_parts_that_nobody_completes_is_not_waited_for(tmp_path: Path) -> None:
    """Somebody's open session shows an asset under our name for a day: it is not adopted before it is ready."""
    life = Life.at(tmp_path, Ceilings(direct_bytes=10), **priced())

    async def scenario() -> None:
        session = life.session()
        life.api.send_chunks = _stop(session)  # type: ignore[attr-defined]
        await session.run(iter(items(clips(tmp_path, 1))))
        del life.api.send_chunks  # type: ignore[attr-defined]
        assert (await another(life).run(items(clips(tmp_path, 1)))).exit_code == 0
        assert len(life.effects_of("asset")) == 1

    run_virtual(scenario())


def _stop(session: Any) -> Any:
    async def send_chunks(*_args: Any) -> None:
        session.components.pool.stop(now=True)
        await session.components.pool._clock.sleep(60)

    return send_chunks


@pytest.mark.parametrize("arrived", [False, True])
def test_a_key_that_stands_for_another_request_is_no_dead_end(tmp_path: Path, arrived: bool) -> None:
    """The platform says so: what is there is adopted, else the question goes under another key; it is paid for once."""
    life = Life.at(tmp_path, **priced())
    conflict = Permanent("the key stands for another request", code="idempotency_key_reused")
    conflict.in_doubt = True  # as the caller says of every answer with status 409
    life.api.ask_trouble = lambda number: conflict if number == 1 else None
    life.api.accepted = arrived

    async def scenario() -> None:
        report = await life.run(items(clips(tmp_path, 1)))
        assert report.exit_code == 0
        assert len(life.effects_of("analysis")) == 1
        price = report.usd
        assert price > 0
        assert await spent(life) == pytest.approx(price)
        keys = [question.idempotency_key for question in life.api.questions]
        assert len(keys) == len(set(keys)) == (1 if arrived else 2)

    run_virtual(scenario())


def test_a_refused_call_is_not_counted_as_spent(tmp_path: Path) -> None:
    """Neither in the ledger, nor against the limit of the run, nor in ``video.json``; the retry is booked by itself."""
    life = Life.at(tmp_path, **priced())
    life.api.ask_trouble = lambda number: Permanent("no", code="parameter_invalid") if number == 1 else None

    async def scenario() -> None:
        report = await life.run(items(clips(tmp_path, 1)))
        assert (await life.troubles()) == {"analysis": "parameter_invalid"}
        assert (report.usd, await spent(life)) == (0.0, 0.0)
        await life.retry()
        report = await life.run(())
        assert report.exit_code == 0
        assert await spent(life) == pytest.approx(report.usd)
        assert report.usd > 0
        (files,) = life.sink.folders.values()
        assert '"calls": 1' in str(files["video.json"])

    run_virtual(scenario())


def test_one_key_is_one_request() -> None:
    """The idempotency key changes with the asset and stays with the call; an intent of an earlier release keeps its own."""
    new = AnalysisData(media_id="a", model="m", keyed_by_body=True)
    old = AnalysisData(media_id="a", model="m")
    assert build_question("k", new, []) == build_question("k", new, [])
    moved = build_question("k", AnalysisData(media_id="b", model="m", keyed_by_body=True), [])
    assert moved.key == build_question("k", new, []).key
    assert moved.idempotency_key != build_question("k", new, []).idempotency_key
    assert build_question("k", old, []).idempotency_key == ""


def test_a_large_account_is_not_read_whole() -> None:
    """Of 100,000 assets a bounded part is listed and kept; beyond it each name is asked for, and nothing is overlooked."""
    inventory = FakeInventory()
    keys = [f"sha256:{number:064}" for number in range(60_000)]
    inventory.put(
        *(
            RemoteObject("asset", f"id{number}", build_upload_name(key, 0, "a.mp4"), "", "ready")
            for number, key in enumerate(keys)
        )
    )
    adoption = Adoption(inventory)

    async def scenario() -> None:
        for number in [*range(700), 59_999, 30_000]:
            found = await adoption.upload(keys[number], build_upload_name(keys[number], 0, ""), "", complete=True)
            assert found is not None
            assert found.id == f"id{number}"
        assert inventory.pages <= 400 + 702
        assert len(adoption._uploads._known) <= 400 * 50

    run_virtual(scenario())


class _SlowList(FakeInventory):
    """Lists after a second, and later than what was made."""

    async def objects(
        self, object_type: ObjectType, index_id: str = "", *, name: str = "", media: str = ""
    ) -> AsyncGenerator[Sequence[RemoteObject], None]:
        await anyio.sleep(1.0)
        async with aclosing(super().objects(object_type, index_id, name=name, media=media)) as pages:
            async for page in pages:
                yield page


def test_uploads_that_no_list_shows_yet_share_a_look() -> None:
    """Forty uploads at once cost two looks at a list that lags, not one each after the other; a look that fails is none."""
    inventory, outcomes = _SlowList(), []
    calls = iter([Transient("the list is away"), None, None])

    def fail_first(_sort: str, _page: int) -> None:
        error = next(calls, None)
        if error is not None:
            raise error

    inventory.before_page = fail_first
    adoption = Adoption(inventory)

    async def elect(number: int) -> None:
        try:
            outcomes.append(await adoption.elect(f"sha256:{number:064}", f"id{number}", 0, complete=False))
        except Transient as error:
            outcomes.append(error)

    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(elect, number)

    run_virtual(scenario())
    assert [type(outcome) for outcome in outcomes].count(Transient) == 1
    assert inventory.pages <= 3


def test_a_failed_analysis_of_somebody_else_is_not_adopted() -> None:
    """The next generation that nobody has used is asked instead: its key stands for nothing else."""
    inventory = FakeInventory()
    inventory.put(
        RemoteObject("analysis", "t0", build_custom_id("k", 0), None, "failed", media="a"),
        RemoteObject("analysis", "t1", build_custom_id("k", 1), None, "canceled", media="a"),
        RemoteObject("analysis", "x", build_custom_id("other", 0), None, "ready", media="a"),
    )

    async def scenario() -> None:
        assert await Adoption(inventory).analysis("k", "a", 0) == (None, 2)
        assert await Adoption(inventory).analysis("nobody", "a", 0) == (None, 0)
        found, _ = await Adoption(inventory).analysis("other", "a", 0)
        assert found is not None
        assert found.id == "x"
        assert await Adoption(inventory).analysis("other", "a", 1) == (None, 1)

    run_virtual(scenario())


def test_two_databases_share_an_output_folder(tmp_path: Path) -> None:
    """``results.jsonl`` has a line for every video of both, in whichever order they run; a line goes with its folder."""
    life = Life.at(tmp_path, **priced())
    life.sink = DiskSink(tmp_path / "out")  # type: ignore[assignment]
    films = items(clips(tmp_path, 4))

    def folders() -> list[str]:
        lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
        return [json.loads(line)["folder"] for line in lines]

    async def scenario() -> None:
        other = another(life)
        other.sink = DiskSink(tmp_path / "out")  # type: ignore[assignment]
        await life.run(films[:2])
        await other.run(films[1:3])
        assert len(folders()) == len(set(folders())) == 3
        await life.run(films[:2])
        await life.run([*films[:2], films[3]])
        assert len(folders()) == len(set(folders())) == 4
        theirs = folders()[-1]
        shutil.rmtree(tmp_path / "out" / theirs)
        (tmp_path / "out" / folders()[0] / "gist.json").unlink()
        await life.run(films[:1])
        assert len(folders()) == 3
        assert theirs not in folders()

    run_virtual(scenario())


def test_results_that_another_database_has_written_stay(tmp_path: Path) -> None:
    """Files, record and checksums of jobs that only a lost state folder had asked for are left as they are."""
    life = Life.at(tmp_path, **priced(jobs={"enabled": ("gist", "summary")}))
    life.sink = DiskSink(tmp_path / "out")  # type: ignore[assignment]
    films = items(clips(tmp_path, 1))

    async def scenario() -> None:
        await life.run(films)
        (home,) = (tmp_path / "out").glob("*--*")
        before = {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}
        card = json.loads(before.pop("video.json"))
        life.configure(tmp_path, **priced(jobs={"enabled": ("gist", "chapters")}))
        other = another(life)
        other.sink = DiskSink(tmp_path / "out")  # type: ignore[assignment]
        for seed in (1, 2):
            assert (await other.run(films, seed=seed)).exit_code == 0
            assert before.items() <= {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}.items()
            now = json.loads((home / "video.json").read_bytes())
            assert now["results"]["summary"] == card["results"]["summary"]
            assert set(now["results"]) == {"gist", "summary", "chapters"}
            assert {path.name for path in home.rglob("*") if path.is_file()} == {
                n.rpartition("/")[2] for n in now["files"]
            }
            assert set(now["sha256"]) == set(now["files"]) - {"video.json"}
        (home / "gist.json").unlink()
        assert (await other.run(films, seed=3)).published == 1
        assert (await other.run(films, seed=4)).published == 0

    run_virtual(scenario())
