"""The command line: arguments → settings → one call of ``app`` → exit code.

The commands are in ``commands``; ``present`` shows the results.
Only typer is imported up front, so that ``--help`` answers at once; everything heavy is imported inside the commands.
"""

from __future__ import annotations

from textwrap import fill
from typing import Annotated

import typer

from pipeline import __version__
from pipeline.commands.config_check import config_check
from pipeline.commands.costs import costs
from pipeline.commands.demo import demo
from pipeline.commands.doctor import doctor
from pipeline.commands.gallery import gallery
from pipeline.commands.index.indexes import indexes, videos
from pipeline.commands.index.search import classify, search
from pipeline.commands.items.forget import forget
from pipeline.commands.items.list_items import list_items
from pipeline.commands.notify import notify_test
from pipeline.commands.plan import plan
from pipeline.commands.platform import platform
from pipeline.commands.reconcile import reconcile
from pipeline.commands.retry_cancel import cancel, retry
from pipeline.commands.run import run
from pipeline.commands.shared.help_texts import HelpfulTyper
from pipeline.commands.shared.usage import CommandLine
from pipeline.commands.show import show, why
from pipeline.commands.status import status
from pipeline.commands.upkeep.prune import prune
from pipeline.commands.upkeep.service import service
from pipeline.core.exit_codes import MEANING, ExitCode

_ALSO = {ExitCode.INCOMPLETE: "; nothing matched (retry, cancel)"}  #: what only commands end with, never a run
_CODES = "\b\nExit codes:\n" + "\n".join(
    fill(f"{text}{_ALSO.get(code, '')}", 76, initial_indent=f"  {int(code):>3}  ", subsequent_indent=" " * 7)
    for code, text in MEANING.items()
)
app = HelpfulTyper(
    name="reelmill",
    cls=CommandLine,
    help="Send lists of videos to a platform that understands video, and write its answers to disk. A run can be killed at "
    "any moment and started again: no paid call is made twice, and nothing is lost.\n\n"
    "\b\nStart here:\n"
    "  reelmill demo                     make three videos and ingest them\n"
    "  reelmill plan films/ list.csv     what a run would do and cost\n"
    "  reelmill run films/ list.csv      do it; after a crash, the same line again\n"
    "  reelmill run -c nightly.toml      the line for cron",
    epilog=_CODES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
config_app = HelpfulTyper(
    help="Look at the configuration.", rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False
)
app.add_typer(config_app, name="config")
notify_app = HelpfulTyper(
    help="Tell people and machines how runs go.",
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(notify_app, name="notify")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"reelmill {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# ------------------------------------------------------------------------------------------------------------ commands

app.command(short_help="Ingest videos; go on where an earlier run stopped.", epilog=_CODES)(run)
app.command(short_help="Show what a run would do and cost. Sends nothing.")(plan)
app.command(short_help="Show how things stand and what needs you.")(status)
app.command("list", short_help="List the items, by state, source, tag or text.")(list_items)
app.command(short_help="Show what was paid, by month, job or source.")(costs)
app.command(short_help="Show everything known about one item.")(show)
app.command(short_help="Say why an item stands where it does.")(why)
app.command(short_help="Make the page over the results; it opens from disk.")(gallery)
app.command(short_help="Let failed, held or cancelled items go on.")(retry)
app.command(short_help="Put items away; runs leave them alone.")(cancel)
app.command(short_help="Take an item out: results and rows, but no money.")(forget)
app.command(short_help="Search the videos of an index.")(search)
app.command(short_help="Sort the videos of an index into classes.")(classify)
app.command(short_help="List, create or delete indexes.")(indexes)
app.command(short_help="List the videos in an index.")(videos)
app.command(short_help="Compare the database with the account; tidy up.")(reconcile)
app.command(short_help="Take away what nothing needs any more.")(prune)
app.command(short_help="Print systemd units, a cron line, a Containerfile.")(service)
app.command(short_help="Check machine, folders, configuration, platform.")(doctor)
app.command(short_help="Serve the local platform for any client.")(platform)
app.command(short_help="Make a few videos and ingest them; no account.")(demo)
config_app.command("check")(config_check)
notify_app.command("test")(notify_test)
