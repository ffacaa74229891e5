"""Writes the page: what has changed since the last time, or all of it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from zlib import crc32

from anyio import to_thread

from pipeline import __version__
from pipeline.app.gallery.blocks import PageFault
from pipeline.app.gallery.collect import Published
from pipeline.app.gallery.making.block import BlockJob, BlockMaker, MadeBlock
from pipeline.app.gallery.making.process import BlockProcess
from pipeline.app.gallery.making.workers import BlockWorkers
from pipeline.app.gallery.posters import made_posters
from pipeline.app.gallery.report import ReportMaker
from pipeline.app.gallery.safe_words import SafeWords
from pipeline.app.gallery.standing import Standing
from pipeline.app.operator.attention import noted, stopped
from pipeline.config.settings import Settings
from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import ReelmillError
from pipeline.core.model import Json, Selection, Trouble, fingerprint
from pipeline.core.text import TextSet
from pipeline.gallery.data_files import FOLDER, ROWS, SHARD, index_file, rows_file
from pipeline.gallery.page_files import SHELL, part_files, shell_file
from pipeline.gallery.plain_index import index_line, plain_index
from pipeline.gallery.values import GalleryIndex, RowsFile, ShardFile
from pipeline.ingest.payloads import PublishData
from pipeline.ports.sink import OutFile, Sink
from pipeline.ports.store import Database, read_pages
from pipeline.views import GalleryMade

NOTE = "gallery"  #: name of the note with what was written the last time
_FORM = 2  #: of the note, and of what is written; another one is written again as a whole
_OPEN = 500  #: items without results that are listed
_MANY = 6  #: blocks of a range from which on a second process is worth its start
_MARGIN = 120.0  #: seconds that clocks and commits may be apart
_log = log.get("gallery")


@dataclass(slots=True)
class _Known:
    """What the last writing left, as the journal remembers it."""

    since: float = 0.0
    shards: dict[int, list[ShardFile]] = field(default_factory=dict)  #: by block
    sizes: dict[str, int] = field(default_factory=dict)  #: of all shards and rows, below the gallery's folder
    rows: dict[int, RowsFile] = field(default_factory=dict)  #: by range
    newest: dict[int, list[str]] = field(
        default_factory=dict
    )  #: by block, the encoded rows of the unfinished last range
    marks: dict[int, int] = field(default_factory=dict)  #: by block, a checksum of what no change of a task tells


class GalleryWriter:
    """Writes the page of one database into one output folder."""

    def __init__(self, database: Database, sink: Sink, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._sink = sink
        self._settings = settings
        self._clock = clock
        self._secrets = [settings.api_key.get_secret_value()] if settings.api_key is not None else []
        self._words = SafeWords(
            settings.run.output,
            absolute=settings.gallery.paths == "absolute",
            folders=[settings.run.state],
            secrets=self._secrets,
        )

    async def write(self, *, whole: bool, remember: bool, running: bool = False) -> GalleryMade:
        """Write what has changed, or the ``whole``; return what the page holds.

        ``remember``: note it in the journal, for the next time. ``running``: a run is at work.

        Raises:
            ReelmillError: the output folder cannot be written, or the database not be read.
        """
        now = self._clock.now()
        before = _Known() if whole else await self._recall()
        counts = await noted(self._database)
        standing = Standing(self._words, counts, now)
        async with aclosing(BlockProcess(self._settings, self._secrets, now)) as process:
            if not before.shards and await self._published() >= _MANY * SHARD:
                await process.start()
            posters = await to_thread.run_sync(made_posters, self._settings.run.output)
            troubled = {task.subject async for task, near in stopped(self._database) if counts(task, near)}
            workers = BlockWorkers(BlockMaker(self._database, self._words, standing), process)
            made = _Made(self, workers, before, posters, troubled)
            changed = await self._changed(before.since)
            await self._sink.add(FOLDER, part_files())
            await made.add(self._ranges(), changed)
        open_items, open_count = await standing.open_items(self._database, _OPEN)
        report = await ReportMaker(self._database, self._words, self._settings, counts, now).make(running=running)
        index = GalleryIndex(
            made_at=round(now, 3),
            version=__version__,
            videos=len(made.lines),
            rows_files=[made.after.rows[number] for number in sorted(made.after.rows)],
            shards=[file for block in sorted(made.after.shards) for file in made.after.shards[block]],
            rows=[json.loads(row) for row in chain(*made.after.newest.values())],
            open=open_items,
            open_count=open_count,
            report=report,
        )
        await self._sink.add("", [shell_file(), plain_index(made.lines, count=len(made.lines))])
        last = index_file(index)
        await self._sink.add(FOLDER, [last])
        if remember:
            await self._remember(made.after, last, now)
        page = self._settings.run.output.absolute() / SHELL
        return GalleryMade(page, page.as_uri(), len(made.lines), open_count)

    # ------------------------------------------------------------------------------------------------ what there is

    async def _published(self) -> int:
        """Return about how many videos there are."""
        return sum((await self._database.counts()).by.get("publish", {}).values())

    async def _ranges(self) -> AsyncGenerator[tuple[list[Published], bool], None]:
        """Yield ranges of ``ROWS`` numbers; true for the unfinished last."""
        number, current = 0, list[Published]()
        async for page in read_pages(self._database, Selection(("publish",), limit=SHARD)):
            for task in page:
                data = PublishData.of(task)
                if data.folder:
                    current.append((number, task, data))
                number += 1
            if number % ROWS == 0:
                yield current, False
                current = []
        if number % ROWS:
            yield current, True

    async def _changed(self, since: float) -> TextSet:
        """Return what has changed since the last time; without one, all is new anyway."""
        found = TextSet()
        if since:
            async for page in read_pages(self._database, Selection(since=since, limit=1000)):
                for task in page:
                    found.add(task.subject or task.key)
        return found

    def title(self, written: PublishData) -> str:
        """Return the title of a published video."""
        return self._words.title_of(written)

    async def put(self, files: Sequence[OutFile]) -> None:
        """Write data files."""
        await self._sink.add(FOLDER, files)

    # -------------------------------------------------------------------------------------------- the last time

    def _stamp(self) -> list[Json]:
        gallery = self._settings.gallery
        place = str(self._settings.run.output.absolute())
        return [_FORM, __version__, fingerprint(gallery.model_dump(mode="json"), place)]

    async def _recall(self) -> _Known:
        """Return what the last time left, if it is still there."""
        note: Any = await self._database.load(NOTE)
        try:
            if not note or note["stamp"] != self._stamp():
                return _Known()
            known = _Known(
                note["since"],
                {int(block): [ShardFile(*each) for each in files] for block, files in note["shards"].items()},
                dict(note["sizes"]),
                {int(number): RowsFile(file) for number, file in note["rows"].items()},
                {int(block): list(rows) for block, rows in note["newest"].items()},
                {int(block): mark for block, mark in note["marks"].items()},
            )
            left = {**known.sizes, "data/index.js": note["index"]}
        except (KeyError, TypeError, ValueError, AttributeError):
            return _Known()  # of another release
        return _Known() if await self._sink.missing({FOLDER: left}) else known

    async def _remember(self, known: _Known, index: OutFile, now: float) -> None:
        note = {
            "stamp": self._stamp(),
            "since": now - _MARGIN,
            "index": index.sha256,
            "sizes": known.sizes,
            "shards": {
                str(block): [[each.file, each.first, each.last] for each in files]
                for block, files in known.shards.items()
            },
            "newest": {str(block): rows for block, rows in known.newest.items()},
            "marks": {str(block): mark for block, mark in known.marks.items()},
            "rows": {str(number): each.file for number, each in known.rows.items()},
        }
        await self._database.save(NOTE, note)


@dataclass(slots=True)
class _Range:
    """A range of ``ROWS`` numbers while it is made."""

    number: int
    blocks: dict[int, list[Published]]
    is_last: bool
    wanted: bool  #: all its rows are: they stand in one file
    todo: set[int]  #: blocks that are not made yet
    rows: dict[int, Sequence[str]] = field(default_factory=dict)  #: by block, encoded


class _Made:
    """What one writing has made so far."""

    def __init__(
        self,
        writer: GalleryWriter,
        workers: BlockWorkers,
        before: _Known,
        posters: Collection[str],
        troubled: Collection[str],
    ) -> None:
        self._writer = writer
        self._workers = workers
        self._posters = posters  #: folders of the videos that have one
        self._troubled = troubled  #: keys of the videos of which something has stopped that counts
        self._before = before
        self._ranges: dict[int, _Range] = {}  #: that are not finished
        self._faulty: set[str] = set()  #: jobs whose own page failed, which was told
        self.after = _Known()
        self.lines: list[str] = []  #: of the plain index

    async def add(self, ranges: AsyncGenerator[tuple[list[Published], bool], None], changed: TextSet) -> None:
        """Write ranges of ``ROWS`` numbers, as far as they have changed."""
        async with self._workers.made(self._jobs(ranges, changed)) as done:
            async for job, made in done:
                await self._take(job, made)
        for part in list(self._ranges.values()):  # nothing was to be made for these
            await self._finish(part)

    async def _jobs(
        self, ranges: AsyncGenerator[tuple[list[Published], bool], None], changed: TextSet
    ) -> AsyncGenerator[BlockJob, None]:
        """Yield the blocks to make."""
        async with aclosing(ranges):
            async for published, is_last in ranges:
                if not published:
                    continue
                part, stale = self._plan(published, changed, is_last=is_last)
                todo = sorted(part.todo)
                if len(todo) >= _MANY:
                    self._workers.expect_many()
                for block in todo:
                    yield BlockJob(block, part.blocks[block], self._posters, block in stale)

    def _plan(self, published: Sequence[Published], changed: TextSet, *, is_last: bool) -> tuple[_Range, set[int]]:
        """Return what to make of a range, and its stale blocks."""
        self.lines += [index_line(self._writer.title(data), data.seconds, data.folder) for _, _, data in published]
        blocks: dict[int, list[Published]] = {}
        for each in published:
            blocks.setdefault(each[0] // SHARD, []).append(each)
        number, before = published[0][0] // ROWS, self._before
        self.after.marks |= {block: self._mark(videos) for block, videos in blocks.items()}
        stale = {block for block, videos in blocks.items() if self._is_stale(block, videos, changed)}
        remade = stale | {block for block in blocks if self.after.marks[block] != before.marks.get(block)}
        wanted = is_last or bool(remade) or number not in before.rows
        todo = {block for block in blocks if block in remade or (wanted and block not in before.newest)}
        part = self._ranges[number] = _Range(number, blocks, is_last, wanted, todo)
        for block in blocks:
            if wanted and block not in todo:
                part.rows[block] = before.newest[block]
            if block not in stale:
                self._keep_block(block)
        return part, stale

    async def _take(self, job: BlockJob, made: MadeBlock) -> None:
        """Write a block, and its range's rows after the last."""
        self._tell(made.faults)
        part = self._ranges[job.number * SHARD // ROWS]
        part.rows[job.number] = made.rows
        if job.stale:
            shards = {f"data/{shard.file}" for shard in made.shards}
            self.after.shards[job.number] = list(made.shards)
            self.after.sizes |= {file.name: len(file.data) for file in made.files if file.name in shards}
            await self._put(made.files)
        part.todo.discard(job.number)
        if not part.todo:
            await self._finish(part)

    def _tell(self, faults: Sequence[PageFault]) -> None:
        """Log each job whose own page failed, once: both processes may have met it."""
        for fault in faults:
            if fault.job not in self._faulty:
                self._faulty.add(fault.job)
                _log.warning("gallery.job_page_failed", job=fault.job, video=fault.video, why=fault.why)

    async def _finish(self, part: _Range) -> None:
        """Write a whole range's rows, or leave them as they are."""
        del self._ranges[part.number]
        if part.is_last:
            self.after.newest = {block: list(rows) for block, rows in sorted(part.rows.items())}
        elif part.wanted:
            await self._write_rows(
                part.number, list(chain.from_iterable(part.rows[block] for block in sorted(part.rows)))
            )
        else:
            self._keep_rows(part.number)

    def _mark(self, videos: Sequence[Published]) -> int:
        marks = ((data.folder in self._posters) + 2 * (task.key in self._troubled) for _, task, data in videos)
        return crc32(bytes(marks))

    def _is_stale(self, block: int, videos: Sequence[Published], changed: TextSet) -> bool:
        return block not in self._before.shards or any(task.key in changed for _, task, _ in videos)

    def _keep_block(self, block: int) -> None:
        files = self._before.shards[block]
        self.after.shards[block] = files
        self.after.sizes |= {f"data/{each.file}": self._before.sizes.get(f"data/{each.file}", 0) for each in files}

    async def _write_rows(self, number: int, rows: Sequence[str]) -> None:
        file = rows_file(number * ROWS, rows)
        self.after.rows[number] = RowsFile(file.name.removeprefix("data/"))
        self.after.sizes[file.name] = len(file.data)
        await self._put([file])

    async def _put(self, files: Sequence[OutFile]) -> None:
        async with self._workers.alone:
            await self._writer.put(files)

    def _keep_rows(self, number: int) -> None:
        known = self._before.rows[number]
        self.after.rows[number] = known
        self.after.sizes[f"data/{known.file}"] = self._before.sizes.get(f"data/{known.file}", 0)


async def write_safely(writer: GalleryWriter) -> GalleryMade | Trouble:
    """Write the page at a run's end; trouble is told and fails nothing."""
    try:
        made = await writer.write(whole=False, remember=True)
    except ReelmillError as error:
        trouble = error.trouble
    except Exception as error:
        _log.exception("gallery.crashed")
        trouble = Trouble("gallery", f"The page could not be made: {type(error).__name__}.", "the log holds the reason")
    else:
        _log.info("gallery.written", page=str(made.page), videos=made.videos, open=made.open_items)
        return made
    _log.error("gallery.not_written", why=trouble.message, remedy=trouble.remedy)
    return trouble
