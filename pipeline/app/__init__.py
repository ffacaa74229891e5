"""The composition root: the only package that sees everything. One function per command; ``cli`` calls nothing else."""

from __future__ import annotations

from pipeline.app.health import doctor
from pipeline.app.house import desk_of
from pipeline.app.looking import command, show, status
from pipeline.app.planning import plan
from pipeline.app.running import run
from pipeline.app.serving import demo, platform

__all__ = ["command", "demo", "desk_of", "doctor", "plan", "platform", "run", "show", "status"]
