"""The only place that prints: stdout is data, stderr is for people."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from pipeline.core.errors import ReelmillError
from pipeline.present.exit_messages import Failure, failure_of
from pipeline.present.formatting import ASCII, clean

if TYPE_CHECKING:
    from rich.console import RenderableType

_LOG_MOST: Final = 10_000_000  #: bytes of a log file, after which it is put aside and another begun
#: Columns of a table that goes into a file or a pipe, where nobody's window limits it.
_PIPE_WIDTH: Final = 200


_log_file: Path | None = None  # where the log goes, if not to stderr


def is_unicode(stream: TextIO) -> bool:
    """Return True if the stream takes every character."""
    try:
        return codecs.lookup(stream.encoding or "").name.startswith("utf")
    except LookupError:
        return False


class Plain:
    """A stream that gets only what it can encode; other characters become ``?``."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._unicode = is_unicode(stream)

    def write(self, text: str) -> int:
        """Write text; never raises for a character."""
        encoding = "utf-8" if self._unicode else self._stream.encoding or "ascii"
        plain = text if self._unicode else text.translate(ASCII)
        self._stream.write(plain.encode(encoding, "replace").decode(encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class LogFile:
    """A log file that may be moved away; it stays below :data:`_LOG_MOST`.

    It is opened for each line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, text: str) -> int:
        """Append text; a full disk costs the log and not the run."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > _LOG_MOST:
                self._path.replace(self._path.with_suffix(".log.1"))
            number = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with open(number, "wb") as file:
                file.write(text.encode("utf-8", "replace"))
        return len(text)

    def flush(self) -> None:
        """Do nothing: each line is written when it comes."""

    def isatty(self) -> bool:
        """Return False: it is a file."""
        return False


class CurrentStderr:
    """Writes to the ``sys.stderr`` of the moment, which the display replaces."""

    def write(self, text: str) -> int:
        """Write text to today's stderr, if there is one."""
        return sys.stderr.write(text) if sys.stderr is not None else 0

    def flush(self) -> None:
        """Flush it."""
        if sys.stderr is not None:
            sys.stderr.flush()

    def isatty(self) -> bool:
        """Return True for a terminal."""
        return is_terminal()


def is_terminal() -> bool:
    """Return True if stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def say(text: str, end: str = "\n") -> bool:
    """Write data and a newline to stdout.

    Return False if nobody reads it any more. A closed pipe (``| head``) is no error.

    Raises:
        ReelmillError: stdout cannot be written, e.g. a full disk.
    """
    stream = sys.stdout
    if stream is None:
        return False
    try:
        Plain(stream).write(text + end)
        stream.flush()
    except BrokenPipeError:
        _silence(stream)
        return False
    except OSError as error:
        _silence(stream)
        raise ReelmillError(f"standard output cannot be written: {error.strerror}", code="stdout") from None
    return True


def say_json(value: object) -> None:
    """Write a value as JSON to stdout."""
    from pipeline.view_json import dumps

    say(dumps(value, ascii_only=not takes_everything()))


def takes_everything() -> bool:
    """Return True if stdout takes every character."""
    return sys.stdout is None or is_unicode(sys.stdout)


def show(renderable: RenderableType) -> None:
    """Write tables to stdout: coloured on a terminal, plain and wide otherwise."""
    tty = sys.stdout is not None and sys.stdout.isatty()
    say(rendered(renderable, tty=tty, width=None if tty or _is_width(os.environ.get("COLUMNS", "")) else _PIPE_WIDTH))


def _is_width(columns: str) -> bool:
    """Return True for a usable number of columns; some environments say 0."""
    return columns.isdecimal() and int(columns) > 0


def rendered(renderable: RenderableType, *, tty: bool = False, width: int | None = None) -> str:
    """Return what :func:`show` writes. ``width`` in cells; None asks the terminal."""
    from rich.console import Console

    text = io.StringIO()
    if width is None and not _is_width(os.environ.get("COLUMNS", "1")):
        width = shutil.get_terminal_size().columns
    console = Console(
        file=text, force_terminal=tty, force_jupyter=False, width=width, highlight=False, markup=False, emoji=False
    )
    console.print(renderable)
    return "\n".join(line.rstrip() for line in text.getvalue().rstrip("\n").split("\n"))


def tell(text: str) -> None:
    """Write a line for people to stderr, if there is one."""
    stream = sys.stderr
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            Plain(stream).write(text + "\n")
            stream.flush()


def guard(work: Callable[[], int], secrets: Callable[[], list[str]]) -> int:
    """Run a command and return its exit code; errors become two lines without ``secrets``."""
    try:
        return int(work())
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 the last border: whatever comes this far becomes an exit code
        return _tell_failure(failure_of(error), secrets())


def _tell_failure(failure: Failure, secrets: list[str]) -> int:
    from pipeline.core import log

    redact = log.Redactor(secrets).clean
    if failure.cause is not None:
        if not log.is_set_up():  # it crashed over its own arguments
            log_to_stderr("info", "auto", secrets)
        log.get("cli").critical("crashed", exc_info=failure.cause)
    tell(f"reelmill: {clean(redact(failure.message))}")
    if failure.remedy:
        tell(behind_arrow(clean(redact(failure.remedy))))
    if failure.raw:
        tell(f"  raw: {clean(redact(failure.raw))}")
    if failure.cause is not None:
        tell_log()
    return int(failure.code)


def behind_arrow(remedy: str) -> str:
    """Return a remedy behind its arrow, wrapped for a terminal."""
    if not is_terminal():
        return f"  → {remedy}"
    wide = max(20, shutil.get_terminal_size().columns)
    return textwrap.fill(
        remedy, wide, initial_indent="  → ", subsequent_indent=" " * 4, break_long_words=False, break_on_hyphens=False
    )


def log_to_stderr(level: str, form: str, secrets: list[str]) -> None:
    """Send the log to whatever stderr is at the moment of each line."""
    from pipeline.core import log

    global _log_file  # noqa: PLW0603 - one process has one log
    _log_file = None
    log.setup(level, cast("Any", form), secrets, cast("TextIO", CurrentStderr()))


def log_to_file(path: Path, level: str, secrets: list[str]) -> None:
    """Send the log into a file, one JSON line an event, away from people."""
    from pipeline.core import log

    global _log_file  # noqa: PLW0603 - one process has one log
    _log_file = path
    log.setup(level, "json", secrets, cast("TextIO", LogFile(path)))


def tell_log() -> None:
    """Tell where the log is, if it is kept in a file."""
    if _log_file is not None:
        tell(f"  log: {clean(_log_file)}")


def _silence(stream: TextIO) -> None:
    """Point the stream at nothing, so that the flush at exit cannot fail."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nothing, stream.fileno())
        finally:
            os.close(nothing)
