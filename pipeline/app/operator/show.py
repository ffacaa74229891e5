"""``show`` and ``why``: one item, and why it stands where it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.app.operator.attention import noted, reason
from pipeline.app.operator.display_names import display_source, redacted
from pipeline.app.operator.find_item import find_item
from pipeline.app.operator.hosts import explain_absence, list_hosts
from pipeline.app.operator.last_run import read_last_run
from pipeline.app.wiring.database import open_read_only, who_works
from pipeline.config.settings import Settings
from pipeline.config.time_windows import TimeWindow
from pipeline.core.clock import SystemClock, iso
from pipeline.core.errors import NO_RETRY
from pipeline.core.model import Parked, Selection, State, Task, Trouble
from pipeline.core.youtube_address import file_name
from pipeline.ingest.payloads import AnalysisData, ItemData, PlaylistData, PublishData
from pipeline.ingest.waiting import is_looking, waiting_words
from pipeline.views import ItemView


async def show(settings: Settings, item: str) -> ItemView:
    """Return everything known about one item, found by any of its names.

    Raises:
        ConfigError: nothing matches, or several items do.
    """
    async with open_read_only(settings) as database:
        found = await find_item(database, item)
        related = await database.tasks(Selection(subjects=(found.subject,))) if found.subject else []
        tasks = [found, *(task for task in related if task.kind != "item" and task.id != found.id)]
        results = await database.results([found.subject]) if found.subject else []
        publish = next((task for task in tasks if task.kind == "publish"), None)
        written = PublishData.of(publish) if publish is not None else PublishData()
        parked = {park.lane: park for park in await database.parked(SystemClock().now())}
        counts, lines = await noted(database), [task for task in related if task.kind == "item"] or [found]
        over = [task for task in tasks if task.state in (State.HELD, State.FAILED) and not counts(task, lines)]
        state, explanation, step = _explain_over(tasks, over, parked) if over else _explain(tasks, parked)
        stopped = None if await who_works(settings) else (await read_last_run(database)).stopped
        if state == "working" and stopped is not None:
            explanation = f"{explanation} The last run stopped: {stopped.message.rstrip('.')}."
            step = _before_the_next_run(stopped)
        open_task = next((task for task in tasks if not task.state.terminal), found)
        hosts = await list_hosts(settings) if state == "working" else []
        if (away := explain_absence(open_task, hosts)) is not None:
            explanation, step = away.message, f"{away.remedy[0].upper()}{away.remedy[1:]}."
        return ItemView(
            item=redacted(found),
            title=_title(ItemData.of(found), written),
            source=display_source(ItemData.of(found).source),
            state=state,
            tasks=[redacted(task) for task in tasks],
            results=[result for result in results if not result.job.startswith("_")],
            spends=await database.spends([found.subject]) if found.subject else [],
            folder=settings.run.output / written.folder if written.folder else None,
            explanation=explanation,
            next_step=step,
            parts={task.id: _part(task) for task in tasks if task.kind == "analysis" and _part(task)},
        )


def _part(task: Task) -> str:
    """Return the part of the video that an analysis asks about; empty for all."""
    data = AnalysisData.of(task)
    return str(TimeWindow(data.start, data.end or None)) if data.windowed else ""


def _title(item: ItemData, written: PublishData) -> str:
    return item.line.title or written.title or item.title or file_name(item.locator)


def _explain_over(tasks: Sequence[Task], over: Sequence[Task], parked: Mapping[str, Parked]) -> tuple[str, str, str]:
    """Explain an item of which some failed or held tasks do not count.

    They are in no list, or no longer asked for.
    """
    rest = [task for task in tasks if task not in over]
    if any(task.kind == "publish" and task.state is State.DONE for task in rest):
        state, words, step = _explain(rest, parked)
        return (state, "What is asked for now is there.", step) if state == "done" else (state, words, step)
    state, words, step = _explain(tasks, parked)
    return state, f"{words.rstrip('.')}. It is in no list of the last run, and does not count.", step


def _explain(tasks: Sequence[Task], parked: Mapping[str, Parked]) -> tuple[str, str, str]:
    """Return (state, one plain sentence, next step) for an item."""
    for state in (State.HELD, State.FAILED):
        for task in tasks:
            if task.state is state:
                trouble = reason(task)
                part = _part(task) if task.kind == "analysis" and trouble.code != "window_outside" else ""
                about = f" It was asked about the part {part}." if part else ""
                return state.value, f"{trouble.message}{about}", _next_step(trouble)
    waiting = [task for task in tasks if not task.state.terminal]
    if waiting:
        task = waiting[0]
        words = f"It {waiting_words(task)}."
        park = parked.get(task.lane.value)
        if park is not None:
            remedy = f" {park.trouble.remedy[0].upper()}{park.trouble.remedy[1:]}" if park.trouble.remedy else ""
            why = f"{words} That is paused: {park.trouble.message.rstrip('.')}."
            return "working", why, f"`reelmill run` after {iso(park.until)} goes on.{remedy}"
        if task.trouble is not None:
            words += f" Last time: {task.trouble.message}"
        due = f" It is due at {iso(task.wake_at)}." if task.wake_at else ""
        asleep = (task.wake_at or 0.0) > SystemClock().now() and not is_looking(task)
        wake = " `reelmill retry ITEM` wakes it at once." if asleep else ""
        return "working", words, "The next `reelmill run` goes on by itself." + due + wake
    if any(task.state is State.CANCELLED for task in tasks):
        return "cancelled", "It was cancelled.", "`reelmill retry ITEM` starts it again."
    skipped = ItemData.of(tasks[0]).skipped
    if skipped is not None:
        words = skipped.remedy
        return "skipped", f"It was skipped. {skipped.message}", f"{words[0].upper()}{words[1:]}."
    return "done", _listed(tasks[0]) if tasks[0].kind == "listing" else "Everything that was asked for is there.", ""


def _before_the_next_run(stopped: Trouble) -> str:
    """Return what a person must do before an item goes on."""
    if not stopped.remedy:
        return "Put that right; then `reelmill run` goes on."
    return f"{stopped.remedy[0].upper()}{stopped.remedy[1:].rstrip('.')}. Then `reelmill run` goes on."


def _next_step(trouble: Trouble) -> str:
    """Return what to do about a failure; a retry where it helps."""
    if trouble.remedy.startswith("`reelmill why ITEM`"):  # which is this very answer
        return "The platform's own words below say what to do instead."
    if trouble.code not in NO_RETRY:
        return trouble.remedy or "`reelmill retry ITEM` starts it again."
    by_itself = (
        "A retry cannot help; a changed file or question is tried by itself, and `reelmill cancel ITEM` puts it away."
    )
    return f"{trouble.remedy.rstrip('.')}. {by_itself}" if trouble.remedy else by_itself


def _listed(task: Task) -> str:
    """Return what a list's last reading found, and what has gone."""
    data = PlaylistData.of(task)
    words = f"It was read: {len(data.seen)} videos, {data.wanted} of them wanted."
    return words + (f" Gone since: {', '.join(data.gone[:10])}; their results are kept." if data.gone else "")
