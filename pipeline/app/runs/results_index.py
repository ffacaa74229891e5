"""``results.jsonl``: one line per published video with all its present results, streamed from the database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

from pipeline.core.model import Json, Result, Selection, Task
from pipeline.ports.store import Records

_PAGE = 100


async def results_lines(records: Records) -> AsyncIterator[str]:
    """Yield the lines, oldest video first; memory holds one page."""
    after = 0
    while page := await records.tasks(Selection(kinds=("publish",), after_id=after, limit=_PAGE)):
        after = page[-1].id
        published = [task for task in page if "folder" in task.data]
        results = await records.results([task.key for task in published])
        for task in published:
            yield json.dumps(_line(task, results), ensure_ascii=False, separators=(",", ":"))


def _line(task: Task, results: Sequence[Result]) -> dict[str, Json]:
    present = task.data.get("present", {})
    return {
        "key": task.key,
        "title": task.data["title"],
        "folder": task.data["folder"],
        "seconds": task.data.get("seconds"),
        "sources": task.data.get("sources", []),
        "results": {r.job: r.body for r in results if r.subject == task.key and present.get(r.job) == r.fingerprint},
    }
