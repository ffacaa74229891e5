"""``status``, ``show``, ``why``, ``retry``, ``cancel``: what asks and corrects the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands import options
from pipeline.commands.runner import guarded, load_settings, now, wait_for
from pipeline.core.exit_codes import ExitCode

if TYPE_CHECKING:
    pass


@guarded
def status(
    config: options.Config = None,
    state: options.State = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=0, help="How many stopped items to list.")
    ] = 20,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """Show how things stand: items, tasks, who is running, what waits and what needs you. Never disturbs a run."""
    from pipeline import app
    from pipeline.present import tables, terminal

    settings = load_settings(config, {"run.state": state, "log.level": log_level})
    view = wait_for(lambda: app.status(settings, limit=limit))
    terminal.say_json(view) if json else terminal.show(tables.status(view, now()))
    return ExitCode.DONE


@guarded
def show(
    item: options.Item,
    config: options.Config = None,
    state: options.State = None,
    output: options.Output = None,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """Show everything known about one item: tasks, results, what was paid, where its files are."""
    from pipeline import app
    from pipeline.present import tables, terminal

    settings = load_settings(config, {"run.state": state, "run.output": output, "log.level": log_level})
    view = wait_for(lambda: app.show(settings, item))
    terminal.say_json(view) if json else terminal.show(tables.item(view, now()))
    return ExitCode.DONE


@guarded
def why(
    item: options.Item,
    config: options.Config = None,
    state: options.State = None,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """Say in one plain sentence why an item stands where it does, and what to do next."""
    from pipeline import app
    from pipeline.present import tables, terminal

    settings = load_settings(config, {"run.state": state, "log.level": log_level})
    view = wait_for(lambda: app.show(settings, item))
    if json:
        answer = {"item": view.item.key, "state": view.state, "explanation": view.explanation}
        terminal.say_json({**answer, "next_step": view.next_step, "raw": tables.raw_line(view)})
    else:
        terminal.show(tables.why(view))
    return ExitCode.DONE
