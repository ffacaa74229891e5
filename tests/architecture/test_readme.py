"""README and the command line say the same."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from pipeline.cli import app
from pipeline.core.exit_codes import ExitCode
from tests.architecture.tree import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
#: Each document with the lines that its reader is asked to read at most: about two screens, the user's four.
DOCUMENTS = {"README.md": 210, "pipeline/README.md": 100, "jobs/README.md": 100, "tests/README.md": 100}


def commands(group: Any = None, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command by its full name."""
    group = group or get_command(app)
    for name, command in group.commands.items():
        if getattr(command, "commands", None):
            yield from commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


COMMANDS = dict(commands())


def said(text: str = README) -> Iterator[list[str]]:
    """Yield the words of every command line in a text: in blocks of code and between backticks."""
    for found in re.findall(r"(?:^|[`|$\n]|&& )\s*(reelmill(?: [^`\n|]*)?)(?=[`|\n])", text):
        line = found.partition("  #")[0].partition(" # ")[0]
        yield shlex.split(line.replace("…", ""), posix=True)


def command_of(words: list[str]) -> str:
    """Return the longest command name that the words begin with, or the word that is none."""
    plain = words[1:]
    for size in (2, 1):
        if " ".join(plain[:size]) in COMMANDS:
            return " ".join(plain[:size])
    return plain[0] if plain else ""


def test_command_lines_are_found_where_they_stand() -> None:
    """In blocks, after a prompt, between backticks, before a pipe, with a comment behind; not in running text."""
    block = "```\n$ reelmill run a.mp4  # now\nreelmill plan --json | jq\n```\n"
    text = f"reelmill is nice.\n{block}Try `reelmill config check`, or `why`.\n"
    assert [command_of(words) for words in said(text) if command_of(words) in COMMANDS] == [
        "run",
        "plan",
        "config check",
    ]
    assert "#" not in str(list(said(text)))


def test_every_command_is_in_the_readme() -> None:
    """What can be typed is told."""
    told = {command_of(words) for words in said()}
    assert set(COMMANDS) - told == set()


def test_the_readme_tells_of_no_other_command() -> None:
    """What is told can be typed."""
    spoken = {command_of(words) for words in said() if len(words) > 1}
    assert {name for name in spoken if name and not name.startswith("-")} - set(COMMANDS) == set()


def test_every_option_in_the_readme_exists() -> None:
    """Each flag in a command line of README is a flag of that command."""
    unknown = []
    for words in said():
        command = COMMANDS.get(command_of(words))
        known = {"--help", "-h", "--version", "-V"} | {
            opt for each in getattr(command, "params", ()) for opt in each.opts
        }
        unknown += [
            (words, word) for word in words[1:] if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known
        ]
    assert unknown == []


def test_every_exit_code_is_in_the_readme() -> None:
    """Scripts are written from README."""
    told = {int(number) for number in re.findall(r"^\|?\s*`?(\d{1,3})`?\s*(?:\||·|  )", README, re.M)}
    assert {int(code) for code in ExitCode} - told == set()


def test_every_command_and_every_option_has_help() -> None:
    """A sentence for each; options and arguments say what they are for."""
    for name, command in COMMANDS.items():
        assert len(command.help or "") > 20, name
        for param in command.params:
            said = str(getattr(param, "help", None) or ("A page." if param.name == "help" else ""))
            assert re.match(r"[A-Z]", said), (name, param.name, said)
            assert said.rstrip().endswith("."), (name, param.name, said)
            assert len(said.split()) >= 2, (name, param.name, said)


def test_options_mean_the_same_everywhere() -> None:
    """One name, one meaning, one spelling: a flag learned in one command is known in all."""
    meaning: dict[str, str] = {}
    for command in COMMANDS.values():
        for param in command.params:
            for opt in getattr(param, "opts", ()):
                if opt.startswith("--") and opt not in {"--limit", "--help", "--class"}:
                    said = str(param.help)
                    if opt in {"--option", "--speech", "--threshold"}:  # what each call takes stands behind a colon
                        said = said.partition(":")[0]
                    assert meaning.setdefault(opt, said) == said, opt


def test_every_promise_names_a_test_that_exists() -> None:
    """Each promise in ``tests/README.md`` names its tests: each exists, under one name only."""
    named = re.findall(r"`(test_[a-z0-9_]+)`", (ROOT / "tests/README.md").read_text(encoding="utf-8"))
    assert len(named) > 25
    defined = [
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert {name: defined.count(name) for name in named} == dict.fromkeys(named, 1)


def linked(document: str) -> Iterator[str]:
    """Yield the targets of a document's relative links."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            yield target.partition("#")[0]


def test_every_document_is_short() -> None:
    """A reader finds what they need within a few screens."""
    lines = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in DOCUMENTS}
    assert {name: count for name, count in lines.items() if count > DOCUMENTS[name]} == {}


def test_every_link_leads_somewhere() -> None:
    """Each relative link of each document names a file or folder of the repository."""
    links = {name: list(linked(name)) for name in DOCUMENTS}
    assert all(links.values())
    dead = [
        (name, to)
        for name, targets in links.items()
        for to in targets
        if not (ROOT / name).parent.joinpath(to).exists()
    ]
    assert dead == []


def test_every_document_is_reached_from_the_readme() -> None:
    """README links to each of the others."""
    assert set(DOCUMENTS) - {"README.md"} <= set(linked("README.md"))
