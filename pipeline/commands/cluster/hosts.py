"""``hosts``: who works on a shared database."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command, now
from pipeline.core.exit_codes import ExitCode


@command("state")
def hosts(
    given: Invocation,
    action: Annotated[
        Literal["list", "forget"], typer.Argument(metavar="ACTION", help="What to do: list or forget.")
    ] = "list",
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="With forget: the name of a host.")] = None,
) -> int:
    """List the hosts that work on the database of [store] url; forget one.

    A host is a state folder, by the name that [cluster] host gives it. One that will not come back is to be forgotten:
    what only it could read fails as missing, and what it has fetched is fetched again.

    \b
    Examples:
      reelmill hosts
      reelmill hosts forget nightly-2
    """
    from pipeline.core.errors import ConfigError
    from pipeline.present.tables.hosts import forgotten_words, hosts_table

    if (action == "forget") != (name is not None):
        raise ConfigError(f"hosts {action}: a name goes with forget, and with nothing else", remedy="reelmill hosts")
    if name is not None:
        gone = given.call(lambda settings: app.forget_hosts_line(settings, name))
        given.say(gone, forgotten_words(gone))
        return ExitCode.DONE
    found = given.call(app.hosts)
    given.show(found, lambda: hosts_table(found, now()))
    return ExitCode.DONE
