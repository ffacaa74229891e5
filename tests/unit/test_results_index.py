"""``results.jsonl`` is true after every change, whether it was written whole or amended."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.app.runs import results_index
from pipeline.app.runs.results_index import ResultsIndex
from pipeline.core.model import Result, Selection, State
from pipeline.ports.sink import OutFile
from pipeline.sink.disk import DiskSink
from tests.conformance.store_kit import NOW, claim, moved, placed
from tests.support.clock import run_virtual
from tests.support.disk import File, MemoryDisk
from tests.support.index_lines import stale_lines
from tests.support.memory_database import MemoryDatabase

NAMES = ["a", "ab", 'q"uo\\te', "\u00e9\u4e2d", "sha256:0"]
STEPS = st.tuples(
    st.sampled_from(["publish", "publish", "publish", "forget", "write", "write", "write", "tamper", "other"]),
    st.integers(0, len(NAMES) - 1),
    st.text(max_size=8),
)


async def publish(database: MemoryDatabase, key: str, title: str) -> None:
    """Write a video's results as a run does."""
    mark = title.encode("utf-8", "backslashreplace").hex()
    data = {"folder": f"{title and 'f'}--{NAMES.index(key):08}", "title": title, "present": {"gist": mark}}
    await database.submit([placed(key, kind="publish", restart_at="fetch", data=data)], NOW)
    (task,) = await claim(database)
    await database.apply(moved(task, State.DONE, results=[Result(key, "gist", mark, {"title": title})]), NOW)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=14))
def test_the_index_is_true_after_every_change(steps: list[tuple[str, int, str]]) -> None:
    """Two databases write by turns into one folder; videos come, change and go; somebody spoils the file."""
    disk, sink, ours, theirs = MemoryDisk("/out"), DiskSink(Path("/out")), MemoryDatabase(), MemoryDatabase()

    async def scenario() -> None:
        for what, number, word in [*steps, ("write", 0, "")]:
            key = NAMES[number]
            if what == "publish":
                await publish(ours, key, word)
            elif what == "forget":
                tasks = await ours.tasks(Selection(kinds=("publish",), keys=(key,)))
                await ours.forget([task.id for task in tasks], key, "now")
            elif what == "tamper" and isinstance(file := disk.root.names.get("results.jsonl"), File):
                file.content = file.kept = file.content[: len(file.content) // 2] + word.encode()
            elif what == "other":
                await publish(theirs, key, f"t{word}")
                (task,) = await theirs.tasks(Selection(kinds=("publish",), keys=(key,)))
                await sink.write(task.data["folder"], [OutFile("gist.json", "{}")])
                await ResultsIndex(theirs, sink).bring_up_to_date()
                assert await stale_lines(disk.files()["results.jsonl"], theirs) == []
            elif what == "write":
                await ResultsIndex(ours, sink).bring_up_to_date()
                content = disk.files()["results.jsonl"]
                assert await stale_lines(content, ours) == []
                known = {task.key for task in await ours.tasks(Selection())} | {
                    task.key for task in await theirs.tasks(Selection())
                }
                assert {json.loads(line)["key"] for line in content.splitlines()} <= known

    with disk.mounted():
        run_virtual(scenario())


def test_only_lines_that_changed_are_read_again(tmp_path: Path) -> None:
    """A night asks the database for its new videos, not for all; without a change it writes nothing."""
    database, sink = MemoryDatabase(), DiskSink(tmp_path)
    asked: list[int] = []

    async def results(subjects: list[str], without: list[str]) -> list[Result]:
        asked.append(len(subjects))
        return await MemoryDatabase.results(database, subjects, without)

    async def scenario() -> None:
        for name in NAMES[:3]:
            await publish(database, name, "one")
        database.results = results  # type: ignore[method-assign, assignment]
        await ResultsIndex(database, sink).bring_up_to_date()
        await publish(database, NAMES[3], "two")
        await publish(database, NAMES[0], "three")
        await ResultsIndex(database, sink).bring_up_to_date()
        before = (tmp_path / "results.jsonl").stat()
        await ResultsIndex(database, sink).bring_up_to_date()
        assert (tmp_path / "results.jsonl").stat().st_ino == before.st_ino
        assert asked == [3, 1, 1]
        (tmp_path / "results.jsonl").unlink()
        await ResultsIndex(database, sink).bring_up_to_date()
        assert asked == [3, 1, 1, 4]

    run_virtual(scenario())
    assert [json.loads(line)["title"] for line in (tmp_path / "results.jsonl").read_text().splitlines()] == [
        "three", "one", "one", "two",
    ]  # fmt: skip


def test_very_many_changes_are_written_as_a_whole(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Beyond a number of changes the file is written anew, and forgotten videos are no lines of others."""
    monkeypatch.setattr(results_index, "_FEW", 1)
    database, sink = MemoryDatabase(), DiskSink(tmp_path)

    async def scenario() -> None:
        for name in NAMES[:4]:
            await publish(database, name, "one")
            (tmp_path / f"f--{NAMES.index(name):08}").mkdir()
        await ResultsIndex(database, sink).bring_up_to_date()
        tasks = await database.tasks(Selection())
        await database.forget([tasks[0].id, tasks[1].id, tasks[3].id], "", "now")
        await ResultsIndex(database, sink).bring_up_to_date()
        assert await database.changed_videos(0, 9) == []

    run_virtual(scenario())
    (line,) = (tmp_path / "results.jsonl").read_text().splitlines()
    assert json.loads(line)["key"] == NAMES[2]
