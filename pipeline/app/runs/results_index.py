"""``results.jsonl``: one line per published video, streamed from the database.

Several state folders may share an output folder: lines of videos that this database does not know are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence

from pipeline.core.model import Json, Result, Selection
from pipeline.ingest.payloads import PublishData
from pipeline.ports.store import Records, read_pages

_PAGE = 100
CURRENT = "index_current"  #: the note that ``results.jsonl`` holds what the database does
#: How each of our lines begins, so that not all of it need be read.
_KEY = re.compile(rb'\{"key":("(?:[^"\\]|\\.)*")[,}]')


class ResultsIndex:
    """The lines of one database, and which others are kept.

    Memory holds one page, and a number for each video.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._ours: set[int] = set()  #: hashes of the videos whose lines were given out

    def leave_out(self, key: str) -> None:
        """Let a video's line go, which is not ours any more."""
        self._ours.add(hash(key))

    async def lines(self) -> AsyncIterator[str]:
        """Yield our lines, oldest video first."""
        async for page in read_pages(self._records, Selection(kinds=("publish",), limit=_PAGE)):
            published = [(task.key, data) for task in page if (data := PublishData.of(task)).folder]
            results = await self._records.results([key for key, _ in published])
            for key, data in published:
                self._ours.add(hash(key))
                yield json.dumps(_line(key, data, results), ensure_ascii=False, separators=(",", ":"))

    def keep(self, line: bytes) -> str:
        """Return the folder of another database's line; empty: the line goes.

        To be called after :meth:`lines`, which finds out what is ours. A line that cannot be read goes, too.
        """
        found = _KEY.match(line)
        try:
            if found is None or hash(json.loads(found[1])) in self._ours:
                return ""
            folder = json.loads(line)["folder"]
        except (ValueError, KeyError, RecursionError):
            return ""
        return folder if isinstance(folder, str) else ""


def _line(key: str, data: PublishData, results: Sequence[Result]) -> dict[str, Json]:
    present = {r.job: r.body for r in results if r.subject == key and data.present.get(r.job) == r.fingerprint}
    return {
        "key": key,
        "title": data.title,
        "folder": data.folder,
        "seconds": data.seconds,
        "sources": data.sources,
        "results": present,
    }
