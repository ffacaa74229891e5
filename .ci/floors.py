"""Prints the lower bounds of pyproject.toml as pip constraints, one a line: ``python .ci/floors.py pyproject.toml``."""

import re
import sys
import tomllib
from pathlib import Path

_BOUND = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?>=(?P<version>[0-9.]+)(,<[0-9.]+)?")


def floors(pyproject: str) -> list[str]:
    """Return ``name==version`` for each dependency of the package and of PostgreSQL; the tests' tools may be of any age.

    Raises:
        ValueError: a dependency has no lower bound.
    """
    found = []
    project = tomllib.loads(pyproject)["project"]
    for dependency in [*project["dependencies"], *project.get("optional-dependencies", {}).get("postgres", [])]:
        bound = _BOUND.fullmatch(dependency)
        if bound is None:
            raise ValueError(f"no lower bound in {dependency!r}: write name>=version or name>=version,<version")
        found.append(f"{bound['name']}=={bound['version']}")
    return found


if __name__ == "__main__":
    print("\n".join(floors(Path(sys.argv[1]).read_text(encoding="utf-8"))))
