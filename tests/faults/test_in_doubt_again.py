"""Uploads that are made anew because the platform has lost the first ones: in doubt like any other."""

from __future__ import annotations

from pathlib import Path

from pipeline.app.account.repairs import upload_again
from pipeline.core.model import Lane, Placed, Selection
from tests.faults.crash_scenes import youtube
from tests.faults.test_in_doubt import rig_for
from tests.support.clock import run_virtual
from tests.support.fakes import Crash, Wreck
from tests.support.vendor import ClientV12


def test_two_that_are_handed_over_anew_and_in_doubt_are_held(tmp_path: Path) -> None:
    """The ids of their lost uploads clear nobody: one task is there, and each of the two could have left it."""

    async def scenario(point: tuple[int, str] | None) -> tuple[list[str], dict[str, int]]:
        rig = rig_for(tmp_path, ClientV12, provider={"api": "v1.2"}, lanes={"upload": 2})
        entries = [youtube(1), youtube(2)]
        assert (await rig.run(entries)).exit_code == 0
        videos = await rig.database.tasks(Selection(kinds=("video",)))
        for video in videos:  # as `reconcile` does when both have vanished
            rig.platform.lose(video.data["media_id"])
        await rig.database.submit(
            [Placed(upload_again(each), Lane.UPLOAD, 10, Lane.UPLOAD, 10) for each in videos], 0.0
        )
        wreck = Wreck(point)
        try:
            await rig.run(entries, wreck)
        except* Crash:
            pass
        return wreck.calls, dict((await rig.run(entries, seed=2)).items)

    calls, calm = run_virtual(scenario(None))
    assert calm["done"] == 2
    second = [number for number, name in enumerate(calls, 1) if name == "api.create_asset"][1]
    _, found = run_virtual(scenario((second, "before")))
    assert found["held"] == 2
