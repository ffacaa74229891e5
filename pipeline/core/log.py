"""Sets up structlog: readable lines on a terminal, else JSON; never a secret.

structlog brings half of a short command's imports with it, so it is loaded with the first event.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TextIO

from pipeline.core.text import escape_unsafe, sanitize

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_level = _LEVELS["debug"]  # what is logged at all; :func:`setup` sets it
_pending: Callable[[], None] | None = None  # a set-up that waits for the first event
#: Names of fields whose value is never shown, whatever it is.
_SECRET_NAMES = re.compile(r"(?i)(api[-_]?key|authorization|cookie|password|secret|token|signature)$")
_RUN = r"\\(?<!\\\\)\\{0,63}"  #: backslashes, looked at from the first of a run only
#: A presigned URL's query is a key in itself.
_QUERY = re.compile(r"(https?://[^\s\"'?]+)\?[^\s\"']+")


def build_spellings(secret: str) -> str:
    """Return a regular expression for every spelling of a secret.

    Each character may stand as it is, escaped as in JSON (also inside of JSON that is itself a text), percent-encoded, or
    as an HTML reference. Repetitions are bounded: the time is linear in the text, whatever it holds.
    """
    return "".join(map(_spelling, secret))


def _spelling(char: str) -> str:
    units = char.encode("utf-16-be").hex()
    escapes = "".join(rf"{_RUN}u{_any_case(units[start : start + 4])}" for start in range(0, len(units), 4))
    hexes = [_any_case(f"{byte:02x}") for byte in char.encode("utf-8", "replace")]
    percent, escaped = ("".join(f"{sign}(?:25){{0,4}}{code}" for code in hexes) for sign in ("%", f"{_RUN}u0025"))
    references = rf"&#0{{0,8}}{ord(char)};|&#[xX]0{{0,8}}{_any_case(f'{ord(char):x}')};"
    plain = re.escape(char)  # every alternative begins with a plain character: so the search is fast
    return rf"(?:{plain}|{_RUN}{plain}|{escapes}|{percent}|{escaped}|{references})"


def _any_case(digits: str) -> str:
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)


_UNGUESSED = 16  # characters from which a secret stands in a text only because somebody has put it there


class Redactor:
    """A structlog processor that hides known secrets, secret-looking fields and the queries of URLs."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = [secret for secret in secrets if len(secret) >= 4]
        spellings = [build_spellings(secret) for secret in known]
        self._secrets = re.compile("|".join(spellings)) if spellings else None
        self._known = frozenset(known)

    def __call__(self, _logger: Any, _method: str, event: Any) -> Any:
        """Return the event with secrets hidden, in names as well as in values."""
        return {
            self.clean(str(key)): "***" if _SECRET_NAMES.search(str(key)) else self.clean(value)
            for key, value in event.items()
        }

    def clean(self, value: Any) -> Any:
        """Return the value, or its text, with every secret replaced.

        The renderers would turn it into text after us, and a path or an exception can hold a secret.
        """
        if isinstance(value, str):
            value = self._secrets.sub("***", value) if self._secrets is not None else value
            return _QUERY.sub(r"\1?***", value)
        if isinstance(value, Mapping):
            return self(None, "", value)
        if isinstance(value, list | tuple | set | frozenset):
            return [self.clean(entry) for entry in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.clean(str(value))

    def holds(self, text: str) -> bool:
        """Return whether a text is a secret, or holds one that no chance wrote."""
        return text.strip() in self._known or any(len(each) >= _UNGUESSED and each in text for each in self._known)


_redactor = Redactor([])


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for another program: no variable that holds a secret of ours."""
    return {name: value for name, value in environment.items() if not _redactor.holds(value)}


def redact(text: str) -> str:
    """Return a foreign text without secrets, to store or show."""
    return str(_redactor.clean(text))


def sanitize_event(_logger: Any, _method: str, event: Any) -> Any:
    """Remove from every text what a terminal would obey."""
    return {_sanitized(str(key)): _sanitized(value) for key, value in event.items()}


def _sanitized(value: Any) -> Any:
    if isinstance(value, str):
        return sanitize(value, "\ufffd")
    if isinstance(value, Mapping):
        return {_sanitized(str(key)): _sanitized(entry) for key, entry in value.items()}
    return [_sanitized(entry) for entry in value] if isinstance(value, list | tuple) else value


def as_json(_logger: Any, _method: str, event: Any) -> str:
    """Render one line of JSON; what a terminal obeys is escaped."""
    return escape_unsafe(json.dumps(event, ensure_ascii=False, default=str))


class LibraryLogHandler(logging.Handler):
    """Takes what libraries log into our log, in its form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record with its traceback."""
        level = max(level for level in (10, 20, 30, 40) if level <= max(10, record.levelno))
        get(record.name).log(level, "library", why=record.getMessage(), exc_info=record.exc_info)


def setup(
    level: str, form: Literal["auto", "json", "console"], secrets: Iterable[str], stream: TextIO | None = None
) -> None:
    """Configure logging for this process.

    ``auto`` is console on a terminal and JSON lines otherwise.
    """
    global _redactor  # noqa: PLW0603 - one process has one log
    _redactor = Redactor(secrets)
    global _level  # noqa: PLW0603 - structlog's own set-up is global as well
    _level = _LEVELS[level]
    stream = stream or sys.stderr
    console = form == "console" or (form == "auto" and stream.isatty())

    def configure() -> None:
        _configure(_LEVELS[level], stream, console=console)

    global _pending  # noqa: PLW0603 - see above
    _pending = configure
    if "structlog" in sys.modules:
        _structlog()
    root = logging.getLogger()
    if not any(isinstance(handler, LibraryLogHandler) for handler in root.handlers):
        root.addHandler(LibraryLogHandler(logging.WARNING))


def _configure(level: int, stream: TextIO, *, console: bool) -> None:
    import structlog

    last: list[Any] = [sanitize_event, structlog.dev.ConsoleRenderer(colors=stream.isatty())] if console else [as_json]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,  # before the redactor: tracebacks quote values
            _redactor,
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def _structlog() -> Any:
    """Return structlog, set up as it was last asked for."""
    import structlog

    global _pending
    if _pending is not None:
        configure, _pending = _pending, None
        configure()
    return structlog


def is_set_up() -> bool:
    """Return whether :func:`setup` was called; without it, lines go to stdout, unredacted."""
    return _pending is not None or bool(_structlog().is_configured())


def wants_debug() -> bool:
    """Return whether debug events are wanted: asking costs less than making one."""
    return _level <= _LEVELS["debug"]


class _Logger:
    """What :func:`get` returns: the set-up at the moment of each call counts."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, word: str) -> Any:
        return getattr(_structlog().get_logger(log=self._name), word)


def get(name: str) -> Any:
    """Return a logger with the field ``log`` set to the module's short name."""
    return _Logger(name)
