"""One run of the whole pipeline over fakes, in process: what the engine's and the fault tests drive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from pipeline.app.runs.session import RunSession
from pipeline.app.wiring.components import Adapters
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.config.settings import Settings
from pipeline.core.model import Selection
from pipeline.ports.source import Item
from pipeline.ports.store import Database
from pipeline.views import BadLine, RunReport
from tests.support.clock import VirtualClock
from tests.support.fakes import FakeSink, FakeSource, Wreck, Wrecked
from tests.support.vendor import Account, Client


def settings_for(folder: Path, **sections: dict[str, Any]) -> Settings:
    """Return settings for a run on fakes: local, so that nothing is limited or billed."""
    raw: dict[str, Any] = {
        "run": {"state": folder / "state", "output": folder / "out", "stop_grace": 1.0},
        "provider": {"kind": "local"},
        "gallery": {"enabled": False},  # a reader of what is proved here: its own tests turn it on
    }
    for name, values in sections.items():
        raw[name] = {**raw.get(name, {}), **values}
    return Settings.model_validate(raw)


@dataclass
class Rig:
    """A platform, a database and a disk that outlive processes; ``run`` is one process."""

    settings: Settings
    database: Any  #: a Database
    platform: Account
    clock: VirtualClock = field(default_factory=VirtualClock)
    sink: FakeSink = field(default_factory=FakeSink)
    source: FakeSource = field(default_factory=FakeSource)
    api: Client | None = None

    async def run(self, entries: Iterable[Item | BadLine], wreck: Wreck | None = None, seed: int = 1) -> RunReport:
        """Run one process to its end; with a wreck, it dies where the wreck says (raising Crash)."""
        session = self.session(wreck, seed)
        return await session.run(iter(list(entries)))

    def session(self, wreck: Wreck | None = None, seed: int = 1) -> RunSession:
        """Return a run that has not started."""
        self.clock.skew += 0.001  # no process begins in the instant in which another has ended
        self.api = self.api or Client(self.platform)
        self.api.reopen()
        api: Any = self.api
        database: Any = self.database
        sink: Any = self.sink
        if wreck is not None:
            api = Wrecked(api, wreck, "api")
            database = Wrecked(database, wreck, "store", spared=("aclose",))
            sink = Wrecked(sink, wreck, "sink", spared=("folder",))
        adapters = Adapters({"file": self.source}, sink, lambda facts, ceilings: None, lambda paths: "")
        return RunSession(make_run_plan(self.settings), database, api, self.clock, Random(seed), adapters)

    async def rows(self) -> list[tuple[str, str, str, str]]:
        """Return (kind, key, stage, state) of every task, sorted: what two runs are compared by."""
        database: Database = self.database
        tasks = await database.tasks(Selection())
        return sorted((task.kind, task.key, task.stage, task.state.value) for task in tasks)

    async def answers(self) -> list[tuple[str, str, str]]:
        """Return (subject, job, fingerprint) of every result but the raw answers."""
        database: Database = self.database
        subjects = await database.subjects("", 10_000)
        found = await database.results(subjects)
        return sorted((r.subject, r.job, r.fingerprint) for r in found if r.job != "_answer")


def paid(platform: Account, effects: Sequence[str] = ("asset", "analysis")) -> dict[tuple[str, str], int]:
    """Return how often each paid effect was accepted."""
    return {entry: times for entry, times in platform.effects().items() if entry[0] in effects}
