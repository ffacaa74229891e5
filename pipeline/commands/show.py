"""``show`` and ``why``: one item."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command, now
from pipeline.core.exit_codes import ExitCode

Item = Annotated[str, typer.Argument(metavar="ITEM", help="An item: its path, title, id, key or results folder.")]


@command("state", "output")
def show(given: Invocation, item: Item) -> int:
    """Show everything known about one item: tasks, results, cost, files."""
    from pipeline.present.tables.show import show_table

    view = given.call(lambda settings: app.show(settings, item))
    given.show(view, lambda: show_table(view, now()))
    return ExitCode.DONE


@command("state")
def why(given: Invocation, item: Item) -> int:
    """Say why an item stands where it does, and what to do next."""
    from pipeline.present.tables.show import raw_line, why_table

    view = given.call(lambda settings: app.show(settings, item))
    answer = {"item": view.item.key, "state": view.state, "explanation": view.explanation}
    given.show({**answer, "next_step": view.next_step, "raw": raw_line(view)}, lambda: why_table(view))
    return ExitCode.DONE
