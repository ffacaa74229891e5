"""``migrate``: the only command that changes the schema of a database that hosts share."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode


@command()
def migrate(
    given: Invocation,
    roles: Annotated[
        bool, typer.Option("--roles", help="Also make the roles DATABASE_worker and DATABASE_reader.")
    ] = False,
) -> int:
    """Make or update the tables of the PostgreSQL database that [store] url names.

    Once before the first run, and once after each update of Reelmill that asks for it. It needs a role that may make
    tables; runs do not: a worker's role can neither change tables nor what is booked as paid, a reader's can look.
    """
    done = given.call(lambda settings: app.migrate(settings, make_roles=roles))
    words = (
        f"{done.database}: up to date, schema version {done.version}"
        if done.before == done.version
        else f"{done.database}: schema version {done.before or 'none'} -> {done.version}"
    )
    if done.roles:
        words += f"; rights given to {' and '.join(done.roles)}"
    given.say(done, words)
    return ExitCode.DONE
