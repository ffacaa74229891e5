"""``run``: ingest videos."""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf
from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared import options
from pipeline.commands.shared.arguments import confirm, is_attended
from pipeline.commands.shared.runner import Invocation, command, display
from pipeline.core.exit_codes import ExitCode


@command("state", "output", "provider", "jobs", "strict", "max_usd", "max_time", "quiet", "progress")
def run(
    given: Invocation,
    sources: options.Sources = None,
    confirm_over: options.ConfirmOver = None,
    yes: options.Yes = False,
    submit: Annotated[
        bool,
        typer.Option("--submit", help="Put the list into the queue of a shared database, and leave it to `work`."),
    ] = False,
) -> int:
    """Ingest videos and write the results; go on where an earlier run stopped.

    Progress is kept in the state folder: kill the run at any moment and give the same command again. Nothing is lost
    and nothing is paid for twice. Ctrl-C ends the run once short steps are done; pressed twice, it ends it at once.

    \b
    Examples:
      reelmill run talk.mp4 films/ "archive/**/*.mov"
      reelmill run list.csv --jobs gist,chapters --max-usd 20
      reelmill run --config nightly.toml --max-time 5h --quiet
      find . -name '*.mp4' | reelmill run -
    """
    from pipeline.present import terminal
    from pipeline.present.tables.run import run_table, unheard

    if confirm_over is not None and not yes and not _agreed(given, sources or [], confirm_over):
        return ExitCode.BUDGET
    if submit:
        return _submitted(given, sources or [])
    report = given.call(
        lambda settings: app.run(settings, sources or [], watch=None if given.quiet else display(settings))
    )
    if report.exit_code or not given.quiet:
        given.show(report, lambda: run_table(report))
    else:
        for sentence in unheard(report):
            terminal.tell(f"reelmill: {sentence}")
    if report.exit_code:
        terminal.tell_log()
    return report.exit_code


def _submitted(given: Invocation, sources: Sequence[str]) -> int:
    """Leave the list to other hosts; tell bad lines as a run does."""
    from pipeline.present.tables.run import submitted_table

    found = given.call(lambda settings: app.submit(settings, sources))
    code = ExitCode.INCOMPLETE if found.bad_count else ExitCode.DONE
    if code or not given.quiet:
        given.show(found, lambda: submitted_table(found))
    return code


def _agreed(given: Invocation, sources: Sequence[str], over: float) -> bool:
    """Return True if the run costs no more than this, or a person agrees."""
    from pipeline.core.errors import ConfigError
    from pipeline.present import terminal
    from pipeline.present.formatting import money

    if "-" in sources:
        remedy = "write the list into a file, or use --max-usd"
        raise ConfigError("run: --confirm-over cannot price a list that comes from stdin", remedy=remedy)
    plan = given.call(lambda settings: app.plan(settings, sources, limit=0))
    if plan.highest_usd <= over:
        return True
    most = "and nobody can tell how much at most" if isinf(plan.highest_usd) else f"at most {money(plan.highest_usd)}"
    price = f"this run costs about {money(plan.usd)}, {most}"
    if is_attended():
        return confirm(f"{price}. Go on? [y/N]")
    terminal.tell(f"reelmill: {price}: more than the {money(over)} of --confirm-over, and nobody is there to be asked")
    terminal.tell("  → --yes goes on without asking; nothing was started")
    return False
