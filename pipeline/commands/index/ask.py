"""``ask``: one question across many videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from pipeline import app
from pipeline.commands.shared import options
from pipeline.commands.shared.arguments import confirm, is_attended
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode


@dataclass(frozen=True, slots=True)
class _Person:
    """Whoever has typed the command."""

    agreed: bool  #: by ``--yes``

    def tell(self, text: str) -> None:
        """Say a sentence on standard error."""
        from pipeline.present import terminal

        terminal.tell(f"reelmill: {text}")

    def agree(self, question: str) -> bool | None:
        """Return yes or no; None: nobody can be asked."""
        if self.agreed:
            return True
        return confirm(question) if is_attended() else None


@command("state", "output", "provider", "max_usd")
def ask(
    given: Invocation,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The question, in plain words.")] = "",
    within: Annotated[
        str,
        typer.Option(
            "--in",
            metavar="TEXT",
            show_default=False,
            help="Only videos whose title, source, folder or id has this in it, as `list` takes it.",
        ),
    ] = "",
    tags: options.Tags = None,
    source: options.Source = "",
    again: options.Again = False,
    yes: options.Yes = False,
) -> int:
    """Ask one question across all videos (API v1.3).

    The answer comes with the moments that it rests on.

    The videos are those of this state folder that are on the platform. They get a place in a knowledge store of the
    account. An answer is kept: the same question about the same videos shows it again, and pays nothing. Where one never
    came, it may have been paid all the same, and only --again asks once more. Moments that name no such video, or lie
    outside of it, are left out and counted.

    The vendor publishes no price: set one in [prices], or the ledger counts nothing for it. The local platform charges
    nothing, and answers by quoting captions and on-screen text. A run in progress holds the state folder: exit code 75.

    \b
    Examples:
      reelmill ask "When does someone open the door?"
      reelmill ask "Who speaks of the budget?" --tag council --in 2026
      reelmill ask "Which tools are used?" --json | jq '.moments[0]'
    """  # fmt: skip
    from pipeline.core.model import ItemFilter
    from pipeline.present.tables.index.answer import answer_table

    which = ItemFilter(text=within, tags=tags or [], source=source)
    answer = given.call(lambda settings: app.ask(settings, text, which, _Person(yes), again=again))
    given.show(answer, lambda: answer_table(answer))
    return ExitCode.DONE
