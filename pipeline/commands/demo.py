"""``demo``: a first look at everything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command, display, wait_for
from pipeline.core.exit_codes import ExitCode


@command("progress", reads_file=False)
def demo(
    given: Invocation,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where everything goes.")] = Path("reelmill-demo"),
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="N", min=1, max=3, help="How many videos to make.")
    ] = 3,
    hosts: Annotated[
        int | None,
        typer.Option(
            "--hosts",
            metavar="N",
            min=2,
            max=8,
            show_default=False,
            help="Ingest by so many workers on one PostgreSQL, kill one of them, and show the ledger.",
        ),
    ] = None,
) -> int:
    """Make a few short captioned videos and ingest them locally.

    It shows where the results are.
    No account, no key, no network beyond this machine. Configuration files are not read.
    --hosts 3 shows several hosts on one database, with fifteen shorter videos: pip install 'reelmill[cluster]'
    """
    from pipeline.present import messages, terminal
    from pipeline.present.tables.hosts import hosts_demo_table
    from pipeline.present.tables.run import run_table

    if hosts is not None:
        given.settings()  # starts the log
        shown = wait_for(lambda: app.demo_hosts(folder, hosts, terminal.tell))
        given.show(shown, lambda: hosts_demo_table(shown))
        return ExitCode.DONE if shown.sound else ExitCode.UNEXPECTED

    settings = given.settings(state=folder / "state", output=folder / "out", provider="local")
    videos, report = wait_for(lambda: app.demo(settings, folder, count=count, watch=display(settings)))
    given.show({"videos": videos, "report": report}, lambda: run_table(report))
    if not given.json:
        terminal.say(messages.demo(videos, folder / "out"))
    return report.exit_code
