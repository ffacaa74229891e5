"""What v1.2 cannot be asked: the two rules for it, each at the one moment that matters.

The enumeration of every moment is in ``test_crash_enumeration.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from pipeline.core.model import Selection, State, Task
from pipeline.ports.video_api import NewUpload
from pipeline.views import RunReport
from tests.faults.crash_scenes import youtube
from tests.simulation.schedule import Fault
from tests.simulation.wire import Accidents
from tests.support.clock import VirtualClock, run_virtual
from tests.support.fakes import Crash, FakeSink, Wreck, clips, items
from tests.support.memory_database import MemoryDatabase
from tests.support.run_harness import Rig, settings_for
from tests.support.vendor import Account, Client, ClientV12


def rig_for(folder: Path, api: type[Client], **sections: dict[str, Any]) -> Rig:
    """Return fresh outsides for one scenario."""
    clock = VirtualClock()
    platform = Account(clock)
    return Rig(settings_for(folder, **sections), MemoryDatabase(), platform, clock, FakeSink(), api=api(platform))


def test_a_question_that_may_have_been_billed_is_held_where_the_policy_says_so(tmp_path: Path) -> None:
    """With on_ambiguous_ask = "hold" no question is ever repeated: the item is held, and says so."""
    entries = items(clips(tmp_path, 1))
    sections: dict[str, Any] = {"provider": {"api": "v1.2"}, "policy": {"on_ambiguous_ask": "hold"}}
    calm, quiet = rig_for(tmp_path, ClientV12, **sections), Wreck()
    run_virtual(calm.run(entries, quiet))
    number = 1 + quiet.calls.index("api.submit_analysis")
    rig = rig_for(tmp_path, ClientV12, **sections)
    report = run_virtual(rig.run(entries, Wreck((number, "lost"))))
    assert report.exit_code == 3
    assert report.items["held"] == 1
    assert max(rig.platform.effects().values()) == 1


def test_a_held_question_that_a_person_lets_be_asked_again_is_told(tmp_path: Path) -> None:
    """The operator's ``retry`` asks again what may have been billed: our ledger counts it as possibly paid twice."""
    entries = items(clips(tmp_path, 1))
    sections: dict[str, Any] = {"provider": {"api": "v1.2"}, "policy": {"on_ambiguous_ask": "hold"}}
    calm, quiet = rig_for(tmp_path, ClientV12, **sections), Wreck()
    run_virtual(calm.run(entries, quiet))
    number = 1 + quiet.calls.index("api.submit_analysis")
    rig = rig_for(tmp_path, ClientV12, **sections)

    async def both() -> RunReport:
        assert (await rig.run(entries, Wreck((number, "lost")))).items["held"] == 1
        await rig.database.command("retry", Selection(states=(State.HELD,)), rig.clock.now())
        return await rig.run(entries, seed=2)

    report = run_virtual(both())
    assert (report.exit_code, report.doubtful) == (0, 1)
    assert sorted(rig.platform.effects().values())[-2:] == [1, 2]


class _OneIsSlow(ClientV12):
    """Sends a second upload only after a minute."""

    sent = 0

    async def create_asset(self, upload: NewUpload, still_ours: Callable[[], None]) -> str:
        self.sent += 1
        if self.sent == 2:
            await anyio.sleep(60)
        return await super().create_asset(upload, still_ours)


def test_two_in_doubt_are_held_even_if_only_one_arrived(tmp_path: Path) -> None:
    """One task is there and two addresses could have left it: neither takes it, because the wrong one might."""
    rig = rig_for(tmp_path, _OneIsSlow, provider={"api": "v1.2"}, lanes={"upload": 2})
    calm, quiet = rig_for(tmp_path, _OneIsSlow, provider={"api": "v1.2"}, lanes={"upload": 2}), Wreck()
    entries = [youtube(1), youtube(2)]
    run_virtual(calm.run(entries, quiet))
    second = quiet.calls.index("api.create_asset", quiet.calls.index("api.create_asset") + 1)
    arrived = quiet.calls.index("store.apply", second) + 1  # the outcome of the first, while the second is on its way

    async def both() -> dict[str, int]:
        try:
            await rig.run(entries, Wreck((arrived, "before")))
        except* Crash:
            pass
        return dict((await rig.run(entries, seed=2)).items)

    assert run_virtual(both())["held"] == 2
    assert len([effect for effect, _ in rig.platform.ledger if effect == "asset"]) == 1


def test_a_look_for_an_address_does_not_read_the_library(tmp_path: Path) -> None:
    """Hundreds of videos are done: to find the one in doubt, and to tell it from theirs, takes a few rows."""
    rig = rig_for(tmp_path, ClientV12, provider={"api": "v1.2"}, jobs={"enabled": ("gist",)})
    library, address = [youtube(number) for number in range(2, 42)], youtube(1)
    run_virtual(rig.run(library))
    rig.clock.skew += 3_600.0
    tasks, rows = rig.database.tasks, Counter[str]()

    async def counted(which: Selection) -> list[Task]:
        found: list[Task] = await tasks(which)
        if which.kinds == ("video",):
            rows["video"] += len(found)
        return found

    rig.database.tasks = counted  # type: ignore[method-assign]
    rig.platform.accidents = Accidents((Fault("pay", 1, "lost"),))
    report = run_virtual(rig.run([*library, address]))
    assert (report.exit_code, report.doubtful) == (0, 0)
    assert sum(n for (effect, _), n in rig.platform.effects().items() if effect == "asset") == len(library) + 1
    assert rig.platform.accidents.fired
    assert 0 < rows["video"] < len(library)
