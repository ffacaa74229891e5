"""``retry --again``: one new call for what is answered, the old results until then, and a price that a run then reserves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.items.ask_again import AskAgain
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.core.errors import ConfigError
from pipeline.core.model import NewTask, Placed, Selection, State
from pipeline.ingest.payloads import AnalysisData, ItemData, PublishData
from pipeline.money_views import Again
from tests.support.clock import VirtualClock, run_virtual
from tests.support.fakes import clips, items
from tests.support.memory_database import MemoryDatabase
from tests.support.run_harness import Rig, paid, settings_for
from tests.support.vendor import Account


def rig_in(folder: Path, **sections: Any) -> Rig:
    """Return a rig with jobs whose answers can be told apart."""
    sections = {"jobs": {"enabled": ["gist", "summary"]}, **sections}
    clock = VirtualClock()
    return Rig(settings_for(folder, **sections), MemoryDatabase(), Account(clock), clock)


def virtual(test: Callable[[Path], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    """Run a test in virtual time."""

    @wraps(test)
    def run(tmp_path: Path) -> None:
        run_virtual(test(tmp_path))

    return run


async def again(rig: Rig, *names: str, jobs: tuple[str, ...] = ()) -> Again:
    """Have items asked again."""
    asker = AskAgain(make_run_plan(rig.settings), rig.database, rig.clock)
    found = await asker.look(names, jobs)
    await asker.set()
    return found


async def written(rig: Rig) -> PublishData:
    """Return what was written of the only video."""
    (task,) = await rig.database.tasks(Selection(kinds=("publish",)))
    return PublishData.of(task)


@virtual
async def test_asked_again_is_one_new_call_however_often_it_is_typed(tmp_path: Path) -> None:
    """Twice before the run: one call more, under another key, nothing possibly paid twice; the next night asks nothing."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 1))
    await rig.run(films)
    before = await written(rig)
    assert [row.jobs for row in (await again(rig, films[0].key)).rows] == [["gist", "summary"]]
    second = await again(rig, films[0].key)
    assert (second.jobs, second.rows[0].already, second.rows[0].left) == (0, ["gist", "summary"], "")
    for run in (rig.run([]), rig.run(films), rig.run(films)):  # the first needs no list
        report = await run
        assert report.exit_code == 0
        assert len(paid(rig.platform, ["analysis"])) == 2
        assert set(paid(rig.platform).values()) == {1}
        assert (await rig.database.spent())[2] == 0
    after = await written(rig)
    assert (after.folder, after.missing, after.earlier) == (before.folder, [], [])
    assert not set(after.present.values()) & set(before.present.values())
    third = await again(rig, films[0].key, jobs=("gist",))
    assert third.rows[0].jobs == ["gist"]
    await rig.run(films)
    assert len(paid(rig.platform, ["analysis"])) == 3
    last = await written(rig)
    assert last.present["summary"] == after.present["summary"]
    assert last.present["gist"] not in (after.present["gist"], before.present["gist"])


@virtual
async def test_one_job_then_all_is_one_call(tmp_path: Path) -> None:
    """What is set in two steps before the run shares a request, as at first."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 1))
    await rig.run(films)
    assert (await again(rig, films[0].key, jobs=("gist",))).rows[0].jobs == ["gist"]
    row = (await again(rig, films[0].key)).rows[0]
    assert (row.jobs, row.already) == (["summary"], ["gist"])
    await rig.run(films)
    assert len(paid(rig.platform, ["analysis"])) == 2


@virtual
async def test_the_old_results_stay_until_the_new_ones_are_there(tmp_path: Path) -> None:
    """The new question is in nobody's hand yet, and the folder is written again: it has the old answers, told as missing."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 1))
    await rig.run(films)
    before = await written(rig)
    await again(rig, films[0].key)
    (task,) = await rig.database.tasks(Selection(kinds=("publish",)))
    session = rig.session()
    step = session.components.publish
    done = await step.write(task, lambda: None)
    now = PublishData.from_json(done.data)  # type: ignore[union-attr,arg-type]
    assert now.present == before.present
    assert (now.files, now.earlier, now.missing) == (before.files, [], ["gist", "summary"])


@virtual
async def test_two_lines_of_one_video_are_asked_once(tmp_path: Path) -> None:
    """Whichever line is named, and although a third line comes later, there is one video and one new call."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 2))
    for other in (films[1].locator, tmp_path / "copy.mp4"):
        shutil.copyfile(films[0].locator, other)
    await rig.run(films)
    assert [row.left for row in (await again(rig, films[1].key, films[0].key)).rows] == ["", "it is named twice"]
    await rig.run(films)
    await rig.run([*films, *items([tmp_path / "copy.mp4"])])
    assert len(paid(rig.platform, ["analysis"])) == 2
    assert (await written(rig)).missing == []


@virtual
async def test_a_changed_prompt_is_asked_as_ever(tmp_path: Path) -> None:
    """Another prompt is another question, and the old one asked again comes back for nothing."""
    topic = {"job": "ask", "prompt": "What is it?"}
    rig, films = rig_in(tmp_path, jobs={"enabled": ["topic"], "settings": {"topic": topic}}), items(clips(tmp_path, 1))
    await rig.run(films)
    await again(rig, films[0].key)
    await rig.run(films)
    asked = rig.settings
    rig.settings = settings_for(
        tmp_path, jobs={"enabled": ["topic"], "settings": {"topic": {**topic, "prompt": "Who?"}}}
    )
    await rig.run(films)
    assert len(paid(rig.platform, ["analysis"])) == 3
    rig.settings = asked
    await rig.run(films)
    assert len(paid(rig.platform, ["analysis"])) == 3


@virtual
async def test_what_cannot_be_asked_again_says_why(tmp_path: Path) -> None:
    """What is not finished, has stopped, or is no video; an unknown job with the one that was meant; nothing is changed."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 2))
    await rig.run(films[:1])
    waiting = NewTask("item", films[1].key, "resolve", ItemData.from_item(films[1]).to_json())
    (item,) = await rig.database.tasks(Selection(kinds=("item",)))
    await rig.database.submit([Placed(waiting, item.lane, 0)], 1.0)
    assert "it is not finished" in (await again(rig, films[1].key)).rows[0].left
    with pytest.raises(ConfigError, match="no job 'gits' is asked of it") as caught:
        await again(rig, films[0].key, jobs=("gits",))
    assert caught.value.trouble.remedy == "did you mean gist?"
    with pytest.raises(ConfigError, match="nothing was set to be asked again, the other items neither"):
        await again(rig, films[0].key, "nobody at all")
    await rig.database.command("cancel", Selection(keys=(films[0].key,), states=(State.DONE,)), 2.0)
    assert "it is cancelled; `reelmill retry`" in (await again(rig, films[0].key)).rows[0].left
    assert len(await rig.database.tasks(Selection(states=(State.DONE,)))) == 3


@virtual
async def test_a_question_asked_again_that_stopped_is_the_retry_s(tmp_path: Path) -> None:
    """Its second word sets nothing: what stopped goes on by ``retry``, and is not asked a third time."""
    rig, films = rig_in(tmp_path), items(clips(tmp_path, 1))
    await rig.run(films)
    await again(rig, films[0].key)
    await rig.run(films)
    newest = (await rig.database.tasks(Selection(kinds=("analysis",))))[-1]
    await rig.database.command("cancel", Selection(keys=(newest.key,), states=(State.DONE,)), 2.0)
    for request in AnalysisData.of(newest).requests:
        rig.database._results = {
            key: row for key, row in rig.database._results.items() if row[1:3] != (request.name, request.fingerprint)
        }
    assert "its question stopped; `reelmill retry` without --again" in (await again(rig, films[0].key)).rows[0].left


@virtual
async def test_the_price_is_what_a_run_reserves(tmp_path: Path) -> None:
    """Shown before: what is expected and the most; the run books just that, and one job costs less than all."""
    rig, films = rig_in(tmp_path, budget={"max_usd_per_run": 100}), items(clips(tmp_path, 1))
    await rig.run(films)
    first = (await rig.database.spent())[0]
    found = await again(rig, films[0].key)
    assert found.usd == sum(row.usd for row in found.rows)
    assert found.usd_most >= found.usd
    one = await AskAgain(make_run_plan(rig.settings), rig.database, rig.clock).look([films[0].key], ("gist",))
    assert one.usd <= found.usd
    await rig.run(films)
    assert (await rig.database.spent())[0] - first <= found.usd_most + 1e-9
