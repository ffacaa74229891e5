"""Writes the page: what has changed since the last time, or all of it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from zlib import crc32

from anyio import to_thread

from pipeline import __version__
from pipeline.app.gallery.blocks import JobBlocks
from pipeline.app.gallery.collect import StoredVideo, read_videos
from pipeline.app.gallery.entries import EntryMaker, captions_text
from pipeline.app.gallery.posters import made_posters
from pipeline.app.gallery.report import ReportMaker
from pipeline.app.gallery.safe_words import SafeWords
from pipeline.app.gallery.standing import Standing
from pipeline.app.operator.attention import noted, stopped
from pipeline.app.wiring.run_plan import load_jobs
from pipeline.config.settings import Settings
from pipeline.core import log
from pipeline.core.clock import Clock
from pipeline.core.errors import ReelmillError
from pipeline.core.model import Json, Selection, Task, Trouble, fingerprint
from pipeline.gallery.caption_scripts import CaptionScripts
from pipeline.gallery.data_files import FOLDER, ROWS, SHARD, captions_name, encode, index_file, rows_file, shard_files
from pipeline.gallery.page_files import SHELL, part_files, shell_file
from pipeline.gallery.plain_index import index_line, plain_index
from pipeline.gallery.read_ahead import read_ahead
from pipeline.gallery.values import GalleryIndex, RowsFile, ShardFile
from pipeline.ingest.payloads import PublishData
from pipeline.ports.sink import OutFile, Sink
from pipeline.ports.store import Database, read_pages
from pipeline.views import GalleryMade

NOTE = "gallery"  #: name of the note with what was written the last time
_FORM = 2  #: of the note, and of what is written; another one is written again as a whole
_OPEN = 500  #: items without results that are listed
_MARGIN = 120.0  #: seconds that clocks and commits may be apart
_log = log.get("gallery")

#: A published video: its number, its task and what was written.
_Published = tuple[int, Task, PublishData]
#: A block: its number, what is stored of its videos, the scripts of their captions by folder.
_Block = tuple[int, Sequence[StoredVideo], Mapping[str, str]]


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
        secrets = [settings.api_key.get_secret_value()] if settings.api_key is not None else []
        self._words = SafeWords(
            settings.run.output,
            absolute=settings.gallery.paths == "absolute",
            folders=[settings.run.state],
            secrets=secrets,
        )
        self._blocks = JobBlocks({job.name: job for job in load_jobs()})

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
        posters = await to_thread.run_sync(made_posters, self._settings.run.output)
        troubled = {task.subject async for task, near in stopped(self._database) if counts(task, near)}
        made = _Made(self, EntryMaker(self._words, self._blocks, standing), before, posters, troubled)
        changed = await self._changed(before.since)
        await self._sink.add(FOLDER, part_files())
        async with aclosing(made):
            async for published, is_last in self._ranges():
                await made.add_range(published, changed, is_last=is_last)
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

    async def _ranges(self) -> AsyncIterator[tuple[list[_Published], bool]]:
        """Yield ranges of ``ROWS`` numbers; true for the unfinished last."""
        number, current = 0, list[_Published]()
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

    async def _changed(self, since: float) -> set[str]:
        """Return what has changed since the last time; without one, all is new anyway."""
        found: set[str] = set()
        if since:
            async for page in read_pages(self._database, Selection(since=since, limit=1000)):
                found |= {task.subject or task.key for task in page}
        return found

    async def read(self, published: Sequence[_Published], *, captions: bool) -> list[StoredVideo]:
        """Return what is known of these videos."""
        return await read_videos(self._database, published, captions=captions)

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
        return _Known() if await self._sink.missing(FOLDER, left) else known

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


class _Made:
    """What one writing has made so far."""

    def __init__(
        self,
        writer: GalleryWriter,
        maker: EntryMaker,
        before: _Known,
        posters: Collection[str],
        troubled: Collection[str],
    ) -> None:
        self._writer = writer
        self._posters = posters  #: folders of the videos that have one
        self._troubled = troubled  #: keys of the videos of which something has stopped that counts
        self._maker = maker
        self._before = before
        self.after = _Known()
        self._captions = CaptionScripts()
        self.lines: list[str] = []  #: of the plain index

    async def aclose(self) -> None:
        """End the process that reads captions."""
        await self._captions.aclose()

    async def add_range(self, published: Sequence[_Published], changed: set[str], *, is_last: bool) -> None:
        """Write a range of ``ROWS`` numbers, as far as it has changed."""
        if not published:
            return
        self.lines += [index_line(self._writer.title(data), data.seconds, data.folder) for _, _, data in published]
        blocks: dict[int, list[_Published]] = {}
        for each in published:
            blocks.setdefault(each[0] // SHARD, []).append(each)
        number, before = published[0][0] // ROWS, self._before
        self.after.marks |= {block: self._mark(videos) for block, videos in blocks.items()}
        stale = {block for block, videos in blocks.items() if self._is_stale(block, videos, changed)}
        remade = stale | {block for block in blocks if self.after.marks[block] != before.marks.get(block)}
        wanted = is_last or bool(remade) or number not in before.rows  # all rows of the range: they stand in one file
        rows: dict[int, list[str]] = {}
        made = {block for block in blocks if block in remade or (wanted and block not in before.newest)}
        # Each of the three waits for something else: the database, the processor, the disk.
        reading = self._read({block: blocks[block] for block in sorted(made)}, stale)
        async with read_ahead(reading) as known, read_ahead(self._make(known, stale)) as ready:
            async for block, encoded, files in ready:
                rows[block] = encoded
                if files:
                    await self._writer.put(files)
        for block in blocks:
            if wanted and block not in made:
                rows[block] = before.newest[block]
            if block not in stale:
                self._keep_block(block)
        if is_last:
            self.after.newest = dict(sorted(rows.items()))
        elif wanted:
            await self._write_rows(number, list(chain.from_iterable(rows[block] for block in sorted(rows))))
        else:
            self._keep_rows(number)

    def _mark(self, videos: Sequence[_Published]) -> int:
        marks = ((data.folder in self._posters) + 2 * (task.key in self._troubled) for _, task, data in videos)
        return crc32(bytes(marks))

    def _is_stale(self, block: int, videos: Sequence[_Published], changed: set[str]) -> bool:
        return block not in self._before.shards or any(task.key in changed for _, task, _ in videos)

    async def _read(
        self, blocks: Mapping[int, Sequence[_Published]], stale: Collection[int]
    ) -> AsyncGenerator[_Block, None]:
        """Yield blocks with what is stored, and the scripts of captions."""
        for block, videos in blocks.items():
            known = await self._writer.read(videos, captions=block in stale)
            texts = [(video.written.folder, text) for video in known if (text := captions_text(video))]
            scripts = await self._captions.make(texts)
            yield block, known, {folder: script for (folder, _), script in zip(texts, scripts, strict=True) if script}

    async def _make(
        self, blocks: AsyncIterator[_Block], stale: Collection[int]
    ) -> AsyncGenerator[tuple[int, list[str], list[OutFile]], None]:
        """Yield the rows of each block, and its files if they are stale."""
        async for block, known, scripts in blocks:
            shown = [
                self._maker.show(video, poster=folder in self._posters, captions=folder in scripts)
                for video in known
                for folder in [video.written.folder]
            ]
            files: list[OutFile] = []
            if block in stale:
                pairs = list(shard_files(block, [video.entry for video in shown]))
                self.after.shards[block] = [shard for shard, _ in pairs]
                self.after.sizes |= {file.name: len(file.data) for _, file in pairs}
                cues = [OutFile(f"data/{captions_name(folder)}", script) for folder, script in scripts.items()]
                files = [*cues, *(file for _, file in pairs)]
            yield block, [encode(video.row) for video in shown], files

    def _keep_block(self, block: int) -> None:
        files = self._before.shards[block]
        self.after.shards[block] = files
        self.after.sizes |= {f"data/{each.file}": self._before.sizes.get(f"data/{each.file}", 0) for each in files}

    async def _write_rows(self, number: int, rows: Sequence[str]) -> None:
        file = rows_file(number * ROWS, rows)
        self.after.rows[number] = RowsFile(file.name.removeprefix("data/"))
        self.after.sizes[file.name] = len(file.data)
        await self._writer.put([file])

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
