"""``forget``: takes items out: results, rows, index and page. The ledger stays.

What the platform is at work on is cancelled there first. Files go before the rows that know them, and a note names what is
under way: whenever it dies, the same command finishes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from random import Random

from anyio import to_thread

from pipeline.app.account.disposition import Disposition, LocalRecord, classify
from pipeline.app.account.knowledge_places import KnowledgePlace, find_places
from pipeline.app.gallery.write import GalleryWriter, write_safely
from pipeline.app.operator.display_names import display_source
from pipeline.app.operator.find_item import find_items, is_known
from pipeline.app.operator.recall import tell_platform
from pipeline.app.runs.results_index import ResultsIndex
from pipeline.app.upkeep.page_leftovers import has_page, remove_of_video
from pipeline.app.wiring.database import open_alone
from pipeline.app.wiring.platform import open_platform
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.config.settings import Settings
from pipeline.core.clock import Clock, SystemClock, iso
from pipeline.core.errors import Ambiguous, Permanent, ReelmillError, Transient
from pipeline.core.model import About, ForgetRow, Forgotten, Recalled, Selection, State, Task, Trouble
from pipeline.ingest.ending.note import NOTE as RECALLS
from pipeline.ingest.ending.note import may_be_at_work, note_recalls
from pipeline.ingest.payloads import AnalysisData, IndexingData, ItemData, PublishData, VideoData
from pipeline.ports.inventory import Inventory, RemoteObject
from pipeline.ports.knowledge_api import KnowledgeApi
from pipeline.ports.sink import FolderTaken, Removal, Sink
from pipeline.ports.store import Database

_NOTE = "forgetting"  #: name of the note: [names, videos] of what is under way


async def forget(
    settings: Settings,
    names: Sequence[str],
    agree: Callable[[Forgotten], bool],
    *,
    account: bool = False,
    leave_running: bool = False,
) -> Forgotten:
    """Find what goes, and take it away if ``agree`` agrees; ``account``: there, too.

    ``leave_running``: what the platform is at work on is not cancelled there.

    Raises:
        Busy: a run is in progress; it must be stopped first.
        ConfigError: an item is not known; nothing was changed.
    """
    from pipeline.sink.disk import DiskSink

    async with open_alone(settings) as database, AsyncExitStack() as stack:
        clock, sink = SystemClock(), DiskSink(settings.run.output)
        tell = None if leave_running else partial(tell_platform, settings, database, embedded=True)
        forgetting = Forgetting(settings, database, sink, clock, tell=tell)
        if account:
            platform = open_platform(make_run_plan(settings), database, clock, Random())
            api = await stack.enter_async_context(platform)
            forgetting = Forgetting(settings, database, sink, clock, api.inventory, api.knowledge, tell=tell)
        found = await forgetting.look(names)
        return await forgetting.carry_out(found) if agree(found) else found


class Forgetting:
    """Looks at what goes, then takes it away."""

    def __init__(
        self, settings: Settings, database: Database, sink: Sink, clock: Clock,
        inventory: Inventory | None = None, knowledge: KnowledgeApi | None = None,
        tell: Callable[[], Awaitable[Recalled | None]] | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._database = database
        self._sink = sink
        self._clock = clock
        self._inventory = inventory  #: of the account, if what is there goes, too
        self._knowledge = knowledge
        self._tell = tell  #: tells the platform of what is noted as cancelled; None: it goes on
        self._at_work: list[Task] = []  #: analyses that it may be at work on
        self._objects: list[RemoteObject] = []
        self._held: Mapping[str, Sequence[KnowledgePlace]] | None = None  #: by the upload; None: not looked at
        self._places: list[KnowledgePlace] = []  #: that go
        self._records: dict[str, LocalRecord] = {}  #: by the id of what is in the account
        self._names: list[str] = []
        self._videos: list[str] = []  #: whose lines go from the index
        self._going: list[tuple[ForgetRow, Sequence[int], str]] = []  #: with task ids, and the video if it goes

    async def look(self, names: Sequence[str]) -> Forgotten:
        """Return what goes and what stays.

        Raises:
            ConfigError: an item is not known.
        """
        self._names, self._videos = map(list, await self._database.load(_NOTE) or ([], []))
        untold = set(await self._database.load(RECALLS) or ())
        # What died after its rows were gone is known by the note alone: index and page are still to be written.
        rest = [name for name in names if name in self._names and not await is_known(self._database, name)]
        rows = [ForgetRow(name, name, name, 0, 0) for name in rest]
        found = await find_items(self._database, [each for each in names if each not in rest], "forgotten")
        named, seen = {item.id for _, item in found}, set[int]()
        for name, item in found:
            if item.id not in seen:
                seen.add(item.id)
                rows.append(await self._row(name, item, named, seen, untold))
        return Forgotten(rows)

    async def _row(
        self, name: str, item: Task, named: Collection[int], seen: Collection[int], untold: Collection[str]
    ) -> ForgetRow:
        """Note what goes with an item: the video with the last of its lines."""
        video = (item.subject or item.key) if item.kind != "item" else item.subject
        known = await self._database.about(video) if video else About([item], (), ())
        others = [task for task in known.tasks if task.kind == "item" and task.id not in seen]
        tasks = [item]
        if not others:
            tasks += [task for task in known.tasks if task.id not in seen]
        data = ItemData.of(item)
        row = ForgetRow(
            name,
            item.key,
            display_source(data.source or item.key),
            len(tasks),
            0,
            shared=sum(task.id not in named for task in others),
            place=data.place,
        )
        if not others:
            at_work = [
                task
                for task in tasks
                if may_be_at_work(task) and (task.state is not State.CANCELLED or task.key in untold)
            ]
            self._at_work += at_work
            folder, removal = await self._find_files(video, tasks)
            row = replace(
                row,
                results=sum(not result.job.startswith("_") for result in known.results),
                folder=folder,
                files=removal.files,
                kept=removal.kept,
                usd=round(sum(spend.usd for spend in known.spends), 6),
                at_work=len(at_work) if self._tell is not None else 0,
                left_running=len(at_work) if self._tell is None else 0,
            )
            self._videos.append(video)
            if self._inventory is not None:
                row = replace(row, account=await self._find_remote(tasks, self._inventory))
        self._names += [name, item.key, data.source, data.title, row.folder]
        self._going.append((row, [task.id for task in tasks], "" if others else video))
        return row

    async def _find_files(self, video: str, tasks: Sequence[Task]) -> tuple[str, Removal]:
        """Return a video's folder, and what of it goes.

        No folder where another video's results are in it.
        """
        folder = next((PublishData.of(task).folder for task in tasks if task.kind == "publish"), "")
        try:
            return folder, await self._sink.remove(folder, video, look=True) if folder else Removal()
        except FolderTaken:
            return "", Removal()

    async def carry_out(self, found: Forgotten) -> Forgotten:
        """Take away what :meth:`look` found; return what was done."""
        if self._at_work and self._tell is not None:
            found = await self._cancel(found, self._tell)
            if found.refused:
                return found
        refused = [why for place in self._places if (why := await self._take_out(place))]
        refused += [why for each in self._objects if (why := await self._delete(each))]
        if refused:  # the rows stay, by which the same command finds it again
            return replace(found, refused=refused)
        names = list(dict.fromkeys(filter(None, self._names)))
        await self._database.save(_NOTE, [names, self._videos])
        stamp = iso(self._clock.now())
        for row, tasks, video in self._going:
            if row.folder:
                await self._sink.remove(row.folder, video)
                await to_thread.run_sync(remove_of_video, self._settings.run.output, row.folder)
            await self._database.forget(tasks, video, stamp)
        unwritten = await self._write()
        if not unwritten:
            await self._database.save(_NOTE, None)
        return replace(found, done=True, unwritten=unwritten)

    async def _cancel(self, found: Forgotten, tell: Callable[[], Awaitable[Recalled | None]]) -> Forgotten:
        """Cancel here and at the platform what that may be at work on.

        The rows stay as long as it cannot be told, or may still accept a call.
        """
        keys = tuple(task.key for task in self._at_work)
        await note_recalls(self._database, self._at_work)
        # One that was cancelled before keeps its time: from then on, a call without an answer is looked for.
        if states := tuple({task.state for task in self._at_work} - {State.CANCELLED}):
            await self._database.command("cancel", Selection(("analysis",), keys, states=states), self._clock.now())
        found = replace(found, platform=await tell())
        untold = set(keys) & set(await self._database.load(RECALLS) or ())
        if not untold:
            return found
        told = found.platform or Recalled()
        why = "they were asked at another platform, or by another API, than is configured now"
        if told.trouble is not None:
            why = told.trouble.message
        elif told.sought:
            why = "a call was never answered, and may still be accepted: look again in some minutes"
        remedy = "--leave-running takes the item out all the same"
        return replace(found, refused=[f"analyses that may go on at the platform: {len(untold)}; {why}; {remedy}"])

    async def _find_remote(self, tasks: Sequence[Task], inventory: Inventory) -> list[str]:
        """Note what the account holds of a video; return sort and id of each."""
        video = next((task for task in tasks if task.kind == "video"), None)
        if video is None or VideoData.of(video).provider != inventory.identity:
            return []
        analyses = [task for task in tasks if task.kind == "analysis"]
        record = LocalRecord(video, analyses, [task for task in tasks if task.kind == "indexing"])
        data = VideoData.of(video)
        found = [
            RemoteObject("indexed", each.video_id, place=each.index_id)
            for each in map(IndexingData.of, record.indexings)
        ]
        found += [RemoteObject("analysis", AnalysisData.of(task).task_id) for task in analyses]
        found += [RemoteObject("video", data.answer_id, place=data.index_id), RemoteObject("task", data.media_id)]
        found.append(RemoteObject("asset", data.media_id))
        sorts = inventory.object_types  # in the order of deletion
        objects = [each for sort in sorts for each in found if each.sort == sort and each.id]
        self._records |= {each.id: record for each in objects}
        self._objects += objects
        if self._held is None:
            self._held = await find_places(self._knowledge)
        places = self._held.get(data.media_id, ())
        self._places += places
        return [*(f"knowledge item {each.item_id}" for each in places), *(f"{each.sort} {each.id}" for each in objects)]

    async def _delete(self, planned: RemoteObject) -> str:
        """Delete what is in the account and ours; return why not."""
        assert self._inventory is not None
        record, name = self._records[planned.id], f"{planned.sort} {planned.id}"
        try:
            there = await self._inventory.get(planned)
            if there is None:
                return ""
            analysis = next((task for task in record.analyses if AnalysisData.of(task).task_id == there.id), None)
            if classify(there, record, self._inventory.identity, analysis) is Disposition.FOREIGN:
                return f"{name} does not carry our mark"
            await self._inventory.delete(there)
        except (Permanent, Transient, Ambiguous) as error:
            return f"{name}: {error.trouble.message}"
        return ""

    async def _take_out(self, place: KnowledgePlace) -> str:
        """Take an upload out of a store of ours; return why not."""
        assert self._knowledge is not None
        try:
            await self._knowledge.delete_item(place.store_id, place.item_id)
        except (Permanent, Transient, Ambiguous) as error:
            return f"knowledge item {place.item_id}: {error.trouble.message}"
        return ""

    async def _write(self) -> str:
        """Write index and page without what is forgotten; return why not."""
        try:
            if await self._sink.has_index():  # if this dies, the next run writes it
                await ResultsIndex(self._database, self._sink).bring_up_to_date()
        except ReelmillError as error:
            return error.trouble.message
        if not has_page(self._settings.run.output):
            return ""
        made = await write_safely(GalleryWriter(self._database, self._sink, self._settings, self._clock))
        return made.message if isinstance(made, Trouble) else ""
