"""``config check``, and the first step of every run: refuse before anything is made."""

from __future__ import annotations

from pipeline.app.index.questions import check_queries
from pipeline.app.wiring.run_plan import RunPlan, make_run_plan
from pipeline.config.settings import Settings


def check_config(settings: Settings) -> RunPlan:
    """Check platform, jobs, queries and download options; return what they decide.

    Raises:
        ConfigError: the first thing that is wrong.
    """
    from pipeline.source.youtube.options import checked

    check_queries(settings)
    plan = make_run_plan(settings)
    plan.planner.names()  # reads the configured jobs
    checked(settings.youtube.options)
    return plan
