"""Small languages of the command line, each refused with an example."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pipeline.config.queries import StandingQuery
    from pipeline.core.errors import ConfigError
    from pipeline.ports.index_api import IndexInfo

N = TypeVar("N", int, float)


def build_query(command: str, **given: Any) -> StandingQuery:
    """Return the question; what was not given is left to its default.

    Raises:
        ConfigError: it asks nothing, or something contradicts.
    """
    from pydantic import ValidationError

    from pipeline.config.diagnostics import in_plain_words
    from pipeline.config.queries import StandingQuery

    for name in ("options", "speech"):
        given[name] = [word for part in given.get(name) or [] for word in _words(part)]
    if command == "search" and not (str(given.get("text") or "").strip() or given.get("images")):
        raise _wrong("search: say what to look for: TEXT or --image", 'reelmill search "the queen lays eggs"')
    try:
        return StandingQuery(
            name=command, **{key: value for key, value in given.items() if value not in (None, "", [])}
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        said = in_plain_words(first["msg"])
        raise _wrong(f"{command}: {where + ': ' if where else ''}{said}", f"reelmill {command} --help") from None


def parse_classes(given: Sequence[str]) -> dict[str, list[str]]:
    """Read ``NAME=prompt,prompt``; a name alone is its own prompt."""
    found = {name: _words(prompts) or [name] for name, prompts in parse_pairs("--class", given, bare=True)}
    if not found:
        raise _wrong("classify: name at least one class", '--class "Basketball=playing basketball,NBA"')
    return found


def parse_models(given: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Read ``MODEL=option,option``."""
    return [(name, tuple(_words(words))) for name, words in parse_pairs("--model", given)]


def parse_pairs(flag: str, given: Sequence[str], *, bare: bool = False) -> Iterator[tuple[str, str]]:
    """Read ``KEY=VALUE``; with ``bare``, also a key alone."""
    for text in given:
        key, equals, value = text.partition("=")
        if not key.strip() or not (equals or bare) or (equals and not value.strip()):
            raise _wrong(f"{flag} {text!r}: should be KEY=VALUE", "quote it if it holds blanks")
        yield key.strip(), value.strip()


def parse_score(given: str | None, ratio: float | None) -> Any:
    """Return a classification's threshold: a number, or a table with a least share."""
    if given is not None and not (given.isdecimal() and len(given) <= 3):
        raise _wrong(f"--threshold {given!r}: a classification takes a number from 0 to 100", "--threshold 75")
    if ratio is None:
        return "" if given is None else int(given)
    return {"min_duration_ratio": ratio, **({"min_video_score": int(given)} if given is not None else {})}


def parse_json_object(flag: str, text: str | None) -> dict[str, Any]:
    """Read a JSON object; none is an empty one."""
    import json

    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise _wrong(f"{flag}: not JSON: {error}", 'e.g. {"duration": {"gte": 60}}') from None
    if not isinstance(found, dict):
        raise _wrong(f"{flag}: should be a JSON object", 'e.g. {"duration": {"gte": 60}}')
    return found


def parse_range(flag: str, text: str | None) -> tuple[float | None, float | None]:
    """Read ``60..600``, ``60..`` or ``..600``; a number alone is both ends."""
    return _ends(flag, text, float)


def parse_int_range(flag: str, text: str | None) -> tuple[int | None, int | None]:
    """Read a span of whole numbers."""
    return _ends(flag, text, int)


def _ends(flag: str, text: str | None, read: Callable[[str], N]) -> tuple[N | None, N | None]:
    if not text:
        return None, None
    low, dots, high = text.partition("..")
    try:
        first, last = read(low) if low else None, read(high) if high else None
    except ValueError:
        first = last = None
    wrong = (first is None and last is None) or (first is not None and last is not None and not 0 <= first <= last)
    if wrong:
        raise _wrong(f"{flag} {text!r}: should be a span", f"{flag} 60..600, {flag} 60.. or {flag} ..600")
    return (first, last) if dots else (first, first)


def parse_time(flag: str, text: str) -> str:
    """Read a day or a time as RFC 3339, by default UTC."""
    from pipeline.core.clock import iso, parse_iso

    if not text:
        return ""
    at = parse_iso(text)
    try:
        if at is not None:
            return iso(at)
    except (ValueError, OverflowError):  # a time that another zone pushes out of the calendar
        pass
    raise _wrong(f"{flag} {text!r}: should be a day or a time", f"{flag} 2026-06-01T10:00:00Z")


def parse_age(flag: str, text: str) -> float:
    """Read a span of time with its unit, as seconds."""
    from pipeline.core.clock import parse_duration

    found = parse_duration(text)
    if found is None:
        raise _wrong(f"{flag} {text!r}: should be a time with its unit", f"{flag} 90d, {flag} 12h")
    return found


def confirm_delete(index: IndexInfo) -> bool:
    """Ask on the terminal whether an index shall be deleted.

    Raises:
        ConfigError: nobody is there to answer.
    """
    from pipeline.present.formatting import clean, count

    if not is_attended():
        raise _wrong("indexes delete: nobody is there to be asked", "--yes deletes without asking")
    return confirm(f"delete '{clean(index.name)}' with {count(index.videos, 'video')}? This cannot be undone. [y/N]")


def is_attended() -> bool:
    """Return True if somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def confirm(question: str) -> bool:
    """Ask a person; anything but a yes is a no.

    A signal ends the command.

    Raises:
        KeyboardInterrupt: on a signal, which the event loop would otherwise keep until the line is finished.
    """
    from pipeline.app.wiring.signals import raising
    from pipeline.present import terminal

    with raising():
        terminal.tell(question)
        return sys.stdin.readline().strip().lower() in ("y", "yes")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _wrong(message: str, remedy: str) -> ConfigError:
    from pipeline.core.errors import ConfigError

    return ConfigError(message, remedy=remedy)
