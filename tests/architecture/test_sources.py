"""Sizes, seams and habits that no linter holds."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.architecture.tree import functions, length, parsed, read, sources

MAX_FILE = 450

MAX_FUNCTION = 60

MAX_WORDS = 14  #: of a first docstring line

MAX_METHODS = 12
#: Protocols that may have more methods, and why: they are made of smaller ones.
MADE_OF_OTHERS = {"Database"}


def test_files_stay_within_a_few_screens() -> None:
    """A file that outgrows the budget is where two concerns have met."""
    sizes = {str(path): len(read(path).splitlines()) for path in sources("pipeline", "jobs")}
    assert {path: lines for path, lines in sizes.items() if lines > MAX_FILE} == {}


def test_functions_stay_within_one_screen() -> None:
    """Signature and docstring do not count; everything else does."""
    sizes = {f"{path}:{each.name}": length(each) for path in sources("pipeline", "jobs") for each in functions(path)}
    assert {name: lines for name, lines in sizes.items() if lines > MAX_FUNCTION} == {}


def test_nine_of_ten_functions_are_short() -> None:
    """The maximum is for exceptions; the code is made of small ones."""
    sizes = sorted(length(each) for path in sources("pipeline", "jobs") for each in functions(path))
    assert sizes[len(sizes) // 2] <= 10
    assert sizes[len(sizes) * 9 // 10] <= 25


def test_ports_are_narrow() -> None:
    """A seam of a dozen intents can be implemented again, and its crashes can be enumerated."""
    wide = {}
    for node in (each for path in sources("pipeline") if path.parts[1] == "ports" for each in parsed(path).body):
        if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == "Protocol" for base in node.bases):
            methods = [
                each for each in functions_of(node) if not each.decorator_list
            ]  # properties are facts, not intents
            if len(methods) > MAX_METHODS and node.name not in MADE_OF_OTHERS:
                wide[node.name] = len(methods)
    assert wide == {}


def functions_of(node: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the methods of a class."""
    return [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_every_test_states_its_promise() -> None:
    """The docstring says what holds, so that a red test can be read without its code."""
    silent = [
        f"{path}:{each.lineno}: {each.name}"
        for path in sources("tests")
        for each in functions(path)
        if each.name.startswith("test_") and len(ast.get_docstring(each) or "") < 10
    ]
    assert silent == []


def test_every_test_can_fail() -> None:
    """A test that neither asserts, nor expects an exception, nor calls a helper that does, proves nothing."""
    everything = [each for path in sources("tests") for each in functions(path)]
    checking = {each.name for each in everything if _checks(each, frozenset())}
    while more := {each.name for each in everything if each.name not in checking and _checks(each, checking)}:
        checking |= more
    idle = [
        f"{path}:{each.lineno}: {each.name}"
        for path in sources("tests")
        for each in functions(path)
        if each.name.startswith("test_") and not _checks(each, checking)
    ]
    assert idle == []


def _checks(function: ast.AST, helpers: Collection[str]) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in {"raises", "fail", "warns"} or name in helpers:
                return True
    return False


def test_nothing_of_ours_is_mocked() -> None:
    """Fakes with behaviour only: a mock agrees with whatever the code does."""
    found = [
        f"{path}:{node.lineno}"
        for path in sources("tests", "pipeline", "jobs")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Import | ast.ImportFrom) and any("mock" in name for name in _imported(node))
    ]
    assert found == []


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    base = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    return [*base, *(each.name for each in node.names)]


def test_packages_are_light_to_enter() -> None:
    """A package's own file holds a docstring and exports nothing that loads others, so that ``--help`` stays fast."""
    heavy = [
        str(path)
        for path in sources("pipeline")
        if path.name == "__init__.py"
        and path.parts[1:-1] not in {("app",), ("kit",), ("views",)}  # these gather what others offer
        and (
            ast.get_docstring(parsed(path)) is None
            or any(isinstance(node, ast.Import | ast.ImportFrom) for node in parsed(path).body)
        )
    ]
    assert heavy == []


def test_first_docstring_lines_are_short() -> None:
    """The first line is read at a glance: at most 14 words, where a literal counts as one."""
    long = [
        f"{path}:{node.body[0].lineno}: {first}"
        for path in sources("pipeline", "jobs")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and len(_words(first := (ast.get_docstring(node) or "").split("\n")[0])) > MAX_WORDS
    ]
    assert long == []


def _words(line: str) -> list[str]:
    return re.sub(r"``[^`]*``|(:\w+:)?`[^`]*`", "x", line).split()


@pytest.mark.parametrize(
    ("line", "number"), [("", 0), ("Return one word.", 3), ("Read ``a b c`` and :class:`X`, or `d e`.", 6)]
)
def test_a_literal_counts_as_one_word(line: str, number: int) -> None:
    """The rule above counts what a reader takes for a word."""
    assert len(_words(line)) == number


#: What task types store, and the engine's own counts beside it.
PAYLOADS = (Path("pipeline/ingest/payloads.py"), Path("pipeline/engine/wait_counts.py"))
#: Where a name ``data`` is a task's payload.
_TASK_ROOMS = ("ingest", "app", "engine")


def test_only_the_payloads_name_the_keys_of_task_data() -> None:
    """One file knows what tasks store: elsewhere it has fields, with types, that a reader and mypy can follow."""
    naming = [
        f"{path}:{node.lineno}"
        for path in sources("pipeline")
        if path not in PAYLOADS and path.parts[1] not in ("local", "provider")  # these have data of their own
        for node in ast.walk(parsed(path))
        if _names_a_key(node, bare=path.parts[1] in _TASK_ROOMS)
    ]
    assert naming == []


def _names_a_key(node: ast.AST, *, bare: bool) -> bool:
    """Return True for ``task.data["x"]``, ``task.data.get("x")``, ``"x" in task.data`` and ``data={"x": ...}``.

    ``bare``: for ``data["x"]`` and the like, too.
    """
    match node:
        case ast.Subscript(value=held, slice=key):
            return _is_text(key) and _is_data(held, bare)
        case ast.Call(func=ast.Attribute(value=held, attr="get" | "pop" | "setdefault"), args=[key, *_]):
            return _is_text(key) and _is_data(held, bare)
        case ast.Compare(left=key, comparators=[held]):
            return _is_text(key) and _is_data(held, bare)
        case ast.keyword(arg="data", value=ast.Dict(keys=keys)):
            return any(map(_is_text, keys))
        case ast.Call(func=ast.Name(id="NewTask" | "Advance"), args=[*positional]):
            return any(isinstance(each, ast.Dict) and any(map(_is_text, each.keys)) for each in positional)
        case ast.Dict(keys=keys, values=values):  # {**task.data, "x": ...}
            spread = [value for key, value in zip(keys, values, strict=True) if key is None]
            return any(_is_data(value, bare) for value in spread) and any(map(_is_text, keys))
    return False


def _is_text(node: ast.expr | None) -> bool:
    """Return True for a text, or the name of a constant."""
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.isupper())


def _is_data(node: ast.expr, bare: bool) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "data") or (
        bare and isinstance(node, ast.Name) and node.id == "data"
    )


@pytest.mark.parametrize(
    "code",
    [
        "task.data['x']", "task.data.get('x', 0)", "'x' in task.data", "data['x']", "Done(data={'x': 1})",
        "{**task.data, 'x': 1}", "NewTask('video', key, 'place', {'x': 1})", "Advance('await', {**data, 'x': 1})",
        "task.data.get(_KEY, {})", "{**task.data, _KEY: 1}",
    ],
)  # fmt: skip
def test_every_way_of_naming_a_key_is_seen(code: str) -> None:
    """The rule above catches what people write; a rule that catches nothing would be green for ever."""
    assert any(_names_a_key(node, bare=True) for node in ast.walk(ast.parse(code)))


def test_only_the_border_prints() -> None:
    """stdout is data: nothing in the package writes to it but ``present.terminal`` (and typer's own version line)."""
    printing = [
        f"{path}:{node.lineno}"
        for path in sources("pipeline", "jobs")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []
