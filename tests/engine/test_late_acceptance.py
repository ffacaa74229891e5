"""A platform that accepts late, lists late, or refuses what it has accepted: paid once, or told as possibly paid twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.core.model import Selection, State
from tests.simulation.schedule import Fault
from tests.simulation.wire import Accidents
from tests.support.clock import VirtualClock, run_virtual
from tests.support.fakes import items
from tests.support.memory_database import MemoryDatabase
from tests.support.run_harness import Rig
from tests.support.scripted_run import PRICED, _settings
from tests.support.vendor import Account, Client, ClientV12

#: The paid calls of one video, by their number on the wire; the missing ones make the index.
CALLS = {"v1.3": {"upload": 1, "analysis": 3, "index": 4}, "v1.2": {"upload": 2}}
WHAT = {"upload": "asset", "index": "indexed", "analysis": "analysis"}
EACH = [(api, call) for api, calls in CALLS.items() for call in calls]


class Seen(NamedTuple):
    """What a run has left."""

    exit_code: int
    accepted: int  #: how often the platform has accepted the call in all
    told: int = 0  #: calls that the run calls possibly paid twice
    held: int = 0  #: tasks that wait for a person


class Night:
    """One video, its index and its analysis, on a platform to which something happens at one paid call."""

    def __init__(self, folder: Path, api: str, *faults: Fault, budget: float | None = None, **policy: Any) -> None:
        (folder / "a.mp4").write_bytes(b"a film" * 30)
        sections = {**PRICED, "index": {"name": "films"}, "jobs": {"enabled": ("gist",)}, "policy": policy}
        if budget is not None:
            sections["budget"] = {"max_usd_per_run": budget}
        sections["provider"] = {**PRICED["provider"], "api": api}
        clock = VirtualClock()
        self.rig = Rig(_settings(folder, sections), MemoryDatabase(), Account(clock), clock)
        self.rig.platform.accidents = Accidents(faults)
        self.rig.api = (Client if api == "v1.3" else ClientV12)(self.rig.platform)
        self.entries = items([folder / "a.mp4"])
        self._start = 0.0

    def later(self, days: float) -> None:
        """Let so many days pass before the next run."""
        self._start = days * 86_400.0

    def runs(self, call: str, count: int = 1, apart: float = 2.0) -> list[Seen]:
        """Run so often, so many seconds apart, each time after ``retry``; return what each run has left."""

        async def go() -> list[Seen]:
            seen = []
            await self.rig.clock.sleep(self._start)
            for _ in range(count):
                await self.rig.clock.sleep(apart)
                await self.rig.database.command("retry", Selection(), self.rig.clock.now())
                report = await self.rig.run(self.entries)
                accepted = sum(n for (effect, _), n in self.rig.platform.effects().items() if effect == WHAT[call])
                held = await self.rig.database.tasks(Selection(states=(State.HELD,)))
                doubtful = sum(bool(row[5]) for row in self.rig.database._spends.values())
                assert report.doubtful == doubtful - sum(each.told for each in seen)
                seen.append(Seen(report.exit_code, accepted, report.doubtful, len(held)))
            return seen

        return run_virtual(go())


@pytest.mark.parametrize(("api", "call"), EACH)
@pytest.mark.parametrize("late", [20.0, 60.0, 170.0])
def test_what_is_accepted_minutes_after_its_answer_was_lost_is_found(
    tmp_path: Path, api: str, call: str, late: float
) -> None:
    """The connection broke, and the platform accepts the call after all within the looks: paid once, nothing in doubt."""
    night = Night(tmp_path, api, Fault("pay", CALLS[api][call], "late", late))
    assert night.runs(call) == [Seen(0, 1)]


@pytest.mark.parametrize(("api", "call"), EACH)
@pytest.mark.parametrize("fault", ["lost", "silent", "502 after", "cut", "blank"])
def test_lists_that_lag_hide_nothing(tmp_path: Path, api: str, call: str, fault: str) -> None:
    """Accepted at once, listed only much later: still found by one of the looks."""
    night = Night(tmp_path, api, Fault("pay", CALLS[api][call], fault))
    night.rig.platform.behave(lag=150.0)
    assert night.runs(call) == [Seen(0, 1)]


@pytest.mark.parametrize(("api", "call"), EACH)
def test_a_second_call_is_reserved_booked_and_told(tmp_path: Path, api: str, call: str) -> None:
    """Accepted ten minutes late: made again after the looks, and the ledger and the run say that it may be paid twice."""
    night = Night(tmp_path, api, Fault("pay", CALLS[api][call], "late", 600.0))
    (seen,) = night.runs(call)
    assert (seen.exit_code, seen.told) == (0, 1)
    assert seen.accepted <= 2


@pytest.mark.parametrize(("api", "call"), EACH)
def test_hold_means_that_no_second_call_is_made(tmp_path: Path, api: str, call: str) -> None:
    """With on_ambiguous_create = "hold" what was not found by the looks waits for a person, who may have it made again."""
    night = Night(tmp_path, api, Fault("pay", CALLS[api][call], "dropped"), on_ambiguous_create="hold")
    first, second = night.runs(call, 2)
    assert first == Seen(3, 0, held=1)
    assert second[:2] == (0, 1)


#: Answers that prove nothing, and whether they stop the whole run, as a wrong address or an empty purse does.
HIDDEN = {
    "303 after": True, "304 after": True, "308 after": True, "402 after": True, "404 after": False, "409 after": False,
    "418 after": False, "421 after": False, "423 after": False, "425 after": False, "451 after": False,
}  # fmt: skip


@pytest.mark.parametrize(("api", "call"), EACH)
@pytest.mark.parametrize("fault", HIDDEN)
def test_a_refusal_is_no_proof_that_nothing_was_accepted(tmp_path: Path, api: str, call: str, fault: str) -> None:
    """Refused after it was accepted, by the platform or by something before it: looked for before a second call."""
    night = Night(tmp_path, api, Fault("pay", CALLS[api][call], fault))
    if HIDDEN[fault] or (api, fault) == ("v1.2", "404 after"):  # there a page means that the version is retired
        assert night.runs(call, 2) == [Seen(4, 1), Seen(0, 1)]
    else:
        assert night.runs(call) == [Seen(0, 1)]


@pytest.mark.parametrize(("api", "call"), EACH)
@pytest.mark.parametrize(
    ("fault", "accepted", "told"), [("429 empty after", 2, 1), ("429 page after", 2, 1), ("429 words", 1, 0)]
)
def test_a_word_to_come_later_without_proof_is_told(
    tmp_path: Path, api: str, call: str, fault: str, accepted: int, told: int
) -> None:
    """Accepted, answered with a 429 that is not the platform's own, and listed after the looks: the second call is reserved,
    booked and told. The platform's own 429 is believed, and costs no look.
    """
    night = Night(tmp_path, api, Fault("pay", CALLS[api][call], fault))
    night.rig.platform.behave(lag=3000.0)
    assert night.runs(call) == [Seen(0, accepted, told)]


@pytest.mark.parametrize(("api", "call"), EACH)
@pytest.mark.parametrize("apart", [2.0, 86_400.0])
def test_a_refusal_that_is_meant_ends_the_matter(tmp_path: Path, api: str, call: str, apart: float) -> None:
    """Refused without proof, and nothing of it is to be found: the item fails with the refusal. A retry makes the call again,
    and tells that the first may have been paid: a day later, too, for what a platform does not show it may still bill.
    """
    night = Night(tmp_path, api, Fault("pay", CALLS[api][call], "451"))
    assert night.runs(call, 2, apart) == [Seen(3, 0), Seen(0, 1, told=1)]


def test_the_lag_is_learned(tmp_path: Path) -> None:
    """A platform that was once found to list late is given more time when the next answer is lost."""
    faults = (Fault("pay", 1, "late", 150.0), Fault("pay", CALLS["v1.3"]["analysis"], "late", 400.0))
    night = Night(tmp_path, "v1.3", *faults)
    assert night.runs("upload") == [Seen(0, 1)]
    assert set(night.rig.platform.effects().values()) == {1}


@pytest.mark.parametrize(("days", "told"), [(0.1, 0), (6.0, 0), (9.0, 1)])
def test_the_lag_is_remembered_for_some_days(tmp_path: Path, days: float, told: int) -> None:
    """A later run gives a platform that an earlier one found slow as much time; after a week it is an ordinary one again."""
    night = Night(tmp_path, "v1.3", Fault("pay", 1, "late", 150.0), Fault("pay", 5, "late", 400.0))
    assert night.runs("upload") == [Seen(0, 1)]
    (tmp_path / "b.mp4").write_bytes(b"another film" * 30)
    night.entries = items([tmp_path / "a.mp4", tmp_path / "b.mp4"])
    night.later(days)
    assert night.runs("upload") == [Seen(0, 2, told)]


@pytest.mark.parametrize(("api", "call"), EACH)
def test_a_second_call_that_no_money_is_left_for_waits_quietly(tmp_path: Path, api: str, call: str) -> None:
    """The run ends with exit 5 and asks the platform no more often than for its looks; the next run has its own money."""
    night = Night(tmp_path, api, Fault("pay", CALLS[api][call], "dropped"), budget=0.06 if api == "v1.2" else 0.1)
    first, _, last = night.runs(call, 3)
    assert (first.exit_code, first.accepted) == ((0, 1) if call == "upload" and api == "v1.3" else (5, 0))
    assert (last.exit_code, last.accepted) == (0, 1)
    assert night.rig.platform.requests < 60
