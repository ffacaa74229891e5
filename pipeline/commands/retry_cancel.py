"""``retry`` and ``cancel``: what an operator corrects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from pipeline.views import Corrected

Items = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ITEM", help="Items: their paths, titles, ids, keys or results folders.", show_default=False
    ),
]

Failed = Annotated[bool, typer.Option("--failed", help="All items that failed; held ones are left.")]


@command("state")
def retry(
    given: Invocation,
    items: Items = None,
    failed: Failed = False,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="CLASS",
            help="All items that stopped for this reason, by the name that `status` gives it. Repeat it for several.",
        ),
    ] = None,
    parked: Annotated[
        bool,
        typer.Option(
            "--parked", help="End pauses (YouTube, quotas, outages) now; with --class only those for this reason."
        ),
    ] = False,
) -> int:
    """Let failed, held or cancelled items go on at the next run.

    They go on from the step where they stopped. A named item that waits, for a pause of YouTube or after an error, is due
    at once. A file that was changed needs no retry: a run sees it. Exit code 3 if nothing matched.

    An item is held where its paid call may have been accepted and the platform cannot be asked: retrying it may pay
    again. `reelmill why ITEM` tells. Stop a run that is going on first.

    \b
    Examples:
      reelmill retry --failed
      reelmill retry --class refused --class deadline
      reelmill retry films/talk.mp4
      reelmill retry --parked
    """
    from pipeline.core.errors import ConfigError

    if not (items or failed or classes or parked):
        raise ConfigError(
            "retry: say what: --failed, --class CLASS, --parked or ITEM", remedy="reelmill status lists what stopped"
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

    `retry` brings them back. What the platform accepted stays paid.
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


def _retry_parked(given: Invocation, classes: list[str]) -> int:
    from pipeline.present.formatting import count

    opened = given.call(lambda settings: app.retry_parked(settings, classes))
    said = opened.nothing
    if opened.lanes or opened.tasks:
        said = f"{', '.join(opened.lanes)}: open again at the next run; {count(opened.tasks, 'task')} due at once"
    given.say(opened, said)
    return _code(opened)


def _say(given: Invocation, changed: Corrected, done: str) -> int:
    from pipeline.present.formatting import clean, count

    lines = [f"{count(changed.tasks, 'task')} {done}"] if changed.tasks else []
    lines += [f"{', '.join(changed.lanes)}: open again at the next run"] if changed.lanes else []
    lines += [f"{clean(item.item)}: nothing changed; {clean(item.left)}" for item in changed.items if item.left]
    given.say(changed, "\n".join([*lines, *filter(None, [changed.nothing])]))
    return _code(changed)


def _code(changed: Corrected) -> int:
    return ExitCode.DONE if changed.tasks or changed.lanes else ExitCode.INCOMPLETE
