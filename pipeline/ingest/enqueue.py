"""Turns manifest lines into tasks: new, restarted, or restored ones.

It reads in batches, so that a million lines cost no more memory than one batch, and the engine begins with the first.
A batch costs three queries. Nothing here calls the provider.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

import anyio

from pipeline.core import log
from pipeline.core.errors import ConfigError, ReelmillError
from pipeline.core.model import NewTask, Selection, State, Task
from pipeline.core.text import TextSet
from pipeline.core.youtube_address import without_query
from pipeline.ingest.file_identity import LOST_FILE, captions_differ, file_differs, is_back
from pipeline.ingest.job_requests import JobPlanner
from pipeline.ingest.payloads import AnalysisData, ItemData, PublishData, VideoData
from pipeline.ingest.tasks.item import item_task, unsaved_task
from pipeline.ingest.tasks.playlist import playlist_task
from pipeline.ingest.tasks.publish import publish_task
from pipeline.ingest.windows.lines import LineWindows
from pipeline.ports.playlists import explain_exclusion
from pipeline.ports.sink import Sink
from pipeline.ports.source import CaptionLook, Item
from pipeline.ports.store import Records
from pipeline.views import BadLine, LeftOut, MissingFile

_log = log.get("ingest")
_BATCH = 256
_NAMED = 5  #: items named for each decision
_KEPT = 20  #: bad lines kept for the report; all are counted and logged


@dataclass(slots=True)
class EnqueueReport:
    """What was read."""

    lines: int = 0
    duplicates: int = 0
    lists: int = 0  #: playlists and channels; their videos count as lines when they are known
    bad: list[BadLine] = field(default_factory=list)
    bad_count: int = 0
    left_out: list[LeftOut] = field(default_factory=list)
    actions: dict[str, int] = field(default_factory=dict)  #: what was decided -> items
    named: dict[str, list[str]] = field(default_factory=dict)  #: what was decided -> the sources of the first few
    complete: bool = False  #: all was read
    blind: bool = False  #: some of what was read could not be understood: nobody knows what it would have named
    seen: TextSet = field(default_factory=TextSet)  #: the keys

    @property
    def lists_all(self) -> bool:
        """True if what is not named now is in no list any more."""
        return self.complete and not self.blind and bool(self.lines or self.lists)

    def names(self, key: str) -> bool:
        """Return True if a line, or a line's list, has named this item."""
        return key in self.seen

    @property
    def stopped(self) -> int:
        """How many items had failed or were held before, and stay so."""
        return self.actions.get("failed", 0) + self.actions.get("held", 0)

    def note(self, action: str, source: str) -> None:
        """Count what was decided about an item; keep the first few names."""
        self.actions[action] = self.actions.get(action, 0) + 1
        names = self.named.setdefault(action, [])
        if len(names) < _NAMED:
            names.append(source)

    def reject_named(self, bad: BadLine) -> None:
        """As :meth:`reject`, of a line whose video is known."""
        blind = self.blind
        self.reject(bad)
        self.blind = blind

    def reject(self, bad: BadLine) -> None:
        """Count a bad line and log it; keep the first few for the report."""
        if isinstance(bad, LeftOut):
            _log.info("line.left_out", place=bad.place, source=bad.source, **bad.counts)
            self.left_out += [bad] if len(self.left_out) < _KEPT else []
            return
        self.bad_count += 1
        self.blind = self.blind or not (isinstance(bad, MissingFile) and bad.video)
        _log.warning(
            "line.unusable", place=bad.place, source=bad.source, code=bad.trouble.code, why=bad.trouble.message
        )
        if len(self.bad) < _KEPT:
            self.bad.append(BadLine(bad.place, bad.source, bad.trouble))


@dataclass(frozen=True, slots=True)
class KnownVideo:
    """What the database holds about one item's video."""

    item: Task | None = None
    items: Sequence[Task] = ()  #: all items of the same video, this one included
    video: Task | None = None
    publish: Task | None = None
    analyses: Sequence[Task] = ()
    indexings: Sequence[Task] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What a run does about one item."""

    action: str  #: new, unfinished, changed, analyze, restore, failed, held, nothing
    submit: tuple[NewTask, ...] = ()
    retry: tuple[Task, ...] = ()


async def load_known(records: Records, items: Sequence[Item]) -> dict[str, KnownVideo]:
    """Return what is known, by item key, in two queries."""
    own = {task.key: task for task in await records.tasks(Selection(kinds=("item",), keys=tuple(i.key for i in items)))}
    subjects = tuple({task.subject for task in own.values() if task.subject})
    related: dict[str, list[Task]] = {subject: [] for subject in subjects}
    for task in await records.tasks(Selection(subjects=subjects)) if subjects else []:
        related[task.subject].append(task)
    return {item.key: _known(own.get(item.key), related) for item in items}


async def load_content(records: Records, video: str) -> KnownVideo:
    """Return what is known of a content, under whatever name it was read."""
    around = {video: await records.tasks(Selection(subjects=(video,)))}
    return _known(next((task for task in around[video] if task.kind == "item"), None), around)


def _known(item: Task | None, related: Mapping[str, Sequence[Task]]) -> KnownVideo:
    if item is None:
        return KnownVideo()
    around = related.get(item.subject, ())
    by_kind = {task.kind: task for task in around}
    return KnownVideo(
        item,
        [task for task in around if task.kind == "item"] or [item],
        by_kind.get("video"),
        by_kind.get("publish"),
        [task for task in around if task.kind == "analysis"],
        [task for task in around if task.kind == "indexing"],
    )


async def recall_missing(records: Records, entries: Sequence[Item | BadLine]) -> Sequence[Item | BadLine]:
    """Return the entries, with items whose gone file is not needed any more."""
    gone = {entry.item.key: entry.item for entry in entries if isinstance(entry, MissingFile)}
    known = await records.tasks(Selection(kinds=("item",), keys=tuple(gone))) if gone else []
    settled = {task.key for task in known if task.state in (State.DONE, State.CANCELLED)}
    return [entry.item if isinstance(entry, MissingFile) and entry.item.key in settled else entry for entry in entries]


def decide(
    item: Item,
    known: KnownVideo,
    planner: JobPlanner,
    *,
    attempts: int,
    changed: bool,
    missing: bool,
    captions: bool = False,
) -> Decision:
    """Return what to do about an item. Pure.

    ``changed``: the file differs; ``captions``: those beside it do; ``missing``: a result file is gone.
    """
    if known.item is None:
        return Decision("new", (item_task(item),))
    if known.item.state is not State.DONE:
        return _unfinished(item, known, attempts, changed)
    data = ItemData.of(known.item)
    if data.skipped is not None:
        still = explain_exclusion(item.bounds, data.skipped.day, data.skipped.seconds) is not None
        return Decision("nothing") if still else Decision("changed", (item_task(item, restart=True),))
    parts = [task for task in (known.video, *known.analyses, known.publish) if task is not None]
    exhausted = tuple(task for task in parts if _exhausted(task, attempts))
    if changed or captions or data.line != ItemData.from_item(item).line:
        unknown = captions and data.captions is None  # an earlier release has read others, and took no note of them
        return Decision("changed", (item_task(item, restart=True, unknown_captions=unknown),), exhausted)
    if known.video is not None and known.video.state is State.DONE and _wants_more(known, planner):
        again = NewTask("video", known.video.key, "place", {}, subject=known.video.key, restart_at="fan_out")
        return Decision("analyze", (again,), exhausted)
    if exhausted:
        return Decision("unfinished", (), exhausted)
    restored = _restored(known, missing)
    for state, action in ((State.HELD, "held"), (State.FAILED, "failed")):
        if stopped_tasks(known, planner, state):
            return Decision(action, restored.submit)  # what is there already comes back all the same
    if any(not task.state.terminal for task in parts):
        return Decision("unfinished")
    return restored


def stopped_tasks(known: KnownVideo, planner: JobPlanner, state: State) -> list[Task]:
    """Return the tasks in this state that keep the item from something."""
    own = [known.item] if known.item is not None and known.item.state is state else []
    parts = [task for task in (known.video, *known.analyses) if task is not None and task.state is state]
    return own + [task for task in parts if leaves_open(task, known.items, known.publish, planner)]


def _restored(known: KnownVideo, missing: bool) -> Decision:
    publish = known.publish
    if publish is not None and (missing or publish.state is State.FAILED):
        return Decision("restore", (publish_task(publish.key),))
    return Decision("nothing")


def _unfinished(item: Item, known: KnownVideo, attempts: int, changed: bool) -> Decision:
    task = known.item
    assert task is not None
    if task.state is State.CANCELLED:
        return Decision("nothing")
    if task.state is State.FAILED:
        if _exhausted(task, attempts):
            return Decision("unfinished", (item_task(item, restart=True),))
        return Decision("changed", (item_task(item, restart=True),)) if changed else Decision("failed")
    return Decision("held" if task.state is State.HELD else "unfinished", (item_task(item, restart=True),))


def leaves_open(stopped: Task, items: Sequence[Task], publish: Task | None, planner: JobPlanner) -> bool:
    """Return True if a failed task keeps these items from something.

    The question of a job that is no longer asked, or is asked in other words, does not; neither does a file that is gone
    where every result is there.
    """
    if stopped.kind == "analysis":
        asked = AnalysisData.of(stopped).requests
        wanted = {request.identity for request in planner.requests(items)} if asked else set()
        return not asked or any(request.question in wanted for request in asked)
    if stopped.kind == "video" and stopped.trouble is not None and stopped.trouble.code in LOST_FILE and publish:
        requests, present = planner.requests(items), PublishData.of(publish).present
        complete = all(present.get(request.name) == request.fingerprint for request in requests)
        return not complete or VideoData.of(stopped).wanted != planner.combined_fingerprint(requests)
    return True


def _exhausted(task: Task, attempts: int) -> bool:
    """Return True for a task that ran out of attempts: tonight may differ."""
    return task.state is State.FAILED and task.attempt >= attempts


def _wants_more(known: KnownVideo, planner: JobPlanner) -> bool:
    assert known.video is not None
    return VideoData.of(known.video).wanted != planner.combined_fingerprint(planner.requests(known.items))


class Commands(Protocol):
    """Carries out an operator's command, as ``ports.Store`` does."""

    async def command(self, verb: Literal["cancel", "retry"], which: Selection, now: float) -> int:
        """Return how many tasks changed."""
        ...


class Enqueuer:
    """Enqueues what a run was given."""

    def __init__(
        self,
        commands: Commands,
        records: Records,
        planner: JobPlanner,
        sink: Sink,
        submit: Callable[[Sequence[NewTask]], Awaitable[int]],
        now: Callable[[], float],
        attempts: int,
        captions: CaptionLook | None = None,
    ) -> None:
        self._captions = captions
        self._commands = commands
        self._records = records
        self._planner = planner
        self._sink = sink
        self._submit = submit
        self._now = now
        self._attempts = attempts
        self._windows = LineWindows()
        self._untaken: set[str] = set()  #: keys of items that a list has named, and that could not be taken
        self.report = EnqueueReport()

    async def enqueue(self, entries: Iterable[Item | BadLine]) -> EnqueueReport:
        """Read all, in a worker thread; return what was read.

        An ending run does not wait for the thread.
        """
        iterator = iter(entries)
        while batch := await anyio.to_thread.run_sync(_take, iterator, abandon_on_cancel=True):
            items = self._usable(await recall_missing(self._records, batch))
            lists = [playlist_task(item) for item in items if item.kind == "youtube_list"]
            if lists:
                await self._submit(lists)
            await self._batch([item for item in items if item.kind != "youtube_list"])
        self.report.complete = True
        return self.report

    async def enqueue_listed(self, items: Sequence[Item]) -> None:
        """Take items that a list has named, as if the manifest had."""
        usable = self._usable(items)
        try:
            for start in range(0, len(usable), _BATCH):
                await self._batch(usable[start : start + _BATCH])
        except ReelmillError:
            self._untaken |= {item.key for item in usable}  # the list will name them again
            self.report.lines -= len(usable)
            raise

    def _usable(self, batch: Sequence[Item | BadLine]) -> list[Item]:
        items = []
        for entry in batch:
            bad = entry if isinstance(entry, BadLine) else check_line(self._planner, entry)
            if bad is not None:
                self.report.reject(bad)
            elif isinstance(entry, Item) and self._counts(entry):
                items.append(entry)
        return items

    def _counts(self, item: Item) -> bool:
        """Count a good line; True if no line before has named its video."""
        again = self.report.names(item.key) and item.key not in self._untaken
        self._untaken.discard(item.key)
        if again and (other := self._windows.differs(item)) is not None:
            self.report.reject_named(other)
            return False
        if item.kind == "youtube_list":
            self.report.lists += 1
        else:
            self.report.lines += 1
        if again:
            self.report.duplicates += 1
            return False
        self._windows.note(item)
        self.report.seen.add(item.key)
        return True

    async def _batch(self, items: Sequence[Item]) -> None:
        if not items:  # a selection of no keys is one of all of them
            return
        known = await load_known(self._records, items)
        looks = await check_files(items, known, self._sink, self._captions)
        decisions = [
            decide(
                item,
                known[item.key],
                self._planner,
                attempts=self._attempts,
                changed=item.key in looks.changed,
                missing=item.key in looks.missing,
                captions=item.key in looks.captions,
            )
            for item in items
        ]
        for item, decision in zip(items, decisions, strict=True):
            task = known[item.key].item
            away = decision.action == "nothing" and task is not None and task.state is State.CANCELLED
            self.report.note("cancelled" if away else decision.action, item.line.source)
        retry = {task.id: task for decision in decisions for task in decision.retry}
        for kind in {task.kind for task in retry.values()}:
            keys = tuple(task.key for task in retry.values() if task.kind == kind)
            await self._commands.command("retry", Selection(kinds=(kind,), keys=keys), self._now())
        submit = [task for decision in decisions for task in decision.submit]
        if submit:
            await self._submit(submit)


@dataclass(frozen=True, slots=True)
class FileLooks:
    """What was seen of files: keys of items with a difference."""

    changed: Set[str]  #: the file changed or came back
    captions: Set[str]  #: the file is as it was, the captions beside it are not
    missing: Set[str]  #: a result is gone


async def check_files(
    items: Sequence[Item], known: Mapping[str, KnownVideo], sink: Sink, captions: CaptionLook | None = None
) -> FileLooks:
    """Compare files, captions and results with what is known of them.

    ``captions``: None where nobody reads them.
    """
    files = [(item, known[item.key]) for item in items if item.kind == "file" and known[item.key].item]
    changed = await anyio.to_thread.run_sync(_changed, files)
    same = [(item, there) for item, there in files if item.key not in changed]
    spoken = await anyio.to_thread.run_sync(_recaptioned, same, captions) if captions is not None else set[str]()
    found = {item.key: known[item.key].publish for item in items}
    written = {key: publish for key, publish in found.items() if publish is not None and publish.state is State.DONE}
    return FileLooks(changed, spoken, await _lost(written, sink))


async def _lost(written: Mapping[str, Task], sink: Sink) -> set[str]:
    """Return the keys of items whose results are not whole.

    A file of them is gone, or two videos have one folder.
    """
    data = {key: PublishData.of(publish) for key, publish in written.items()}
    owners = {data[key].folder: publish.key for key, publish in written.items()}
    lost = await sink.missing({each.folder: each.sizes for each in data.values()})
    shared = {key for key, publish in written.items() if owners[data[key].folder] != publish.key}
    return shared | {key for key, each in data.items() if each.folder in lost}


def check_line(planner: JobPlanner, item: Item) -> BadLine | None:
    """Return why a line's own words cannot be carried out, or empty."""
    if not (item.line.jobs or item.line.prompt or item.line.window):
        return None
    try:
        planner.requests([unsaved_task(item)], strict=True)
    except ConfigError as error:
        return BadLine(item.line.place, without_query(item.line.source)[:200], error.trouble)
    return None


def _take(iterator: Iterator[Item | BadLine]) -> list[Item | BadLine]:
    return list(islice(iterator, _BATCH))


def _changed(files: Sequence[tuple[Item, KnownVideo]]) -> set[str]:
    return {
        item.key
        for item, known in files
        if known.item and (file_differs(item.locator, known.item) or is_back(item.locator, known.item, known.video))
    }


def _recaptioned(files: Sequence[tuple[Item, KnownVideo]], captions: CaptionLook) -> set[str]:
    return {
        item.key
        for item, known in files
        if known.item and captions_differ(Path(item.locator), known.item, known.video, captions)
    }
