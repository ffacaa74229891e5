"""`reelmill retry` and `reelmill cancel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.commands import options
from pipeline.commands.runner import guarded, load_settings, wait_for
from pipeline.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from pipeline.config.settings import Settings


@guarded
def retry(
    items: options.Items = None,
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
    config: options.Config = None,
    state: options.State = None,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
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
    from pipeline import app
    from pipeline.core.errors import ConfigError

    if not (items or failed or classes or parked):
        raise ConfigError(
            "retry: say what: --failed, --class CLASS, --parked or ITEM", remedy="reelmill status lists what stopped"
        )
    if parked and (items or failed):
        raise ConfigError("retry: --parked opens whole lanes", remedy="leave out --failed and the items")
    settings = load_settings(config, {"run.state": state, "log.level": log_level})
    if parked:
        return _retry_parked(settings, classes or [], json)
    changed = wait_for(lambda: app.retry(settings, items or [], classes or [], failed=failed))
    return _say("retry", changed, json)


@guarded
def cancel(
    items: options.Items = None,
    everything: Annotated[bool, typer.Option("--all", help="Whatever is not finished.")] = False,
    config: options.Config = None,
    state: options.State = None,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """Stop items for good; `retry` brings them back. What the platform has accepted stays paid.

    A run in progress must be stopped first (Ctrl-C): it holds the state folder.

    \b
    Examples:
      reelmill cancel films/talk.mp4
      reelmill cancel --all
    """
    from pipeline import app

    if bool(items) == everything:
        from pipeline.core.errors import ConfigError

        raise ConfigError("cancel: name at least one ITEM, or --all and none", remedy="reelmill status lists the items")
    settings = load_settings(config, {"run.state": state, "log.level": log_level})
    return _say("cancel", wait_for(lambda: app.cancel(settings, items or [])), json)


def _retry_parked(settings: Settings, classes: list[str], json: bool) -> int:
    from pipeline import app
    from pipeline.present import terminal
    from pipeline.present.formatting import count

    opened = wait_for(lambda: app.retry_parked(settings, classes))
    if json:
        terminal.say_json({"verb": "retry", "lanes": list(opened.lanes), "tasks": opened.tasks})
    elif opened.lanes:
        waiting = count(opened.tasks, "task")
        terminal.say(f"{', '.join(opened.lanes)}: open again at the next run; {waiting} due at once")
    else:
        terminal.say("nothing is parked")
    return ExitCode.DONE


def _say(verb: Literal["cancel", "retry"], changed: int, json: bool) -> int:
    from pipeline.present import terminal
    from pipeline.present.formatting import count

    done = "set to be retried at the next run" if verb == "retry" else "cancelled"
    terminal.say_json({"verb": verb, "tasks": changed}) if json else terminal.say(f"{count(changed, 'task')} {done}")
    return ExitCode.DONE
