"""One property over every user of the pay-once protocol: upload, analysis, indexing and standing queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.config.queries import StandingQuery
from pipeline.core.errors import Ambiguous, DatabaseAway, Permanent, Transient
from pipeline.core.model import Selection, State
from pipeline.ports.video_api import Answer, NewUpload, Question
from tests.support.clock import VirtualClock, run_virtual
from tests.support.fakes import Crash, Wreck, items
from tests.support.memory_database import MemoryDatabase
from tests.support.run_harness import Rig
from tests.support.scripted_run import PRICED, _settings
from tests.support.vendor import Account, Client, ClientV12, IndexCalls

#: The calls that are paid for, or leave something behind.
PAID = ("api.create_asset", "api.submit_analysis", "api.index_api.index_asset", "api.index_api.search")

ANSWERS = ("accepted", "lost after acceptance", "lost before", "refused", "untouched", "crash before", "crash after")

_LIVES = 60


@dataclass
class Storm(Wreck):
    """Answers paid calls as its script says; the process dies where that says so. Other calls are as they are."""

    script: list[str] = field(default_factory=list)

    async def around(self, name: str, call: Callable[[], Any]) -> Any:
        if self.dead:
            raise Crash(f"{name} after death")
        answer = self.script.pop(0) if name in PAID and self.script else "accepted"
        if answer == "crash before":
            self.die(name)
        if answer == "lost before":
            raise Ambiguous(f"the answer to {name} was lost")
        if answer == "refused":
            raise Permanent("the platform does not want this one", code="refused")
        if answer == "untouched":
            raise Transient("nobody was there", untouched=True)
        result = await call()
        if self.dead:
            raise Crash(f"{name} after death")
        if answer == "crash after":
            self.die(name)
        if answer == "lost after acceptance":
            raise Ambiguous(f"the answer to {name} was lost")
        return result


@dataclass
class Blink(Wreck):
    """The database is away for the next few calls after each paid one of a task."""

    length: int = 1
    left: int = 0

    async def around(self, name: str, call: Callable[[], Any]) -> Any:
        if name.startswith("store.") and self.left:
            self.left -= 1
            raise DatabaseAway("locked", code="database_locked")
        result = await call()
        if name in PAID[:3]:
            self.left = self.length
        # As v1.2 does: what it cost is looked up while the answer is in hand.
        return replace(result, usage={"output_tokens": 40}) if isinstance(result, Answer) else result


class _BlindIndex(IndexCalls):
    async def find_indexed(self, index_id: str, asset_id: str) -> str | None:
        raise Ambiguous("the list has no end")


class BlindClient(Client):
    """A platform that can be asked about nothing at all."""

    def __init__(self, platform: Account) -> None:
        super().__init__(platform)
        self.index_api = _BlindIndex(self)

    async def find_asset(self, upload: NewUpload) -> str | None:
        raise Ambiguous("nobody can tell")

    async def find_analysis(self, question: Question) -> str | None:
        raise Ambiguous("nobody can tell")


@dataclass
class World:
    """One platform, database and disk, and the operator who retries what failed or is held."""

    rig: Rig
    held: int = 0  #: tasks that the operator has let go on although they may be paid twice

    async def live(self, script: Sequence[str]) -> None:
        """Run until everything is done, through every death on the way."""
        left = list(script)
        for seed in range(_LIVES):
            storm = Storm(script=left)
            await self.rig.clock.sleep(2.0)  # the next process starts later, and its run has an id of its own
            try:
                await self.rig.run(items([self.rig.settings.run.state.parent / "a.mp4"]), storm, seed)
            except* Crash:
                pass
            if storm.dead:
                continue
            stopped = await self.rig.database.tasks(Selection(states=(State.FAILED, State.HELD)))
            if not stopped:
                return
            self.held += sum(task.state is State.HELD for task in stopped)
            await self.rig.database.command("retry", Selection(), self.rig.clock.now())
        raise AssertionError(f"no end after {_LIVES} lives: {stopped}")

    async def accepted(self, effect: str) -> dict[str, int]:
        """Return how often the platform has accepted each call of one sort, by our key."""
        return {key: times for (name, key), times in self.rig.platform.effects().items() if name == effect}

    def entries(self, what: str) -> list[tuple[str, bool]]:
        """Return (key, doubtful) of the ledger entries of one sort."""
        return [(row[0], bool(row[5])) for row in self.rig.database._spends.values() if row[1] == what]


WORLDS: dict[str, tuple[type[Client], dict[str, dict[str, Any]]]] = {
    "v1.3": (Client, {}),
    "v1.2": (ClientV12, {"provider": {"api": "v1.2"}}),
    "v1.2, hold": (ClientV12, {"provider": {"api": "v1.2"}, "policy": {"on_ambiguous_ask": "hold"}}),
    "nothing can be asked": (BlindClient, {"policy": {"on_ambiguous_create": "resubmit"}}),
    "nothing can be asked, hold": (BlindClient, {"policy": {"on_ambiguous_ask": "hold"}}),
}


def world(name: str, folder: Path) -> World:
    """Return one with a video, an index that it goes into, and a question that is asked of it at the end."""
    api, sections = WORLDS[name]
    (folder / "a.mp4").write_bytes(b"a film" * 30)
    given = {**PRICED, **sections, "provider": {**PRICED["provider"], **sections.get("provider", {})}}
    chosen = _settings(folder, {"index": {"name": "films"}, "jobs": {"enabled": ("gist",)}, **given})
    chosen = chosen.model_copy(update={"queries": (StandingQuery(name="bees", text="bees"),)})
    clock = VirtualClock()
    rig = Rig(chosen, MemoryDatabase(), Account(clock), clock)
    rig.api = api(rig.platform)
    return World(rig)


@pytest.mark.parametrize("name", WORLDS)
@settings(max_examples=40, deadline=None)
@given(script=st.lists(st.sampled_from(ANSWERS), max_size=7))
@example(script=["lost after acceptance"] * 7)
@example(script=["crash after"] * 7)
@example(script=["lost after acceptance", "refused"] * 3)
@example(script=["accepted", "lost after acceptance", "refused", "lost after acceptance", "refused"])
def test_no_paid_call_happens_twice_without_being_counted_and_none_is_lost(name: str, script: list[str]) -> None:
    """Whatever the platform answers and wherever we die: what it accepted more than once stands in the ledger as
    doubtful, or a person has decided it; everything it accepted is in the ledger; and every result arrives.
    """
    with TemporaryDirectory() as folder:
        here = world(name, Path(folder))

        async def scenario() -> None:
            await here.live(script)
            for effect, what in (("analysis", "analyze"), ("ask", "analyze"), ("indexed", "index")):
                entries = here.entries(what)
                for key, times in (await here.accepted(effect)).items():
                    if effect != "indexed":  # its entry is under a key of ours, and here is only the asset's
                        assert any(entry == key for entry, _ in entries), key
                    mine = [entry for entry, doubtful in entries if doubtful and (effect == "indexed" or key in entry)]
                    assert times <= 1 + len(mine) + here.held, (effect, key, times, entries)
            uploads = await here.accepted("asset")
            doubtful = [entry for entry, _ in here.entries("upload")]
            if name.startswith("v1.2"):  # an upload is an entry in the index there, and is billed
                assert sum(uploads.values()) <= len(here.entries("index"))
            for key, times in uploads.items():
                assert times <= 1 + len([entry for entry in doubtful if key in entry]) + here.held, (key, times)
            if name == "v1.3":
                assert here.held == 0
                assert set(uploads.values()) | set((await here.accepted("analysis")).values()) == {1}
                in_doubt = [e for what in ("upload", "analyze", "index") for e, doubt in here.entries(what) if doubt]
                # Only what was sent, or may have been, and was never found can be in doubt: a dying process has two calls on
                # their way, and a refusal says nothing of a call before it.
                most = {"lost before": 1, "crash before": 2, "crash after": 1, "refused": 1}
                assert len(in_doubt) <= sum(most.get(answer, 0) for answer in script)
            searches = sum((await here.accepted("search")).values())
            assert searches <= len(here.entries("search"))
            tasks = await here.rig.database.tasks(Selection())
            assert {task.state for task in tasks} == {State.DONE}
            assert len(await here.rig.answers()) == 1

        run_virtual(scenario())


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("length", [1, 4])
def test_a_database_that_is_away_after_a_paid_call_costs_nothing_twice(name: str, length: int, tmp_path: Path) -> None:
    """What was accepted is in hand, and what it cost must be looked up: that is waited for, not forgotten."""
    here = world(name, tmp_path)

    async def scenario() -> None:
        report = await here.rig.run(items([tmp_path / "a.mp4"]), Blink(length=length))
        assert report.exit_code == 0
        for effect in ("asset", "analysis", "ask", "indexed", "search"):
            assert set((await here.accepted(effect)).values()) <= {1}, effect
        assert not [entry for what in ("upload", "analyze", "index") for entry, doubt in here.entries(what) if doubt]
        assert len(await here.rig.answers()) == 1

    run_virtual(scenario())
