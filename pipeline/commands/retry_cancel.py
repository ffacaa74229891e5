"""``retry`` and ``cancel``: what an operator corrects."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode

Items = Annotated[
    list[str] | None,
    typer.Argument(metavar="ITEM", help="Items by id, key, path or title, as `status` shows them.", show_default=False),
]


@command("state")
def retry(
    given: Invocation,
    items: Items = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Everything that failed. Held items: by name or class only.")
    ] = False,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="CLASS", help="Whatever stopped with this class of trouble. May be repeated."),
    ] = None,
    parked: Annotated[
        bool, typer.Option("--parked", help="Open the lanes that are parked before their time; --class narrows.")
    ] = False,
) -> int:
    """Let failed, held or cancelled items go on at the next run, from the stage where they stopped.

    An item is held where its paid call may have been accepted and the platform cannot be asked: retrying it may pay
    again. `reelmill why ITEM` tells. A run in progress must be stopped first: it holds the state folder.

    \b
    Examples:
      reelmill retry --failed
      reelmill retry --class unreadable_video --class timeout
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
    return _say(given, "retry", changed, "set to be retried at the next run")


@command("state")
def cancel(
    given: Invocation,
    items: Items = None,
    everything: Annotated[bool, typer.Option("--all", help="Whatever is not finished.")] = False,
) -> int:
    """Stop items for good; `retry` brings them back. What the platform has accepted stays paid.

    A run in progress must be stopped first (Ctrl-C): it holds the state folder.

    \b
    Examples:
      reelmill cancel films/talk.mp4
      reelmill cancel --all
    """
    from pipeline.core.errors import ConfigError

    if bool(items) == everything:
        raise ConfigError("cancel: name at least one ITEM, or --all and none", remedy="reelmill status lists the items")
    changed = given.call(lambda settings: app.cancel(settings, items or []))
    return _say(given, "cancel", changed, "cancelled")


def _retry_parked(given: Invocation, classes: list[str]) -> int:
    from pipeline.present.formatting import count

    opened = given.call(lambda settings: app.retry_parked(settings, classes))
    said = "nothing is parked"
    if opened.lanes:
        said = f"{', '.join(opened.lanes)}: open again at the next run; {count(opened.tasks, 'task')} due at once"
    given.say({"verb": "retry", "lanes": list(opened.lanes), "tasks": opened.tasks}, said)
    return ExitCode.DONE


def _say(given: Invocation, verb: str, changed: int, done: str) -> int:
    from pipeline.present.formatting import count

    given.say({"verb": verb, "tasks": changed}, f"{count(changed, 'task')} {done}")
    return ExitCode.DONE
