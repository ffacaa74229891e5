"""``import-state``: a state folder's database to PostgreSQL, or back."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode


@command()
def import_state(
    given: Invocation,
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="FROM",
            show_default=False,
            help="A state folder, or the address of a PostgreSQL database.",
        ),
    ] = "",
    target: Annotated[
        str,
        typer.Option(
            "--to", metavar="TO", show_default=False, help="The other of the two; nothing may have been run there."
        ),
    ] = "",
) -> int:
    """Move the database of a state folder to PostgreSQL, or back.

    All or nothing: rows, states and sums are compared before it counts. The source stays as it is and is marked as moved:
    no run works on it any more. The next run goes on from there, and neither uploads nor pays again. A password comes
    from REELMILL_STORE_PASSWORD or [store] password_file, and the folders that all hosts share from [source] shared.

    \b
    Examples:
      reelmill import-state --from .reelmill --to postgresql://mill@db/films
      reelmill import-state --from postgresql://mill@db/films --to old
    """
    moved = given.call(lambda settings: app.import_state(settings, source, target))
    rows = ", ".join(f"{number:,} {table}" for table, number in moved.rows.items() if number)
    words = f"moved {moved.source} to {moved.target}: {rows or 'nothing'}"
    given.say(moved, f"{words}; the files of this machine are those of the host {moved.host}")
    return ExitCode.DONE
