"""``import-state``: a library that has grown moves to PostgreSQL, and back, and nothing is uploaded or paid again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.cluster.import_state import import_state
from pipeline.app.wiring.state_folder import moved_to, open_for_writing
from pipeline.config.settings import load
from pipeline.core.errors import ConfigError, DatabaseAway, StoreError
from pipeline.core.model import RunNote
from pipeline.store.transfer.postgres import PostgresCopy
from pipeline.store.transfer.tables import Put, Totals
from tests.acceptance.test_shared_database import url
from tests.support.cli import KEY, Platform, command, serving, toml
from tests.support.media import clips
from tests.support.postgres import databases

__all__ = ["databases", "url"]


def configure(folder: Path, platform: Platform, **sections: Mapping[str, Any]) -> Path:
    """Write a configuration, and return its folder."""
    (folder / "key").write_text(KEY, encoding="ascii")
    provider = {"kind": "local", "base_url": platform.base_url, "key_file": "key"}
    given = {"provider": provider, "gallery": {"enabled": False}, "cluster": {"host": "mill"}, **sections}
    (folder / "reelmill.toml").write_text(toml(given), encoding="utf-8")
    return folder


def posts(platform: Platform) -> Counter[str]:
    """Count what was sent to the platform."""
    return Counter({route: number for route, number in platform.requests().items() if route.startswith("POST")})


@pytest.mark.slow(seconds=15)
def test_a_library_moves_to_a_server_and_back(tmp_path: Path, url: str) -> None:
    """What is done stays done, what failed stays failed, the ledger's sums agree, and the old place is not worked on."""
    films = tmp_path / "films"
    clips(films, 3)
    (films / "broken.mp4").write_bytes(b"no film")
    with serving(tmp_path / "platform") as platform:
        folder = configure(tmp_path, platform, run={"state": "state", "manifests": ["films"]})
        assert command(folder, "run", "--json").json["items"]["done"] == 3
        before, sent = command(folder, "status", "--json").json, posts(platform)

        moved = command(folder, "import-state", "--from", "state", "--to", url, "--json")
        assert moved.code == 0, moved.err
        number = sum(sum(by.values()) for by in before["tasks"].values())
        assert (moved.json["rows"]["task"], moved.json["host"]) == (number, "mill")
        refused = command(folder, "run")
        assert (refused.code, "was moved to" in refused.err) == (2, True)
        again = command(folder, "import-state", "--from", "state", "--to", url)
        assert (again.code, "not empty" in again.err) == (2, True)
        refused = command(folder, "run")  # as before: a move that is repeated opens nothing
        assert (refused.code, "was moved to" in refused.err) == (2, True)
        elsewhere = command(folder, "import-state", "--from", "state", "--to", "postgresql://a@127.0.0.1:1/x")
        assert (elsewhere.code, "was moved to" in elsewhere.err) == (2, True)

        configure(folder, platform, run={"state": "state", "manifests": ["films"]}, store={"url": url})
        after = command(folder, "status", "--json").json
        for name in ("items", "tasks", "usd_total", "minutes_total", "troubles"):
            assert after[name] == before[name]
        ran = command(folder, "run", "--json")
        assert (ran.code, ran.json["items"], ran.json["this_run"]["unchanged"]["count"]) == (3, before["items"], 3)
        assert "mill" in [each["name"] for each in command(folder, "hosts", "--json").json]

        back = command(folder, "import-state", "--from", url, "--to", "other", "--json")
        assert back.code == 0, back.err
        for name, why in (("other", "not empty"), ("third", "was moved to")):
            again = command(folder, "import-state", "--from", url, "--to", name)
            assert (again.code, why in again.err) == (2, True)
        for words in (("run",), ("run", "--submit"), ("work", "--until-idle"), ("retry", "--failed"), ("prune",)):
            gone = command(folder, *words)
            assert (gone.code, "was moved into the folder" in gone.err) == (2, True), words
        configure(folder, platform, run={"state": "other", "manifests": ["films"]})
        home = command(folder, "run", "--json")
        assert (home.code, home.json["items"], home.json["this_run"]["unchanged"]["count"]) == (3, before["items"], 3)
        keys = [row["key"] for row in command(folder, "list", "--json").json["items"]]
        assert sorted(keys) == sorted(f"file:{path}" for path in films.iterdir())
        assert posts(platform) == sent  # in all of it, nothing was sent


class Deaf(PostgresCopy):
    """A server whose last answer gets lost."""

    async def fill(self, copy: Callable[[Put], Awaitable[Totals]]) -> None:
        await super().fill(copy)
        raise DatabaseAway("The connection was lost.")


class Full(PostgresCopy):
    """A server that takes nothing."""

    async def fill(self, copy: Callable[[Put], Awaitable[Totals]]) -> None:
        raise StoreError("The disk of the server is full.")


@pytest.mark.asyncio
@pytest.mark.parametrize(("server", "moved"), [(Deaf, True), (Full, False)])
async def test_a_folder_opens_again_only_where_nothing_has_arrived(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, server: type[PostgresCopy], moved: bool
) -> None:
    """A commit whose answer was lost may have gone through: with two databases at work, all would be paid twice."""
    folder = tmp_path / "state"
    folder.mkdir()
    async with open_for_writing(folder) as database:
        await database.note_run(RunNote("r1", 0.0))
    monkeypatch.setattr("pipeline.store.transfer.postgres.PostgresCopy", server)
    with pytest.raises(ConfigError):
        await import_state(load(None, env={}), str(folder), url)
    assert bool(moved_to(folder)) == moved


def test_only_one_of_each_is_moved(tmp_path: Path) -> None:
    """Two folders or two addresses are refused, and so is a folder without a database."""
    for names in (("a", "b"), ("postgresql://a@h/x", "postgresql://a@h/y")):
        refused = command(tmp_path, "import-state", "--from", names[0], "--to", names[1])
        assert (refused.code, "one of --from and --to" in refused.err) == (2, True)
    missing = command(tmp_path, "import-state", "--from", "a", "--to", "postgresql://a@127.0.0.1:1/x")
    assert (missing.code, "nothing has been run here" in missing.err) == (2, True)
