"""What people are told of a task that waits, as its stage declares it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pipeline.core.model import Task
from pipeline.core.task_types import StageSpec


@cache
def words_of_stages() -> Mapping[tuple[str, str], str]:
    """Return what is told of a task in each stage, by (kind, stage).

    The steps are loaded when somebody asks: a tenth of a second that a command about nothing that waits does without.
    """
    from pipeline.ingest.tasks.analysis import AnalysisTaskType
    from pipeline.ingest.tasks.batch import BatchTaskType
    from pipeline.ingest.tasks.indexing import IndexingTaskType
    from pipeline.ingest.tasks.item import ItemTaskType
    from pipeline.ingest.tasks.playlist import PlaylistTaskType
    from pipeline.ingest.tasks.publish import PublishTaskType
    from pipeline.ingest.tasks.video import VideoTaskType

    kinds: Mapping[str, Sequence[StageSpec[Any]]] = {
        "item": ItemTaskType.STAGES,
        "listing": PlaylistTaskType.STAGES,
        "video": VideoTaskType.STAGES,
        "analysis": AnalysisTaskType.STAGES,
        "publish": PublishTaskType.STAGES,
        "indexing": IndexingTaskType.STAGES,
        "batch": BatchTaskType.STAGES,
    }
    return {(kind, stage.name): stage.waiting for kind, stages in kinds.items() for stage in stages}


def waiting_words(task: Task) -> str:
    """Return what the task waits for, as the end of *It*…."""
    return words_of_stages().get((task.kind, task.stage), f"is at {task.stage}")


def is_looking(task: Task) -> bool:
    """Return True for a task that waits to look for a paid call's trace.

    To wait is what keeps it from paying twice. A look that was due and could not be made, as its trouble tells, need not
    wait for that.
    """
    from pipeline.ingest.paid_call import LOOKING

    return task.trouble is None and words_of_stages().get((task.kind, task.stage)) == LOOKING
