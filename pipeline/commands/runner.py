"""The frame around every command: settings and log before it, one border for what it raises, one loop to run in.

Nothing heavy is imported up front: ``--help`` goes through here.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import typer

if TYPE_CHECKING:
    from pipeline.config.settings import Settings
    from pipeline.present.live import Watch

P = ParamSpec("P")

T = TypeVar("T")


def guarded(work: Callable[P, int]) -> Callable[P, None]:
    """Make a command of a function that returns an exit code; whatever it raises is told in two lines."""

    @functools.wraps(work)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        from pipeline.present.terminal import guard

        raise typer.Exit(guard(lambda: work(*args, **kwargs), _secrets))

    return command


_known_secrets: list[str] = []


def _secrets() -> list[str]:
    return [*_known_secrets, os.environ.get("TWELVELABS_API_KEY", "").strip()]


def load_settings(config: Path | None, flags: Mapping[str, Any], *, file: bool = True) -> Settings:
    """Load the settings and start the log. ``flags`` are dotted: ``{"run.state": path}``; None means not given."""
    from pipeline.config.settings import load
    from pipeline.present.terminal import log_to_stderr

    nested: dict[str, dict[str, Any]] = {}
    for name, value in flags.items():
        section, _, key = name.partition(".")
        if value is not None:
            nested.setdefault(section, {})[key] = value
    if config is None and file and Path("reelmill.toml").is_file():
        config = Path("reelmill.toml")
    log_to_stderr("info", "auto", _secrets())
    settings = load(config, flags=nested)
    if settings.api_key is not None:
        _known_secrets.append(settings.api_key.get_secret_value())
    log_to_stderr(settings.log.level, settings.log.format, _secrets())
    return settings


def names(jobs: str | None) -> list[str] | None:
    """Return the names in ``a,b``."""
    return None if jobs is None else [name.strip() for name in jobs.split(",") if name.strip()]


def wait_for(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the one asynchronous call of a command."""
    import anyio

    return anyio.run(work)


def now() -> float:
    """Return epoch seconds, for tables that say how long ago something was."""
    from pipeline.core.clock import SystemClock

    return SystemClock().now()


def display(settings: Settings) -> Watch | None:
    """Return the live display if a person is looking; then only warnings are logged, unless a level was asked for."""
    from pipeline.present import live
    from pipeline.present.terminal import log_to_stderr

    if settings.log.format == "json" or not live.wanted():
        return None
    if "level" not in settings.log.model_fields_set:
        log_to_stderr("warning", settings.log.format, _secrets())
    return live.watch()
