"""``gallery``: the page over the results."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode


@command("state", "output")
def gallery(
    given: Invocation,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> int:
    """Make the page over the results, without a run or beside one.

    It is made from the database alone and opens from disk with a double click. Every run makes it at its end.
    """
    from pipeline.present import messages, terminal

    made = given.call(app.gallery)
    given.say(made, messages.gallery(made))
    if show and typer.launch(made.address) != 0:
        terminal.tell("no browser could be opened; open the address in one")
    return ExitCode.DONE
