"""``run``: ingest videos."""

from __future__ import annotations

from pipeline import app
from pipeline.commands.shared import options
from pipeline.commands.shared.runner import Invocation, command, display


@command("state", "output", "provider", "jobs", "strict", "max_usd", "quiet", "progress")
def run(given: Invocation, sources: options.Sources = None) -> int:
    """Ingest videos and write the results; go on where an earlier run stopped.

    Progress is kept in the state folder: kill the run at any moment and give the same command again. Nothing is lost
    and nothing is paid for twice. Ctrl-C once finishes what is short and keeps the rest; twice stops now.

    \b
    Examples:
      reelmill run talk.mp4 films/ "archive/**/*.mov"
      reelmill run list.csv --jobs gist,chapters --max-usd 20
      find . -name '*.mp4' | reelmill run -
    """
    from pipeline.present import terminal
    from pipeline.present.tables.run import run_table

    report = given.call(
        lambda settings: app.run(settings, sources or [], watch=None if given.quiet else display(settings))
    )
    if report.exit_code or not given.quiet:
        given.show(report, lambda: run_table(report))
    if report.exit_code:
        terminal.tell_log()
    return report.exit_code
