"""What ``results.jsonl`` must hold, whatever of it was written when."""

from __future__ import annotations

import json

from pipeline.app.runs.results_index import ResultsIndex
from pipeline.ports.store import Database
from tests.support.fakes import FakeSink


async def stale_lines(content: bytes, database: Database) -> list[str]:
    """Return what is wrong: videos of this database whose lines are missing, are there twice, or are not as a new one."""
    wanted = {json.loads(line)["key"]: line async for line in ResultsIndex(database, FakeSink()).lines()}
    there = content.splitlines()  # of bytes: text has more line ends
    keys = [json.loads(line)["key"] for line in there]
    twice = [key for key in {*keys} if keys.count(key) > 1]
    return [*twice, *(key for key, line in wanted.items() if line.encode("utf-8", "backslashreplace") not in there)]
