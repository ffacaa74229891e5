"""``results.jsonl``: one line per published video, streamed from the database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

from pipeline.core.model import Json, Result, Selection
from pipeline.ingest.payloads import PublishData
from pipeline.ports.store import Records

_PAGE = 100


async def results_lines(records: Records) -> AsyncIterator[str]:
    """Yield the lines, oldest video first; memory holds one page."""
    after = 0
    while page := await records.tasks(Selection(kinds=("publish",), after_id=after, limit=_PAGE)):
        after = page[-1].id
        published = [(task.key, data) for task in page if (data := PublishData.of(task)).folder]
        results = await records.results([key for key, _ in published])
        for key, data in published:
            yield json.dumps(_line(key, data, results), ensure_ascii=False, separators=(",", ":"))


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
