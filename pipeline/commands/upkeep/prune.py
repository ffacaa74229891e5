"""``prune``: takes away what nothing needs any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import app
from pipeline.commands.shared import options
from pipeline.commands.shared.arguments import confirm, is_attended, parse_age
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from pipeline.views import Pruned


@command("state", "output")
def prune(
    given: Invocation,
    raw: Annotated[
        str | None,
        typer.Option(
            "--raw",
            metavar="AGE",
            show_default=False,
            help="Also answers as received, older than this, e.g. 90d. Their files in the results stay: the only copies then.",
        ),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(
            "--runs",
            metavar="N",
            min=10,
            show_default=False,
            help="Also the history of all runs but the newest N. Ledger and costs stay.",
        ),
    ] = None,
    yes: options.Yes = False,
) -> int:
    """Take away what nothing needs any more; show first what that is.

    Downloads that no item waits for, files that the page does not name, and what the options name. Nothing is asked, paid
    or written again because of it; an answer that only the database has stays there. On a terminal it asks; elsewhere it
    shows the plan, and --yes carries it out. Then the database's free space is given back to the disk.

    \b
    Examples:
      reelmill prune
      reelmill prune --raw 90d --runs 400 --yes
    """
    from pipeline.present import terminal
    from pipeline.present.pruned import prune_table

    age = parse_age("--raw", raw) if raw is not None else None
    asked = False

    def ask(plan: Pruned) -> bool:
        nonlocal asked
        if yes:
            return True
        asked = is_attended() and any(line.count for line in plan.lines)
        if not asked:
            return False
        terminal.tell(terminal.rendered(prune_table(plan)))
        return confirm("take this away? [y/N]")

    found = given.call(lambda settings: app.prune(settings, raw=age, runs=runs, ask=ask))
    if given.json or not asked or found.done:
        given.show(found, lambda: prune_table(found))
    return ExitCode.INTERRUPTED if asked and not found.done else ExitCode.DONE
