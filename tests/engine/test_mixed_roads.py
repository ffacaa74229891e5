"""Files and YouTube addresses in one v1.2 index: whose task is whose."""

from __future__ import annotations

from pathlib import Path

from pipeline.model import Selection
from pipeline.ports import Item, Line
from pipeline.store.memory import MemoryDatabase
from tests.fakes import Crash, FakePlatform, OldApi, Wreck, clips, items
from tests.rig import Rig, settings_for
from tests.virtual import VirtualClock, run_virtual


def rig_for(folder: Path) -> Rig:
    """Return fresh outsides."""
    clock = VirtualClock()
    platform = FakePlatform(clock)
    settings = settings_for(folder, provider={"api": "v1.2"}, jobs={"enabled": ("summary",)}, lanes={"upload": 1})
    return Rig(settings, MemoryDatabase(), platform, clock, api=OldApi(platform))


def test_an_address_is_held_if_the_clock_was_put_back_while_it_was_on_its_way(tmp_path: Path) -> None:
    """Time is all that tells its task from others; when time cannot be trusted, a person decides."""
    address = "https://www.youtube.com/watch?v=video000001"
    entries = [Item("youtube:video:video000001", "youtube", address, Line(address, "test"))]
    rig, quiet = rig_for(tmp_path), Wreck()
    run_virtual(rig_for(tmp_path).run(entries, quiet))

    async def both() -> int:
        try:
            await rig.run(entries, Wreck((1 + quiet.calls.index("api.create_asset"), "after")))
        except* Crash:
            pass
        rig.clock.skew -= 90_000.0
        await rig.run(entries, seed=2)
        rig.clock.skew += 90_000.0
        return (await rig.run(entries, seed=3)).items["held"]

    assert run_virtual(both()) == 1
    assert len([effect for effect, _ in rig.platform.ledger if effect == "task"]) == 1


def test_an_address_never_takes_the_task_of_a_file(tmp_path: Path) -> None:
    """Wherever a process dies, an address whose upload is in doubt is not given the upload of a file that was made at the
    same time: every video's answers are about itself.
    """
    address = "https://www.youtube.com/watch?v=video000001"
    entries = [*items(clips(tmp_path, 1)), Item("youtube:video:video000001", "youtube", address, Line(address, "test"))]
    calm, quiet = rig_for(tmp_path), Wreck()
    assert run_virtual(calm.run(entries, quiet)).exit_code == 0
    last = len(quiet.calls) - quiet.calls[::-1].index("api.create_asset")
    for point in range(1, last + 12):
        rig = rig_for(tmp_path)

        async def both(rig: Rig = rig, point: int = point) -> None:
            try:
                await rig.run(entries, Wreck((point, "before")))
            except* Crash:
                pass
            await rig.run(entries, seed=2)

        run_virtual(both())
        for video in run_virtual(rig.database.tasks(Selection(kinds=("video",)))):
            if "media_id" in video.data:
                wanted = video.data.get("external") or video.data["name"]
                assert rig.platform.assets[video.data["media_id"]].name == wanted, point
