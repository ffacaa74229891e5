"""The planted key turns up nowhere: not in what is said, not in what is kept, whatever goes wrong and however loud the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli import KEY, Ended, Platform, Terminal, customer, serving
from tests.clips import clips

SIGNATURE = "c2lnbmVkLXNlY3JldA"
QUICK: dict[str, dict[str, Any]] = {
    "provider": {"poll_spacing": 0.2, "poll_requests_per_minute": 6000},
    "policy": {"retry_first": 0.1, "retry_most": 0.2, "attempts": 2},
    "log": {"level": "debug"},
}


def kept(folder: Path, secret: str) -> list[str]:
    """Return the files below a folder that hold a secret, database and write-ahead log included."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


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
