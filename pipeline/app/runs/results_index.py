"""``results.jsonl``: one line per published video, kept up to date from the database.

A note holds which file was written last. If it is there still, only the lines of videos that have changed since are written
anew; else all are. Several state folders may share an output folder: lines of videos that this database does not know are
kept.
"""

from __future__ import annotations

import json
import re
from array import array
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import astuple

from pipeline.core.model import ChangedVideo, Json, Result, Selection, Task
from pipeline.core.text import TextSet
from pipeline.ingest.payloads import PublishData
from pipeline.ingest.tasks.planned_files import INTERNAL
from pipeline.ports.sink import IndexStamp, Sink
from pipeline.ports.store import Database, read_pages

_PAGE = 100
_FEW = 50_000  #: changed videos whose lines are replaced one by one
_NOTE = "index"  #: name of the note: the stamp of the file that was written last
#: How each of our lines begins, so that not all of it need be read.
_KEY = re.compile(rb'\{"key":("(?:[^"\\]|\\.)*")[,}]')


class ResultsIndex:
    """The lines of one database, and which others are kept.

    Memory holds one page, and eight bytes for each video where all lines are written.
    """

    def __init__(self, database: Database, sink: Sink) -> None:
        self._database = database
        self._sink = sink
        self._ours = TextSet()  #: keys of the videos whose lines are ours, or were

    async def bring_up_to_date(self) -> None:
        """Write what has changed since; everything if it is another file.

        Raises:
            Transient, Permanent: as of the sink; it is written the next time.
        """
        noted, changed = await self._database.load(_NOTE), await self._database.changed_videos(0, _FEW + 1)
        before = IndexStamp(*noted) if noted else None
        stamp = await self._amend(before, changed) if before is not None and len(changed) <= _FEW else None
        marks = array("q", (video.mark for video in changed))
        if stamp is None:
            await self._note_changed(changed, marks)
            stamp = await self._sink.write_index(self.lines(), self._keep)
        if stamp != before or marks:
            await self._database.catch_up(marks, _NOTE, list(astuple(stamp)), noted)

    async def _amend(self, stamp: IndexStamp, changed: Sequence[ChangedVideo]) -> IndexStamp | None:
        keys = {_beginning(video.key): video.key for video in changed}
        for video in changed:
            self._ours.add(video.key)

        async def find(beginnings: Sequence[bytes]) -> Mapping[bytes, str]:
            wanted = tuple(keys[begins] for begins in beginnings)
            tasks = await self._database.tasks(Selection(kinds=("publish",), keys=wanted))
            return {_beginning(key): line async for key, line in self._of(tasks)}

        return await self._sink.amend_index(stamp, list(keys), find, self._keep)

    async def _note_changed(self, page: Sequence[ChangedVideo], marks: array[int]) -> None:
        """Note what has changed as ours, from this page on, and its marks.

        What was forgotten has no line, and is nobody else's either.
        """
        while page:
            for video in page:
                self._ours.add(video.key)
            page = await self._database.changed_videos(page[-1].mark, _FEW)
            marks.extend(video.mark for video in page)

    async def lines(self) -> AsyncIterator[str]:
        """Yield our lines, oldest video first."""
        async for page in read_pages(self._database, Selection(kinds=("publish",), limit=_PAGE)):
            async for key, line in self._of(page):
                self._ours.add(key)
                yield line

    async def _of(self, page: Sequence[Task]) -> AsyncIterator[tuple[str, str]]:
        """Yield key and line of each video that is written."""
        published = [(task.key, data) for task in page if (data := PublishData.of(task)).folder]
        results: dict[str, list[Result]] = defaultdict(list)
        for result in await self._database.results([key for key, _ in published], without=INTERNAL):
            results[result.subject].append(result)
        for key, data in published:
            yield key, _encode(_line(key, data, results[key]))

    def _keep(self, line: bytes) -> str:
        """Return the folder of another database's line; empty: the line goes.

        A line that cannot be read goes, too.
        """
        found = _KEY.match(line)
        try:
            if found is None or json.loads(found[1]) in self._ours:
                return ""
            folder = json.loads(line)["folder"]
        except (ValueError, KeyError, RecursionError):
            return ""
        return folder if isinstance(folder, str) else ""


#: Made once: ``json.dumps`` with options makes an encoder per call.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _beginning(key: str) -> bytes:
    """Return how a video's line begins, with its key."""
    return _encode({"key": key})[:-1].encode("utf-8", "backslashreplace") + b","


def _line(key: str, data: PublishData, results: Collection[Result]) -> dict[str, Json]:
    present = {each.job: each.body for each in results if data.present.get(each.job) == each.fingerprint}
    return {
        "key": key,
        "title": data.title,
        "folder": data.folder,
        "seconds": data.seconds,
        "sources": data.sources,
        "results": present,
    }
