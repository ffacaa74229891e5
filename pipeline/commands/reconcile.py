"""``reconcile``: compare the database with the account, and clean up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import app
from pipeline.commands.shared import arguments, options
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from pipeline.views import Agreed, Leftover, Reconciled, Reconciliation


@command("state", "provider")
def reconcile(
    given: Invocation,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Only these things, by the ids that the list shows.", show_default=False),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Delete and repair what was found, after asking.")] = False,
    yes: options.Yes = False,
    strays: Annotated[
        bool,
        typer.Option("--strays", help="Also delete what Reelmill made from another state folder, which may need it."),
    ] = False,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", "-n", metavar="N", min=1, max=100_000, help="Things of one kind that are listed at most."
        ),
    ] = 10_000,
) -> int:
    """Compare the database with the account: leftovers, losses, what expires soon.

    Nothing is changed without --apply. What Reelmill has not made is only counted, never touched. Each thing is looked at
    once more right before it is deleted. An upload that has vanished is sent again by the next run, and nothing that has a
    result is asked again. Exit code 3 if the platform refused something, if it had changed since the plan, or if no ID
    matched.

    \b
    Examples:
      reelmill reconcile
      reelmill reconcile --apply
      reelmill reconcile --json | jq '.plan.orphans[].holding.id'
    """
    from pipeline.core.errors import ConfigError
    from pipeline.present import terminal

    if yes and not apply:
        raise ConfigError("reconcile: --yes is for --apply", remedy="`reelmill reconcile` alone only shows the plan")
    if apply and not yes and (sys.stdin is None or not sys.stdin.isatty()):
        raise ConfigError("reconcile: nobody is there to be asked", remedy="--apply --yes does it without asking")

    def ask(plan: Reconciliation) -> Agreed:
        return _agree(plan, strays=strays, yes=yes)

    done = given.call(lambda settings: app.reconcile(settings, ask=ask if apply else None, limit=limit, only=ids or ()))
    if given.json:
        terminal.say_json(done)
    else:
        _show(done, applied=apply, strays=strays, told=apply and not yes)
    if done.declined:
        return ExitCode.INTERRUPTED
    matched = not ids or len(done.plan.not_found) < len(set(ids))
    return ExitCode.DONE if done.clean and matched else ExitCode.INCOMPLETE


def _agree(plan: Reconciliation, *, strays: bool, yes: bool) -> Agreed:
    """Show the plan; ask about deleting and about repairing, each by itself."""
    from pipeline.present import terminal
    from pipeline.present.tables import reconcile as tables
    from pipeline.views import Agreed

    doomed: list[Leftover] = [*plan.orphans, *(plan.strays if strays else [])]
    repairable = list(plan.repairable)
    if yes:
        return Agreed(doomed, repairable)
    terminal.tell(terminal.rendered(tables.reconcile_table(plan, strays=strays, applied=True)))
    delete = bool(doomed) and arguments.confirm(tables.question(plan, doomed))
    repair = bool(repairable) and arguments.confirm(tables.repair_question(repairable))
    declined = (bool(doomed) and not delete) or (bool(repairable) and not repair)
    return Agreed(doomed if delete else (), repairable if repair else (), declined)


def _show(done: Reconciled, *, applied: bool, strays: bool, told: bool) -> None:
    from pipeline.present import terminal
    from pipeline.present.tables import reconcile as tables

    if not told:
        terminal.show(tables.reconcile_table(done.plan, strays=strays, applied=applied))
    if applied:
        terminal.say(tables.outcome(done))
