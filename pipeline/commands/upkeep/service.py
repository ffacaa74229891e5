"""``service``: what lets a machine run us by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode


@command()
def service(
    given: Invocation,
    kind: Annotated[
        Literal["systemd", "cron", "container", "worker", "compose", "kubernetes"],
        typer.Argument(metavar="KIND", help="What to print.", show_default=False),
    ],
    user: Annotated[bool, typer.Option("--user", help="Units for your own manager, not the system's.")] = False,
    at: Annotated[str, typer.Option("--at", metavar="HH:MM", help="When a run starts, each day.")] = "03:15",
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="DIR", help="Write the files there, too; none is replaced.", show_default=False),
    ] = None,
) -> int:
    """Print what runs Reelmill by itself: systemd units, a crontab line, a Containerfile.

    For hosts that share a database: worker (units of systemd), compose (with a PostgreSQL of its own), kubernetes.

    Made from the configuration: its folders, its key file (never the key), the time that a run may need to end.

    \b
    Examples:
      reelmill service cron --config /etc/reelmill/nightly.toml
      sudo reelmill service systemd -c nightly.toml --into /etc/systemd/system
      reelmill service container > Containerfile
    """
    from pipeline.present import terminal

    files = app.make_service(given.settings(), kind, at, user=user, into=into)
    if given.json:
        terminal.say_json(files)
        return ExitCode.DONE
    many = len(files) > 1
    terminal.say(
        "\n".join(f"# {file.place}/{file.name}\n{file.content}" if many else file.content for file in files).rstrip()
    )
    return ExitCode.DONE
