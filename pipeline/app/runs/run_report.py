"""The report of a run, and the snapshot while it works."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from pipeline.app.operator.attention import NAMED, Attention, find_attention, find_lanes, note_unlisted, noted_attention
from pipeline.app.operator.last_run import stopped_json
from pipeline.app.runs.activity import FAILING, RunActivity, RunOutcome
from pipeline.app.runs.standing_queries import gravest
from pipeline.app.runs.time_left import TimeLeft
from pipeline.app.wiring.components import Components
from pipeline.core import log
from pipeline.core.clock import Clock, iso, show_duration
from pipeline.core.exit_codes import ExitCode
from pipeline.core.model import Json, Parked, RunNote, Selection, State, Task, Trouble
from pipeline.engine.admission import RunEnd
from pipeline.ingest.enqueue import EnqueueReport, leaves_open
from pipeline.ingest.payloads import ItemData
from pipeline.ports.store import Database
from pipeline.views import QueryReport, RunReport, Snapshot

_log = log.get("run")
_SHOWN = 20  #: troubles named in the report
#: A message's last sentence, if it says until when.
_UNTIL = re.compile(r"(?<=\.) [^.]* until \d{4}-\d\d-\d\dT[\d:]+Z[^.]*\.?$")
_BY_ITSELF = "; it goes on by itself"
_LOOKED_AT = 500  #: waiting tasks, for the reason of one


class RunReporter:
    """Counts one run: from memory while it works, from the database at its end."""

    def __init__(
        self,
        run: RunNote,
        provider: str,
        components: Components,
        enqueued: EnqueueReport,
        activity: RunActivity,
        database: Database,
        clock: Clock,
        *,
        noted: bool = True,
        shared: bool = False,
    ) -> None:
        self._noted = noted  # in the history of runs
        self._shared = shared  # other hosts have lists of their own
        self._run = run
        self._provider = provider
        self._components = components
        self._enqueued = enqueued
        self._activity = activity
        self._time_left = TimeLeft()
        self._summary: dict[str, Json] = {}
        self._database = database
        self._clock = clock

    async def start(self) -> None:
        """Write the run's first line."""
        if self._noted:
            await self._database.note_run(self._run)
        _log.info("run.started", run=self._run.id, provider=self._provider)
        for note in self._components.plan.price_notes:
            _log.warning("run.price_note", why=note)

    def snapshot(self, *, reading: bool) -> Snapshot:
        """Return how the run stands now; ``reading``: its manifest is still being read."""
        pool, spending, now = self._components.pool, self._components.spending, self._clock.now()
        total = self._enqueued.lines - self._enqueued.duplicates
        settled = sum(self._enqueued.actions.get(action, 0) for action in ("nothing", "cancelled"))
        done = min(total, len(self._activity.completed) + settled)
        failed = self._failed()
        elapsed = max(0.001, now - self._run.started)
        left, parked = max(0, total - done - failed), pool.waits
        finished = len(self._activity.completed) + failed - self._enqueued.stopped
        eta = self._time_left.estimate(elapsed, finished, left)
        return Snapshot(
            elapsed=elapsed,
            items_total=total,
            items_done=done,
            items_failed=failed,
            reading=reading,
            lanes=pool.metrics.lanes(self._clock.monotonic()),
            spent_usd=spending.run,
            minutes=self._activity.finished_seconds / 60,
            eta=None if reading or parked else eta,
            working=self._activity.work.views(),
            parked=parked,
            stopping=pool.stopping,
        )

    async def finish(self, ending: RunEnd, queries: Sequence[QueryReport]) -> RunReport:
        """Return the report and write it into the run history."""
        report = await self._report(ending, queries)
        summary = {
            "items": dict(report.items),
            "this_run": {name: items.count for name, items in report.this_run.items()},
            "lines": report.lines,
            "bad_lines": report.bad_count,
            "analyses": report.analyses,
            "published": report.published,
            "usd": round(report.usd, 6),
            "estimate_usd": round(report.estimate_usd, 6),
            "minutes": round(report.minutes, 3),
            "doubtful": report.doubtful,
            "doubtful_total": report.doubtful_total,
            "note": report.note,
            **({"time_up": True} if report.time_up else {}),
            **stopped_json(ending, report.bad_lines),
            **({"queries": {query.name: query.state for query in report.queries}} if report.queries else {}),
        }
        if self._noted:
            note = RunNote(report.run_id, report.started, report.ended, report.exit_code, summary)
            await self._database.note_run(note)
        self._summary = summary
        return report

    def log_end(self, report: RunReport) -> None:
        """Write the last line of the log."""
        _log.info("run.ended", run=report.run_id, exit_code=report.exit_code, **self._summary)

    async def _report(self, ending: RunEnd, queries: Sequence[QueryReport]) -> RunReport:
        usd, minutes, doubtful = await self._database.spent(since=self._run.started)
        _, _, doubtful_total = await self._database.spent()
        kinds = await self._database.costs("kind", since=self._run.started)
        outcome = await RunOutcome.read(self._database, self._run.started)
        stopped = await self._attention(ending)
        enqueued, items = self._enqueued, await self._database.tally()
        incomplete = bool(stopped.total or enqueued.bad_count)
        why = await self._why_later(ending)
        time_up = self._time_up(ending, queries, items.get("working", 0))
        away = _away(await self._components.pool.neighbours.missing())
        code, note = exit_verdict(
            ending, queries, incomplete, (await self._database.counts()).in_lane, why, time_up, away
        )
        in_time = not time_up or note != time_up
        waits = [parked.until for parked in ending.parked.values()] if in_time else []
        resume = min([*waits, *([ending.later] if ending.later is not None else [])], default=None)
        return RunReport(
            run_id=self._run.id,
            started=self._run.started,
            ended=self._clock.now(),
            exit_code=int(code),
            items=items,
            videos=await self._database.tally(by_video=True),
            this_run=await self._activity.groups(outcome, enqueued, items.get("working", 0)),
            lines=enqueued.lines,
            bad_lines=enqueued.bad,
            bad_count=enqueued.bad_count,
            analyses=self._components.analysis.accepted,
            published=outcome.published,
            usd=usd,
            minutes=minutes,
            doubtful=doubtful,
            queries=queries,
            output=self._components.plan.settings.run.output.absolute(),
            provider=self._provider,
            troubles=[(name, why) for _, name, why in stopped.shown],
            troubled=stopped.total,
            resume_at=resume,
            note=note,
            duplicates=enqueued.duplicates,
            doubtful_total=doubtful_total,
            left_out=enqueued.left_out,
            edited=list(self._components.sink.edited),
            indexed=self._components.entries.accepted,
            price_notes=self._components.plan.price_notes,
            estimate_usd=sum(kind.estimate for kind in kinds),
            time_up=not in_time,
        )

    def _time_up(self, ending: RunEnd, queries: Sequence[QueryReport], waiting: int) -> str:
        """Return what the end of its time has left undone; empty if nothing."""
        limit = self._components.plan.settings.run.max_time
        unasked = sum(query.state == "skipped" for query in queries)
        left = [
            *([f"{waiting:,} {'item waits' if waiting == 1 else 'items wait'}"] if waiting else []),
            *(["the rest of the list was not read"] if ending.unread else []),
            *([f"{unasked:,} standing {'query was' if unasked == 1 else 'queries were'} not asked"] if unasked else []),
        ]
        if not ending.time_up or limit is None or not left:
            return ""
        return f"The time of this run is up ({show_duration(limit)}); {', '.join(left)}; the same command goes on."

    async def _why_later(self, ending: RunEnd) -> Trouble | None:
        """Return why the rest is not waited for, by what falls due first."""
        if ending.later is None:
            return None
        waiting = await self._database.tasks(Selection(states=(State.PENDING,), limit=_LOOKED_AT))
        told = [task for task in waiting if task.trouble is not None and task.wake_at]
        return min(told, key=lambda task: task.wake_at or 0.0).trouble if told else None

    def _failed(self) -> int:
        words = self._components.pool.metrics.words
        now = sum(words.get(f"{kind}.{word}", 0) for kind in FAILING for word in ("failed", "held"))
        return now + self._enqueued.stopped

    async def _attention(self, ending: RunEnd) -> Attention:
        """Return what stopped of all that this run's lists name.

        The rest counts no more: it is noted, and its pauses end no run.
        """
        if self._shared or not self._enqueued.lists_all:
            return await noted_attention(self._database, _SHOWN)
        unread, planner = await self._lists_unread(), self._components.plan.planner
        is_named = self._naming(unread=unread)
        lanes = await find_lanes(self._database, set(ending.parked), is_named) if ending.parked else set()
        ending.parked = {lane: parked for lane, parked in ending.parked.items() if lane in lanes}

        def counts(task: Task, near: Sequence[Task]) -> bool:
            items = [each for each in near if is_named(each)]
            publish = next((each for each in near if each.kind == "publish"), None)
            return bool(items) and leaves_open(task, items, publish, planner)

        away: list[int] = []
        found = await find_attention(
            self._database, counts, _SHOWN, away.append, lambda key: not unread and not self._enqueued.names(key)
        )
        await note_unlisted(self._database, away)
        return found

    async def _lists_unread(self) -> bool:
        """Return True where a playlist of this run's lists is unread."""
        open_lists = Selection(("listing",), states=(State.PENDING, State.RUNNING, State.FAILED, State.HELD))
        return any(self._enqueued.names(task.key) for task in await self._database.tasks(open_lists))

    def _naming(self, *, unread: bool) -> Callable[[Task], bool]:
        """Return a test whether this run's lists name an item.

        Where a playlist of theirs is ``unread``, any YouTube video may be in it.
        """

        def is_named(task: Task) -> bool:
            listed = unread and task.kind == "item" and ItemData.of(task).type == "youtube"
            return task.kind in NAMED and (self._enqueued.names(task.key) or listed)

        return is_named


def exit_verdict(
    ending: RunEnd,
    queries: Sequence[QueryReport],
    incomplete: bool,
    waiting: Mapping[str, int],
    why: Trouble | None = None,
    time_up: str = "",
    away: str = "",
) -> tuple[ExitCode, str]:
    """Return the exit code, and why the run stopped early.

    ``waiting``: lane → open tasks; ``why`` the rest waits; ``time_up``: what the end of its time has left; ``away``: what
    hosts have left that are not at work.
    """
    if ending.halted is not None:
        causes = {"operator": ExitCode.NEEDS_OPERATOR, "config": ExitCode.USAGE}
        return causes.get(ending.cause, ExitCode.UNEXPECTED), _sentence(ending.halted)
    if ending.interrupted:
        return ExitCode.INTERRUPTED, "Interrupted; the same command goes on from here."
    if ending.output is not None:
        return ExitCode.INCOMPLETE, f"Results wait to be written: {_sentence(ending.output)}."
    if ending.budget is not None:
        return ExitCode.BUDGET, _sentence(ending.budget)
    if time_up:
        return ExitCode.QUOTA, time_up
    if ending.parked:
        first = min(ending.parked.values(), key=lambda parked: parked.until)
        return ExitCode.QUOTA, _paused(first, waiting.get(first.lane, 0))
    query = gravest(queries)
    if query is not None and query[0] is not ExitCode.INCOMPLETE:
        return query
    if query or incomplete:
        return ExitCode.INCOMPLETE, ""
    if away or ending.later is not None:
        return ExitCode.QUOTA, away or _later(ending.later or 0.0, why)
    return ExitCode.DONE, ""


def _later(due: float, why: Trouble | None) -> str:
    """Return why the rest is not waited for."""
    reason = why.message.rstrip(".") if why is not None else "The rest cannot be had yet"
    return f"{reason}. Run again after {iso(due)}."


def _away(missing: Mapping[str, int]) -> str:
    """Return what waits for hosts that are not at work."""
    if not missing:
        return ""
    number = sum(missing.values())
    waits = "1 item waits for its file" if number == 1 else f"{number:,} items wait for their files"
    who = f"the host{'s' if len(missing) > 1 else ''} {', '.join(sorted(missing))}"
    return f"{waits}, which only {who} can read; start it, or give it up by `reelmill hosts forget`."


def _paused(parked: Parked, waiting: int) -> str:
    """Return why a lane is parked, how much waits, and what to do."""
    trouble = parked.trouble
    wait = f"{waiting:,} {'item waits' if waiting == 1 else 'items wait'}"
    step = trouble.remedy.removesuffix(_BY_ITSELF).rstrip(".")  # which is true of a run that is at work only
    remedy = f" {step[0].upper()}{step[1:]}." if step not in ("", "nothing") else ""
    why = _UNTIL.sub("", trouble.message).rstrip(".")  # the time is said once
    return f"{why}; {wait}. Run again after {iso(parked.until)}.{remedy}"


def _sentence(trouble: Trouble) -> str:
    """Return message and remedy as one sentence; foreign messages have no full stop."""
    return f"{trouble.message.rstrip('.')}; {trouble.remedy}" if trouble.remedy else trouble.message
