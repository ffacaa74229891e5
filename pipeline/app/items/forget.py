"""``forget``: takes items out: results, rows, index and page. The ledger stays.

Files go before the rows that know them, and a note names what is under way: whenever it dies, the same command finishes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.app.gallery.write import GalleryWriter, write_safely
from pipeline.app.operator.display_names import display_source
from pipeline.app.operator.find_item import find_items, is_known
from pipeline.app.runs.results_index import CURRENT, ResultsIndex
from pipeline.app.wiring.state_folder import lock_state_folder, open_for_writing, require_database
from pipeline.config.settings import Settings
from pipeline.core.clock import Clock, SystemClock, iso
from pipeline.core.errors import ReelmillError
from pipeline.core.model import About, ForgetRow, Forgotten, Task, Trouble
from pipeline.ingest.payloads import ItemData, PublishData
from pipeline.ports.sink import Sink
from pipeline.ports.store import Database

_NOTE = "forgetting"  #: name of the note: [names, videos] of what is under way


async def forget(settings: Settings, names: Sequence[str], agree: Callable[[Forgotten], bool]) -> Forgotten:
    """Find what goes, and take it away if ``agree`` agrees.

    Raises:
        Busy: a run is in progress; it must be stopped first.
        ConfigError: an item is not known; nothing was changed.
    """
    from pipeline.sink.disk import DiskSink

    require_database(settings.run.state)
    with lock_state_folder(settings.run.state):
        async with open_for_writing(settings.run.state) as database:
            forgetting = Forgetting(settings, database, DiskSink(settings.run.output), SystemClock())
            found = await forgetting.look(names)
            return await forgetting.carry_out(found) if agree(found) else found


class Forgetting:
    """Looks at what goes, then takes it away."""

    def __init__(self, settings: Settings, database: Database, sink: Sink, clock: Clock) -> None:
        self._settings = settings
        self._database = database
        self._sink = sink
        self._clock = clock
        self._names: list[str] = []
        self._videos: list[str] = []  #: whose lines go from the index
        self._going: list[tuple[ForgetRow, Sequence[int], str]] = []  #: with task ids, and the video if it goes

    async def look(self, names: Sequence[str]) -> Forgotten:
        """Return what goes and what stays.

        Raises:
            ConfigError: an item is not known.
        """
        self._names, self._videos = map(list, await self._database.load(_NOTE) or ([], []))
        # What died after its rows were gone is known by the note alone: index and page are still to be written.
        rest = [name for name in names if name in self._names and not await is_known(self._database, name)]
        rows = [ForgetRow(name, name, name, 0, 0) for name in rest]
        seen = set[int]()
        for name, item in await find_items(self._database, [each for each in names if each not in rest], "forgotten"):
            if item.id not in seen:
                rows.append(await self._row(name, item))
            seen.add(item.id)
        return Forgotten(rows)

    async def _row(self, name: str, item: Task) -> ForgetRow:
        video = (item.subject or item.key) if item.kind != "item" else item.subject
        known = await self._database.about(video) if video else About([item], (), ())
        others = [task for task in known.tasks if task.kind == "item" and task.id != item.id]
        tasks = [item] if others else [item, *(task for task in known.tasks if task.id != item.id)]
        data = ItemData.of(item)
        row = ForgetRow(
            name, item.key, display_source(data.source or item.key), len(tasks), 0, shared=len(others), place=data.place
        )
        if not others:
            written = [PublishData.of(task).folder for task in tasks if task.kind == "publish"]
            removal = await self._sink.remove(written[0], look=True) if any(written) else None
            row = replace(
                row,
                results=sum(not result.job.startswith("_") for result in known.results),
                folder=written[0] if written else "",
                files=removal.files if removal is not None else (),
                kept=removal.kept if removal is not None else (),
                usd=round(sum(spend.usd for spend in known.spends), 6),
            )
            self._videos.append(video)
        self._names += [name, item.key, data.source, data.title, row.folder]
        self._going.append((row, [task.id for task in tasks], "" if others else video))
        return row

    async def carry_out(self, found: Forgotten) -> Forgotten:
        """Take away what :meth:`look` found; return what was done."""
        names = list(dict.fromkeys(filter(None, self._names)))
        await self._database.save(_NOTE, [names, self._videos])
        await self._database.save(CURRENT, False)  # if this dies, the next run writes the index
        stamp = iso(self._clock.now())
        for row, tasks, video in self._going:
            if row.folder:
                await self._sink.remove(row.folder)
            await self._database.forget(tasks, video, stamp)
        unwritten = await self._write()
        if not unwritten:
            await self._database.save(_NOTE, None)
        return replace(found, done=True, unwritten=unwritten)

    async def _write(self) -> str:
        """Write index and page without what is forgotten; return why not."""
        try:
            if await self._sink.has_index():
                index = ResultsIndex(self._database)
                for video in self._videos:
                    index.leave_out(video)
                await self._sink.write_index(index.lines(), index.keep)
            await self._database.save(CURRENT, True)
        except ReelmillError as error:
            return error.trouble.message
        if not self._settings.gallery.enabled:
            return ""
        made = await write_safely(GalleryWriter(self._database, self._sink, self._settings, self._clock))
        return made.message if isinstance(made, Trouble) else ""
