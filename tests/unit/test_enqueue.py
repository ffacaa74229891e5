"""What a run does about a line: a table over everything that can be known, and the enqueuer that carries it out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs import JOBS
from pipeline.config.settings import JobsSection
from pipeline.core.model import Lane, NewTask, Selection, State, Task, Trouble
from pipeline.core.task_types import TaskTypes
from pipeline.ingest.enqueue import Enqueuer, KnownVideo, check_files, check_line, decide, load_known
from pipeline.ingest.job_requests import JobPlanner
from pipeline.ingest.payloads import ItemData
from pipeline.ingest.tasks.item import unsaved_task
from pipeline.ports.source import Item, ManifestLine
from pipeline.views import BadLine, LeftOut
from tests.support.clock import run_virtual
from tests.support.engine_harness import task_type
from tests.support.fakes import FakeSink
from tests.support.memory_database import MemoryDatabase

ATTEMPTS = 8
SUBJECT = "sha256:a"
PLANNER = JobPlanner(JOBS, JobsSection(enabled=("gist",)), ["p", "m", 0.2])
MORE = JobPlanner(JOBS, JobsSection(enabled=("gist", "summary")), ["p", "m", 0.2])


def line_of(path: str = "/a.mp4", **words: Any) -> Item:
    """Return an item."""
    return Item(f"file:{path}", "file", path, ManifestLine(path, "list:1", **words))


def task(kind_name: str, state: State, attempt: int = 0, **data: Any) -> Task:
    """Return a task of the video."""
    key = SUBJECT if kind_name in ("video", "publish") else f"{SUBJECT}/x"
    return Task(9, kind_name, key, "stage", data, state, Lane.FETCH, 0, SUBJECT, attempt=attempt)


def own(state: State = State.DONE, attempt: int = 0, **words: Any) -> Task:
    """Return the item's own task, with its line as an earlier run read it."""
    found = unsaved_task(line_of(**words))
    return replace(found, id=1, state=state, attempt=attempt, subject=SUBJECT if state is State.DONE else "")


def known(
    item: Task | None = None,
    video: State | None = State.DONE,
    publish: State | None = State.DONE,
    analyses: Sequence[State] = (State.DONE,),
    planner: JobPlanner = PLANNER,
    attempt: int = 0,
) -> KnownVideo:
    """Return what the database may hold; ``attempt`` is the count of every failed part."""
    item = item or own()
    return KnownVideo(
        item,
        [item],
        task("video", video, attempt, wanted=planner.combined_fingerprint(planner.requests([item]))) if video else None,
        task("publish", publish, attempt, folder="f", sizes={}) if publish else None,
        [task("analysis", state, attempt, requests=[]) for state in analyses],
    )


class Wants:
    """What a decision should be."""

    def __init__(self, action: str, submit: tuple[str, str | None, bool] | None = None, retry: int = 0) -> None:
        self.action = action
        self.submit = submit  # (kind, restart_at, restart_failed)
        self.retry = retry


NEW = Wants("new", ("item", None, False))
AGAIN = Wants("changed", ("item", "resolve", True))
GO_ON = Wants("unfinished", ("item", "resolve", True))
RESTORE = Wants("restore", ("publish", "write", True))
NOTHING = Wants("nothing")


@pytest.mark.parametrize(
    ("there", "flags", "wants"),
    [
        pytest.param(KnownVideo(), {}, NEW, id="never seen"),
        pytest.param(known(own(State.PENDING), None, None, ()), {}, GO_ON, id="not begun"),
        pytest.param(known(own(State.RUNNING), None, None, ()), {}, GO_ON, id="being looked into"),
        pytest.param(known(own(State.FAILED), None, None, ()), {}, Wants("failed"), id="refused for good"),
        pytest.param(known(own(State.FAILED), None, None, ()), {"changed": True}, AGAIN, id="refused, file mended"),
        pytest.param(known(own(State.FAILED, 8), None, None, ()), {}, GO_ON, id="gave up last night"),
        pytest.param(known(own(State.FAILED, 7), None, None, ()), {}, Wants("failed"), id="failed on the way"),
        pytest.param(known(own(State.CANCELLED), None, None, ()), {}, NOTHING, id="cancelled"),
        pytest.param(known(), {}, NOTHING, id="all done"),
        pytest.param(known(), {"changed": True}, AGAIN, id="the file changed"),
        pytest.param(known(), {"captions": True}, AGAIN, id="the captions beside it changed"),
        pytest.param(known(own(title="old")), {}, AGAIN, id="the line changed"),
        pytest.param(known(), {"planner": MORE}, Wants("analyze", ("video", "fan_out", False)), id="a job was added"),
        pytest.param(known(), {"missing": True}, RESTORE, id="a result was deleted"),
        pytest.param(known(publish=State.FAILED), {}, RESTORE, id="writing failed"),
        pytest.param(known(publish=State.FAILED, attempt=8), {}, Wants("unfinished", retry=1), id="writing gave up"),
        pytest.param(known(video=State.PENDING, publish=None, analyses=()), {}, Wants("unfinished"), id="uploading"),
        pytest.param(known(publish=None, analyses=[State.RUNNING]), {}, Wants("unfinished"), id="analysing"),
        pytest.param(known(publish=State.PENDING), {}, Wants("unfinished"), id="about to be written"),
        pytest.param(known(video=State.FAILED, publish=None, analyses=()), {}, Wants("failed"), id="upload refused"),
        pytest.param(
            known(video=State.FAILED, publish=None, analyses=(), attempt=8),
            {},
            Wants("unfinished", retry=1),
            id="upload gave up",
        ),
        pytest.param(known(analyses=[State.DONE, State.FAILED]), {}, Wants("failed"), id="a part was refused"),
        pytest.param(
            known(analyses=[State.FAILED], attempt=8), {}, Wants("unfinished", retry=1), id="analysis gave up"
        ),
        pytest.param(known(analyses=[State.HELD]), {}, Wants("held"), id="a person must decide"),
        pytest.param(known(analyses=[State.HELD, State.FAILED]), {}, Wants("held"), id="held goes before failed"),
        pytest.param(
            known(analyses=[State.FAILED, State.DONE]),
            {"missing": True},
            Wants("failed", ("publish", "write", True)),
            id="a part was refused, the good ones deleted",
        ),
        pytest.param(
            known(analyses=[State.HELD]),
            {"missing": True},
            Wants("held", ("publish", "write", True)),
            id="a part is held, the good ones deleted",
        ),
        pytest.param(
            known(analyses=[State.FAILED], attempt=8),
            {"planner": MORE},
            Wants("analyze", ("video", "fan_out", False), retry=1),
            id="a job was added, another gave up",
        ),
        pytest.param(
            known(video=State.CANCELLED, publish=None, analyses=()),
            {"planner": MORE},
            NOTHING,
            id="its video cancelled",
        ),
    ],
)
def test_every_state_has_its_decision(there: KnownVideo, flags: dict[str, Any], wants: Wants) -> None:
    """Exactly what the table says is queued and retried, and nothing that could be paid twice."""
    flags = {"planner": PLANNER, "changed": False, "missing": False, **flags}
    planner = flags.pop("planner")
    decision = decide(line_of(), there, planner, attempts=ATTEMPTS, **flags)
    assert decision.action == wants.action
    assert len(decision.retry) == wants.retry
    assert [(new.kind, new.restart_at, new.restart_failed) for new in decision.submit] == (
        [wants.submit] if wants.submit else []
    )


def test_a_held_item_stays_held() -> None:
    """What is queued for it does nothing, because the queue never wakes what is held."""
    decision = decide(
        line_of(), known(own(State.HELD), None, None, ()), PLANNER, attempts=8, changed=True, missing=True
    )
    assert decision.action == "held"
    assert decision.retry == ()


def test_another_lines_words_that_cannot_be_carried_out_any_more_harm_nobody() -> None:
    """A second name of the video asked for a job that is not configured any more: this line is decided all the same."""
    other = replace(unsaved_task(line_of("/b.mp4", jobs=("gone",))), id=2, state=State.DONE, subject=SUBJECT)
    there = known()
    there = replace(there, items=[*there.items, other])
    assert decide(line_of(), there, PLANNER, attempts=8, changed=False, missing=False).action in ("nothing", "analyze")


# ------------------------------------------------------------------------------------------------------ the enqueuer


async def never(task_: Task, ensure_fresh: object) -> Any:
    """Do nothing; the tasks of these tests are only queued."""


KINDS = TaskTypes(
    [
        task_type("item", ("resolve", Lane.FETCH, never)),
        task_type("video", ("place", Lane.UPLOAD, never), ("fan_out", Lane.POLL, never)),
        task_type("publish", ("write", Lane.WRITE, never)),
    ]
)


class Desktop:
    """An enqueuer over a memory database, and what it queued."""

    def __init__(self) -> None:
        self.database = MemoryDatabase()
        self.batches: list[int] = []
        self.enqueuer = Enqueuer(
            self.database, self.database, PLANNER, FakeSink(), self.submit, lambda: 1000.0, ATTEMPTS
        )

    async def submit(self, tasks: Sequence[NewTask]) -> int:
        """Queue what the enqueuer brings."""
        self.batches.append(len(tasks))
        return await self.database.submit([KINDS.place(task) for task in tasks], 1000.0)

    async def keys(self) -> list[str]:
        """Return the keys of the items in the queue."""
        return [task.key for task in await self.database.tasks(Selection(kinds=("item",)))]


def test_a_line_that_comes_twice_is_queued_once() -> None:
    """Also when the two are far apart."""
    planner = Desktop()
    many = [line_of(f"/{n}.mp4") for n in range(300)]
    fed = run_virtual(planner.enqueuer.enqueue([*many, many[0], many[299]]))
    assert (fed.lines, fed.duplicates, fed.actions) == (302, 2, {"new": 300})
    assert len(run_virtual(planner.keys())) == 300


def test_what_is_left_out_of_a_folder_is_told_and_is_no_failure() -> None:
    """It counts for no exit code, and the lists still name all that they name."""
    planner = Desktop()
    told = LeftOut("argument 1", "/films", Trouble("left_out", "1 unfinished download."), {"unfinished": 1})
    fed = run_virtual(planner.enqueuer.enqueue([line_of("/a.mp4"), told]))
    assert (fed.lines, fed.bad_count, fed.left_out, fed.lists_all) == (1, 0, [told], True)


def test_bad_lines_are_counted_kept_and_stop_nothing() -> None:
    """Bad ones of the reader and of the planner, between good ones; the report keeps the first few of many."""
    planner = Desktop()
    bad = BadLine("list:2", "?", Trouble("input", "no"))
    entries = [line_of("/a.mp4"), bad, line_of("/b.mp4", jobs=("nonsense",)), line_of("/c.mp4"), *([bad] * 50)]
    fed = run_virtual(planner.enqueuer.enqueue(entries))
    assert (fed.lines, fed.bad_count) == (2, 52)
    assert fed.bad[:2] == [bad, fed.bad[1]]
    assert "nonsense" in fed.bad[1].trouble.message
    assert fed.bad[1].place == "list:1"
    assert len(fed.bad) < 52
    assert run_virtual(planner.keys()) == ["file:/a.mp4", "file:/c.mp4"]


def test_a_long_list_is_read_in_small_parts() -> None:
    """However long the list is, only one part of it is in hand, and work starts with the first."""
    planner = Desktop()
    ahead = 0

    def endless() -> Iterator[Item]:
        nonlocal ahead
        for number in range(2000):
            ahead = max(ahead, number - sum(planner.batches))
            yield line_of(f"/{number}.mp4")

    run_virtual(planner.enqueuer.enqueue(endless()))
    assert sum(planner.batches) == 2000
    assert ahead < 300


def test_a_part_without_a_video_of_its_own_asks_for_nothing() -> None:
    """Lists, bad lines, repeats: a selection of no keys would be the whole table of items, however large that is."""
    planner = Desktop()
    asked: list[Selection] = []

    class Watched(MemoryDatabase):
        async def tasks(self, which: Selection) -> list[Task]:
            asked.append(which)
            return await super().tasks(which)

    planner.enqueuer = Enqueuer(
        planner.database, Watched(), PLANNER, FakeSink(), planner.submit, lambda: 1000.0, ATTEMPTS
    )
    entries: list[Item | BadLine] = [BadLine("list:2", "?", Trouble("input", "no"))]
    assert run_virtual(planner.enqueuer.enqueue(entries)).bad_count == 1
    assert asked == []


def test_a_crash_while_reading_comes_out() -> None:
    """What a source raises is not swallowed; what was read before it is queued."""
    planner = Desktop()

    def broken() -> Iterator[Item]:
        for number in range(300):
            yield line_of(f"/{number}.mp4")
        raise OSError("the stick was pulled out")

    with pytest.raises(OSError, match="pulled"):
        run_virtual(planner.enqueuer.enqueue(broken()))
    assert len(run_virtual(planner.keys())) == 256


def test_what_gave_up_last_night_is_started_again() -> None:
    """An exhausted video is retried at its stage with fresh counters; one that was refused stays failed."""
    planner = Desktop()

    async def scenario() -> None:
        await planner.enqueuer.enqueue([line_of("/a.mp4"), line_of("/b.mp4")])
        database = planner.database
        await finish(database, {"file:/a.mp4": (State.DONE, 0, "sha256:a"), "file:/b.mp4": (State.DONE, 0, "sha256:b")})
        videos = [NewTask("video", f"sha256:{name}", "place", subject=f"sha256:{name}") for name in "ab"]
        await database.submit([KINDS.place(video) for video in videos], 1000.0)
        await finish(database, {"sha256:a": (State.FAILED, ATTEMPTS, None), "sha256:b": (State.FAILED, 0, None)})
        again = Desktop()
        again.database = database
        again.enqueuer = Enqueuer(database, database, PLANNER, FakeSink(), again.submit, lambda: 2000.0, ATTEMPTS)
        fed = await again.enqueuer.enqueue([line_of("/a.mp4"), line_of("/b.mp4")])
        assert fed.actions == {"unfinished": 1, "failed": 1}
        states = {task.key: (task.state, task.attempt) for task in await database.tasks(Selection(kinds=("video",)))}
        assert states == {"sha256:a": (State.PENDING, 0), "sha256:b": (State.FAILED, 0)}

    run_virtual(scenario())


async def finish(database: MemoryDatabase, ends: dict[str, tuple[State, int, str | None]]) -> None:
    """Claim everything and write these ends."""
    from pipeline.core.lifecycle import Transition
    from pipeline.ports.store import Applied, ApplyAnswer

    for task_ in await database.claim(dict.fromkeys(Lane, 10), "me", 1000.0, 1100.0):
        state, attempt, subject = ends[task_.key]
        move = Transition(state, task_.stage, attempt, 1, None, 0.0, subject=subject)
        assert await database.apply(Applied(task_, move, task_.lane, task_.rank), 1000.0) is ApplyAnswer.WRITTEN


def test_knowledge_is_gathered_by_video() -> None:
    """Two names of one video know of each other and share its video."""

    async def scenario() -> None:
        database = MemoryDatabase()
        planner = Desktop()
        planner.database = database
        items = [line_of("/a.mp4"), line_of("/b.mp4")]
        await planner.submit(
            [NewTask("item", item.key, "resolve", ItemData.from_item(item).to_json()) for item in items]
        )
        await finish(database, {item.key: (State.DONE, 0, "sha256:s") for item in items})
        await planner.submit([NewTask("video", "sha256:s", "place", subject="sha256:s")])
        found = await load_known(database, [items[0], line_of("/c.mp4")])
        assert [task.key for task in found["file:/a.mp4"].items] == ["file:/a.mp4", "file:/b.mp4"]
        assert found["file:/a.mp4"].video is not None
        assert found["file:/c.mp4"] == KnownVideo()

    run_virtual(scenario())


def test_a_look_at_the_disk_finds_changed_files_and_lost_results(tmp_path: Path) -> None:
    """Size or time tells a changed file; a file that is gone is not called changed; a missing result is seen."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"one")
    item = line_of(str(path))
    stat = path.stat()
    seen = replace(
        unsaved_task(item),
        state=State.DONE,
        data={**ItemData.from_item(item).to_json(), "size": 3, "mtime_ns": stat.st_mtime_ns},
    )

    async def looked(publish: Task | None = None) -> tuple[bool, bool]:
        there = KnownVideo(seen, [seen], None, publish, [])
        looks = await check_files([item], {item.key: there}, FakeSink())
        return item.key in looks.changed, item.key in looks.missing

    lost = task("publish", State.DONE, folder="f", sizes={"gist.json": 5})
    assert run_virtual(looked()) == (False, False)
    assert run_virtual(looked(lost)) == (False, True)
    assert run_virtual(looked(replace(lost, state=State.PENDING))) == (False, False)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert run_virtual(looked()) == (True, False)
    path.write_bytes(b"three")
    assert run_virtual(looked()) == (True, False)
    path.unlink()
    assert run_virtual(looked()) == (False, False)


def test_two_videos_that_an_earlier_release_gave_one_folder_are_written_again() -> None:
    """Whose results are there does not matter: the other's are gone. Two lines of one video have one folder for good."""
    lines = {name: line_of(f"/{name}.mp4") for name in ("a", "b", "c")}
    written = task("publish", State.DONE, folder="f", sizes={})
    publishes = {"a": written, "b": replace(written, key="sha256:other"), "c": replace(written, key="sha256:other")}

    async def looked(*names: str) -> set[str]:
        items = [lines[name] for name in names]
        known = {lines[name].key: KnownVideo(None, [], None, publishes[name], []) for name in names}
        return {*(await check_files(items, known, FakeSink())).missing}

    assert run_virtual(looked("b", "c")) == set()
    assert run_virtual(looked("a", "b", "c")) == {lines["a"].key}
    assert run_virtual(looked("b", "a")) == {lines["b"].key}


def test_only_lines_with_words_of_their_own_can_be_objected_to() -> None:
    """An ``ask`` without a prompt, an unknown job: told with the line's place; plain lines cost nothing."""
    assert check_line(PLANNER, line_of()) is None
    assert check_line(PLANNER, line_of(prompt="Who?")) is None
    bad = check_line(PLANNER, line_of(jobs=("ask",)))
    assert bad is not None
    assert (bad.place, bad.trouble.code) == ("list:1", "config")
