"""``status``: how things stand."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command, now
from pipeline.core.exit_codes import ExitCode


@command("state")
def status(
    given: Invocation,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=0, help="Stopped items that are listed at most.")
    ] = 20,
) -> int:
    """Show how things stand and what needs you.

    It shows items, tasks, who is running and what waits. It never disturbs a run.
    """
    from pipeline.present.tables.status import status_table

    view = given.call(lambda settings: app.status(settings, limit=limit))
    given.show(view, lambda: status_table(view, now()))
    return ExitCode.DONE
