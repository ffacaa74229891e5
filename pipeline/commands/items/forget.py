"""``forget``: takes items out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import app
from pipeline.commands.shared import options
from pipeline.commands.shared.arguments import confirm, is_attended
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from pipeline.core.model import Forgotten


@command("state", "output", "provider")
def forget(
    given: Invocation,
    items: Annotated[list[str], typer.Argument(metavar="ITEM", help="Items by any name that `list` or `show` prints.")],
    account: Annotated[
        bool,
        typer.Option(
            "--account", help="Also delete what is in the account: upload, answers, index and knowledge entries."
        ),
    ] = False,
    leave_running: Annotated[
        bool, typer.Option("--leave-running", help="Do not cancel at the platform what it is at work on.")
    ] = False,
    yes: options.Yes = False,
) -> int:
    """Take items out: their results, their rows, their place in index and page.

    It shows first what goes, and asks. Files that you have added or changed stay, and are named. What was paid stays in
    the ledger. What the platform is at work on is cancelled there first; what is in the account stays there without
    --account; another state folder may use it, too. A list that still names an item brings it back: take the line out, or
    use `reelmill cancel` instead.

    A run in progress must be stopped first (Ctrl-C): it holds the state folder. If this is interrupted, give it again.

    \b
    Examples:
      reelmill forget films/talk.mp4
      reelmill forget "Honey Bees" --account --yes
    """
    from pipeline.core.errors import ConfigError
    from pipeline.present import terminal
    from pipeline.present.tables.items.forgotten import forgotten_table, outcome

    def agree(found: Forgotten) -> bool:
        terminal.tell(terminal.rendered(forgotten_table(found)))
        if yes:
            return True
        if not is_attended():
            raise ConfigError("forget: nobody is there to be asked", remedy="--yes does it without asking")
        return confirm("forget this? It cannot be undone. [y/N]")

    done = given.call(lambda settings: app.forget(settings, items, agree, account=account, leave_running=leave_running))
    if given.json:
        terminal.say_json(done)
    elif done.done or done.refused:
        terminal.say(outcome(done))
    if done.refused:
        return ExitCode.INCOMPLETE
    return ExitCode.DONE if done.done else ExitCode.INTERRUPTED
