"""``run``, ``plan``, ``demo``: what works through videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands import options
from pipeline.commands.runner import display, guarded, load_settings, names, wait_for
from pipeline.core.exit_codes import ExitCode


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
    from pipeline import app
    from pipeline.present import tables, terminal

    flags = {
        "run.state": state, "run.output": output, "run.strict": strict, "provider.kind": provider,
        "jobs.enabled": names(jobs), "budget.max_usd_per_run": max_usd, "log.level": log_level,
    }  # fmt: skip
    settings = load_settings(config, flags)
    report = wait_for(lambda: app.run(settings, sources or [], watch=display(settings)))
    terminal.say_json(report) if json else terminal.show(tables.report(report))
    return report.exit_code


@guarded
def plan(
    sources: options.Sources = None,
    config: options.Config = None,
    state: options.State = None,
    output: options.Output = None,
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
    from pipeline import app
    from pipeline.present import tables, terminal

    flags = {
        "run.state": state, "run.output": output, "run.strict": strict, "provider.kind": provider,
        "jobs.enabled": names(jobs), "budget.max_usd_per_run": max_usd, "log.level": log_level,
    }  # fmt: skip
    settings = load_settings(config, flags)
    found = wait_for(lambda: app.plan(settings, sources or [], limit=limit))
    terminal.say_json(found) if json else terminal.show(tables.plan(found))
    return ExitCode.USAGE if settings.run.strict and found.bad_count else ExitCode.DONE


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
    from pipeline import app
    from pipeline.present import messages, tables, terminal

    flags = {
        "run.state": folder / "state", "run.output": folder / "out", "provider.kind": "local", "log.level": log_level,
    }  # fmt: skip
    settings = load_settings(None, flags, file=False)
    videos, report = wait_for(lambda: app.demo(settings, folder, count=count, watch=display(settings)))
    if json:
        terminal.say_json({"videos": videos, "report": report})
    else:
        terminal.show(tables.report(report))
        terminal.say(messages.demo_results(videos, folder / "out"))
    return report.exit_code
