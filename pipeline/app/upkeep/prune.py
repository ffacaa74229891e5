"""``prune``: takes away what nothing needs, never beside a run.

Each step is whole or not at all, and the next ``prune`` does what a death has left. What a run would ask, pay or write
again without it is never among them.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anyio import to_thread

from pipeline.app.gallery.write import NOTE
from pipeline.app.upkeep.page_leftovers import find_leftovers, remove_leftovers
from pipeline.app.wiring.database import open_alone
from pipeline.app.wiring.downloads import clean_up_downloads, measure_leftovers
from pipeline.config.settings import Settings
from pipeline.core.clock import Clock, SystemClock
from pipeline.core.errors import ReelmillError
from pipeline.core.model import DiskUse, Selection, State, StoredAnswer, Task
from pipeline.ingest.payloads import AnalysisData, PublishData
from pipeline.ports.sink import Sink
from pipeline.ports.store import Database, read_pages
from pipeline.views import Pruned, PruneLine

_PAGE = 500  #: answers looked at, or deleted, at once
_WORTH = 0.1  #: share of the database that must be unused before it is written again
_MARGIN = 64 * 1024 * 1024  #: bytes of the disk that stay free meanwhile


async def prune(
    settings: Settings,
    *,
    raw: float | None,
    runs: int | None,
    ask: Callable[[Pruned], bool],
    clock: Clock | None = None,
) -> Pruned:
    """Find what can go, ask, and take it away.

    ``raw``: age of provider answers in seconds, ``runs``: how many are kept; None leaves them alone.

    Raises:
        Busy: a run is at work.
        ConfigError: nothing has been run here yet.
    """
    from pipeline.sink.disk import DiskSink

    async with open_alone(settings) as database:
        pruning = Pruning(settings, database, DiskSink(settings.run.output), clock or SystemClock())
        found = await pruning.find(raw, runs)
        return await pruning.carry_out() if ask(found) else found


@dataclass(slots=True)
class _Found:
    """What goes."""

    answers: Sequence[int] = ()
    runs: int | None = None
    page: Sequence[str] = ()


class Pruning:
    """One pass over database and folders, which nobody else uses meanwhile."""

    def __init__(self, settings: Settings, database: Database, sink: Sink, clock: Clock) -> None:
        self._settings = settings
        self._database = database
        self._sink = sink
        self._clock = clock
        self._found = _Found()
        self._plan = Pruned((), 0, 0)

    async def find(self, raw: float | None, runs: int | None) -> Pruned:
        """Return what can go."""
        lines = []
        if raw is not None:
            lines.append(await self._find_answers(self._clock.now() - raw))
        if runs is not None:
            self._found.runs = runs
            lines.append(PruneLine("runs", *await self._database.surplus_runs(runs)))
        lines.append(PruneLine("downloads", *await measure_leftovers(self._settings, self._database, self._clock)))
        lines.append(await self._find_page_files())
        use = await self._database.disk_use()
        self._plan = Pruned(lines, use.size, use.unused)
        return self._plan

    async def carry_out(self) -> Pruned:
        """Take away what was found; return the same, done."""
        found, output = self._found, self._settings.run.output
        for at in range(0, len(found.answers), _PAGE):
            await self._database.drop_answers(found.answers[at : at + _PAGE])
        if found.runs is not None:
            await self._database.drop_runs(found.runs)
        await clean_up_downloads(self._settings, self._database, self._clock)
        if found.page:
            await to_thread.run_sync(remove_leftovers, output, found.page)
        given_back, note = await self._compact()
        return replace(self._plan, done=True, given_back=given_back, note=note)

    # ------------------------------------------------------------------------------------------------------ answers

    async def _find_answers(self, before: float) -> PruneLine:
        ids: list[int] = []
        size = kept = after = 0
        while page := await self._database.answers(before, after, _PAGE):
            after = page[-1].id
            near = await self._tasks({answer.subject for answer in page})
            for answer in page:
                if await self._can_go(answer, near[answer.subject]):
                    ids.append(answer.id)
                    size += answer.size
                else:
                    kept += 1
        self._found.answers = ids
        return PruneLine("answers", len(ids), size, kept)

    async def _tasks(self, subjects: set[str]) -> dict[str, list[Task]]:
        found: defaultdict[str, list[Task]] = defaultdict(list)
        for task in await self._database.tasks(Selection(("analysis", "publish"), subjects=tuple(sorted(subjects)))):
            found[task.subject].append(task)
        return found

    async def _can_go(self, answer: StoredAnswer, near: Sequence[Task]) -> bool:
        """True if it was split and written.

        Then it is a file, or nothing comes of it.
        """
        if any(is_needed(task, answer) for task in near):
            return False
        publish = next((task for task in near if task.kind == "publish"), None)
        if publish is None or publish.state is not State.DONE:
            return False
        written, name = PublishData.of(publish), f"raw/{answer.fingerprint}.json"
        if name not in written.sizes:
            return True
        return not await self._sink.missing({written.folder: {name: written.sizes[name]}})

    # --------------------------------------------------------------------------------------------------------- page

    async def _find_page_files(self) -> PruneLine:
        folders: set[str] = set()
        async for tasks in read_pages(self._database, Selection(("publish",), limit=_PAGE)):
            folders |= {PublishData.of(task).folder for task in tasks}
        note = await self._database.load(NOTE)
        left = await to_thread.run_sync(find_leftovers, self._settings.run.output, note, folders)
        self._found.page = list(left)
        return PruneLine("page files", len(left), sum(left.values()))

    # ----------------------------------------------------------------------------------------------------- database

    async def _compact(self) -> tuple[int, str]:
        """Write the database again without its unused space; return (bytes given back, why not)."""
        before = await self._database.disk_use()
        if not before.unused or before.unused < before.size * _WORTH:
            return 0, ""
        short = await to_thread.run_sync(_shortage, self._settings.run.state, before)
        if short:
            return (
                0,
                f"the disk of the state folder has {short / 1e6:,.0f} MB too little for the database to be written again",
            )
        try:
            await self._database.compact()
            return max(0, before.size - (await self._database.disk_use()).size), ""
        except ReelmillError as error:
            return 0, error.trouble.message.rstrip(".")


def is_needed(task: Task, answer: StoredAnswer) -> bool:
    """True if a task will read this answer, now or after a ``retry``."""
    return (
        task.kind == "analysis" and task.state is not State.DONE and AnalysisData.of(task).answer == answer.fingerprint
    )


def _shortage(folder: Path, use: DiskUse) -> int:
    """Return how many bytes the disk lacks for a second database.

    The new file is written beside the old one, and passes through its log.
    """
    return max(0, 2 * (use.size - use.unused) + _MARGIN - shutil.disk_usage(folder).free)
