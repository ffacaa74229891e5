"""``plan``: what a run would do and cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared import options
from pipeline.commands.shared.runner import Invocation, command, wait_for
from pipeline.core.exit_codes import ExitCode


@command("state", "output", "provider", "jobs", "strict", "max_usd")
def plan(
    given: Invocation,
    sources: options.Sources = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=0, help="Items that are listed at most.")
    ] = 50,
    files: Annotated[bool, typer.Option("--files", help="Also list the files that it would write or remove.")] = False,
    confirm_over: options.ConfirmOver = None,
) -> int:
    """Show what a run would do and what it would cost.

    Nothing is sent, changed or paid. Exit code 3 if not all of it can be done.

    \b
    Examples:
      reelmill plan list.csv --max-usd 20
      reelmill plan --json | jq .usd
    """
    from pipeline.present.tables.plan import plan_table

    settings = given.settings()
    found = wait_for(lambda: app.plan(settings, sources or [], limit=limit, files=files))
    given.show(found, lambda: plan_table(found, str(Path.cwd())))
    if settings.run.strict and found.bad_count:
        return ExitCode.USAGE
    if confirm_over is not None and found.highest_usd > confirm_over:
        return ExitCode.BUDGET
    stuck = found.bad_count or found.counts.get("failed") or found.counts.get("held")
    return ExitCode.INCOMPLETE if stuck else ExitCode.DONE
