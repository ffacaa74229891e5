"""``doctor``, ``platform``, ``config check``: what a run stands on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands import options
from pipeline.commands.runner import guarded, load_settings, names, wait_for
from pipeline.core.exit_codes import ExitCode


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
    from pipeline import app
    from pipeline.present import tables, terminal

    flags = {"run.state": state, "run.output": output, "provider.kind": provider, "log.level": log_level}
    settings = load_settings(config, flags)
    findings = wait_for(lambda: app.doctor(settings))
    terminal.say_json(findings) if json else terminal.show(tables.doctor(findings))
    return ExitCode.USAGE if any(finding.state == "bad" for finding in findings) else ExitCode.DONE


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
    media: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Videos named by YouTube id, for v1.2.", show_default=False)
    ] = None,
    config: options.Config = None,
    json: options.AsJson = False,
    log_level: options.LogLevel = None,
) -> int:
    """Serve the local platform: the same API, no account, real analysis on this machine. Ctrl-C stops it.

    Prints the settings that make `reelmill` in another terminal talk to it.
    """
    from pipeline import app
    from pipeline.present import messages, terminal

    settings = load_settings(config, {"log.level": log_level})

    def ready(base_url: str, token: str) -> None:
        said = {"base_url": base_url, "api_key": token or None}
        terminal.say_json(said) if json else terminal.say(messages.serving(base_url, token))
        terminal.tell("serving; Ctrl-C stops")

    if wait_for(lambda: app.platform(settings, host=host, port=port, faults=faults, media=media, ready=ready)):
        raise KeyboardInterrupt  # told like any other interruption
    return ExitCode.DONE


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
    from pipeline import app
    from pipeline.present import messages, tables, terminal

    flags = {
        "run.state": state, "run.output": output, "provider.kind": provider, "jobs.enabled": names(jobs),
        "log.level": log_level,
    }  # fmt: skip
    settings = load_settings(config, flags)
    app.check_config(settings)
    if json:
        key = {"file": settings.origin, "api_key_set": settings.api_key is not None}
        terminal.say_json({**key, "platform": settings.provider_kind, "settings": settings.model_dump(mode="json")})
    else:
        terminal.show(tables.pairs(messages.settings(settings)))
    return ExitCode.DONE
