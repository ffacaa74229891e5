"""``platform``: the local platform for any client."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode


@command(serves=True)
def platform(
    given: Invocation,
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Default: as configured.", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", min=0, max=65_535, help="0 takes a free one.", show_default=False)
    ] = None,
    faults: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Script of faults to play, for tests.", show_default=False)
    ] = None,
    media: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Videos named by YouTube id, for v1.2.", show_default=False)
    ] = None,
) -> int:
    """Serve the local platform: the same API, no account, real analysis.

    Ctrl-C stops it.
    Prints the settings that make `reelmill` in another terminal talk to it.
    """
    from pipeline.present import messages, terminal

    def ready(base_url: str, token: str) -> None:
        given.say({"base_url": base_url, "api_key": token or None}, messages.platform(base_url, token))
        terminal.tell("serving; Ctrl-C stops")

    given.call(lambda settings: app.platform(settings, host=host, port=port, faults=faults, media=media, ready=ready))
    return ExitCode.DONE  # never comes: a signal ends it like any other command
