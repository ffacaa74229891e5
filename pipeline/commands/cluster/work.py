"""``work``: work on a shared database without a list."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared import options
from pipeline.commands.shared.runner import Invocation, command, display
from pipeline.core.exit_codes import ExitCode


@command("state", "output", "quiet", "progress")
def work(
    given: Invocation,
    lanes: Annotated[
        str | None,
        typer.Option(
            "--lanes",
            metavar="A,B",
            show_default=False,
            help="Only these lanes: fetch, download, upload, poll, batch, analyze, write. Default: all.",
        ),
    ] = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End once nothing is left that this host can do.")
    ] = False,
) -> int:
    """Work on the shared database, on what any host has put into it.

    It never ends by itself. SIGTERM or Ctrl-C lets short steps finish, gives the rest back to other hosts and ends with
    exit code 0; what failed is told by `reelmill run` and `reelmill status`.

    \b
    Examples:
      reelmill work
      reelmill work --lanes poll,analyze,write
      reelmill work --until-idle
    """
    from pipeline.present.tables.run import run_table

    try:
        report = given.call(
            lambda settings: app.work(
                settings,
                options.read_names(lanes) or [],
                until_idle=until_idle,
                watch=None if given.quiet else display(settings),
            )
        )
    except KeyboardInterrupt:  # told to stop before it had begun, or when it was through
        return ExitCode.DONE
    if report.exit_code or not given.quiet:
        given.show(report, lambda: run_table(report))
    return report.exit_code
