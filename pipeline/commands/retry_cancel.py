"""``retry`` and ``cancel``: what an operator corrects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import app
from pipeline.commands.shared import options
from pipeline.commands.shared.arguments import confirm, is_attended
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from pipeline.money_views import Again
    from pipeline.views import Corrected

Items = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ITEM", help="Items: their paths, titles, ids, keys or results folders.", show_default=False
    ),
]

Failed = Annotated[bool, typer.Option("--failed", help="All items that failed; held ones are left.")]
Classes = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        metavar="CLASS",
        help="All items that stopped for this reason, by the name that `status` gives it. Repeat it for several.",
    ),
]
Parked = Annotated[
    bool,
    typer.Option(
        "--parked",
        help="End pauses (YouTube, quotas, outages) now, and forget limits that the platform has named or shown; with --class"
        " only those for this reason.",
    ),
]


@command("state")
def retry(
    given: Invocation,
    items: Items = None,
    failed: Failed = False,
    classes: Classes = None,
    parked: Parked = False,
    again: options.Again = False,
    jobs: options.Jobs = None,
    confirm_over: options.ConfirmOver = None,
    yes: options.Yes = False,
) -> int:
    """Let failed, held or cancelled items go on at the next run.

    They go on from the step where they stopped. A named item that waits, for a pause of YouTube or after an error, is due
    at once. A file that was changed needs no retry: a run sees it. Exit code 3 if nothing matched.

    An item is held where its paid call may have been accepted and the platform cannot be asked: retrying it may pay
    again. `reelmill why ITEM` tells. Stop a run that is going on first.

    --again has what is answered asked once more. It shows the price, and asks unless that is nothing. The old results
    stay until the new ones are there. Typed twice before the run, it is one new call.

    \b
    Examples:
      reelmill retry --failed
      reelmill retry --class refused --class deadline
      reelmill retry films/talk.mp4
      reelmill retry --parked
      reelmill retry --again --jobs gist films/talk.mp4
    """
    from pipeline.core.errors import ConfigError

    if again:
        if not items or failed or classes or parked:
            remedy = "`reelmill list` names them"
            raise ConfigError("retry: --again takes ITEMs, and not --failed, --class or --parked", remedy=remedy)
        return _ask_again(given, items, jobs, confirm_over, yes=yes)
    if jobs is not None or confirm_over is not None or yes:
        raise ConfigError("retry: --jobs, --confirm-over and --yes are for --again", remedy="reelmill retry --help")
    if not (items or failed or classes or parked):
        raise ConfigError(
            "retry: say what: --failed, --class CLASS, --parked or ITEM", remedy="`reelmill status` lists what stopped"
        )
    if parked and (items or failed):
        raise ConfigError("retry: --parked opens whole lanes", remedy="leave out --failed and the items")
    if parked:
        return _retry_parked(given, classes or [])
    changed = given.call(lambda settings: app.retry(settings, items or [], classes or [], failed=failed))
    return _say(given, changed, "set to be retried at the next run")


@command("state")
def cancel(
    given: Invocation,
    items: Items = None,
    everything: Annotated[bool, typer.Option("--all", help="All items that are not finished.")] = False,
    failed: Failed = False,
) -> int:
    """Put items away, failed and held ones too; runs leave them alone.

    `retry` brings them back. An analysis that the platform is at work on is cancelled there, too (API v1.3); one that it has
    answered stays paid, and is there for `retry`. Where it cannot be told, the next run tells it.
    Stop a run that is going on first (Ctrl-C). Exit code 3 if nothing matched.

    \b
    Examples:
      reelmill cancel films/talk.mp4
      reelmill cancel --failed
      reelmill cancel --all
    """
    from pipeline.core.errors import ConfigError

    if [bool(items), everything, failed].count(True) != 1:
        raise ConfigError(
            "cancel: say what: one or more ITEMs, or --failed, or --all", remedy="`reelmill status` lists what stopped"
        )
    changed = given.call(lambda settings: app.cancel(settings, items or [], failed=failed))
    return _say(given, changed, "cancelled")


def _ask_again(given: Invocation, items: list[str], jobs: str | None, over: float | None, *, yes: bool) -> int:
    """Show the price, ask about it, and set the items."""
    from pipeline.core.errors import ConfigError
    from pipeline.present import terminal
    from pipeline.present.tables.items import again as tables

    names = options.read_names(jobs)
    if names == []:
        remedy = "name at least one, e.g. --jobs gist,summary, or leave the option away"
        raise ConfigError("retry --again: --jobs names no job", remedy=remedy)

    def agree(found: Again) -> bool:
        terminal.tell(terminal.rendered(tables.again_table(found)))
        price = tables.again_price(found)
        if over is None and not yes and not is_attended():
            remedy = f"{price}; --yes does it without asking, --confirm-over USD up to a price"
            raise ConfigError("retry --again: nobody is there to be asked", remedy=remedy)
        if yes or found.usd_most <= (over or 0.0):
            terminal.tell(price)
            return True
        if is_attended():
            return confirm(f"{price}. Go on? [y/N]")
        terminal.tell(f"reelmill: {price}: more than --confirm-over, and nobody is there to be asked")
        terminal.tell("  → --yes goes on without asking; nothing was changed")
        return False

    found = given.call(lambda settings: app.ask_again(settings, items, names or [], agree))
    if given.json:
        terminal.say_json(found)
    elif found.agreed or not found.jobs:
        terminal.show(tables.again_outcome(found))
    if found.jobs and not found.agreed:
        return ExitCode.BUDGET
    return ExitCode.INCOMPLETE if any(row.left for row in found.rows) else ExitCode.DONE


def _retry_parked(given: Invocation, classes: list[str]) -> int:
    from pipeline.present.formatting import count

    opened = given.call(lambda settings: app.retry_parked(settings, classes))
    said = [opened.nothing]
    if opened.lanes or opened.tasks:
        said = [f"{', '.join(opened.lanes)}: open again at the next run; {count(opened.tasks, 'task')} due at once"]
    if opened.limits:
        said.append(f"{count(opened.limits, 'limit')} forgotten that the platform had named")
    given.say(opened, "\n".join(filter(None, said)))
    return _code(opened)


def _say(given: Invocation, changed: Corrected, done: str) -> int:
    from pipeline.present.formatting import clean, count

    lines = [f"{count(changed.tasks, 'task')} {done}"] if changed.tasks else []
    lines += [f"{', '.join(changed.lanes)}: open again at the next run"] if changed.lanes else []
    lines += [f"{clean(item.item)}: nothing changed; {clean(item.left)}" for item in changed.items if item.left]
    if changed.platform is not None:
        from pipeline.present.tables.items.recalled import recalled_lines

        lines += recalled_lines(changed.platform)
    given.say(changed, "\n".join([*lines, *filter(None, [changed.nothing])]))
    return _code(changed)


def _code(changed: Corrected) -> int:
    told = changed.platform is not None and not changed.platform.untold
    return ExitCode.DONE if changed.tasks or changed.lanes or changed.limits or told else ExitCode.INCOMPLETE
