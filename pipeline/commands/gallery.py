"""``gallery``: the page over the results."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared import options
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode


@command("state", "output")
def gallery(
    given: Invocation,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the page to browsers on this machine until Ctrl-C.")
    ] = False,
    port: options.Port = None,
) -> int:
    """Make the page over the results, without a run or beside one.

    It is made from the database alone and opens from disk with a double click. Every run makes it at its end. Served, it
    also plays YouTube videos.
    """
    from pipeline.present import messages, terminal
    from pipeline.present.poster_progress import poster_progress

    def ready(address: str) -> None:
        given.say({"address": address}, address)
        terminal.tell("serving; Ctrl-C stops")
        _open(address)

    def _open(address: str) -> None:
        if show and typer.launch(address) != 0:
            terminal.tell("no browser could be opened; open the address in one")

    with poster_progress() as told:
        made = given.call(lambda settings: app.make_gallery(settings, told=told))
    if serve:
        given.call(lambda settings: app.serve_gallery(settings, port=port, ready=ready))
    else:
        given.say(made, messages.gallery(made))
        _open(made.address)
    return ExitCode.DONE
