"""What is wrong with a command line, in our words, like every error.

``reelmill: … → …`` and exit code 2.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any

from pipeline.commands.shared.lazy_commands import LazyGroup
from pipeline.core.exit_codes import ExitCode

#: What people type for a command of ours.
_MEANT = {
    "ls": "list", "items": "list", "log": "status", "history": "status", "report": "status", "ingest": "run",
    "start": "run", "resume": "run", "process": "run", "add": "run", "stop": "cancel", "rm": "forget", "remove": "forget",
    "delete": "forget",
    "redo": "retry", "check": "config check", "find": "search", "info": "show", "init": "demo",
    "serve": "platform", "clean": "prune", "cleanup": "prune", "gc": "prune", "vacuum": "prune", "cron": "service cron",
    "systemd": "service systemd", "container": "service container", "help": "--help", "version": "--version", "dry-run": "plan",
}  # fmt: skip


class CommandLine(LazyGroup):
    """The group of all commands, which tells usage errors itself.

    What the library says of them is for programmers.
    """

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *more: Any, **extra: Any) -> Any:
        """Run a command and exit with its code."""
        standalone = extra.pop("standalone_mode", True)
        try:
            code = super().main(args, prog_name, *more, **{**extra, "standalone_mode": False})
        except Exception as error:
            if not standalone or not hasattr(error, "format_message"):
                raise
            from pipeline.present import terminal  # not for --help, which answers at once
            from pipeline.present.formatting import clean

            if type(error).__name__ == "NoArgsIsHelpError":
                terminal.tell(error.format_message())
            else:
                typed = sys.argv[1:] if args is None else args
                message, remedy = explain_usage(error, self.list_commands(None), typed)  # type: ignore[arg-type]
                terminal.tell(f"reelmill: {clean(message)}")
                terminal.tell(terminal.behind_arrow(clean(remedy)))
            sys.exit(ExitCode.USAGE)
        if not standalone:
            return code
        sys.exit(code if isinstance(code, int) else ExitCode.DONE)


def explain_usage(error: Any, commands: Collection[str], typed: Sequence[str] = ()) -> tuple[str, str]:
    """Return what is wrong with a usage error, and what to do.

    ``error`` is any of the library's usage errors, not all of which know their command; ``typed`` are all words.
    """
    from pipeline.config.diagnostics import in_plain_words

    context = getattr(error, "ctx", None)
    first = next((f"reelmill {word}" for word in typed if word in commands), "reelmill")
    path = context.command_path if context is not None else first
    command = path.partition(" ")[2]
    before = f"{command}: " if command else ""
    listed = f"`{path} --help` lists {'the options' if command else 'all commands'}"
    said, option = str(error.format_message()), str(getattr(error, "option_name", "") or "")
    if (unknown := re.match(r"No such command '(.*?)'\.", said)) is not None:
        name = unknown[1]
        own = context.command.list_commands(context) if command and context is not None else list(commands)
        near = [_MEANT[name]] if name in _MEANT and not command else get_close_matches(name, own, 1)
        hint = f"did you mean `{path} {near[0]}`? " if near else ""
        return f"{before}no command is called '{name}'", f"{hint}`{path} --help` lists all"
    if type(error).__name__ == "NoSuchOption":
        near = list(getattr(error, "possibilities", None) or ())
        return f"{before}there is no option {option}", (f"did you mean {near[0]}? " if near else "") + listed
    if type(error).__name__ == "MissingParameter":
        name = getattr(error.param, "metavar", None) or str(error.param.name).upper()
        name = name.strip("{}[]")
        return f"{before}{name} is missing", f"{path} {name}; `{path} --help` explains it"
    if (wrong := re.match(r"Invalid value(?: for (.*?))?: (.*)", said, re.S)) is not None:
        where = (wrong[1] or "").replace("'", "").replace(" / ", " or ")
        return f"{before}{where + ': ' if where else ''}{in_plain_words(wrong[2]).rstrip('.')}", listed
    if "requires an argument" in said:
        return f"{before}{option} needs a value", listed
    if "does not take a value" in said:
        return f"{before}{option} takes no value", f"write {option} alone"
    if (surplus := re.match(r"Got unexpected extra argument.*? \((.*)\)", said)) is not None:
        return f"{before}too many arguments: {surplus[1]}", f"put blanks into quotes; {listed}"
    return f"{before}{said[:1].lower()}{said[1:].rstrip('.')}", listed
