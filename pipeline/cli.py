"""The command line: arguments → settings → one call of ``app`` → exit code.

The commands are in ``commands``; ``present`` shows the results.
Only typer is imported up front, so that ``--help`` answers at once; a command is loaded when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Annotated, ClassVar

import typer

from pipeline import __version__
from pipeline.commands.shared.help_texts import HelpfulTyper
from pipeline.commands.shared.lazy_commands import LazyCommand, LazyGroup
from pipeline.commands.shared.usage import CommandLine
from pipeline.core.exit_codes import MEANING, ExitCode

_ALSO = {ExitCode.INCOMPLETE: "; nothing matched (retry, cancel)"}  #: what only commands end with, never a run
_CODES = "\b\nExit codes:\n" + "\n".join(
    fill(f"{text}{_ALSO.get(code, '')}", 76, initial_indent=f"  {int(code):>3}  ", subsequent_indent=" " * 7)
    for code, text in MEANING.items()
)


class _Commands(CommandLine):
    lazy: ClassVar[Mapping[str, LazyCommand]] = {
        "run": LazyCommand("run:run", "Ingest videos; go on where an earlier run stopped.", _CODES),
        "plan": LazyCommand("plan:plan", "Show what a run would do and cost. Sends nothing."),
        "status": LazyCommand("status:status", "Show how things stand and what needs you."),
        "list": LazyCommand("items.list_items:list_items", "List the items, by state, source, tag or text."),
        "costs": LazyCommand("costs:costs", "Show what was paid, by month, job or source."),
        "show": LazyCommand("show:show", "Show everything known about one item."),
        "why": LazyCommand("show:why", "Say why an item stands where it does."),
        "gallery": LazyCommand("gallery:gallery", "Make the page over the results; it opens from disk."),
        "retry": LazyCommand("retry_cancel:retry", "Let failed, held or cancelled items go on."),
        "cancel": LazyCommand("retry_cancel:cancel", "Put items away; runs leave them alone."),
        "forget": LazyCommand("items.forget:forget", "Take an item out: results and rows, but no money."),
        "search": LazyCommand("index.search:search", "Search the videos of an index."),
        "ask": LazyCommand("index.ask:ask", "Ask one question across all videos."),
        "classify": LazyCommand("index.search:classify", "Sort the videos of an index into classes."),
        "indexes": LazyCommand("index.indexes:indexes", "List, create or delete indexes."),
        "videos": LazyCommand("index.indexes:videos", "List the videos in an index."),
        "reconcile": LazyCommand("reconcile:reconcile", "Compare the database with the account; tidy up."),
        "prune": LazyCommand("upkeep.prune:prune", "Take away what nothing needs any more."),
        "work": LazyCommand("cluster.work:work", "Work on a shared database, without a list."),
        "hosts": LazyCommand("cluster.hosts:hosts", "List the hosts on a shared database; forget one."),
        "import-state": LazyCommand("cluster.import_state:import_state", "Move a database to PostgreSQL, or back."),
        "migrate": LazyCommand("upkeep.migrate:migrate", "Make or update the tables of a shared database."),
        "service": LazyCommand("upkeep.service:service", "Print systemd units, a cron line, a Containerfile."),
        "doctor": LazyCommand("doctor:doctor", "Check machine, folders, configuration, platform."),
        "platform": LazyCommand("platform:platform", "Serve the local platform for any client."),
        "demo": LazyCommand("demo:demo", "Make a few videos and ingest them; no account."),
    }


class _ConfigCommands(LazyGroup):
    lazy: ClassVar[Mapping[str, LazyCommand]] = {
        "check": LazyCommand("config_check:config_check", "Check the configuration and show what is in force.")
    }


class _NotifyCommands(LazyGroup):
    lazy: ClassVar[Mapping[str, LazyCommand]] = {
        "test": LazyCommand("notify:notify_test", "Send a test in every way that [watch] of the configuration names.")
    }


app = HelpfulTyper(
    name="reelmill",
    cls=_Commands,
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
    cls=_ConfigCommands,
    help="Look at the configuration.",
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(config_app, name="config")
notify_app = HelpfulTyper(
    cls=_NotifyCommands,
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
