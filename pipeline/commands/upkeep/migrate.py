"""``migrate``: the only command that changes the schema of a database that hosts share."""

from __future__ import annotations

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode


@command()
def migrate(given: Invocation) -> int:
    """Make or update the tables of the PostgreSQL database that [store] url names.

    Once before the first run, and once after each update of Reelmill that asks for it. It needs a role that may make
    tables; runs do not.
    """
    done = given.call(app.migrate)
    words = (
        f"{done.database}: up to date, schema version {done.version}"
        if done.before == done.version
        else f"{done.database}: schema version {done.before or 'none'} -> {done.version}"
    )
    given.say(done, words)
    return ExitCode.DONE
