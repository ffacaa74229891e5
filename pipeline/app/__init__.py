"""The composition root: the only package that sees everything. One function per command; ``cli`` calls nothing else.

A command costs what it needs: each function's module is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.app.account.reconcile import reconcile
    from pipeline.app.index.search import classify, create_index, delete_index, indexes, search, videos
    from pipeline.app.operator.doctor import doctor
    from pipeline.app.operator.retry_cancel import command, reopen
    from pipeline.app.operator.serve import platform
    from pipeline.app.operator.status import show, status
    from pipeline.app.runs.demo import demo
    from pipeline.app.runs.plan import plan
    from pipeline.app.runs.session import run
    from pipeline.app.runs.standing_queries import standing
    from pipeline.app.wiring.components import desk_of

__all__ = [
    "classify", "command", "create_index", "delete_index", "demo", "desk_of", "doctor", "indexes", "plan",
    "platform", "reconcile", "reopen", "run", "search", "show", "standing", "status", "videos",
]  # fmt: skip

_HOME = {
    "classify": "index.search", "command": "operator.retry_cancel", "create_index": "index.search",
    "delete_index": "index.search", "demo": "runs.demo", "desk_of": "wiring.components", "doctor": "operator.doctor",
    "indexes": "index.search", "plan": "runs.plan", "platform": "operator.serve", "reconcile": "account.reconcile",
    "reopen": "operator.retry_cancel", "run": "runs.session", "search": "index.search", "show": "operator.status",
    "standing": "runs.standing_queries", "status": "operator.status", "videos": "index.search",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
