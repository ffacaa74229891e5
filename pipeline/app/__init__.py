"""The composition root: one function per command; ``commands`` calls nothing else.

A command costs what it needs: each function's module is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.app.account.reconcile import reconcile
    from pipeline.app.asking.ask import ask
    from pipeline.app.cluster.demo import demo_hosts
    from pipeline.app.cluster.hosts import forget_hosts_line, hosts
    from pipeline.app.cluster.import_state import import_state
    from pipeline.app.cluster.work import submit, work
    from pipeline.app.gallery.make import make_gallery
    from pipeline.app.gallery.serve import serve_gallery
    from pipeline.app.index.indexes import create_index, delete_index, indexes, videos
    from pipeline.app.index.search import classify, search
    from pipeline.app.items.ask_again import ask_again
    from pipeline.app.items.forget import forget
    from pipeline.app.items.list_items import list_items
    from pipeline.app.operator.costs import costs
    from pipeline.app.operator.doctor import doctor
    from pipeline.app.operator.platform import platform
    from pipeline.app.operator.retry_cancel import cancel, retry, retry_parked
    from pipeline.app.operator.show import show
    from pipeline.app.operator.status import status
    from pipeline.app.runs.config_check import check_config
    from pipeline.app.runs.demo import demo
    from pipeline.app.runs.plan import plan
    from pipeline.app.runs.run import run
    from pipeline.app.upkeep.migrate import migrate
    from pipeline.app.upkeep.prune import prune
    from pipeline.app.upkeep.service import make_service
    from pipeline.app.watch.notify_test import notify_test

__all__ = [
    "ask", "ask_again", "cancel", "check_config",
    "classify", "costs", "create_index", "delete_index", "demo", "demo_hosts", "doctor", "forget", "forget_hosts_line", "hosts",
    "import_state",
    "indexes", "list_items",
    "make_gallery", "make_service", "migrate", "notify_test", "plan", "platform", "prune", "reconcile",
    "retry", "retry_parked", "run", "search", "serve_gallery", "show",
    "status", "submit", "videos", "work",
]  # fmt: skip

_HOME = {
    "ask": "asking.ask", "ask_again": "items.ask_again",
    "cancel": "operator.retry_cancel", "check_config": "runs.config_check", "classify": "index.search",
    "costs": "operator.costs",
    "create_index": "index.indexes", "delete_index": "index.indexes", "demo": "runs.demo", "doctor": "operator.doctor",
    "forget_hosts_line": "cluster.hosts", "demo_hosts": "cluster.demo",
    "hosts": "cluster.hosts", "import_state": "cluster.import_state", "submit": "cluster.work", "work": "cluster.work",
    "make_gallery": "gallery.make", "indexes": "index.indexes", "forget": "items.forget", "list_items": "items.list_items",
    "migrate": "upkeep.migrate", "notify_test": "watch.notify_test", "plan": "runs.plan",
    "platform": "operator.platform", "prune": "upkeep.prune", "make_service": "upkeep.service",
    "reconcile": "account.reconcile", "retry": "operator.retry_cancel",
    "retry_parked": "operator.retry_cancel", "run": "runs.run", "search": "index.search",
    "serve_gallery": "gallery.serve", "show": "operator.show", "status": "operator.status", "videos": "index.indexes",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
