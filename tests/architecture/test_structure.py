"""The shape of the packages: the map, small folders, no import cycle, one name for one class."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import pytest

import pipeline
import pipeline.app
import pipeline.views
from tests.architecture.tree import parsed, sources

MAX_FILES = 14

MAX_LOOSE = 5
#: Classes that share a name on purpose, and why.
SHARED_NAMES: Mapping[str, str] = {}


def test_the_map_names_what_is_there() -> None:
    """``pipeline/__init__.py`` lists every package and every loose module, and nothing that does not exist."""
    named = re.findall(r"^``([\w/]+)``  ", pipeline.__doc__ or "", re.M)
    packages = {path.parent for path in sources("pipeline") if path.name == "__init__.py"}
    there = {path.relative_to("pipeline").as_posix() for path in packages} - {"."}
    there |= {path.stem for path in loose_modules()}
    assert Counter(named) == Counter(there)


def loose_modules() -> list[Path]:
    """Return the modules that lie beside the packages of ``pipeline``."""
    return [path for path in sources("pipeline") if len(path.parts) == 2 and path.name != "__init__.py"]


def test_few_modules_lie_loose() -> None:
    """What has company belongs in a package."""
    assert len(loose_modules()) <= MAX_LOOSE


def test_folders_are_small() -> None:
    """A folder can be read at a glance; what outgrows it gets rooms."""
    sizes = Counter(path.parent.as_posix() for path in sources("pipeline", "jobs"))
    assert {folder: number for folder, number in sizes.items() if number > MAX_FILES} == {}


def test_no_import_goes_in_a_circle() -> None:
    """Not even inside a function or for type checkers: parts that need each other are one part."""
    modules = {module_name(path): path for path in sources("pipeline", "jobs")}
    graph = {name: set(imports(path, modules)) - {name} for name, path in modules.items()}
    while leaves := {name for name, below in graph.items() if not below}:
        graph = {name: below - leaves for name, below in graph.items() if name not in leaves}
    assert graph == {}


def module_name(path: Path) -> str:
    """Return the dotted name of a source file."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    """Yield which modules of ours a file imports, wherever in it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                yield inner if inner in modules else node.module


def test_one_name_means_one_class() -> None:
    """A class found by its name is the one that was meant."""
    places = defaultdict(list)
    for path in sources("pipeline", "jobs"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path.as_posix())
    shared = {name: found for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in shared.items() if name not in SHARED_NAMES} == {}
    assert set(SHARED_NAMES) - set(shared) == set()


@pytest.mark.parametrize("package", [pipeline.app, pipeline.views], ids=["app", "views"])
def test_what_is_loaded_later_is_where_the_type_checker_reads_it(package: ModuleType) -> None:
    """One that a package lists in one place only would be missed by the first command that asks for it."""
    read = {
        each.name: node.module
        for node in ast.walk(parsed(Path("pipeline", package.__name__.partition(".")[2], "__init__.py")))
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith(package.__name__)
        for each in node.names
    }
    assert {name: f"{package.__name__}.{home}" for name, home in package._HOME.items()} == read
    assert Counter(package.__all__) == Counter(read.keys())
