"""The composition root: the only package that sees everything. One function per command; ``cli`` calls nothing else."""

from __future__ import annotations

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
