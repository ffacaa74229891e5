"""Whole runs over fakes, one after another, over one platform, database and disk: what the kinds' tests drive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from pipeline.config.settings import Settings
from pipeline.core.errors import Ambiguous
from pipeline.core.model import Selection, State, Task
from pipeline.ports.video_api import Answer, Ceilings, NewUpload, Question
from tests.support.clock import VirtualClock
from tests.support.memory_database import MemoryDatabase
from tests.support.run_harness import Rig, settings_for
from tests.support.vendor import Account, Client

PRICED: dict[str, dict[str, Any]] = {"provider": {"kind": "twelvelabs"}}
#: The policy that makes a call again although the platform cannot be asked for the one before.
BLIND = {"on_ambiguous_create": "resubmit"}


class ScriptedClient(Client):
    """A client whose calls are listed, and can be made to go wrong.

    ``upload_trouble`` and ``ask_trouble`` are called with the number of the call (from 1): what they return is raised,
    after the platform has accepted the call if ``accepted`` says so.
    """

    def __init__(self, account: Account, ceilings: Ceilings | None = None) -> None:
        super().__init__(account, ceilings)
        self.uploads: list[NewUpload] = []
        self.questions: list[Question] = []
        self.upload_trouble: Callable[[int], Exception | None] = lambda number: None
        self.ask_trouble: Callable[[int], Exception | None] = lambda number: None
        self.accepted = False
        self.can_be_asked = True
        self.at: list[float] = []

    async def create_asset(self, upload: NewUpload, still_ours: Callable[[], None]) -> str:
        self.uploads.append(upload)
        made: str = await self._scripted(
            self.upload_trouble(len(self.uploads)), lambda: self.real.create_asset(upload, still_ours)
        )
        return made

    async def submit_analysis(self, question: Question, still_ours: Callable[[], None]) -> str | Answer:
        self.questions.append(question)
        ask = super().submit_analysis
        made: str | Answer = await self._scripted(
            self.ask_trouble(len(self.questions)), lambda: ask(question, still_ours)
        )
        return made

    async def _scripted(self, trouble: Exception | None, call: Callable[[], Awaitable[Any]]) -> Any:
        self.at.append(self.account.clock.now())
        if trouble is not None and not self.accepted:
            raise trouble
        made = await call()
        if trouble is not None:
            raise trouble
        return made

    async def find_analysis(self, question: Question) -> str | None:
        if not self.can_be_asked:
            raise Ambiguous("nobody can tell", code="cannot_be_asked")
        return await self.real.find_analysis(question)


class Life(Rig):
    """A rig with a scripted client."""

    api: ScriptedClient

    @classmethod
    def at(cls, folder: Path, ceilings: Ceilings | None = None, **sections: dict[str, Any]) -> Life:
        """Return fresh outsides."""
        clock = VirtualClock()
        platform = Account(clock)
        made = cls(_settings(folder, sections), MemoryDatabase(), platform, clock)
        made.api = ScriptedClient(platform, ceilings)
        return made

    def configure(self, folder: Path, **sections: dict[str, Any]) -> None:
        """Change the configuration for the runs to come."""
        self.settings = _settings(folder, sections)

    async def tasks(self, kind: str) -> list[Task]:
        """Return the tasks of a kind."""
        found: list[Task] = await self.database.tasks(Selection(kinds=(kind,)))
        return found

    async def one(self, kind: str) -> Task:
        """Return the only task of a kind."""
        (found,) = await self.tasks(kind)
        return found

    async def retry(self) -> int:
        """Be the operator who retries everything."""
        changed: int = await self.database.command("retry", Selection(), self.clock.now())
        return changed

    async def troubles(self) -> dict[str, str]:
        """Return kind -> code of what failed or is held."""
        found = await self.database.tasks(Selection(states=(State.FAILED, State.HELD)))
        return {task.kind: task.trouble.code for task in found}

    def effects_of(self, effect: str) -> list[str]:
        """Return the keys of the effects of one sort that the platform accepted, in order."""
        return [key for name, key in self.platform.ledger if name == effect]


def _settings(folder: Path, sections: dict[str, dict[str, Any]]) -> Settings:
    return settings_for(folder, **sections).model_copy(update={"api_key": SecretStr("a key for no platform")})


def priced(**sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return sections for a platform that costs money."""
    return {**PRICED, **sections}


def results_of(life: Life) -> Sequence[str]:
    """Return the names of the files of the only folder."""
    (files,) = life.sink.folders.values()
    return sorted(files)
