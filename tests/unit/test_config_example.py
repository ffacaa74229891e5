"""``config.example.toml`` is complete, loads, and tells the truth about every default and every limit."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from jobs import JOBS
from pipeline.config.queries import StandingQuery
from pipeline.config.settings import Settings, load

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
#: A key that is not set unless the user takes the "#" away: no space behind it, unlike prose.
OPTIONAL = re.compile(r"^#(?=[a-z_0-9]+ = |\[)", re.MULTILINE)
UNSET = object()


def model_keys(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo, Any]]:
    """Yield every key of the settings by its path, with its field and its default."""
    defaults: Any = Settings()
    for name in above:
        defaults = getattr(defaults, name)
    for name, info in model.model_fields.items():
        path = (*above, name)
        if path in {
            ("api_key",),
            ("post_header",),
            ("model_key",),
            ("store_password",),
            ("origin",),
            ("jobs", "settings"),
            ("prices", "models"),
        }:
            continue
        if path == ("queries",):  # tables that may be there any number of times, none by default
            yield from ((("queries", key), found, None) for key, found in StandingQuery.model_fields.items())
        elif isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from model_keys(info.annotation, path)
        else:
            yield path, info, getattr(defaults, name)


KEYS = {path: (info, default) for path, info, default in model_keys(Settings)}


def file_keys(text: str) -> Iterator[tuple[tuple[str, ...], bool, str]]:
    """Yield every key in the file: path, whether it is set, and the comment right above it."""
    table: tuple[str, ...] = ()
    comment: list[str] = []
    for line in text.splitlines():
        found = re.match(r"(#?)([a-z_0-9]+) = ", line)
        if line.lstrip("#").startswith("["):
            table, comment = tuple(line.strip("#[]").split(".")), []
        elif found:
            yield (*table, found[2]), not found[1], "\n".join(comment)
            comment = []
        elif line.startswith("# "):
            comment.append(line)
        elif not line.startswith("#"):
            comment = []


@pytest.fixture(scope="module")
def text() -> str:
    """The file as it is shipped."""
    return EXAMPLE.read_text(encoding="utf-8")


SECRETS = {"TWELVELABS_API_KEY": "tlk_x", "REELMILL_STORE_PASSWORD": "x"}


def without_jobs(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the file's data without the tables of single jobs, whose keys belong to the jobs."""
    return {**raw, "jobs": {key: value for key, value in raw["jobs"].items() if not isinstance(value, dict)}}


def test_it_loads_and_changes_nothing(text: str) -> None:
    """Whoever copies the file as it is gets the defaults, every one of them."""
    assert Settings.model_validate(tomllib.loads(text)) == Settings()
    assert load(EXAMPLE, env={}).run.output == EXAMPLE.parent / "out"


def test_it_loads_with_every_key_taken_in(text: str, tmp_path: Path) -> None:
    """Every optional line is a valid one; no key in the file is unknown."""
    path = tmp_path / "all.toml"
    path.write_text(OPTIONAL.sub("", text), encoding="utf-8")
    settings = load(path, env={**SECRETS, "REELMILL_POST_HEADER": "X-Token: t"})
    assert settings.budget.max_usd_per_run is not None
    assert set(settings.jobs.settings) == {"gist", "summary", "chapters", "highlights", "genre", "sponsors"}
    assert [query.name for query in settings.queries] == ["queen-bees", "kinds"]


def test_every_key_is_there_and_no_other(text: str) -> None:
    """A key added to the settings must be explained here; a key removed must go here, too."""
    written = [path for path, _, _ in file_keys(text) if path[0] != "jobs" or len(path) == 2]
    several = {path for path in written if path[0] == "queries"}  # two example queries share keys
    assert sorted([*several, *(path for path in written if path[0] != "queries")]) == sorted(KEYS)


def test_every_default_is_shown_as_it_is(text: str) -> None:
    """A key with a default is set to it; a key without one is an optional line."""
    raw = without_jobs(tomllib.loads(text))
    for path, (_, default) in KEYS.items():
        value: Any = raw
        for name in path:
            value = value.get(name, UNSET) if isinstance(value, dict) else UNSET
        if default is None:
            assert value is UNSET, path
        else:
            shown = tuple(value) if isinstance(value, list) else value
            assert shown == (str(default) if isinstance(default, Path) else default), path


def test_every_key_is_explained(text: str) -> None:
    """Right above each key stands what it does, in more than a word."""
    for path, _, comment in file_keys(text):
        assert len(comment) > 10, path


def test_every_limit_of_a_number_is_told(text: str) -> None:
    """What the settings refuse, the file says before: both ends of every range."""
    whole = text.splitlines()
    heads = {name: _head(whole, name) for name in ("limits.assets", "budget", "prices")}
    for path, _, comment in file_keys(text):
        if path not in KEYS:
            continue
        said = comment + heads.get(".".join(path[:-1]), "") + (heads["limits.assets"] if path[0] == "limits" else "")
        for bound in KEYS[path][0].metadata:
            for sign in ("ge", "gt", "le", "lt"):
                limit = getattr(bound, sign, None)
                if limit is not None:
                    assert re.search(rf"(?<![\d.]){limit:g}(?![\d])".replace("1e+05", "100000"), said), (
                        path,
                        sign,
                        limit,
                    )


def _head(lines: list[str], table: str) -> str:
    start = lines.index(f"[{table}]") + 1
    return "\n".join(line for line in lines[start : start + 6] if line.startswith("# "))


def test_the_parameters_of_jobs_are_what_the_jobs_say(text: str) -> None:
    """The optional tables of the built-in jobs hold their real parameters and defaults."""
    tables = tomllib.loads(OPTIONAL.sub("", text))["jobs"]
    for job in JOBS:
        if job.name not in tables:  # ask and classify need words of the user's own: shown under names of theirs
            continue
        defaults = job.params({})
        for key, value in tables[job.name].items():
            assert _plain(defaults[key]) == value, (job.name, key)
        assert job.params(tables[job.name]) == defaults
    assert {job.name for job in JOBS} - set(tables) == {tables["sponsors"]["job"], tables["genre"]["job"]}


def test_the_defaults_of_queries_are_shown(text: str) -> None:
    """The first example query holds every key of a search, those that it does not need at their defaults."""
    query = tomllib.loads(OPTIONAL.sub("", text))["queries"][0]
    own = {"name", "text", "options"}
    assert set(query) == set(StandingQuery.model_fields) - {"classes", "videos", "clips", "detailed"}
    for key in set(query) - own:
        assert query[key] == _plain(StandingQuery.model_fields[key].get_default(call_default_factory=True)), key


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def test_the_file_names_no_secret(text: str) -> None:
    """It says where the key belongs, and has no line for one."""
    assert "api_key" not in {path[-1] for path, _, _ in file_keys(text)}
    assert "TWELVELABS_API_KEY" in text
