"""How the runs went: history, ledger, what needs a person, what waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.app.gallery.safe_words import SafeWords
from pipeline.app.operator.attention import DoesCount, name_of, reason, stopped
from pipeline.app.operator.last_run import last_run
from pipeline.app.operator.waiting import find_waits
from pipeline.config.settings import Settings
from pipeline.core.clock import iso
from pipeline.core.errors import NO_RETRY
from pipeline.core.exit_codes import fates, how_ended, number_of, told_fates, why_ended
from pipeline.core.model import Json, RunNote, Selection, State, Task
from pipeline.core.text import TextSet
from pipeline.gallery.values import CauseRow, DayRow, LimitRow, RunRow, RunsReport, TimeSlice
from pipeline.ingest.payloads import AnalysisData
from pipeline.ports.quota import QuotaGauge
from pipeline.ports.store import Database, read_pages
from pipeline.provider.http.rate_limits import NAME, read_usage

_RUNS, _DAYS, _SLICES = 400, 400, 120
_NAMED = 5
_PAGE = 500
_DAY = 86_400.0
_DONE = ("new", "asked_again", "rewritten")
_FAILED = ("failed", "held", "still_failed")
_UNCHANGED = ("unchanged", "skipped")


class ReportMaker:
    """Makes the report of the runs from a database."""

    def __init__(self, database: Database, words: SafeWords, settings: Settings, counts: DoesCount, now: float) -> None:
        self._database = database
        self._words = words
        self._settings = settings
        self._counts = counts
        self._now = now

    async def make(self, *, running: bool) -> RunsReport:
        """Return the report; ``running``: a run is at work."""
        notes = (await self._database.runs(_RUNS))[::-1]
        timeline, seconds = await self._timeline(notes[-1]) if notes else ([], 0.0)
        kept = await self._database.load(NAME)
        gauges = read_usage(self._settings.limits, kept, self._now) if kept is not None else []
        return RunsReport(
            sentence=self._sentence(notes, running=running),
            runs=[self._run(note) for note in notes],
            days=await self._days(),
            usd_per_day=self._settings.budget.max_usd_per_day,
            minutes_per_day=self._minutes_per_day(gauges),
            # A minute is over before anybody looks at the page.
            limits=[_limit(gauge) for gauge in gauges if not gauge.window.endswith("_per_minute")],
            needs=await self._needs(notes),
            waits=await self._waits(notes, running=running),
            timeline=timeline,
            slice_seconds=seconds,
        )

    def _sentence(self, notes: Sequence[RunNote], *, running: bool) -> str:
        if not notes:
            return "Nothing has been run yet."
        if running:
            return "A run is at work."
        newest = notes[-1]
        if newest.ended is None:
            return "The last run did not end by itself; `reelmill run` goes on."
        usd, minutes = number_of(newest.summary, "usd"), number_of(newest.summary, "minutes")
        paid = f" · ${usd:,.2f} for {minutes:,.1f} min" if usd else f" · {minutes:,.1f} min of video" if minutes else ""
        words = f"{told_fates(newest.summary) or 'nothing to do'}{paid}"
        why = self._words.line(why_ended(newest.summary, newest.exit_code), 500)
        when = f"Ended {iso(newest.ended)[:16].replace('T', ' ')} UTC"  # a person may read this days later
        return f"{when}: {words}. {why[0].upper()}{why[1:].rstrip('.')}." if why else f"{when}: {words}."

    def _run(self, note: RunNote) -> RunRow:
        summary = note.summary
        came = fates(summary)
        return RunRow(
            started_at=note.started,
            ended_at=note.ended,
            meaning=how_ended(note.exit_code, summary) if note.exit_code is not None else "not ended, or killed",
            done=_sum(came, _DONE),
            failed=_sum(came, _FAILED),
            waiting=_sum(came, ("waiting",)),
            unchanged=_sum(came, _UNCHANGED),
            usd=number_of(summary, "usd"),
            minutes=number_of(summary, "minutes"),
            doubtful=int(number_of(summary, "doubtful")),
        )

    async def _days(self) -> list[DayRow]:
        found = await self._database.costs("day", (self._now - _DAYS * _DAY) // _DAY * _DAY)
        return [DayRow(day.name, round(day.total_usd, 6), round(day.minutes, 3)) for day in found][-_DAYS:]

    def _minutes_per_day(self, gauges: Sequence[QuotaGauge]) -> float | None:
        known = (each.limit for each in gauges if (each.group, each.window) == ("analyze", "minutes_per_day"))
        return next(known, self._settings.limits.analyze.minutes_per_day)

    # -------------------------------------------------------------------------------------------- what needs a person

    async def _needs(self, notes: Sequence[RunNote]) -> list[CauseRow]:
        causes: dict[str, _Cause] = {}
        async for task, near in stopped(self._database):
            if self._counts(task, near):
                code = reason(task).code
                causes.setdefault(code, _Cause(task)).add(task, self._words.line(name_of(task, near), 200))
        rows = [self._cause(code, cause) for code, cause in causes.items()]
        ended = next((note for note in reversed(notes) if note.ended is not None), None)
        left = last_run(ended) if ended is not None else None
        first: list[CauseRow] = []
        if left is not None and left.stopped is not None:
            why = left.stopped
            first = [CauseRow(why.code, self._words.line(why.message, 500), 1, self._words.line(why.remedy, 500))]
        if left is not None and left.bad_count:
            told = [f"{bad.place}: {bad.trouble.message} → {bad.trouble.remedy}" for bad in left.bad_lines[:_NAMED]]
            names = [self._words.line(each.removesuffix(" → ")) for each in told]
            message, remedy = "Lines of the lists cannot be used.", "correct them, and give the same command again"
            first.append(CauseRow("bad_lines", message, left.bad_count, remedy, names=names))
        return [*first, *sorted(rows, key=lambda row: -row.count)]

    def _cause(self, code: str, cause: _Cause) -> CauseRow:
        trouble = reason(cause.example)
        command = "" if code in NO_RETRY else f"reelmill retry --class {code}"
        message, remedy = self._words.line(trouble.message, 500), self._words.line(trouble.remedy, 500)
        return CauseRow(code, message, len(cause.members), remedy, command, cause.names)

    async def _waits(self, notes: Sequence[RunNote], *, running: bool) -> list[CauseRow]:
        ended = next((note for note in reversed(notes) if note.ended is not None), None)
        halted = ended is not None and last_run(ended).stopped is not None
        found = await find_waits(self._database, self._now, running=running, stopped=halted)
        return [
            CauseRow(
                each.code,
                self._words.line(each.why[:1].upper() + each.why[1:], 500),
                each.items,
                command="reelmill retry --parked" if each.parked else "",
                names=[self._words.line(each.example, 200)],
                until_at=each.due,
            )
            for each in found
        ]

    # ------------------------------------------------------------------------------------------------- the last run

    async def _timeline(self, note: RunNote) -> tuple[list[TimeSlice], float]:
        """Return what happened when in a run, and a slice's length, seconds."""
        end = note.ended if note.ended is not None else self._now
        length = max(1.0, end - note.started)
        size = length / min(_SLICES, max(1, int(length)))
        slices = [[0, 0, 0] for _ in range(round(length / size))]

        def enter(at: float, what: int) -> None:
            if note.started <= at <= end:
                slices[min(len(slices) - 1, int((at - note.started) / size))][what] += 1

        which = Selection(("item", "video", "analysis", "indexing", "publish"), since=note.started, limit=_PAGE)
        async for page in read_pages(self._database, which):
            for task in page:
                if task.kind == "analysis":
                    enter(AnalysisData.of(task).since, 0)
                if task.kind == "publish" and task.state is State.DONE:
                    enter(task.updated, 1)
                if task.state is State.FAILED:
                    enter(task.updated, 2)
        found = [TimeSlice(round(note.started + place * size, 3), *each) for place, each in enumerate(slices)]
        return found, round(size, 3)


def _limit(gauge: QuotaGauge) -> LimitRow:
    what = gauge.window.replace("_", " ") + (", never named" if gauge.unnamed else "")
    return LimitRow(
        f"{gauge.group.capitalize()}: {gauge.limit:,.10g} {what}",
        round(100 * gauge.used / gauge.limit, 1),
        round(gauge.used, 3),
        gauge.room_at or None,
        None if gauge.unnamed else gauge.learned_at or None,
    )


class _Cause:
    """What has one cause in common."""

    def __init__(self, example: Task) -> None:
        self.example = example
        self.members = TextSet()
        self.names: list[str] = []

    def add(self, task: Task, name: str) -> None:
        self.members.add(task.subject or task.key)
        if len(self.names) < _NAMED and name not in self.names:
            self.names.append(name)


def _sum(came: Mapping[str, Json], names: Sequence[str]) -> int:
    return sum(came.get(name, 0) for name in names)
