"""``platform``: the local platform for any client."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared import options
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode


@command(serves=True)
def platform(
    given: Invocation,
    host: Annotated[
        str | None,
        typer.Option(metavar="HOST", help="Address to serve on. Default: as configured.", show_default=False),
    ] = None,
    port: options.Port = None,
    faults: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For tests: a JSON file of the faults to answer with.", show_default=False),
    ] = None,
    media: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of videos named by YouTube id, from which API v1.2 takes an address.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Serve the local platform: the same API, no account, real analysis.

    Ctrl-C stops it. It prints the settings with which `reelmill` in another terminal uses it.
    """
    from pipeline.present import messages, terminal

    def ready(base_url: str, token: str) -> None:
        given.say({"base_url": base_url, "api_key": token or None}, messages.platform(base_url, token))
        terminal.tell("serving; Ctrl-C stops")

    given.call(lambda settings: app.platform(settings, host=host, port=port, faults=faults, media=media, ready=ready))
    return ExitCode.DONE  # never comes: a signal ends it like any other command
