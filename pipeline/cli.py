"""The command line: arguments → settings → one call of ``app`` → ``present`` → exit code. Nothing else happens here.

Only typer is imported up front, so that ``--help`` answers at once; everything heavy is imported inside the commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline import __version__
from pipeline.commands import options
from pipeline.commands.frame import display, guarded, load_settings, names, now, wait_for
from pipeline.exitcodes import MEANING, ExitCode

if TYPE_CHECKING:
    from pipeline.config import Settings

_CODES = "\b\nExit codes:\n" + "\n".join(f"  {int(code):>3}  {text}" for code, text in MEANING.items())

app = typer.Typer(
    name="reelmill",
    help="Take lists of videos through video understanding: durable, every paid call made once, safe to kill.\n\n"
    "\b\nStart here:\n"
    "  reelmill demo                       make three videos, ingest them, show the results\n"
    "  reelmill plan films/ list.csv       what a run would do and cost\n"
    "  reelmill run films/ list.csv        do it; give the same line again after a crash\n"
    "  reelmill run --config nightly.toml  the line for cron",
    epilog=_CODES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
config_app = typer.Typer(
    help="Look at the configuration.", rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False
)
app.add_typer(config_app, name="config")


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


@app.command(short_help="Ingest videos; go on where an earlier run stopped.", epilog=_CODES)
@guarded
def run(
    sources: options.Sources = None,
    config: options.Config = None,
    state: options.State = None,
    output: options.Output = None,
    provider: options.Provider = None,
    jobs: options.Jobs = None,
    strict: options.Strict = None,
    max_usd: options.MaxUsd = None,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """Ingest videos and write the results; go on where an earlier run stopped.

    Progress is kept in the state folder: kill the run at any moment and give the same command again. Nothing is lost
    and nothing is paid for twice. Ctrl-C once finishes what is short and keeps the rest; twice stops now.

    \b
    Examples:
      reelmill run talk.mp4 films/ "archive/**/*.mov"
      reelmill run list.csv --jobs gist,chapters --max-usd 20
      find . -name '*.mp4' | reelmill run -
    """
    from pipeline import app as house
    from pipeline.present import tables, terminal

    flags = {
        "run.state": state, "run.output": output, "run.strict": strict, "provider.kind": provider,
        "jobs.enabled": names(jobs), "budget.max_usd_per_run": max_usd, "log.level": log_level,
    }  # fmt: skip
    settings = load_settings(config, flags)
    report = wait_for(lambda: house.run(settings, sources or [], watch=display(settings)))
    terminal.say_json(report) if json else terminal.show(tables.report(report))
    return report.exit_code


@app.command(short_help="Show what a run would do and cost. Sends nothing.")
@guarded
def plan(
    sources: options.Sources = None,
    config: options.Config = None,
    state: options.State = None,
    provider: options.Provider = None,
    jobs: options.Jobs = None,
    strict: options.Strict = None,
    max_usd: options.MaxUsd = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=0, help="How many items to list.")] = 50,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """Show what a run would do and what it would cost. Nothing is sent, changed or paid.

    \b
    Examples:
      reelmill plan list.csv --max-usd 20
      reelmill plan --json | jq .usd
    """
    from pipeline import app as house
    from pipeline.present import tables, terminal

    flags = {
        "run.state": state, "run.strict": strict, "provider.kind": provider, "jobs.enabled": names(jobs),
        "budget.max_usd_per_run": max_usd, "log.level": log_level,
    }  # fmt: skip
    settings = load_settings(config, flags)
    found = wait_for(lambda: house.plan(settings, sources or [], limit=limit))
    terminal.say_json(found) if json else terminal.show(tables.plan(found))
    return ExitCode.USAGE if settings.run.strict and found.bad_count else ExitCode.DONE


@app.command(short_help="Show how things stand and what needs you.")
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
    from pipeline import app as house
    from pipeline.present import tables, terminal

    settings = load_settings(config, {"run.state": state, "log.level": log_level})
    view = wait_for(lambda: house.status(settings, limit=limit))
    terminal.say_json(view) if json else terminal.show(tables.status(view, now()))
    return ExitCode.DONE


@app.command(short_help="Show everything known about one item.")
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
    from pipeline import app as house
    from pipeline.present import tables, terminal

    settings = load_settings(config, {"run.state": state, "run.output": output, "log.level": log_level})
    view = wait_for(lambda: house.show(settings, item))
    terminal.say_json(view) if json else terminal.show(tables.item(view, now()))
    return ExitCode.DONE


@app.command(short_help="Say why an item stands where it does.")
@guarded
def why(
    item: options.Item,
    config: options.Config = None,
    state: options.State = None,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """Say in one plain sentence why an item stands where it does, and what to do next."""
    from pipeline import app as house
    from pipeline.present import tables, terminal

    settings = load_settings(config, {"run.state": state, "log.level": log_level})
    view = wait_for(lambda: house.show(settings, item))
    if json:
        answer = {"item": view.item.key, "state": view.state, "explanation": view.explanation}
        terminal.say_json({**answer, "next_step": view.next_step, "raw": tables.raw_line(view)})
    else:
        terminal.show(tables.why(view))
    return ExitCode.DONE


@app.command(short_help="Let failed, held or cancelled items go on.")
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
    """
    if not (items or failed or classes):
        from pipeline.errors import ConfigError

        raise ConfigError(
            "retry: say what: --failed, --class CLASS or ITEM", remedy="reelmill status lists what stopped"
        )
    settings = load_settings(config, {"run.state": state, "log.level": log_level})
    return _command(settings, "retry", items, classes, failed, json)


@app.command(short_help="Stop items for good.")
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
    if bool(items) == everything:
        from pipeline.errors import ConfigError

        raise ConfigError("cancel: name at least one ITEM, or --all and none", remedy="reelmill status lists the items")
    settings = load_settings(config, {"run.state": state, "log.level": log_level})
    return _command(settings, "cancel", items, None, False, json)


def _command(
    settings: Settings,
    verb: Literal["cancel", "retry"],
    items: list[str] | None,
    classes: list[str] | None,
    failed: bool,
    json: bool,
) -> int:
    from pipeline import app as house
    from pipeline.present import terminal
    from pipeline.present.text import count

    changed = wait_for(lambda: house.command(settings, verb, items or [], classes or [], failed))
    done = "set to be retried at the next run" if verb == "retry" else "cancelled"
    terminal.say_json({"verb": verb, "tasks": changed}) if json else terminal.say(f"{count(changed, 'task')} {done}")
    return ExitCode.DONE


@app.command(short_help="Check machine, folders, configuration, platform.")
@guarded
def doctor(
    config: options.Config = None,
    state: options.State = None,
    output: options.Output = None,
    provider: options.Provider = None,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """Check this machine, the folders, the configuration and the platform. Exit code 2 if something is bad."""
    from pipeline import app as house
    from pipeline.present import tables, terminal

    flags = {"run.state": state, "run.output": output, "provider.kind": provider, "log.level": log_level}
    settings = load_settings(config, flags)
    findings = wait_for(lambda: house.doctor(settings))
    terminal.say_json(findings) if json else terminal.show(tables.doctor(findings))
    return ExitCode.USAGE if any(finding.state == "bad" for finding in findings) else ExitCode.DONE


@app.command(short_help="Serve the local platform for any client.")
@guarded
def platform(
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Default: as configured.", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", min=0, max=65_535, help="0 takes a free one.", show_default=False)
    ] = None,
    faults: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Script of faults to play, for tests.", show_default=False)
    ] = None,
    config: options.Config = None,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """Serve the local platform: the same API, no account, real analysis on this machine. Ctrl-C stops it.

    Prints the settings that make `reelmill` in another terminal talk to it.
    """
    from pipeline import app as house
    from pipeline.present import terminal, words

    settings = load_settings(config, {"log.level": log_level})

    def ready(base_url: str, token: str) -> None:
        said = {"base_url": base_url, "api_key": token}
        terminal.say_json(said) if json else terminal.say(words.serving(base_url, token))
        terminal.tell("serving; Ctrl-C stops")

    wait_for(lambda: house.platform(settings, host=host, port=port, faults=faults, ready=ready))
    return ExitCode.DONE


@app.command(short_help="Make a few videos and ingest them; no account.")
@guarded
def demo(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where everything goes.")] = Path("reelmill-demo"),
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="N", min=1, max=3, help="How many videos to make.")
    ] = 3,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """Make a few short captioned videos, ingest them on the local platform and show where the results are.

    No account, no key, no network beyond this machine. Configuration files are not read.
    """
    from pipeline import app as house
    from pipeline.present import tables, terminal, words

    flags = {
        "run.state": folder / "state", "run.output": folder / "out", "provider.kind": "local", "log.level": log_level,
    }  # fmt: skip
    settings = load_settings(None, flags, file=False)
    videos, report = wait_for(lambda: house.demo(settings, folder, count=count, watch=display(settings)))
    if json:
        terminal.say_json({"videos": videos, "report": report})
    else:
        terminal.show(tables.report(report))
        terminal.say(words.demo_results(videos, report.output))
    return report.exit_code


@config_app.command("check")
@guarded
def config_check(
    config: options.Config = None,
    state: options.State = None,
    output: options.Output = None,
    provider: options.Provider = None,
    jobs: options.Jobs = None,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """Check the configuration and show what is in force. With --json every setting; never the key."""
    from pipeline import app as house
    from pipeline.present import tables, terminal, words

    flags = {
        "run.state": state, "run.output": output, "provider.kind": provider, "jobs.enabled": names(jobs),
        "log.level": log_level,
    }  # fmt: skip
    settings = load_settings(config, flags)
    house.desk_of(settings)  # every job and its parameters, as a run would read them
    if json:
        key = {"file": settings.origin, "api_key_set": settings.api_key is not None}
        terminal.say_json({**key, "platform": settings.provider_kind, "settings": settings.model_dump()})
    else:
        terminal.show(tables.pairs(words.settings(settings)))
    return ExitCode.DONE
