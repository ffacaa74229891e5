"""A PostgreSQL database that is not as it should be: one sentence, the right exit code, nothing lost, no password told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from pipeline.config.database_address import parse_address
from pipeline.store.postgres import connection as border
from tests.acceptance.test_shared_database import PROVIDER, configure, url
from tests.support.cli import Ended, command
from tests.support.media import clips
from tests.support.postgres import PASSWORD, Databases, databases

__all__ = ["databases", "url"]
#: Every insert into the queue meets a full disk, by the server's own words.
_FULL = """
CREATE FUNCTION reelmill.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON reelmill.task EXECUTE FUNCTION reelmill.full_disk()
"""
_ROOM = "DROP FUNCTION reelmill.full_disk CASCADE"


def execute(url: str, statement: str) -> None:
    """Do something to the database as a foreign program."""

    async def work() -> None:
        link = await asyncpg.connect(url)
        await link.execute(statement)
        await link.close()

    asyncio.run(work())


@contextmanager
def spoiled(url: str, statement: str, mend: str) -> Iterator[None]:
    """Do something to the database, and undo it."""
    execute(url, statement)
    try:
        yield
    finally:
        execute(url, mend)


@pytest.fixture
def folder(tmp_path: Path, url: str, databases: Databases) -> Path:
    """A folder with one film, and a configuration that names the database over TCP, with its password in a file."""
    clips(tmp_path / "films", 1)
    (tmp_path / "secret").write_text(PASSWORD, encoding="utf-8")
    tcp = databases.server.url(parse_address(url).name, tcp=True)
    store = {"url": tcp, "password_file": "secret", "patience": 0}
    return configure(tmp_path, tcp, store=store, run={"state": "state"}, log={"level": "debug"})


def told(ended: Ended, code: int, words: str) -> None:
    """It ended so, and says it in one sentence with a remedy and without a traceback."""
    assert ended.code == code, ended.err
    (sentence,) = [line for line in ended.err.splitlines() if line.startswith("reelmill: ")]
    assert words in sentence
    assert any(line.startswith("  →") for line in ended.err.splitlines())
    assert "Traceback" not in ended.err
    assert PASSWORD not in ended.out + ended.err


def test_a_wrong_password_is_told_and_not_repeated(folder: Path) -> None:
    """For a look, for a run, and for what changes the schema."""
    (folder / "secret").write_text("hunter2-of-yesterday", encoding="utf-8")
    for words in (("status",), ("run", "films"), ("migrate",)):
        ended = command(folder, *words)
        told(ended, 2, "refuses this role or its password")
        assert "hunter2" not in ended.out + ended.err


def test_the_database_of_another_release_is_refused(folder: Path, url: str) -> None:
    """A newer and an older one, with both versions; nothing is written into it."""
    version = "UPDATE reelmill.migration SET version = version {0} 50, beside = version {0} 50"
    with spoiled(url, version.format("+"), version.format("-")):
        for words in (("status",), ("run", "films"), ("migrate",)):
            told(command(folder, *words), 2, "knows up to version")
    with spoiled(url, version.format("-"), version.format("+")):
        for words in (("status",), ("run", "films")):
            told(command(folder, *words), 2, "this release of Reelmill needs")


def test_a_server_that_is_too_old_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 12 lacks what the statements need; both versions are named."""
    monkeypatch.setattr(border, "OLDEST_SERVER", 990_000)
    for words in (("status",), ("run", "films"), ("migrate",)):
        told(command(folder, *words), 2, "is too old")


def test_a_database_that_only_reads_ends_a_run_and_loses_nothing(folder: Path, url: str) -> None:
    """As a standby does. Looks go on; the same run goes through once there is a primary."""
    name = parse_address(url).name
    only_reads = f"ALTER DATABASE {name} {{}} default_transaction_read_only"
    mend = f"BEGIN READ WRITE; {only_reads.format('RESET')}; COMMIT"
    with spoiled(url, f"{only_reads.format('SET')} = on", mend):
        told(command(folder, "run", "films"), 2, "only reads")
        assert command(folder, "status").code == 0
    assert command(folder, "status").code == 0


def test_a_full_disk_ends_a_run_and_loses_nothing(folder: Path, url: str) -> None:
    """It says what to do; looks go on."""
    with spoiled(url, _FULL, _ROOM):
        ended = command(folder, "run", "films")
        assert ended.code == 1
        assert "is full" in ended.out
        assert "Make room" in ended.out
        assert PASSWORD not in ended.out + ended.err
    assert command(folder, "status").code == 0


def test_the_password_is_nowhere(folder: Path, url: str) -> None:
    """Whatever is asked, at debug level: not in a stream, a file, or what the server shows of its connections."""
    for words in (("status", "--json"), ("config", "check"), ("config", "check", "--json"), ("doctor", "--json"),
                  ("plan", "films"), ("migrate", "--json"), ("retry", "--failed")):  # fmt: skip
        ended = command(folder, *words)
        assert PASSWORD not in ended.out + ended.err
    kept = [path for path in folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert kept == [folder / "secret"]
    assert PASSWORD not in json.dumps(border._SETTINGS)


def test_another_machine_must_prove_who_it_is(tmp_path: Path) -> None:
    """Plain text to it is refused with file and line, unless that is asked for; then each start says so."""
    for mode in ("disable", "require"):
        away = f"postgresql://mill@db.example:1/films?sslmode={mode}"
        folder = configure(tmp_path, away)
        refused = command(folder, "config", "check")
        assert refused.code == 2
        assert "reelmill.toml, line" in refused.err
        assert "insecure = true" in refused.err
        configure(tmp_path, away, store={"url": away, "insecure": True}, provider=PROVIDER)
        assert "store.insecure" in command(folder, "config", "check").err
    near = "postgresql://mill@127.0.0.1:1/films?sslmode=disable"
    assert "store.insecure" not in command(configure(tmp_path, near), "config", "check").err


def test_the_doctor_says_what_a_run_would_be_refused_for(tmp_path: Path, url: str) -> None:
    """Each host would start a platform of its own."""
    assert command(configure(tmp_path, url), "migrate").code == 0
    path = tmp_path / "reelmill.toml"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "base_url" not in line))
    ended = command(tmp_path, "doctor", "--json")
    assert ended.code == 2
    (found,) = [each for each in ended.json if each["name"] == "database"]
    assert found["state"] == "bad"
    assert "a local platform of its own" in found["value"]
    assert "reelmill platform --host" in found["costs"]
