"""Commands that are loaded when they are called.

So each starts with its own imports only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from typer.core import TyperGroup
from typer.main import get_command

from pipeline.commands.shared.help_texts import HelpfulTyper


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command as its group lists it, and where its function is."""

    home: str  #: below ``commands``: ``items.forget:forget``
    help: str  #: one line
    epilog: str | None = None

    def load(self, name: str) -> Any:
        """Return the command."""
        module, _, function = self.home.partition(":")
        made = HelpfulTyper(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        made.command(name, short_help=self.help, epilog=self.epilog)(
            getattr(import_module(f"pipeline.commands.{module}"), function)
        )
        return get_command(made)


class _Loaded(MutableMapping[str, Any]):
    """A group's commands by name, each loaded when it is asked for."""

    def __init__(self, lazy: Mapping[str, LazyCommand], others: Mapping[str, Any]) -> None:
        self._lazy = lazy
        self._loaded = dict(others)

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded and name in self._lazy:
            self._loaded[name] = self._lazy[name].load(name)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._lazy
        yield from (name for name in self._loaded if name not in self._lazy)

    def __len__(self) -> int:
        return len({*self._lazy, *self._loaded})


class LazyGroup(TyperGroup):
    """A group that knows what its commands are called without loading them."""

    lazy: ClassVar[Mapping[str, LazyCommand]] = {}

    def __init__(self, *, commands: Any = None, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Loaded(self.lazy, commands or {})

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._line(name)) for name in self.list_commands(ctx)])

    def _line(self, name: str) -> str:
        known = self.lazy.get(name)
        return known.help if known is not None else str(self.commands[name].get_short_help_str())
