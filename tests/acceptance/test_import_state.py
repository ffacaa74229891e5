"""``import-state``: a library that has grown moves to PostgreSQL, and back, and nothing is uploaded or paid again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

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

        configure(folder, platform, run={"state": "state", "manifests": ["films"]}, store={"url": url})
        after = command(folder, "status", "--json").json
        for name in ("items", "tasks", "usd_total", "minutes_total", "troubles"):
            assert after[name] == before[name]
        ran = command(folder, "run", "--json")
        assert (ran.code, ran.json["items"], ran.json["this_run"]["unchanged"]["count"]) == (3, before["items"], 3)
        assert "mill" in [each["name"] for each in command(folder, "hosts", "--json").json]

        back = command(folder, "import-state", "--from", url, "--to", "other", "--json")
        assert back.code == 0, back.err
        gone = command(folder, "run")
        assert (gone.code, "was moved into the folder" in gone.err) == (2, True)
        configure(folder, platform, run={"state": "other", "manifests": ["films"]})
        home = command(folder, "run", "--json")
        assert (home.code, home.json["items"], home.json["this_run"]["unchanged"]["count"]) == (3, before["items"], 3)
        keys = [row["key"] for row in command(folder, "list", "--json").json["items"]]
        assert sorted(keys) == sorted(f"file:{path}" for path in films.iterdir())
        assert posts(platform) == sent  # in all of it, nothing was sent


def test_only_one_of_each_is_moved(tmp_path: Path) -> None:
    """Two folders or two addresses are refused, and so is a folder without a database."""
    for names in (("a", "b"), ("postgresql://a@h/x", "postgresql://a@h/y")):
        refused = command(tmp_path, "import-state", "--from", names[0], "--to", names[1])
        assert (refused.code, "one of --from and --to" in refused.err) == (2, True)
    missing = command(tmp_path, "import-state", "--from", "a", "--to", "postgresql://a@127.0.0.1:1/x")
    assert (missing.code, "nothing has been run here" in missing.err) == (2, True)
