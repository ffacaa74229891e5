"""The results of commands: ``present`` renders them; the contract of ``--json``.

Each is loaded when it is asked for, because a command shows few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.views.account import (
        Agreed,
        AnswerStore,
        Expiring,
        Leftover,
        OpenUpload,
        Reconciled,
        Reconciliation,
        Vanished,
    )
    from pipeline.views.ask import AnswerView, CitedMoment
    from pipeline.views.cluster import ForgottenHost, HostsDemo, HostView, MovedState, Submitted
    from pipeline.views.index import Asked, ClassifyView, IndexedView, IndexView, SearchView, VideoClasses, VideoRef
    from pipeline.views.items import Corrected, CorrectedItem, ItemView
    from pipeline.views.lines import BadLine, LeftOut, MissingFile
    from pipeline.views.run import Delivery, LaneView, NamedItems, QueryReport, RunReport, Snapshot, Watch, WorkView
    from pipeline.views.status import BatchView, StatusView, WaitView
    from pipeline.views.upkeep import Finding, GalleryMade, Migrated, Pruned, PruneLine

__all__ = [
    "Agreed", "AnswerStore", "AnswerView", "Asked", "BadLine", "BatchView", "CitedMoment", "ClassifyView",
    "Corrected", "CorrectedItem", "Delivery", "Expiring", "Finding", "ForgottenHost", "GalleryMade", "HostView", "HostsDemo",
    "IndexView",
    "IndexedView",
    "ItemView", "LaneView", "LeftOut", "Leftover", "Migrated", "MissingFile", "MovedState", "NamedItems", "OpenUpload",
    "PruneLine", "Pruned", "QueryReport", "Reconciled", "Reconciliation", "RunReport", "SearchView", "Snapshot",
    "StatusView", "Submitted", "Vanished", "VideoClasses", "VideoRef", "WaitView", "Watch", "WorkView",
]  # fmt: skip

#: Where each is.
_ROOMS = {
    "account": "Agreed AnswerStore Expiring Leftover OpenUpload Reconciled Reconciliation Vanished",
    "ask": "AnswerView CitedMoment",
    "cluster": "ForgottenHost HostView HostsDemo MovedState Submitted",
    "index": "Asked ClassifyView IndexView IndexedView SearchView VideoClasses VideoRef",
    "items": "Corrected CorrectedItem ItemView",
    "lines": "BadLine LeftOut MissingFile",
    "run": "Delivery LaneView NamedItems QueryReport RunReport Snapshot Watch WorkView",
    "status": "BatchView StatusView WaitView",
    "upkeep": "Finding GalleryMade Migrated PruneLine Pruned",
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found
