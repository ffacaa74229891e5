"""What people are told of a task that waits, as its stage declares it."""

from __future__ import annotations

from typing import Final

from pipeline.core.model import Task
from pipeline.ingest.paid_call import LOOKING
from pipeline.ingest.tasks.analysis import AnalysisTaskType
from pipeline.ingest.tasks.indexing import IndexingTaskType
from pipeline.ingest.tasks.item import ItemTaskType
from pipeline.ingest.tasks.playlist import PlaylistTaskType
from pipeline.ingest.tasks.publish import PublishTaskType
from pipeline.ingest.tasks.video import VideoTaskType

WORDS_OF_STAGES: Final = {
    (kind, stage.name): stage.waiting
    for kind, stages in (
        ("item", ItemTaskType.STAGES),
        ("listing", PlaylistTaskType.STAGES),
        ("video", VideoTaskType.STAGES),
        ("analysis", AnalysisTaskType.STAGES),
        ("publish", PublishTaskType.STAGES),
        ("indexing", IndexingTaskType.STAGES),
    )
    for stage in stages
}


def waiting_words(task: Task) -> str:
    """Return what the task waits for, as the end of *It*…."""
    return WORDS_OF_STAGES.get((task.kind, task.stage), f"is at {task.stage}")


def is_looking(task: Task) -> bool:
    """Return True for a task that waits to look for a paid call's trace.

    To wait is what keeps it from paying twice. A look that was due and could not be made, as its trouble tells, need not
    wait for that.
    """
    return WORDS_OF_STAGES.get((task.kind, task.stage)) == LOOKING and task.trouble is None
