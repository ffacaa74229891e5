"""``forget``: everything of an item goes but its money and what people made; whenever it dies, the same command finishes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Coroutine
from contextlib import nullcontext, suppress
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.items.forget import Forgetting
from pipeline.app.operator.find_item import is_known
from pipeline.core.errors import ConfigError
from pipeline.core.model import Forgotten, Selection
from pipeline.gallery.data_files import captions_name
from pipeline.ingest.remote_names import STORE_NAME, build_custom_id
from pipeline.ports.inventory import RemoteObject
from pipeline.sink.disk import DiskSink
from tests.support.clock import VirtualClock, run_virtual
from tests.support.fake_inventory import FakeInventory
from tests.support.fake_knowledge import FakeKnowledge
from tests.support.fakes import Crash, Wreck, Wrecked, clips, items
from tests.support.memory_database import MemoryDatabase
from tests.support.run_harness import Rig, paid, settings_for
from tests.support.vendor import Account


def virtual(test: Callable[[Path], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    """Run a test in virtual time."""

    @wraps(test)
    def run(tmp_path: Path) -> None:
        run_virtual(test(tmp_path))

    return run


def rig_in(folder: Path, **sections: Any) -> Rig:
    """Return a rig that writes to the disk, page and all."""
    clock = VirtualClock()
    sections = {"jobs": {"enabled": ["gist"]}, "gallery": {"enabled": True, "posters": False}, **sections}
    sink: Any = DiskSink(folder / "out")
    return Rig(settings_for(folder, **sections), MemoryDatabase(), Account(clock), clock, sink)


async def forget(rig: Rig, *names: str, wreck: Wreck | None = None) -> Forgotten:
    """Forget items; with a wreck, it dies on the way."""
    store, sink = rig.database, DiskSink(rig.settings.run.output)
    if wreck is not None:
        store, sink = Wrecked(store, wreck, "store"), Wrecked(sink, wreck, "sink")  # type: ignore[assignment]
    forgetting = Forgetting(rig.settings, store, sink, rig.clock)
    return await forgetting.carry_out(await forgetting.look(names))


def files(rig: Rig) -> dict[str, str]:
    """Return what is in the output folder, the page's times aside."""
    root = rig.settings.run.output
    return {str(path.relative_to(root)): path.read_text("utf-8") for path in root.rglob("*") if path.is_file()}


def indexed(rig: Rig) -> set[str]:
    """Return the keys in ``results.jsonl``."""
    lines = (rig.settings.run.output / "results.jsonl").read_text("utf-8").splitlines()
    return {json.loads(line)["key"] for line in lines}


@virtual
async def test_everything_goes_but_money_and_what_people_made(tmp_path: Path) -> None:
    """Rows, answers, files, the line of the index and the page; an added and a changed file stay; the ledger is whole."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 2), title="film")
    await rig.run(films)
    (item,) = await rig.database.tasks(Selection(keys=(films[0].key,)))
    (publish,) = await rig.database.tasks(Selection(kinds=("publish",), keys=(item.subject,)))
    home, spent = tmp_path / "out" / publish.data["folder"], await rig.database.spent()
    (home / "notes.txt").write_text("mine")
    (home / "gist.json").write_text("changed")
    found = await forget(rig, films[0].key)
    assert found.rows[0].kept == ["gist.json", "notes.txt"]
    assert found.rows[0].tasks == 4
    assert sorted(path.name for path in home.iterdir()) == ["gist.json", "notes.txt"]
    assert item.subject not in indexed(rig)
    assert len(indexed(rig)) == 1
    assert publish.data["folder"] not in "".join(text for name, text in files(rig).items() if name.endswith(".js"))
    assert await rig.database.spent() == spent
    assert not await rig.database.tasks(Selection(subjects=(item.subject,)))
    with pytest.raises(ConfigError, match="No item is called"):
        await forget(rig, films[0].key)


@virtual
async def test_another_videos_results_stay(tmp_path: Path) -> None:
    """An earlier release has given two videos one folder, and the other one's results are in it."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 1))
    await rig.run(films)
    (record,) = (tmp_path / "out").glob("*--*/video.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "key": "sha256:other"}))
    before = {path: path.read_bytes() for path in record.parent.rglob("*") if path.is_file()}
    found = await forget(rig, films[0].key)
    assert (found.done, found.rows[0].folder, found.rows[0].files) == (True, "", ())
    assert {path: path.read_bytes() for path in record.parent.rglob("*") if path.is_file()} == before


@virtual
async def test_a_list_that_names_it_brings_it_back_for_nothing(tmp_path: Path) -> None:
    """What is in the account is adopted: nothing is paid again, and the ledger has no entry of a call that was not made."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 2), title="film")
    await rig.run(films)
    before = paid(rig.platform)
    await forget(rig, films[0].key)
    report = await rig.run(films)
    assert (report.exit_code, dict(report.items)["done"]) == (0, 2)
    assert paid(rig.platform) == before
    assert len(indexed(rig)) == 2


@virtual
async def test_a_call_after_it_is_booked_although_its_name_was_used(tmp_path: Path) -> None:
    """The account's copies are gone too: what is paid again stands in the ledger a second time."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 1))
    await rig.run(films)
    calls = sum(group.calls for group in await rig.database.costs("kind"))
    rig.platform.lose()
    rig.platform.lose(kind="analysis")
    await forget(rig, films[0].key)
    assert (await rig.run(films)).exit_code == 0
    assert sum(group.calls for group in await rig.database.costs("kind")) == 2 * calls


@virtual
async def test_what_the_platform_keeps_keeps_the_rows(tmp_path: Path) -> None:
    """Refused: nothing is changed here, and the same command finishes once it lets go; what is not ours is never touched."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 1), title="film")
    await rig.run(films)
    (video,) = await rig.database.tasks(Selection(kinds=("video",)))
    (analysis,) = await rig.database.tasks(Selection(kinds=("analysis",)))
    account = FakeInventory(identity=video.data["provider"])
    question = build_custom_id(analysis.key, 0)
    account.put(RemoteObject("asset", video.data["media_id"], video.data["name"], owner=video.key))
    account.put(RemoteObject("analysis", analysis.data["task_id"], question), RemoteObject("asset", "other", "x.mp4"))
    account.busy = {video.data["media_id"]}
    knowledge = FakeKnowledge()
    store = await knowledge.create_store(STORE_NAME)
    for asset in (video.data["media_id"], "other"):
        await knowledge.add_item(store, asset, {})
    before, sink = files(rig), DiskSink(tmp_path / "out")

    async def once() -> Forgotten:
        forgetting = Forgetting(rig.settings, rig.database, sink, rig.clock, account, knowledge)
        return await forgetting.carry_out(await forgetting.look(["clip-0.mp4"]))

    stuck = await once()
    assert (stuck.done, len(stuck.refused), account.deleted) == (False, 1, [analysis.data["task_id"]])
    assert files(rig) == before
    account.busy.clear()
    assert (await once()).done
    assert list(account.there) == ["other"]
    assert [item.asset_id for item in await knowledge.items(store)] == ["other"]
    assert not await rig.database.tasks(Selection())


@virtual
async def test_no_picture_and_no_word_of_it_stays_on_the_page(tmp_path: Path) -> None:
    """Poster and captions go with it, and those of the other video stay; a page that has none is no obstacle."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 2), title="film")
    await rig.run(films)
    written = {task.subject: task.data["folder"] for task in await rig.database.tasks(Selection(kinds=("publish",)))}
    (item,) = await rig.database.tasks(Selection(keys=(films[0].key,)))
    gone, home = written.pop(item.subject), tmp_path / "out" / "gallery"
    (home / "posters").mkdir(exist_ok=True)
    made = {
        folder: [home / "posters" / f"{folder}.webp", home / "data" / captions_name(folder)]
        for folder in (gone, *written.values())
    }
    for path in (path for paths in made.values() for path in paths):
        path.write_text("x")
    await forget(rig, films[0].key)
    assert {folder: [path.exists() for path in paths] for folder, paths in made.items()} == {
        gone: [False, False], **{folder: [True, True] for folder in written.values()},
    }  # fmt: skip
    shutil.rmtree(home)
    assert (await forget(rig, films[1].key)).done


@virtual
async def test_a_page_that_runs_do_not_make_forgets_as_well(tmp_path: Path) -> None:
    """``gallery`` has made it once: it is written again without the item; where there is none, none is made."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 2), title="film")
    await rig.run(films)
    off = rig.settings.gallery.model_copy(update={"enabled": False})
    rig.settings = rig.settings.model_copy(update={"gallery": off})
    (publish, *_) = await rig.database.tasks(Selection(kinds=("publish",)))
    assert (await forget(rig, publish.data["folder"])).done
    home = tmp_path / "out" / "gallery"
    assert publish.data["folder"] not in "".join(path.read_text("utf-8") for path in (home / "data").iterdir())
    shutil.rmtree(home)
    await forget(rig, *[film.key for film in films if await is_known(rig.database, film.key)])
    assert not home.exists()


@virtual
async def test_one_of_two_lines_goes_alone(tmp_path: Path) -> None:
    """The same video under another name keeps its results."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 2))
    first, second = (Path(film.locator) for film in films)
    second.write_bytes(first.read_bytes())
    await rig.run(films)
    there = files(rig)
    found = await forget(rig, films[1].key)
    assert (found.rows[0].shared, found.rows[0].tasks, found.rows[0].files) == (1, 1, ())
    assert {name for name in files(rig) if "--" in name} == {name for name in there if "--" in name}
    assert [task.key for task in await rig.database.tasks(Selection(kinds=("item",)))] == [films[0].key]


@virtual
async def test_a_video_goes_with_the_last_of_its_lines(tmp_path: Path) -> None:
    """All lines named at once: the video goes, too, and is shown once; nothing is left that no name finds any more."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 2))
    first, second = (Path(film.locator) for film in films)
    second.write_bytes(first.read_bytes())
    await rig.run(films)
    found = await forget(rig, *(film.key for film in films), films[0].key)
    assert [(row.shared, row.tasks, bool(row.files)) for row in found.rows] == [(0, 1, False), (0, 4, True)]
    assert (await rig.database.tasks(Selection()), indexed(rig)) == ([], set())
    assert not [name for name in files(rig) if "--" in name]


def test_whenever_it_dies_the_same_command_finishes(tmp_path: Path) -> None:
    """Before and after each call to database and disk: the same rows, files and index as without a death."""

    async def night(folder: Path, point: tuple[int, str] | None) -> tuple[int, Any, Any, Any]:
        rig, films = rig_in(folder, gallery={"enabled": False}), items(clips(folder, 2), title="film")
        await rig.run(films)
        wreck = Wreck(point)
        try:
            await forget(rig, films[0].key, wreck=wreck)
        except Crash:
            with suppress(ConfigError) if point == (last, "after") else nullcontext():  # it was all done
                await forget(rig, films[0].key)
        rows = sorted((task.kind, task.state) for task in await rig.database.tasks(Selection()))
        return len(wreck.calls), rows, sorted(text for text in files(rig).values() if "files" not in text), indexed(rig)

    def nights(folder: Path, point: tuple[int, str] | None) -> tuple[int, Any, Any, Any]:
        folder.mkdir()
        return run_virtual(night(folder, point))

    last = 0
    last, *plain = nights(tmp_path / "plain", None)
    assert last > 8
    for number in range(1, last + 1):
        for when in ("before", "after"):
            _, *found = nights(tmp_path / f"{number} {when}", (number, when))
            assert (found[0], len(found[2])) == (plain[0], 1), (number, when)


@virtual
async def test_a_folder_that_is_half_gone_is_finished(tmp_path: Path) -> None:
    """Files went before the record did: the rest goes, then the folder."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 1), title="film")
    await rig.run(films)
    (publish,) = await rig.database.tasks(Selection(kinds=("publish",)))
    home = tmp_path / "out" / publish.data["folder"]
    (home / "gist.json").unlink()
    await forget(rig, films[0].key)
    assert not home.exists()
