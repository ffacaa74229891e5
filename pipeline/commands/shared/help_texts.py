"""The help of a command, for people: no types and signs of the library."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperCommand

#: What the library puts behind the name of an argument: the Python type that it is read as.
_TYPE = re.compile(r" <(?:list\[)?[a-z]+\]?>$")
_CHOICES = re.compile(r"<list\[([^\]]*\|[^\]]*)\]>")
_REQUIRED = re.compile(r"\s*\[required\]$")
_RANGES = (
    (re.compile(r"\b([\d.]+)<=x<=([\d.]+)"), r"\1 to \2"),
    (re.compile(r"\bx>=([\d.]+)"), r"\1 or more"),
    (re.compile(r"\bx<=([\d.]+)"), r"\1 or less"),
)


class CommandHelp(TyperCommand):
    """A command that explains itself without the library's own words."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line; what is needed stands there bare."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        for title, kind in (("Arguments", "argument"), ("Options", "option")):
            params = [param for param in self.get_params(ctx) if param.param_type_name == kind]
            records = [found for param in params if (found := param.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl([(plain_name(name), plain_help(text)) for name, text in records])


class HelpfulTyper(typer.Typer):
    """A typer whose commands explain themselves to people."""

    def command(self, name: str | None = None, **given: Any) -> Any:
        """Return what makes a command of a function."""
        return super().command(name, **{"cls": CommandHelp, **given})


def plain_name(name: str) -> str:
    """Return an option's or argument's name without a Python type.

    >>> plain_name("SOURCES <list[str]>"), plain_name("--is <list[done|failed]>")
    ('SOURCES', '--is <done|failed>')
    """
    return _TYPE.sub("", _CHOICES.sub(r"<\1>", name))


def plain_help(text: str) -> str:
    """Return an option's help with its range in words.

    >>> plain_help("How many.  [default: 3; 1<=x<=3]"), plain_help("An item.  [required]")
    ('How many.  [default: 3; 1 to 3]', 'An item.')
    """
    text = _REQUIRED.sub("", text)
    for signs, words in _RANGES:
        text = signs.sub(words, text)
    return text
