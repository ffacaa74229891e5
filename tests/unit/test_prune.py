"""``prune``: what goes, what stays because something needs it, and that no death on the way costs anything."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline.app.gallery.write import GalleryWriter
from pipeline.app.upkeep.page_leftovers import find_leftovers, remove_leftovers
from pipeline.app.upkeep.prune import Pruning, prune
from pipeline.app.wiring.state_folder import lock_state_folder, open_for_writing
from pipeline.core.model import RunNote
from pipeline.sink.disk import DiskSink
from pipeline.views import Pruned
from tests.support.cli import command
from tests.support.clock import run_virtual
from tests.support.fakes import Crash, Wreck, Wrecked, clips, items
from tests.support.media import clips as films
from tests.support.scripted_run import Life

DAY = 86_400.0


def pruning(life: Life, wreck: Wreck | None = None) -> Pruning:
    """Return one pass over the database of these runs."""
    database = Wrecked(life.database, wreck, "store") if wreck is not None else life.database
    return Pruning(life.settings, database, life.sink, life.clock)


async def answers(life: Life) -> int:
    """Count the stored answers."""
    return len(await life.database.answers(1e12, 0, 1000))


def line(found: Pruned, what: str) -> tuple[int, int]:
    """Return (how many go, how many stay) of one sort."""
    (one,) = [each for each in found.lines if each.what == what]
    return one.count, one.kept


def raw_files(life: Life) -> list[str]:
    """Return the answers among the results."""
    return sorted(name for files in life.sink.folders.values() for name in files if name.startswith("raw/"))


def test_old_answers_go_and_their_files_stay(tmp_path: Path) -> None:
    """Nothing is asked or uploaded again, and a result that is written anew keeps naming its answer."""
    life = Life.at(tmp_path)
    paths = clips(tmp_path, 3)

    async def scenario() -> None:
        assert (await life.run(items(paths))).exit_code == 0
        files, effects = raw_files(life), life.platform.effects()
        await life.clock.sleep(10 * DAY)
        one = pruning(life)
        assert line(await one.find(20 * DAY, None), "answers") == (0, 0)
        one = pruning(life)
        assert line(await one.find(5 * DAY, None), "answers") == (3, 0)
        assert await answers(life) == 3
        assert (await one.carry_out()).done
        assert await answers(life) == 0
        report = await life.run(items(paths, title="Other words"), seed=2)  # every folder is written again
        assert (report.exit_code, set(report.this_run)) == (0, {"rewritten"})
        assert life.platform.effects() == effects
        assert raw_files(life) == files
        assert line(await pruning(life).find(0.0, None), "answers") == (0, 0)

    run_virtual(scenario())


def test_an_answer_that_is_not_split_yet_stays(tmp_path: Path) -> None:
    """It was paid, and nothing else holds it."""
    paths = clips(tmp_path, 1)
    calm = Wreck()
    run_virtual(Life.at(tmp_path).run(items(paths), calm))

    async def scenario() -> None:
        for at in (at for at, call in enumerate(calm.calls, 1) if call == "store.apply"):
            life = Life.at(tmp_path)
            with pytest.raises((Crash, BaseExceptionGroup)):
                await life.run(items(paths), Wreck((at, "after")))
            if await answers(life):  # the first moment at which it is there
                break
        assert await answers(life) == 1
        await life.clock.sleep(10 * DAY)
        one = pruning(life)
        assert line(await one.find(0.0, None), "answers") == (0, 1)
        await one.carry_out()
        assert (await life.run(items(paths), seed=2)).exit_code == 0
        assert set(life.platform.effects().values()) == {1}

    run_virtual(scenario())


def test_an_answer_that_is_nowhere_else_stays(tmp_path: Path) -> None:
    """Without its file in the results, the database has the only copy."""
    life = Life.at(tmp_path)

    async def scenario() -> None:
        await life.run(items(clips(tmp_path, 2)))
        await life.clock.sleep(DAY)
        first = next(iter(life.sink.folders.values()))
        for name in [name for name in first if name.startswith("raw/")]:
            del first[name]
        assert line(await pruning(life).find(0.0, None), "answers") == (1, 1)

    run_virtual(scenario())


def test_the_newest_runs_stay_and_so_does_the_ledger(tmp_path: Path) -> None:
    """The history is cut; what was paid is not."""
    life = Life.at(tmp_path)

    async def scenario() -> None:
        await life.run(items(clips(tmp_path, 1)))
        costs = await life.database.costs("run")
        for number in range(30):
            at = life.clock.now() + number
            await life.database.note_run(RunNote(f"r{number:02}", at, at, 0, {}))
        one = pruning(life)
        assert line(await one.find(None, 10), "runs") == (21, 0)
        await one.carry_out()
        assert [note.id for note in await life.database.runs(100)] == [f"r{number}" for number in range(29, 19, -1)]
        assert await life.database.costs("run") == costs

    run_virtual(scenario())


def test_death_at_every_instant_of_a_prune(tmp_path: Path) -> None:
    """Before and after each call: the next run has nothing to ask, and the next prune takes the rest."""
    calm = Wreck()

    async def lived(folder: Path, wreck: Wreck) -> None:
        life = Life.at(folder)
        paths = clips(folder, 2)
        await life.run(items(paths))
        effects, files = life.platform.effects(), raw_files(life)
        await life.clock.sleep(10 * DAY)

        async def pruned(wreck: Wreck | None) -> None:
            one = pruning(life, wreck)
            await one.find(DAY, 10)
            await one.carry_out()

        if wreck is calm:
            await pruned(wreck)
        else:
            with pytest.raises(Crash):
                await pruned(wreck)
        assert (await life.run(items(paths, title="Other words"), seed=2)).exit_code == 0
        assert (life.platform.effects(), raw_files(life)) == (effects, files)
        await pruned(None)
        assert await answers(life) == 0

    (tmp_path / "calm").mkdir()
    run_virtual(lived(tmp_path / "calm", calm))
    points = [(at, when) for at in range(1, len(calm.calls) + 1) for when in ("before", "after")]
    assert len(points) > 10
    for number, (at, when) in enumerate(points):
        (tmp_path / str(number)).mkdir()
        run_virtual(lived(tmp_path / str(number), Wreck((at, when))))


# --------------------------------------------------------------------------------------------------- the page's files


def test_what_the_page_does_not_name_goes(tmp_path: Path) -> None:
    """Shards of a larger page, captions and posters of videos that are gone; nothing else, and nothing of another page."""
    life = Life.at(tmp_path, gallery={"enabled": True, "posters": False})
    output = life.settings.run.output

    async def scenario() -> None:
        await life.run(items(clips(tmp_path, 2)))
        writer = GalleryWriter(life.database, DiskSink(output), life.settings, life.clock)
        await writer.write(whole=True, remember=True)
        (output / "talk--abcd2345").mkdir()
        home = output / "gallery"
        (home / "posters").mkdir(exist_ok=True)
        left = ["data/v-0007.js", "data/rows-0003.js", "data/c-zzzz2345.js", "posters/old--zzzz2345.webp"]
        other = ["data/c-abcd2345.js", "posters/talk--abcd2345.webp", "data/notes.txt", "app-of-mine.js"]
        for name in (*left, *other):
            (home / name).write_text("x" * 10)
        os.symlink(home / "data/notes.txt", home / "data/v-0008.js")
        before = {path for path in home.rglob("*") if path.is_file()}
        note = await life.database.load("gallery")
        found = find_leftovers(output, note, set())
        assert found == dict.fromkeys(left, 10)
        assert remove_leftovers(output, found) == 4
        assert before - {path for path in home.rglob("*") if path.is_file()} == {home / name for name in left}
        (home / "data/v-0007.js").write_text("x")
        (home / "data/index.js").write_text("another page")
        assert find_leftovers(output, note, set()) == {}
        assert find_leftovers(output, None, set()) == {}
        assert find_leftovers(tmp_path / "nothing", note, set()) == {}

    run_virtual(scenario())


# --------------------------------------------------------------------------------------------------- the command


def test_the_command_over_real_files(tmp_path: Path) -> None:
    """A plan first, then the deed; the next run asks nothing, and a deleted result comes back but for its raw answer."""
    films(tmp_path / "films", 2)
    assert command(tmp_path, "run", "films", "--jobs", "gist").code == 0
    plan = command(tmp_path, "prune", "--raw", "0s")
    assert plan.code == 0, plan.err
    assert "2 answers as received" in plan.out
    assert "nothing was taken away yet: --yes does it" in plan.out
    done = command(tmp_path, "prune", "--raw", "0s", "--runs", "10", "--yes", "--json")
    assert (done.code, done.json["done"]) == (0, True)
    assert [(each["what"], each["count"]) for each in done.json["lines"]] == [
        ("answers", 2), ("runs", 0), ("downloads", 0), ("page files", 0),
    ]  # fmt: skip
    again = command(tmp_path, "run", "films", "--jobs", "gist", "--json")
    assert (again.code, again.json["analyses"], again.json["published"]) == (0, 0, 0)
    assert len(list((tmp_path / "out").glob("*/raw/*.json"))) == 2
    gone = next((tmp_path / "out").glob("*/gist.json"))
    gone.unlink()
    back = command(tmp_path, "run", "films", "--jobs", "gist", "--json")
    assert (back.code, back.json["analyses"], gone.is_file()) == (0, 0, True)
    record = json.loads((gone.parent / "video.json").read_text())
    (raw,) = [name for name in record["files"] if name.startswith("raw/")]
    assert (gone.parent / raw).is_file()
    assert raw in record["sha256"]
    assert record["results"]["gist"]["answer"] == raw


def test_nothing_goes_beside_a_run(tmp_path: Path) -> None:
    """Exit 75 and who holds the folder."""
    films(tmp_path / "films", 1)
    command(tmp_path, "run", "films", "--jobs", "gist")
    with lock_state_folder(tmp_path / ".reelmill"):
        ended = command(tmp_path, "prune", "--yes")
    assert (ended.code, ended.out) == (75, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--raw", "90"], "--raw '90': should be a time with its unit"),
        (["--runs", "3"], "--runs"),
        ([], "nothing has been run here yet"),
    ],
)
def test_wrong_words_are_told(tmp_path: Path, words: list[str], said: str) -> None:
    """One sentence and what to write."""
    ended = command(tmp_path, "prune", *words)
    assert (ended.code, ended.out, len(ended.told)) == (2, "", 2)
    assert said in ended.told[0]


@pytest.mark.asyncio
async def test_the_disk_gets_its_space_back(tmp_path: Path) -> None:
    """What the answers took is given back, and the database is sound."""
    life = Life.at(tmp_path)
    settings = life.settings
    settings.run.state.mkdir(parents=True)
    async with open_for_writing(settings.run.state) as database:
        for number in range(400):
            await database.note_run(RunNote(f"r{number:03}", number, number, 0, {"note": "n" * 5000}))
    path = settings.run.state / "reelmill.db"
    before = path.stat().st_size
    done = await prune(settings, raw=None, runs=10, ask=lambda plan: plan.lines[0].count == 390)
    assert (done.done, done.note) == (True, "")
    assert before - path.stat().st_size == done.given_back > 1_500_000
    async with open_for_writing(settings.run.state) as database:
        assert len(await database.runs(1000)) == 10


@pytest.mark.asyncio
async def test_without_room_for_a_second_file_nothing_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is done all the same, and the reason is told."""
    monkeypatch.setattr("pipeline.app.upkeep.prune._MARGIN", 10**18)
    settings = Life.at(tmp_path).settings
    settings.run.state.mkdir(parents=True)
    async with open_for_writing(settings.run.state) as database:
        for number in range(100):
            await database.note_run(RunNote(f"r{number:03}", number, number, 0, {"note": "n" * 5000}))
    done = await prune(settings, raw=None, runs=10, ask=lambda _: True)
    assert (done.done, done.given_back) == (True, 0)
    assert "too little for the database to be written again" in done.note
