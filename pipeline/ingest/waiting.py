"""What people are told of a task that waits, by its kind and stage.

The words stand apart from the steps, whose imports would cost a command that only reads a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.core.model import Task
from pipeline.ingest.payloads import ItemData, VideoData

#: Of a task that looks for the trace of a call.
_LOOKING = "waits until the provider has been asked whether an interrupted call arrived"
#: kind -> stage -> the end of "It ….".
WAITING: Mapping[str, Mapping[str, str]] = {
    "item": {
        "resolve": "waits to be looked into",
        "download": "waits to be downloaded",
        "again": "waits to be asked again",
    },
    "listing": {"expand": "waits to be listed"},
    "video": {
        "place": "waits to be uploaded",
        "price": "waits to be uploaded",
        "open": "waits to be uploaded",
        "upload": "waits to be uploaded",
        "find": _LOOKING,
        "send": "is being uploaded in parts",
        "settle": "is uploaded; the platform is looking at the file",
        "fan_out": "is uploaded and waits for its analyses to be started",
    },
    "analysis": {
        "price": "waits for its analysis to be started",
        "finish": "waits for its analysis to be started",
        "submit": "waits for its analysis to be started",
        "find": _LOOKING,
        "join": "waits for a batch of analyses",
        "await": "is being analysed by the platform",
        "duplicate": _LOOKING,
        "split": "is analysed; the answer waits to be checked",
    },
    "publish": {"write": "is analysed; its results wait to be written"},
    "indexing": {
        "price": "waits to be put into the index",
        "submit": "waits to be put into the index",
        "find": _LOOKING,
        "await": "is being put into the index by the platform",
    },
    "transcript": {"fetch": "is analysed; the transcript is fetched"},
    "batch": {
        "gather": "packs analyses into batches",
        "submit": "waits to be sent in a batch",
        "look": _LOOKING,
        "await": "is being analysed by the platform, in a batch",
        "split": "is analysed in a batch that has ended",
    },
}


#: kind -> stages that need the disk which the file is on, as the database knows by itself.
LOCAL: Mapping[str, Sequence[str]] = {"item": ("resolve",), "video": ("place", "open", "upload", "send")}


def host_waited_for(task: Task) -> str:
    """Return the host whose disk a task needs; empty: any will do."""
    if task.stage not in LOCAL.get(task.kind, ()):
        return ""
    data = ItemData.of(task) if task.kind == "item" else VideoData.of(task)
    return "" if data.host_gone else data.host


def is_known(task: Task) -> bool:
    """Tell whether this release knows the task's step."""
    return task.stage in WAITING.get(task.kind, {})


def waiting_words(task: Task) -> str:
    """Return what the task waits for, as the end of *It*…."""
    return WAITING.get(task.kind, {}).get(task.stage, f"is at {task.stage}")


def is_looking(task: Task) -> bool:
    """Return True for a task that waits to look for a paid call's trace.

    To wait is what keeps it from paying twice. A look that was due and could not be made, as its trouble tells, need not
    wait for that.
    """
    return task.trouble is None and waiting_words(task) == _LOOKING
