"""The frame around every command: common options, settings, log, errors.

Nothing heavy is imported up front: ``--help`` goes through here.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, get_type_hints

import typer

from pipeline.commands.shared.options import COMMON

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pipeline.config.settings import Settings
    from pipeline.views import Watch

P = ParamSpec("P")
T = TypeVar("T")


class Invocation:
    """What was given for the common options of a command."""

    def __init__(self, given: Mapping[str, Any], *, reads_file: bool = True, serves: bool = False) -> None:
        self.json = bool(given["json"])
        self.quiet = bool(given.get("quiet"))
        self._given = given
        self._reads_file = reads_file
        self._serves = serves

    def settings(self, **more: Any) -> Settings:
        """Load the settings and start the log. ``more`` are flags that the command decides."""
        given = [(COMMON[name], value) for name, value in {**self._given, **more}.items()]
        flags = {option.key: option.read(value) for option, value in given if option.key}
        return _load(self._given.get("config"), flags, self._reads_file, quiet=self.quiet, serves=self._serves)

    def call(self, work: Callable[[Settings], Coroutine[Any, Any, T]]) -> T:
        """Load the settings and run the one asynchronous call of a command."""
        settings = self.settings()
        return wait_for(lambda: work(settings))

    def show(self, value: object, table: Callable[[], RenderableType]) -> None:
        """Write a value as JSON if ``--json`` was given, else as a table."""
        from pipeline.present import terminal

        terminal.say_json(value) if self.json else terminal.show(table())

    def say(self, value: object, text: str) -> None:
        """Write a value as JSON if ``--json`` was given, else as a sentence."""
        from pipeline.present import terminal

        terminal.say_json(value) if self.json else terminal.say(text)


def command(
    *common: str, reads_file: bool = True, serves: bool = False
) -> Callable[[Callable[Concatenate[Invocation, P], int]], Callable[..., None]]:
    """Make a typer command of a function that returns an exit code.

    The function's own options come first, then these ``common`` ones by name, ``--json`` and ``--log-level``.
    ``reads_file``: also ``--config``, and ``./reelmill.toml`` is read where that is not given.
    ``serves``: people watch its log, on a terminal too.
    """
    names = [*(["config"] if reads_file else []), *common, "json", "log_level"]

    def decorate(work: Callable[Concatenate[Invocation, P], int]) -> Callable[..., None]:
        call: Callable[..., int] = work

        def run(**given: Any) -> None:
            from pipeline.present.terminal import guard

            def body() -> int:
                invocation = Invocation({name: given.pop(name) for name in names}, reads_file=reads_file, serves=serves)
                return call(invocation, **given)

            raise typer.Exit(guard(body, _secrets))

        hints = get_type_hints(work, include_extras=True)
        own = list(inspect.signature(work).parameters.values())[1:]
        options = [(each.name, hints[each.name], each.default) for each in own]
        options += [(name, COMMON[name].annotation, COMMON[name].default) for name in names]
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            inspect.Parameter(name, kind, default=default, annotation=hint) for name, hint, default in options
        ]
        run.__dict__["__signature__"] = inspect.Signature(parameters)
        run.__annotations__ = {name: hint for name, hint, _ in options}
        run.__name__, run.__doc__ = work.__name__, work.__doc__
        return run

    return decorate


_known_secrets: list[str] = []


def _secrets() -> list[str]:
    return [*_known_secrets, os.environ.get("TWELVELABS_API_KEY", "").strip()]


def _load(config: Path | None, flags: Mapping[str, Any], reads_file: bool, *, quiet: bool, serves: bool) -> Settings:
    """Load the settings and start the log. ``flags`` are dotted: ``{"run.state": path}``."""
    from pipeline.present.terminal import is_terminal, log_to_stderr

    with _no_plugins():
        from pipeline.config.settings import load

    nested: dict[str, dict[str, Any]] = {}
    for name, value in flags.items():
        section, _, key = name.partition(".")
        if value is not None:
            nested.setdefault(section, {})[key] = value
    if config is None and reads_file and Path("reelmill.toml").is_file():
        config = Path("reelmill.toml")
    log_to_stderr("info", "auto", _secrets())
    options = {option.key: f"--{name.replace('_', '-')}" for name, option in COMMON.items() if option.key}
    with _no_plugins():
        settings = load(config, flags=nested, options=options)
    secrets = (settings.api_key, settings.post_header, settings.model_key, settings.store_password)
    held = [secret.get_secret_value() for secret in secrets if secret is not None]
    _known_secrets.extend([*held, *settings.watch.secrets])
    if not quiet:
        _warn_of(settings)
    level: str = settings.log.level
    if "level" not in settings.log.model_fields_set:
        if quiet:
            level = "critical"
        elif settings.log.format == "auto" and is_terminal() and not serves:
            level = "error"  # what a person must know, the command says in its own words
    log_to_stderr(level, settings.log.format, _secrets())
    return settings


def _warn_of(settings: Settings) -> None:
    """Say at each start what the configuration allows and nobody should forget."""
    from pipeline.config.database_address import parse_address
    from pipeline.core import log

    if settings.store.url and (address := parse_address(settings.store.url)).insecure:
        log.get("store").warning(
            "store.insecure", database=str(address), why=f"sslmode={address.tls}: nobody proves who answers there",
            remedy="name its authority with sslrootcert, and take [store] insecure out",
        )  # fmt: skip


@contextmanager
def _no_plugins() -> Iterator[None]:
    """Keep pydantic from looking for plugins in all that is installed.

    No other process sees it.
    """
    name = "PYDANTIC_DISABLE_PLUGINS"
    before = os.environ.get(name)
    os.environ[name] = before or "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


def wait_for(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the one asynchronous call of a command."""
    from pipeline.app.wiring.signals import run_interruptible

    return run_interruptible(work)


def now() -> float:
    """Return epoch seconds, for tables that say how long ago something was."""
    from pipeline.core.clock import SystemClock

    return SystemClock().now()


def display(settings: Settings) -> Watch | None:
    """Return a run's display, if any, and put the log out of its way.

    On a terminal the log goes into the state folder; beside lines it says warnings only. A level that was set stays.
    """
    from pipeline.present import live
    from pipeline.present.terminal import is_terminal, log_to_file, log_to_stderr

    chosen = None if settings.log.format == "json" else live.choose(settings.log.progress)
    if "level" in settings.log.model_fields_set:
        return chosen
    if settings.log.format == "auto" and (chosen is not None or is_terminal()):
        log_to_file(settings.run.state / "run.log", settings.log.level, _secrets())
    elif chosen is not None:
        log_to_stderr("warning", settings.log.format, _secrets())
    return chosen
