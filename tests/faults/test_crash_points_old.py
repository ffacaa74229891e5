"""Death at every call over a dialect like v1.2: uploads can be asked for, answers cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.model import Selection
from pipeline.ports import Item, Line
from pipeline.store.memory import MemoryDatabase
from tests.fakes import Crash, FakeApi, FakePlatform, FakeSink, OldApi, Wreck, clips, items
from tests.rig import Rig, settings_for
from tests.virtual import VirtualClock, run_virtual


def rig_for(folder: Path, api: type[FakeApi], **sections: dict[str, Any]) -> Rig:
    """Return fresh outsides for one scenario."""
    clock = VirtualClock()
    platform = FakePlatform(clock)
    return Rig(settings_for(folder, **sections), MemoryDatabase(), platform, clock, FakeSink(), api=api(platform))


def points(calls: list[str]) -> Iterator[tuple[int, str]]:
    """Yield every way to die in a run that made these calls."""
    for number, name in enumerate(calls, 1):
        yield number, "before"
        yield number, "after"
        if name.startswith("api."):
            yield number, "lost"


def two_lives(rig: Rig, entries: list[Item], point: tuple[int, str]) -> None:
    """Run, die at the point, and run to the end."""

    async def both() -> None:
        try:
            await rig.run(entries, Wreck(point))
        except* Crash:
            pass
        report = await rig.run(entries, seed=2)
        assert report.exit_code == 0, (point, report)

    run_virtual(both())


def test_what_can_be_asked_is_done_once_and_what_only_asks_at_most_twice(tmp_path: Path) -> None:
    """On v1.2 every upload and index is made once; a question is repeated at most once, and the ledger says which."""
    entries = items(clips(tmp_path, 2))
    sections: dict[str, Any] = {"provider": {"api": "v1.2"}}
    calm, quiet = rig_for(tmp_path, OldApi, **sections), Wreck()
    assert run_virtual(calm.run(entries, quiet)).exit_code == 0
    answers = run_virtual(calm.answers())
    assert len(answers) == 2 * 4
    repeated = 0
    for point in points(quiet.calls):
        rig = rig_for(tmp_path, OldApi, **sections)
        two_lives(rig, entries, point)
        assert run_virtual(rig.answers()) == answers, point
        times = rig.platform.effects()
        assert all(count == 1 for (effect, _), count in times.items() if effect in ("task", "index")), point
        twice = [key for (effect, key), count in times.items() if effect == "ask" and count == 2]
        assert all(count <= 2 for count in times.values()), point
        doubtful = run_virtual(rig.database.spent())[2]
        # A death before the call is as doubtful as one after it, for as many questions as the lane is wide.
        assert len(twice) <= doubtful <= 8, point
        repeated += len(twice)
    assert repeated > 0  # the enumeration did hit the window that nothing can close


def test_a_question_that_may_have_been_billed_is_held_where_the_policy_says_so(tmp_path: Path) -> None:
    """With on_ambiguous_ask = "hold" no question is ever repeated: the item is held, and says so."""
    entries = items(clips(tmp_path, 1))
    sections: dict[str, Any] = {"provider": {"api": "v1.2"}, "policy": {"on_ambiguous_ask": "hold"}}
    calm, quiet = rig_for(tmp_path, OldApi, **sections), Wreck()
    run_virtual(calm.run(entries, quiet))
    number = 1 + quiet.calls.index("api.submit_analysis")
    rig = rig_for(tmp_path, OldApi, **sections)
    report = run_virtual(rig.run(entries, Wreck((number, "lost"))))
    assert report.exit_code == 3
    assert report.items["held"] == 1
    assert max(rig.platform.effects().values()) == 1


def youtube(number: int) -> Item:
    """Return a YouTube video as a manifest names it."""
    address = f"https://www.youtube.com/watch?v=video{number:06}"
    return Item(f"youtube:video:video{number:06}", "youtube", address, Line(address, "test"))


def test_an_external_video_is_never_submitted_blindly(tmp_path: Path) -> None:
    """A lost answer of external-provider is found by time, or the item is held: no address is ever submitted twice, and
    no video is ever given another's task.
    """
    entries = [youtube(1), youtube(2)]
    sections: dict[str, Any] = {"provider": {"api": "v1.2"}}
    calm, quiet = rig_for(tmp_path, OldApi, **sections), Wreck()
    assert run_virtual(calm.run(entries, quiet)).exit_code == 0
    held = 0
    for point in points(quiet.calls):
        rig = rig_for(tmp_path, OldApi, **sections)

        async def both(rig: Rig = rig, point: tuple[int, str] = point) -> int:
            try:
                await rig.run(entries, Wreck(point))
            except* Crash:
                pass
            return (await rig.run(entries, seed=2)).items["held"]

        held += run_virtual(both())
        effects = rig.platform.effects()
        assert all(count == 1 for (effect, _), count in effects.items() if effect == "task"), point
        for video in run_virtual(rig.database.tasks(Selection(kinds=("video",)))):
            if "media_id" in video.data:
                assert rig.platform.assets[video.data["media_id"]].name == video.data["external"], point
    assert held > 0  # two at once cannot always be told apart: then a person decides


def test_indexing_runs_beside_analysis_and_is_paid_once(tmp_path: Path) -> None:
    """With an index configured on v1.3, every asset is indexed exactly once, whatever dies when."""
    entries = items(clips(tmp_path, 1))
    sections: dict[str, Any] = {"index": {"name": "films"}}
    calm, quiet = rig_for(tmp_path, FakeApi, **sections), Wreck()
    assert run_virtual(calm.run(entries, quiet)).exit_code == 0
    assert [effect for effect, _ in calm.platform.effects()].count("indexed") == 1
    rows = run_virtual(calm.rows())
    for point in points(quiet.calls):
        rig = rig_for(tmp_path, FakeApi, **sections)
        two_lives(rig, entries, point)
        assert run_virtual(rig.rows()) == rows, point
        assert set(rig.platform.effects().values()) == {1}, (point, rig.platform.ledger)


def test_two_in_doubt_are_held_even_if_only_one_arrived(tmp_path: Path) -> None:
    """One task is there and two addresses could have left it: neither takes it, because the wrong one might."""
    rig = rig_for(tmp_path, OldApi, provider={"api": "v1.2"}, lanes={"upload": 2})
    calm, quiet = rig_for(tmp_path, OldApi, provider={"api": "v1.2"}, lanes={"upload": 2}), Wreck()
    entries = [youtube(1), youtube(2)]
    run_virtual(calm.run(entries, quiet))
    second = [number for number, name in enumerate(quiet.calls, 1) if name == "api.create_asset"][1]

    async def both() -> dict[str, int]:
        try:
            await rig.run(entries, Wreck((second, "before")))
        except* Crash:
            pass
        return dict((await rig.run(entries, seed=2)).items)

    assert run_virtual(both())["held"] == 2
    assert len([effect for effect, _ in rig.platform.ledger if effect == "task"]) == 1
