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
