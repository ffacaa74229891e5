"""The planted key turns up nowhere: not in what is said, not in what is kept, whatever goes wrong and however loud the log."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.sqlite.packing import pack, unpack
from tests.faults.siege import children
from tests.support.cli import KEY, Ended, Platform, Terminal, customer, serving, until
from tests.support.media import clips

SIGNATURE = "c2lnbmVkLXNlY3JldA"
QUICK: dict[str, dict[str, Any]] = {
    "provider": {"poll_spacing": 0.2, "poll_requests_per_minute": 6000},
    "policy": {"retry_first": 0.1, "retry_most": 0.2, "attempts": 2},
    "log": {"level": "debug"},
}


def kept(folder: Path, secret: str) -> list[str]:
    """Return the files below a folder that hold a secret, database and write-ahead log included, packed answers too."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and secret.encode() in content(path)]


def content(path: Path) -> bytes:
    """Return a file's bytes, and of a database of ours what its packed answers say."""
    written = path.read_bytes()
    if not written.startswith(b"SQLite format 3"):
        return written
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        if not database.execute("SELECT 1 FROM pragma_table_info('result') WHERE name = 'packed'").fetchone():
            return written
        rows = database.execute("SELECT subject, job, fingerprint, body, meta, created, packed FROM result").fetchall()
    return b"\0".join([written, *(str(unpack(row)).encode() for row in rows)])


def test_a_secret_in_a_packed_answer_is_found(tmp_path: Path) -> None:
    """The look itself: a database keeps long answers packed, where no search of its bytes finds a word."""
    with closing(sqlite3.connect(tmp_path / "reelmill.db")) as database:
        database.execute("CREATE TABLE result (subject, job, fingerprint, body, meta, created, packed)")
        row = pack(("video", "gist", "1", f"{KEY} {'and more ' * 50}", "{}", 0.0))
        database.execute("INSERT INTO result VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        database.commit()
    assert KEY.encode() not in (tmp_path / "reelmill.db").read_bytes()
    assert kept(tmp_path, KEY) == [str(tmp_path / "reelmill.db")]


def check_silent(ended: Ended, secret: str = KEY) -> None:
    """Neither stream says it."""
    assert secret not in ended.out
    assert secret not in ended.err


def echoing(platform: Platform) -> None:
    """Let the platform repeat the key in its refusals, in every shape, before and after acting."""
    said = f"The key {KEY} (x-api-key: {KEY}) is tired."
    wrong = ({"body": shape, "message": said, "status": 500} for shape in ("flat", "nested"))
    platform.spoil(
        *({"match": "GET", "do": "status", "nth": 2 + number, **rule} for number, rule in enumerate(wrong)),
        {
            "match": "POST /v1.3/assets$",
            "do": "status",
            "status": 400,
            "nth": 1,
            "message": said,
            "code": "parameter_invalid",
        },
        {"match": "POST /v1.3/analyze/tasks$", "do": "fail", "nth": 1, "message": said, "code": "internal_error"},
        {"match": "GET /v1.3/analyze/tasks", "do": "malformed", "nth": 3},
    )


@pytest.mark.slow
def test_the_key_is_nowhere(tmp_path: Path) -> None:
    """Every command at debug level, against a platform that echoes the key: no stream, no file, no database holds it."""
    with serving(tmp_path / "there") as platform:
        here = customer(tmp_path / "here", platform, "twelvelabs", **QUICK)
        clips(here.folder / "films", 3)
        echoing(platform)
        ran = here.run("run", "films")
        assert ran.code == 3, ran.err
        check_silent(ran)
        refused = next(
            name for name in ("clip-00", "clip-01", "clip-02") if "is tired" in here.run("why", f"{name}.mp4").out
        )
        assert "The key *** (x-api-key: ***) is tired." in here.run("why", f"{refused}.mp4").out
        commands = (
            ["status", "--json"], ["show", "films/clip-00.mp4", "--json"], ["why", "films/clip-00.mp4"], ["doctor", "--json"],
            ["config", "check"], ["config", "check", "--json"], ["plan", "films", "--json"], ["retry", "--failed"],
            ["run", "films"],
        )  # fmt: skip
        for words in commands:
            check_silent(here.run(*words))
        platform.spoil({"match": "POST", "do": "key", "message": f"{KEY} has expired"})
        clips(here.folder / "more", 1, first=7)
        stopped = here.run("run", "more")
        assert stopped.code == 4
        check_silent(stopped)
        assert kept(here.folder, KEY) == []


def test_a_platform_does_not_print_the_key_it_was_given(tmp_path: Path) -> None:
    """A service's log keeps what is printed, and the key in the environment may be an account's."""
    with serving(tmp_path / "there") as platform:
        platform.kill()
        for words in (["--json"], []):
            running = platform.terminal.start("platform", *words, "--port", "0")
            until(lambda there=running: "serving" in there.said(), "the platform to serve")
            printed = running.out.read_text(encoding="utf-8") + running.said()
            running.kill()
            assert "http://127.0.0.1" in printed
            assert KEY not in printed


def test_a_crash_does_not_tell(tmp_path: Path) -> None:
    """A key in the wrong place, an address with a key in it, a traceback at debug level: shown without it."""
    here = Terminal(tmp_path / "here", {"TWELVELABS_API_KEY": KEY}, {"log": {"level": "debug"}})
    clips(here.folder / "films", 1)
    for address in (f"https://{KEY}@host/v1.3", f"https://host/v1.3?key={KEY}", f"http://{KEY}.example.com"):
        ended = here.run("run", "films", env={"REELMILL_PROVIDER__BASE_URL": address})
        assert ended.code == 2, ended.err
        check_silent(ended)
    (here.folder / "reelmill.toml").write_text(f'[provider]\napi_key = "{KEY}"\n', encoding="utf-8")
    ended = here.run("run", "films")
    assert ended.code == 2
    check_silent(ended)
    (here.folder / "reelmill.toml").unlink()
    assert kept(here.folder, KEY) == []


def test_the_key_from_a_file(tmp_path: Path) -> None:
    """``TWELVELABS_API_KEY_FILE`` works like the variable; an unreadable or strange file is named, its content is not."""
    with serving(tmp_path / "there") as platform:
        here = customer(tmp_path / "here", platform, "twelvelabs", **QUICK)
        here.env.clear()
        (tmp_path / "key").write_text(f"{KEY}\n", encoding="utf-8")
        (tmp_path / "two").write_text(f"{KEY}\n{KEY}\n", encoding="utf-8")
        clips(here.folder / "films", 1)
        good = here.run("run", "films", env={"TWELVELABS_API_KEY_FILE": str(tmp_path / "key")})
        assert good.code == 0, good.err
        check_silent(good)
        for name in ("two", "nothing"):
            bad = here.run("run", "films", env={"TWELVELABS_API_KEY_FILE": str(tmp_path / name)})
            assert bad.code == 2
            assert str(tmp_path / name) in bad.told[0]
            check_silent(bad)
        assert kept(here.folder, KEY) == []


@pytest.mark.slow
def test_a_signed_address_is_not_shown(tmp_path: Path) -> None:
    """A link whose query opens it: the query is in no stream and no result; what it names is."""
    with serving(tmp_path / "there") as platform:
        here = customer(tmp_path / "here", platform, "twelvelabs", **QUICK)
        address = f"https://cdn.example.com/film.mp4?X-Amz-Signature={SIGNATURE}&X-Amz-Expires=60"
        (here.folder / "list.txt").write_text(f"{address}\nhttp://127.0.0.1/x.mp4?sig={SIGNATURE}\n", encoding="utf-8")
        for words in (["plan", "list.txt"], ["run", "list.txt"], ["status"], ["why", "film.mp4"], ["show", "film.mp4"]):
            ended = here.run(*words)
            assert ended.code in (0, 3), ended.err
            check_silent(ended, SIGNATURE)
        for words in (
            ["plan", "list.txt", "--json"],
            ["run", "list.txt", "--json"],
            ["status", "--json"],
            ["show", "film.mp4", "--json"],
        ):
            check_silent(here.run(*words), SIGNATURE)
        assert kept(here.folder / "out", SIGNATURE) == []


#: A library that fails in a way nobody foresaw, and quotes what it was given: as a proxy, a plugin or a wrapper may.
FAILING = """
import io, os
def failing(real):
    def call(*given, **options):
        if given and "films" in str(given[0]):
            secret = os.environ["TWELVELABS_API_KEY"]
            raise RuntimeError(f"cannot read {given}, called with key={secret} and [{secret!r}]")
        return real(*given, **options)
    return call
io.open, os.scandir = failing(io.open), failing(os.scandir)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["json", "console"])
def test_what_nobody_foresaw_does_not_tell(tmp_path: Path, form: str) -> None:
    """An exception that quotes the key, in a step and in a command: not in the traceback, the task, the database, any view."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(FAILING, encoding="utf-8")
    with serving(tmp_path / "there") as platform:
        here = customer(
            tmp_path / "here", platform, "twelvelabs", **{**QUICK, "log": {"level": "debug", "format": form}}
        )
        clips(here.folder / "films", 1)
        env = {"PYTHONPATH": str(broken)}
        ran = here.run("run", "films/clip-00.mp4", env=env)
        assert ran.code == 3, ran.err
        assert "step.crashed" in ran.err
        assert "RuntimeError" in ran.err
        check_silent(ran)
        crashed = here.run("run", "films", "--json", env=env)
        assert crashed.code == 1, crashed.err
        assert "unexpected RuntimeError" in crashed.err
        check_silent(crashed)
        looks = (["why", "clip-00.mp4"], ["show", "clip-00.mp4", "--json"], ["status", "--json"], ["doctor"])
        for words in looks if form == "json" else looks[:1]:
            ended = here.run(*words)
            check_silent(ended)
        assert kept(here.folder, KEY) == []


def test_processes_that_work_for_us_are_not_given_the_key(tmp_path: Path) -> None:
    """The analysis and the downloads run in processes of their own: nothing in their environment opens the account."""
    from pipeline.source.youtube.worker.pool import WorkerCommand

    secrets = {
        "TWELVELABS_API_KEY": KEY,
        "TWELVELABS_API_KEY_FILE": "/etc/key",
        "AWS_SECRET_ACCESS_KEY": KEY,
        "PATH": "/bin",
    }
    given = WorkerCommand().environment(secrets)
    assert KEY not in str(given)
    assert "PATH" in given
    config = {"provider": {"kind": "local"}, "gallery": {"posters": True}}
    here = Terminal(tmp_path / "here", {"TWELVELABS_API_KEY": KEY}, config)
    films = here.folder / "films"
    clips(films, 2)
    running = here.start("run", str(films))
    try:
        seen = until(lambda: helpers(running.pid) or not running.alive, "a process of the analysis")
        assert isinstance(seen, list), running.said()
        assert [name for name, environment in seen if KEY in environment] == []
        assert running.wait().code == 0
    finally:
        here.close()
    assert kept(here.folder, KEY) == []


def helpers(pid: int) -> list[tuple[str, str]]:
    """Return (command, environment) of the processes of ours that a process started, as Linux tells them."""
    found = []
    for child in children(pid):
        try:
            command = Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8", errors="replace")
            environment = Path(f"/proc/{child}/environ").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        ours = ("pipeline.local.analysis.process_main", "pipeline.media.poster_main")
        if any(module in command for module in ours) and environment:
            found.append((command, environment))
    return found
