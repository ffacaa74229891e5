"""``costs``: what was paid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared import options
from pipeline.commands.shared.arguments import parse_time
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode
from pipeline.core.model import CostKey


@command("state")
def costs(
    given: Invocation,
    by: Annotated[CostKey, typer.Option("--by", help="What to sum up by.")] = "month",
    since: Annotated[
        str,
        typer.Option("--since", metavar="DAY", help="Only from then on: a day, or a time like 2026-06-01T10:00:00Z."),
    ] = "",
    csv: options.Csv = False,
) -> int:
    """Show what was paid: what was expected, and what the answers say.

    It reads the ledger of the state folder and never disturbs a run. What was possibly paid twice stands apart.

    \b
    Examples:
      reelmill costs --by job
      reelmill costs --by source --since 2026-11-01 --csv > november.csv
    """
    from pipeline.core.clock import parse_iso
    from pipeline.core.errors import ConfigError
    from pipeline.present import terminal
    from pipeline.present.tables.costs import costs_csv, costs_table

    if csv and given.json:
        raise ConfigError("costs: --csv and --json exclude each other", remedy="give one of them")
    start = parse_iso(parse_time("--since", since)) or 0.0
    view = given.call(lambda settings: app.costs(settings, by, since=start))
    if csv:
        terminal.say(costs_csv(view))
    else:
        given.show(view, lambda: costs_table(view, str(Path.cwd())))
    return ExitCode.DONE
