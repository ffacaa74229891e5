"""``[store]``: the address, its password, and what it changes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import anyio
import pytest

from pipeline.app.cluster.demo import demo_hosts
from pipeline.app.wiring.database import check_shared, shared_database
from pipeline.config.settings import load
from pipeline.core.errors import ConfigError


def test_a_server_is_waited_for_longer_than_a_file(tmp_path: Path) -> None:
    """Unless the configuration says how long."""
    path = tmp_path / "reelmill.toml"
    assert load(None, env={}).store.patience == 30
    path.write_text('[store]\nurl = "postgresql://m@db/f"\n')
    assert load(path, env={}).store.patience == 600
    path.write_text('[store]\nurl = "postgresql://m@db/f"\npatience = "2m"\n')
    assert load(path, env={}).store.patience == 120


def test_the_password_comes_from_outside(tmp_path: Path) -> None:
    """From the environment, else from the file that the configuration names beside itself."""
    path = tmp_path / "reelmill.toml"
    path.write_text('[store]\nurl = "postgresql://m@db/f"\npassword_file = "secret"\n')
    (tmp_path / "secret").write_text("from the file\n")
    for env, expected in (({}, "from the file"), ({"REELMILL_STORE_PASSWORD": "direct"}, "direct")):
        settings = load(path, env=env)
        address = shared_database(settings)
        assert address is not None
        assert address.password is not None
        assert address.password.get_secret_value() == expected
        assert expected not in f"{settings!r}{settings.model_dump()}{address!r}{address}"
    (tmp_path / "secret").unlink()
    with pytest.raises(ConfigError, match="password file cannot be read"):
        load(path, env={})


def test_a_wrong_address_is_told_with_its_place_and_without_a_password(tmp_path: Path) -> None:
    """File and line, what is wrong, and nothing else."""
    path = tmp_path / "reelmill.toml"
    path.write_text('[store]\nurl = "postgresql://m:hunter2@db/f"\n')
    with pytest.raises(ConfigError) as caught:
        load(path, env={})
    assert f"{path}, line 2: [store] url: holds a password" in str(caught.value)
    assert "hunter2" not in f"{caught.value.trouble}"
    assert "more" not in str(caught.value)


def test_without_the_driver_the_remedy_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever installed Reelmill for one machine is told what a shared database needs."""
    env = {"REELMILL_STORE__URL": "postgresql://m@db/f", "REELMILL_PROVIDER__BASE_URL": "http://h"}
    settings = load(None, env=env)
    check_shared(settings)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError) as caught:
        check_shared(settings)
    assert "pip install 'reelmill[postgres]'" in caught.value.trouble.remedy
    check_shared(load(None, env={}))


def test_without_the_engine_the_remedy_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """PgQueuer is an extra of its own, and only who names it needs it."""
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pgqueuer" else there(name))
    url = {"REELMILL_STORE__URL": "postgresql://m@db/f", "REELMILL_PROVIDER__BASE_URL": "http://h"}
    check_shared(load(None, env=url))
    with pytest.raises(ConfigError) as caught:
        check_shared(load(None, env={**url, "REELMILL_STORE__ENGINE": "pgqueuer"}))
    assert "pip install 'reelmill[distributed]'" in caught.value.trouble.remedy


def test_the_demo_of_hosts_names_the_extra_that_brings_all_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not first the driver's, and then another one."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr("pipeline.app.cluster.private_postgres.find_spec", lambda _name: None)
    with pytest.raises(ConfigError) as caught:
        anyio.run(demo_hosts, tmp_path, 3, print)
    assert caught.value.trouble.remedy == "pip install 'reelmill[cluster]'"
    assert not list(tmp_path.iterdir())
