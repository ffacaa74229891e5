"""``retry --again``: has a finished item's questions asked once more, on purpose.

A question that is asked again is another one by its fingerprint: it goes through the same pay-once protocol as the first,
under a key of its own. What is set and has no answer yet is not set a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches

from pipeline.app.operator.find_item import find_items
from pipeline.app.runs.plan_price import PlanPrice
from pipeline.app.wiring.database import open_alone
from pipeline.app.wiring.run_plan import RunPlan, make_run_plan
from pipeline.config.settings import Settings
from pipeline.core.clock import Clock, SystemClock
from pipeline.core.errors import ConfigError
from pipeline.core.model import About, Placed, State, Task
from pipeline.ingest.job_requests import JobRequest
from pipeline.ingest.payloads import AnalysisData, ItemData, VideoData
from pipeline.ingest.request_builder import group_requests
from pipeline.ingest.tasks.item import is_set_again, item_again
from pipeline.ingest.windows.parts import split_questions
from pipeline.money_views import Again, AgainRow
from pipeline.ports.store import Database

#: Asks whoever decides about the price.
Agree = Callable[[Again], bool]
_STOPPED = (State.FAILED, State.HELD, State.CANCELLED)


async def ask_again(settings: Settings, names: Sequence[str], jobs: Sequence[str], agree: Agree) -> Again:
    """Have the next run ask finished items again.

    Nothing is changed unless ``agree`` agrees to the price. ``jobs``: only these; empty: all that an item wants.

    Raises:
        Busy: a run is in progress.
        ConfigError: an item or a job is not known; nothing was changed.
    """
    async with open_alone(settings) as database:
        asker = AskAgain(make_run_plan(settings), database, SystemClock())
        found = await asker.look(names, jobs)
        if found.jobs and agree(found):
            await asker.set()
            return replace(found, agreed=True)
        return found


class AskAgain:
    """Looks at what is to be asked again, then sets it."""

    def __init__(self, plan: RunPlan, database: Database, clock: Clock) -> None:
        self._plan = plan
        self._database = database
        self._clock = clock
        self._placed: dict[str, Placed] = {}  # by the item's key

    async def look(self, names: Sequence[str], jobs: Sequence[str]) -> Again:
        """Return what would be asked, with its price.

        Raises:
            ConfigError: an item or a job is not known.
        """
        price = PlanPrice(self._plan.prices, self._plan.model, self._plan.ceilings.assumed_seconds)
        rows, seen = [], set[str]()
        for name, item in await find_items(self._database, names, "set to be asked again"):
            row = AgainRow(name, item.key, left="it is named twice")
            if (item.subject or item.key) not in seen:
                row = await self._row(name, item, jobs, price)
            seen.add(item.subject or item.key)
            rows.append(row)
        parts = price.parts()
        most = sum(part.usd_most for part in parts) + (price.unknown_most or 0.0)  # no list is among them
        return Again(rows, sum(part.usd for part in parts), most, parts)

    async def set(self) -> None:
        """Write what was looked at, in one transaction."""
        if self._placed:
            await self._database.submit(list(self._placed.values()), self._clock.now())

    async def _row(self, name: str, item: Task, jobs: Sequence[str], price: PlanPrice) -> AgainRow:
        row = AgainRow(name, item.key)
        known = await self._database.about(item.subject) if item.subject else About((), (), ())
        lines = [task for task in known.tasks if task.kind == "item"]
        why = _why_not(item, known)
        if why:
            return replace(row, left=why)
        requests = self._plan.planner.requests(lines)
        unknown = [each for each in jobs if each not in {request.name for request in requests}]
        if unknown:
            raise _no_such_job(name, unknown[0], requests)
        wanted = [request for request in requests if not jobs or request.name in jobs]
        there = {(result.job, result.fingerprint) for result in known.results}
        answered = [request for request in wanted if request.identity in there]
        already = [
            request for request in wanted
            if request.identity not in there and any((request.name, each) in there for each in request.before)
        ]  # fmt: skip
        if not answered and not already:
            return replace(row, left="nothing of it has an answer yet; `reelmill run` asks")
        if not _goes_on(known, already):
            return replace(
                row, left="it was set before, and its question stopped; `reelmill retry` without --again goes on"
            )
        self._place(lines, answered)
        video = next(VideoData.of(task) for task in known.tasks if task.kind == "video")
        api = self._plan.settings.provider.api
        takes = self._plan.ceilings
        parts = split_questions([*answered, *already], video.seconds or takes.assumed_seconds, takes.window_seconds)
        groups = group_requests(parts, fuse=self._plan.planner.fuse and api != "v1.2")
        return replace(
            row,
            jobs=[request.name for request in answered],
            already=[request.name for request in already],
            seconds=video.seconds,
            usd=sum(price.analysis(group, video.seconds or None) for group in groups),
        )

    def _place(self, lines: Sequence[Task], answered: Sequence[JobRequest]) -> None:
        """Give each line of the video the time at which its questions were set."""
        if not answered:
            return
        now = f"{self._clock.now():.3f}"
        takes: dict[str, Sequence[str]] = {}
        for line in lines:
            takes |= ItemData.of(line).takes
        for request in answered:
            question = request.before[-1] if request.before else request.fingerprint
            takes[question] = [*takes.get(question, ()), now]
        for line in lines:
            if line.state is State.DONE or is_set_again(line):
                self._placed[line.key] = item_again(line, takes)


def _why_not(item: Task, known: About) -> str:
    """Return why an item cannot be asked again; empty if it can."""
    if item.kind == "listing":
        return "it is a list; name one of its videos"
    if item.kind != "item":
        return "no line names it any more"
    if ItemData.of(item).skipped is not None:
        return "it was skipped, and never asked"
    own = [task for task in known.tasks if task.kind in ("item", "video")]
    if not any(task.kind == "item" for task in own):
        return "it is not finished; `reelmill run` goes on with it"
    stopped = next((task for task in own if task.state in _STOPPED), None)
    if stopped is not None:
        return f"it is {stopped.state.value}; `reelmill retry` without --again lets it go on"
    if any(not task.state.terminal and not is_set_again(task) for task in own):
        return "it is not finished; `reelmill run` goes on with it"
    return ""


def _goes_on(known: About, already: Sequence[JobRequest]) -> bool:
    """Return False if what was set to be asked again has stopped."""
    waiting = {request.identity for request in already}
    stopped = [task for task in known.tasks if task.kind == "analysis" and task.state in _STOPPED]
    return not any(request.question in waiting for task in stopped for request in AnalysisData.of(task).requests)


def _no_such_job(name: str, job: str, requests: Sequence[JobRequest]) -> ConfigError:
    names = [request.name for request in requests]
    near = get_close_matches(job, names, 1)
    meant = f"did you mean {near[0]}?" if near else f"it wants {', '.join(names) or 'nothing'}"
    return ConfigError(f"{name}: no job '{job}' is asked of it", remedy=meant)
