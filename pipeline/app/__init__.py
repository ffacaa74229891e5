"""The composition root: the only package that sees everything. One function per command; ``cli`` calls nothing else.

A command costs what it needs: each function's module is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.app.correcting import command, reopen
    from pipeline.app.health import doctor
    from pipeline.app.house import desk_of
    from pipeline.app.looking import show, status
    from pipeline.app.planning import plan
    from pipeline.app.queries import standing
    from pipeline.app.reconciling import reconcile
    from pipeline.app.running import run
    from pipeline.app.searching import classify, create_index, delete_index, indexes, search, videos
    from pipeline.app.serving import demo, platform

__all__ = [
    "classify", "command", "create_index", "delete_index", "demo", "desk_of", "doctor", "indexes", "plan",
    "platform", "reconcile", "reopen", "run", "search", "show", "standing", "status", "videos",
]  # fmt: skip

_HOME = {
    "command": "correcting", "reopen": "correcting", "doctor": "health", "desk_of": "house", "show": "looking",
    "status": "looking", "plan": "planning", "standing": "queries", "reconcile": "reconciling", "run": "running",
    "classify": "searching", "create_index": "searching", "delete_index": "searching", "indexes": "searching",
    "search": "searching", "videos": "searching", "demo": "serving", "platform": "serving",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
