"""Reads what the page shows of videos, a block at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pipeline.core.model import Result, Selection, Spend, Task
from pipeline.ingest.payloads import PublishData
from pipeline.ports.store import Records

_KINDS = ("item", "video", "analysis", "indexing")
#: Results that the page does not show: large, and they lie in the folders.
_LEFT_OUT = ("_answer", "_thumbnail")
#: What is said in it: captions that came with it, else what the platform heard.
CAPTIONS = ("_captions", "_transcript")
#: A published video: its number, its task and what was written.
Published: TypeAlias = tuple[int, Task, PublishData]


@dataclass(frozen=True, slots=True)
class StoredVideo:
    """What is stored of one published video, for the page."""

    number: int
    publish: Task
    written: PublishData
    tasks: Sequence[Task]  #: items first
    results: Sequence[Result]  #: those that are in its folder, in their order there
    captions: Result | None
    spends: Sequence[Spend]

    @property
    def items(self) -> list[Task]:
        """The lines that name it."""
        return [task for task in self.tasks if task.kind == "item"]


async def read_videos(records: Records, published: Sequence[Published], *, captions: bool) -> list[StoredVideo]:
    """Return what is known of these videos, in their order."""
    keys = [task.key for _, task, _ in published]
    if not keys:
        return []
    tasks: defaultdict[str, list[Task]] = defaultdict(list)
    for task in await records.tasks(Selection(_KINDS, subjects=tuple(keys))):
        tasks[task.subject].append(task)
    results: defaultdict[str, list[Result]] = defaultdict(list)
    for result in await records.results(keys, _LEFT_OUT if captions else (*_LEFT_OUT, *CAPTIONS)):
        results[result.subject].append(result)
    spends: defaultdict[str, list[Spend]] = defaultdict(list)
    for spend in await records.spends(keys):
        spends[spend.subject].append(spend)
    return [
        _known(number, task, written, tasks[task.key], results[task.key], spends[task.key])
        for number, task, written in published
    ]


def _known(
    number: int,
    publish: Task,
    written: PublishData,
    tasks: Sequence[Task],
    results: Sequence[Result],
    spends: Sequence[Spend],
) -> StoredVideo:
    found = {result.job: result for result in results if written.present.get(result.job) == result.fingerprint}
    ours = [found[name] for name in written.present if name in found]
    newest = {result.job: result for result in results}
    captions = next((newest[name] for name in CAPTIONS if name in newest), None)
    ordered = sorted(tasks, key=lambda task: task.kind != "item")
    return StoredVideo(number, publish, written, ordered, ours, captions, spends)
