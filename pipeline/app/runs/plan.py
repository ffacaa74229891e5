"""``plan``: what a run would do and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from math import inf
from pathlib import Path, PurePath
from typing import NamedTuple, cast

import anyio

from pipeline.app.index.questions import check_queries
from pipeline.app.operator.display_names import display_source
from pipeline.app.runs.config_check import check_settings
from pipeline.app.runs.plan_price import PlanPrice, plan_limits
from pipeline.app.runs.query_files import FOLDER as SEARCHES
from pipeline.app.wiring.components import batch_rules, named_sources, read_entries
from pipeline.app.wiring.database import open_if_present, own_host_name
from pipeline.app.wiring.run_plan import RunPlan
from pipeline.budget.limits import spent_windows
from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.core.errors import ConfigError, ReelmillError
from pipeline.core.model import Selection, SpentWindow, State, Task
from pipeline.core.text import TextSet
from pipeline.core.youtube_address import file_name
from pipeline.ingest.enqueue import (
    KnownVideo,
    check_files,
    check_line,
    decide,
    load_content,
    load_known,
    recall_missing,
    stopped_tasks,
)
from pipeline.ingest.job_requests import JobRequest
from pipeline.ingest.payloads import (
    AnalysisData,
    CaptionsData,
    IndexingData,
    ItemData,
    PublishData,
    VideoData,
    captions_digest,
)
from pipeline.ingest.request_builder import group_requests
from pipeline.ingest.stored_json import changed
from pipeline.ingest.tasks.item import unsaved_task
from pipeline.ingest.tasks.planned_files import PlannedFiles
from pipeline.ingest.windows.lines import LineWindows
from pipeline.ingest.windows.parts import is_outside, looked_at, outside_trouble, split_questions
from pipeline.money_views import UNLISTED, FileChange, Plan, PlanAction, PlannedLane, PlanRow
from pipeline.ports.batch_api import BatchCeilings
from pipeline.ports.quota import QuotaGauge
from pipeline.ports.source import Item
from pipeline.ports.store import Database, read_pages
from pipeline.ports.video_api import Ceilings
from pipeline.provider.http import rate_limits
from pipeline.sink.layout import slug
from pipeline.views import BadLine, LeftOut

_BATCH = 128
_PAGE = 1000  #: videos read at once
_SHOWN = 20
_FILES = 10  #: named for each item that is listed
_WITHOUT_FILES = ("nothing", "cancelled", "failed", "held")


async def plan(settings: Settings, sources: Sequence[str], *, limit: int = 50, files: bool = False) -> Plan:
    """Return what is wanted and does not exist. Reads files' headers, writes nothing.

    ``files``: also which files a run would write, change and remove.

    Raises:
        ConfigError: there are no sources.
    """
    sources = named_sources(settings, sources)
    if not sources:
        raise ConfigError("There is nothing to plan", remedy="name sources, or set [run] manifests")
    totals = _Totals(check_settings(settings), limit, files=files)
    async with open_if_present(settings) as database:
        await totals.look(database)
        entries = read_entries(settings, sources, totals.planner, await own_host_name(settings))
        while batch := await anyio.to_thread.run_sync(lambda: list(islice(entries, _BATCH))):
            await totals.add(batch, database)
    return await totals.result()


class _Peek(NamedTuple):
    """What is known of a file; ``elsewhere``: why the vendor refuses it."""

    seconds: float | None
    size: int = 0
    problem: str = ""
    elsewhere: str = ""
    title: str = ""


class _Totals:
    """Sums up what a run would do, a batch of entries at a time."""

    def __init__(self, plan: RunPlan, limit: int, *, files: bool) -> None:
        from pipeline.sink.disk import DiskSink
        from pipeline.source.caption_files import CaptionFiles

        self.planner = plan.planner
        self._plan = plan
        self._settings = plan.settings
        self._limit = limit
        self._sink = DiskSink(plan.settings.run.output)
        self._captions = CaptionFiles() if plan.platform.local else None
        self._ceilings, self._vendor = plan.ceilings, plan.vendor_ceilings
        self._limits = plan_limits(plan.settings, local=plan.platform.local)
        self._rows: list[PlanRow] = []
        self._counts = Counter[str]()
        self._price = PlanPrice(plan.prices, plan.model, self._ceilings.assumed_seconds)
        self._spent: Sequence[SpentWindow] = ()
        self._minutes = 0.0
        self._upload = self._unknown = self._bad_count = self._refused_elsewhere = 0
        self._bad: list[BadLine] = []
        self._left_out: list[LeftOut] = []
        self._seen = TextSet()
        self._windows = LineWindows()
        self._contents = _Contents()
        self._files = PlannedFiles(self._sink, limit * _FILES) if files else None
        self._quota: Sequence[QuotaGauge] = ()

    async def look(self, database: Database | None) -> None:
        """Look at what earlier runs have used of money and quota."""
        now = SystemClock().now()
        self._spent = await spent_windows(database, self._settings.budget, now)
        kept = await database.load(rate_limits.NAME) if database is not None and not self._plan.platform.local else None
        self._quota = rate_limits.read_usage(self._settings.limits, kept, now) if kept is not None else ()

    async def add(self, batch: Sequence[Item | BadLine], database: Database | None) -> None:
        """Add a batch of entries to the sums."""
        if database is not None:
            batch = await recall_missing(database, batch)
        items = list(self._usable(batch))
        known = (
            await load_known(database, items) if database is not None else {item.key: KnownVideo() for item in items}
        )
        looks = await check_files(items, known, self._sink, self._captions)
        for item in items:
            there = known[item.key]
            decision = decide(
                item,
                there,
                self.planner,
                attempts=self._settings.policy.attempts,
                changed=item.key in looks.changed,
                missing=item.key in looks.missing,
                captions=item.key in looks.captions,
            )
            action = decision.action
            if database is not None and action in ("new", "changed") and item.kind == "file":
                if action == "new" or item.key in looks.changed:
                    there = await self._contents.find(item, there, database)
                action = self._kept(item, there, action)
            own = known[item.key].item
            noted = own is None or ItemData.of(own).captions is not None
            look = item.key in looks.captions or (noted and decision.action in ("new", "changed"))
            row = await self._row(item, there, action, database, look=look)
            self._add(row)
            if self._files is not None and row.action not in _WITHOUT_FILES:
                requests = self.planner.requests(await self._items(item, there, look=look))
                await self._add_files(self._files, item, there, requests, row, database)

    async def _add_files(
        self,
        found: PlannedFiles,
        item: Item,
        known: KnownVideo,
        requests: Sequence[JobRequest],
        row: PlanRow,
        database: Database | None,
    ) -> None:
        """Add the files of one row."""
        written = PublishData.of(known.publish) if known.publish is not None else PublishData()
        present = written.present
        wanted = [each for each in requests if each.name in row.jobs or present.get(each.name) != each.fingerprint]
        if not (folder := written.folder):
            title = item.line.title or (await self._facts(item, KnownVideo())).title
            folder = f"{slug(title or PurePath(file_name(item.locator)).stem)}--*"
        parts = split_questions(wanted, row.seconds or 0.0, self._ceilings.window_seconds)
        await found.add(known, folder, wanted, len(self._groups(parts)), row.action, database)

    def _usable(self, batch: Sequence[Item | BadLine]) -> Iterator[Item]:
        for entry in batch:
            bad = entry if isinstance(entry, BadLine) else check_line(self.planner, entry) or self._twice(entry)
            if isinstance(bad, LeftOut):
                self._left_out += [bad] if len(self._left_out) < _SHOWN else []
            elif bad is not None:
                self._bad_count += 1
                if len(self._bad) < _SHOWN:
                    self._bad.append(bad)
            elif isinstance(entry, Item) and entry.key not in self._seen:
                self._seen.add(entry.key)
                self._windows.note(entry)
                yield entry

    def _twice(self, item: Item) -> BadLine | None:
        return self._windows.differs(item) if item.key in self._seen else None

    async def _row(
        self, item: Item, known: KnownVideo, action: str, database: Database | None, *, look: bool
    ) -> PlanRow:
        source, title = display_source(item.line.source), item.line.title or file_name(item.locator)
        if action in ("nothing", "restore", "failed", "held"):
            action, problem = self._stopped(known, action)
            return PlanRow(source, title, cast(PlanAction, action), (), _stored_facts(known)[0], 0, 0.0, problem)
        items = await self._items(item, known, look=look)
        seconds, size, problem, elsewhere, _ = await self._facts(item, known)
        requests, lost = await self._wanted(items, known, database, seconds)
        problem = problem or ("" if requests else lost)
        uploaded = _uploaded(known)
        if uploaded and (requests or self._settings.index_name) and self._outdated(items, known):
            uploaded = False
        if not uploaded and not problem and item.kind != "youtube_list":
            self._price.upload()
        if item.kind == "youtube_list" and not self._plan.prices.free:
            self._price.any_number()
        priced = seconds if not problem else 0.0
        asking = sum(self._price.analysis(part, priced or None) for part in self._groups(requests) if not problem)
        indexing = self._indexing(known, priced)
        if action in ("analyze", "moved", "rewrite"):
            due = requests or indexing is not None  # with nothing to ask, it is its place in the index that is new
            action = "analyze" if due else "rewrite" if action == "analyze" else action
        return PlanRow(
            source,
            title,
            "failed" if problem else cast(PlanAction, {"changed": "new"}.get(action, action)),
            list(dict.fromkeys(request.name for request in requests)),
            seconds,
            0 if uploaded or problem else size,
            asking + (indexing or 0.0),
            problem or lost,
            elsewhere,
            looked_at(requests, seconds) if requests and seconds and not problem else None,
        )

    def _stopped(self, known: KnownVideo, action: str) -> tuple[str, str]:
        """Return (action, why) of an item that a run leaves alone."""
        if action == "nothing":
            written = known.publish is None or known.publish.state is not State.CANCELLED
            cancelled = not written or stopped_tasks(known, self.planner, State.CANCELLED)
            return "cancelled" if cancelled else action, ""
        stopped = stopped_tasks(known, self.planner, State(action)) if action != "restore" else []
        return action, next((task.trouble.message for task in stopped if task.trouble is not None), "")

    def _indexing(self, known: KnownVideo, seconds: float | None) -> float | None:
        """Return the price of the place that a run makes in the index."""
        name = self._settings.index_name
        if not name or not seconds or seconds < self._ceilings.indexed_min_seconds:
            return None
        placed = [IndexingData.of(task) for task in known.indexings]
        there = any(each.index_name in ("", name) and not each.index_gone for each in placed)
        # On v1.2 the upload itself goes into the index.
        if _uploaded(known) and (there or self._settings.provider.api == "v1.2"):
            return None
        return self._price.indexing(seconds)

    def _kept(self, item: Item, known: KnownVideo, action: str) -> str:
        """Return what is done with uploaded content, whatever it is called."""
        if not _uploaded(known):
            return action
        return "moved" if action == "new" else "rewrite"

    def _groups(self, requests: Sequence[JobRequest]) -> list[list[JobRequest]]:
        return group_requests(requests, fuse=self.planner.fuse and self._settings.provider.api != "v1.2")

    async def _items(self, item: Item, known: KnownVideo, *, look: bool) -> list[Task]:
        """Return the video's items as a run will have them.

        ``look``: it looks at this one again.
        """
        own = next((each for each in known.items if each.key == item.key), None)
        task, before = unsaved_task(item), ItemData.of(own).captions if own is not None else None
        if own is not None and ItemData.of(own).takes:
            task = replace(task, data=changed(ItemData.of(task), takes=ItemData.of(own).takes).to_json())
        if self._captions is not None and item.kind == "file" and known.video is not None:
            if look:
                spoken = before.spoken if before is not None else ""
                found = await anyio.to_thread.run_sync(self._captions.look, Path(item.locator), spoken)
                before = (before or CaptionsData(digest="unknown" if own else "")).replaced_by(found, inf)
            task = replace(task, data=changed(ItemData.of(task), captions=before).to_json())
        return [task, *(other for other in known.items if other.key != item.key)]

    def _outdated(self, items: Sequence[Task], known: KnownVideo) -> bool:
        """Return True if the upload carries other captions than the file has."""
        if self._captions is None or known.video is None:
            return False
        return VideoData.of(known.video).heard != captions_digest(items)

    async def _wanted(
        self, items: Sequence[Task], known: KnownVideo, database: Database | None, seconds: float | None
    ) -> tuple[list[JobRequest], str]:
        """Return what is to be asked, and why a part of it cannot be.

        A window may lie behind the end. A video that is too long for one call, or may be, is asked about in parts.
        """
        requests, have, paid = self.planner.requests(items), set[tuple[str, str]](), set[tuple[str, str]]()
        if database is not None and known.video is not None:
            have = {(result.job, result.fingerprint) for result in await database.results([known.video.key])}
            paid = {
                request.identity
                for analysis in known.analyses
                if analysis.stage in ("join", "await", "split") and analysis.state is not State.DONE
                for request in AnalysisData.of(analysis).requests
            }
        there, length = have | paid, seconds or self._ceilings.assumed_seconds
        wanted = [each for each in requests if each.identity not in there]
        lost = next((each.window for each in wanted if each.window and is_outside(each.window, length)), None)
        inside = [each for each in wanted if not is_outside(each.window, length)]
        parts = split_questions(inside, length, self._ceilings.window_seconds)
        return (
            [part for part in parts if part.identity not in there],
            outside_trouble(lost, length).message if lost is not None and seconds else "",
        )

    async def _facts(self, item: Item, known: KnownVideo) -> _Peek:
        """Return what the database knows, else what the file's headers say."""
        seconds, size = _stored_facts(known)
        if seconds or item.kind != "file":
            return _Peek(seconds, size)
        return await anyio.to_thread.run_sync(_peek, item.locator, self._ceilings, self._vendor)

    def _add(self, row: PlanRow) -> None:
        self._counts[row.action] += 1
        self._upload += row.upload_bytes
        self._refused_elsewhere += bool(row.elsewhere)
        if row.jobs and row.action != "failed":
            self._minutes += (row.looks_at or 0.0) / 60
            self._unknown += row.seconds is None
        if row.action not in UNLISTED and len(self._rows) < self._limit:
            self._rows.append(row)

    def _lane(self) -> PlannedLane | None:
        ceilings = BatchCeilings() if self._settings.provider.api == "v1.3" else None
        return self._price.lane(batch_rules(self._settings), ceilings, self._limits, self._quota)

    async def result(self) -> Plan:
        """Return the plan."""
        if self._files is not None and self._files.counts:
            shared = await anyio.to_thread.run_sync(_shared_files, self._settings, self._files.new_folders > 0)
            self._files.note(iter(shared))
        queries = len(check_queries(self._settings))
        asking = self._price.queries(queries)
        parts = self._price.parts()
        return Plan(
            rows=self._rows,
            counts=self._counts,
            usd=sum(part.usd for part in parts),
            minutes=self._minutes,
            upload_bytes=self._upload,
            unknown=self._unknown,
            bad_lines=self._bad,
            bad_count=self._bad_count,
            left_out=self._left_out,
            provider=self._plan.platform.identity,
            budget_usd=self._settings.budget.max_usd_per_run,
            queries=queries,
            queries_usd=asking,
            price_notes=self._plan.price_notes,
            usd_most=sum(part.usd_most for part in parts),
            parts=parts,
            spent=self._spent,
            seconds=None
            if self._plan.platform.local
            else self._price.seconds(self._limits, self._quota, self._settings.provider.poll_requests_per_minute),
            unknown_usd_most=self._price.unknown_most,
            quota=[each for each in self._quota if each.used > 0 and not each.window.endswith("_minute")],
            files=self._files.named if self._files is not None else None,
            file_counts=self._files.counts if self._files is not None else {},
            lane=self._lane(),
            refused_elsewhere=self._refused_elsewhere,
        )


class _Contents:
    """Finds the video that a file holds under another name.

    Only files of a known size are read for that.
    """

    def __init__(self) -> None:
        self._by_size: dict[int, list[str]] | None = None

    async def find(self, item: Item, known: KnownVideo, database: Database) -> KnownVideo:
        """Return what is known of the file's present content."""
        from pipeline.source.files import hash_file

        if self._by_size is None:
            self._by_size = {}
            async for page in read_pages(database, Selection(kinds=("video",), limit=_PAGE)):
                for video in page:
                    self._by_size.setdefault(VideoData.of(video).size, []).append(video.key)
        path = Path(item.locator)
        try:
            size = (await anyio.Path(path).stat()).st_size
            videos = self._by_size.get(size, []) if size else []
            key = f"sha256:{await anyio.to_thread.run_sync(hash_file, path)}" if videos else ""
        except (OSError, ReelmillError):  # what is wrong with it is told where its headers are read
            return KnownVideo()
        if known.video is not None and known.video.key == key:
            return known
        return await load_content(database, key) if key in videos else KnownVideo()


def _uploaded(known: KnownVideo) -> bool:
    return known.video is not None and (VideoData.of(known.video).settled or known.video.state is State.DONE)


def _stored_facts(known: KnownVideo) -> tuple[float | None, int]:
    """Return (seconds, bytes) from the database, None where it has no length."""
    video = VideoData.of(known.video) if known.video is not None else None
    listed = ItemData.of(known.item) if known.item is not None else None
    for data in (video, listed):
        if data is not None and data.seconds:
            return data.seconds, data.size or 0
    return None, 0


def _shared_files(settings: Settings, new: bool) -> list[FileChange]:
    """Return what a run writes besides if it writes any result; ``new``: a folder."""
    output = settings.run.output
    names = ["results.jsonl"]
    if settings.gallery.enabled:
        # The page itself stays as it is once it is there; its plain list names folders.
        page = [name for name in ("index.html", "gallery/app.*") if not any(output.glob(name))]
        names += ["gallery/data/*.js", *page, *(["index.txt"] if new else [])]
    names += [f"{SEARCHES}/{query.name}.{ending}" for query in settings.queries for ending in ("json", "md")]
    return [FileChange("change" if any(output.glob(name)) else "write", name) for name in names]


def _peek(path: str, here: Ceilings, vendor: Ceilings) -> _Peek:
    from pipeline.source.files import probe_file
    from pipeline.source.preflight import check

    try:
        facts = probe_file(Path(path), SystemClock().now())
    except ReelmillError as error:
        return _Peek(None, problem=error.trouble.message)
    problem, elsewhere = (trouble.message if trouble else "" for trouble in (check(facts, here), check(facts, vendor)))
    return _Peek(facts.seconds, facts.size, problem, "" if problem else elsewhere, str(facts.about.get("title", "")))
