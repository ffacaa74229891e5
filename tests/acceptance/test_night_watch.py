"""Who is told how a run went, with real processes: and whatever they do, the run ends as it would without them."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from filelock import FileLock

from tests.support.cli import KEY, Ended, Terminal, until
from tests.support.listener import Listener
from tests.support.media import clips

SECRET = "f00dfeed-1234-4000-8000-0123456789ab"
HEADER = "Bearer s3cret-of-the-hook-77"


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Somebody on loopback."""
    with Listener() as server:
        yield server


def watched(folder: Path, listener: Listener, **watch: Any) -> Terminal:
    """Return a terminal whose runs tell the listener: pings and posts have paths of their own."""
    told = {"ping": f"{listener.address}/{SECRET}", "post_json": f"{listener.address}/hook/{SECRET}", "timeout": 20.0}
    here = Terminal(folder, config={"provider": {"kind": "local"}, "watch": {**told, **watch}})
    clips(here.folder / "films", 2)
    return here


def pings(listener: Listener) -> list[str]:
    """Return the events of the pings, in order."""
    return [path.removeprefix(f"/{SECRET}/") for path in listener.paths if path.startswith(f"/{SECRET}/")]


def posted(listener: Listener) -> list[dict[str, Any]]:
    """Return what was posted to the webhook."""
    return [json.loads(each.body) for each in listener.told if each.path.startswith("/hook/")]


def warnings(ended: Ended) -> list[tuple[str, str]]:
    """Return (way, why) of all that was not told, by the log."""
    return [(event["way"], event["why"]) for event in ended.events if event["event"] == "watch.failed"]


def test_a_run_tells_its_start_and_its_end(tmp_path: Path, listener: Listener) -> None:
    """Start and end belong together by one UUID; the body is a summary, the post is what ``--json`` prints."""
    here = watched(tmp_path / "here", listener)
    ended = here.run("run", "films", "--json")
    assert ended.code == 0, ended.err
    assert pings(listener) == ["start", "0"]
    start, last = (each for each in listener.told if not each.path.startswith("/hook/"))
    (rid,) = {parse_qs(urlsplit(each.path).query)["rid"][0] for each in (start, last)}
    assert str(UUID(rid)) == rid
    assert start.body == b""
    assert (
        last.body.decode().splitlines()[0]
        == f"all done: 2 new · $0.00 · {(here.folder / 'out' / 'index.html').as_uri()}"
    )
    assert re.search(r"^new 2: clip-0[01]\.mp4, clip-0[01]\.mp4$", last.body.decode(), re.M)
    assert posted(listener) == [ended.json]
    (hook,) = (each for each in listener.told if each.path.startswith("/hook/"))
    assert hook.headers["content-type"] == "application/json"
    assert warnings(ended) == []


@pytest.mark.parametrize(("ok", "event"), [([0, 3], "0"), ([0], "3")])
def test_what_counts_as_a_success_is_the_operators_choice(
    tmp_path: Path, listener: Listener, ok: list[int], event: str
) -> None:
    """A night with failed items is told as its own code only where that is no success; the words are the same."""
    here = watched(tmp_path / "here", listener, ping_ok=ok)
    (here.folder / "films" / "broken.mp4").write_bytes(b"no video")
    ended = here.run("run", "films", "--json")
    assert ended.code == 3
    assert pings(listener) == ["start", event]
    assert "broken.mp4" in listener.told[-1].body.decode()
    assert posted(listener) == [ended.json]


def test_a_run_that_is_refused_is_told_too(tmp_path: Path, listener: Listener) -> None:
    """No start, but the code and why; the post has the form of every other. Nobody is told where another run is at work."""
    here = watched(tmp_path / "here", listener)
    refused = here.run("run", env={"REELMILL_RUN__MANIFESTS": "gone.txt"})
    assert refused.code == 2
    assert pings(listener) == ["2"]
    (told,) = posted(listener)
    assert (told["exit_code"], told["analyses"]) == (2, 0)
    assert "gone.txt" in told["note"]
    listener.told.clear()
    assert here.run("run", "films").code == 0
    listener.told.clear()
    with FileLock(here.folder / ".reelmill" / "lock"):
        assert here.run("run", "films").code == 75
    assert listener.told == []


def test_an_interrupted_run_is_told(tmp_path: Path, listener: Listener) -> None:
    """Ctrl-C in the middle: the end is told as 130, whether the start was answered or not."""
    listener.answers.append("never")
    here = watched(tmp_path / "here", listener)
    clips(here.folder / "films", 40)
    running = here.start("run", "films", "--json")
    until(lambda: "item.done" in running.said(), "the first film")  # by then it listens to signals
    running.signal(2)
    ended = running.wait()
    assert ended.code == 130, ended.err
    assert pings(listener) == ["start", "130"]
    assert posted(listener) == [ended.json]


def nobody() -> str:
    """Return an address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/{SECRET}"


@pytest.fixture(scope="module")
def unwatched(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str]]:
    """What a run of two films and a broken file comes to that tells nobody, and the files that it writes."""
    here = Terminal(tmp_path_factory.mktemp("unwatched"), config={"provider": {"kind": "local"}})
    clips(here.folder / "films", 2)
    (here.folder / "films" / "broken.mp4").write_bytes(b"no video")
    ended = here.run("run", "films", "--json")
    assert ended.code == 3
    return came_to(ended), written(here)


def came_to(ended: Ended) -> dict[str, Any]:
    """Return what a run came to, without times and folders."""
    fates = {name: items["count"] for name, items in ended.json["this_run"].items()}
    return {"code": ended.code, "fates": fates} | {key: ended.json[key] for key in ("items", "exit_code", "published")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer", ["never", "close", 500, 404, "trickle", "flood", "http://127.0.0.1:9/", "dead", "hung"]
)
def test_a_watcher_changes_nothing_whatever_it_does(
    tmp_path: Path, listener: Listener, answer: int | str, unwatched: tuple[dict[str, Any], list[str]]
) -> None:
    """Dead, silent, slow, hostile, or behind a resolver that hangs for ever: same exit code, same results, and it is told."""
    listener.then = 200 if answer in ("dead", "hung") else answer
    address = {"dead": nobody(), "hung": f"http://hangs.example/{SECRET}"}.get(
        str(answer), f"{listener.address}/{SECRET}"
    )
    timeout = 20.0 if answer == "flood" else 0.3
    here = watched(tmp_path / "here", listener, ping=address, post_json=address, timeout=timeout)
    (here.folder / "films" / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "sitecustomize.py").write_text(HANGING, encoding="utf-8")
    ended = here.run("run", "films", "--json", env={"PYTHONPATH": str(tmp_path)})
    assert (came_to(ended), written(here)) == unwatched, ended.err
    assert {way for way, _ in warnings(ended)} == (set() if answer == "flood" else {"ping", "post_json"})
    assert SECRET not in ended.err


#: A resolver that never answers for one name.
HANGING = """
import socket, threading
real = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    if "hangs.example" in str(host):
        threading.Event().wait()
    return real(host, *rest, **more)
socket.getaddrinfo = getaddrinfo
"""


def written(here: Terminal) -> list[str]:
    """Return the files of the results."""
    out = here.folder / "out"
    return sorted(str(path.relative_to(out)) for path in out.rglob("*"))


#: A command that works on the state folder, as one may that goes on where the run stopped.
AFTERWARDS = """
import json, pathlib, sys
from filelock import FileLock
with FileLock(".reelmill/lock", timeout=0):
    report = json.load(open(sys.argv[1]))
assert report == json.load(sys.stdin)
pathlib.Path("told.json").write_text(json.dumps([report, sys.argv[2]]))
print("synced two films")
"""


def test_the_command_gets_the_report_and_a_free_folder(tmp_path: Path) -> None:
    """As a file and on its standard input; no shell reads its words; what it prints stands in the log."""
    here = Terminal(tmp_path / "here", config={"provider": {"kind": "local"}})
    clips(here.folder / "films", 1)
    (here.folder / "after.py").write_text(AFTERWARDS, encoding="utf-8")
    words = [sys.executable, "after.py", "{summary}", "code={exit_code}; touch $HOME"]
    Terminal(here.folder, config={"provider": {"kind": "local"}, "watch": {"on_end": words}})
    ended = here.run("run", "films", "--json")
    assert ended.code == 0, ended.err
    report, word = json.loads((here.folder / "told.json").read_text(encoding="utf-8"))
    assert report == ended.json
    assert word == "code=0; touch $HOME"
    assert ["synced two films"] in [event.get("said") for event in ended.events]
    refused = here.run("run", env={"REELMILL_RUN__MANIFESTS": "gone.txt"})
    assert refused.code == 2
    assert json.loads((here.folder / "told.json").read_text(encoding="utf-8"))[0]["exit_code"] == 2


@pytest.mark.slow
def test_all_at_once_and_each_in_its_own_way_broken(
    tmp_path: Path, unwatched: tuple[dict[str, Any], list[str]], listener: Listener
) -> None:
    """A command that never ends, a folder that is none, an address that is slow: same code, same results, each told."""
    slow = listener.address.replace("http://", "json://") + f"/{SECRET}"
    listener.then = "never"
    here = watched(
        tmp_path / "here", listener, timeout=0.3, notify=[slow], notify_timeout=1.0, textfile="gone/reelmill.prom",
        on_end=[sys.executable, "-c", "import threading; threading.Event().wait()"], on_end_timeout=1.0,
    )  # fmt: skip
    (here.folder / "films" / "broken.mp4").write_bytes(b"no video")
    ended = here.run("run", "films", "--json")
    assert (came_to(ended), written(here)) == unwatched, ended.err
    assert dict(warnings(ended)) == {
        "ping": "no answer within 0.3 s",
        "post_json": "no answer within 0.3 s",
        "textfile": "its folder does not exist: make it, or choose another",
        "notify": "it did not end within 1 s and was killed",
        "on_end": "it did not end within 1 s and was killed",
    }
    assert SECRET not in ended.err
    assert {each["way"] for each in ended.json["untold"]} == {"ping", "post_json", "textfile", "notify", "on_end"}


def test_who_was_not_told_is_said_where_cron_mails_it(tmp_path: Path, listener: Listener) -> None:
    """In the summary of a run; with ``--quiet`` one line for each, although the night was good."""
    listener.then = 404
    here = watched(tmp_path / "here", listener, ping="")
    (shown, quiet) = (here.run("run", "films", *more) for more in ([], ["-q"]))
    assert re.search(r"^not told +post_json: it answered 404$", shown.out, re.M)
    assert (quiet.code, quiet.out) == (0, "")
    assert quiet.err == "reelmill: post_json of [watch] was not told: it answered 404\n"


def test_a_digest_and_a_textfile_at_the_end(tmp_path: Path, listener: Listener) -> None:
    """The first run of a day is told to people, the second only if it needs one; the gauges always stand as they are."""
    there = listener.address.replace("http://", "json://")
    watch = {"notify": [f"{there}/{SECRET}"], "textfile": "reelmill.prom", "notify_timeout": 60.0}
    here = Terminal(tmp_path / "here", config={"provider": {"kind": "local"}, "watch": watch})
    clips(here.folder / "films", 1)
    assert here.run("run", "films").code == 0
    assert here.run("run", "films").code == 0
    (got,) = (json.loads(each.body) for each in listener.told)
    assert got["title"] == "reelmill: all done: 1 new · $0.00"
    assert got["message"].splitlines()[0].startswith(f"{got['title'].removeprefix('reelmill: ')} · file:///")
    gauges = (here.folder / "reelmill.prom").read_text(encoding="utf-8")
    assert 'reelmill_items{state="done"} 1.0' in gauges
    assert "reelmill_last_exit_code 0.0" in gauges
    for _ in range(2):
        refused = here.run("run", env={"REELMILL_RUN__MANIFESTS": "gone.txt"})
        assert refused.code == 2
    assert len(listener.told) == 2
    assert "gone.txt" in json.loads(listener.told[1].body)["message"]
    assert "reelmill_last_exit_code 2.0" in (here.folder / "reelmill.prom").read_text(encoding="utf-8")
    tried = here.run("notify", "test", "--json")
    assert tried.code == 0, tried.out
    assert [(each["way"], each["to"]) for each in tried.json] == [
        ("textfile", "reelmill.prom"),
        ("notify", "entry 1 (json)"),
    ]
    assert SECRET not in tried.out + refused.err


def test_no_secret_is_shown_or_kept(tmp_path: Path, listener: Listener) -> None:
    """Addresses and the header of the webhook: in no stream, no file of state or results, whatever goes wrong."""
    listener.then = 500
    there = listener.address.replace("http://", f"json://user:{SECRET}@")
    here = watched(tmp_path / "here", listener, notify=[there, f"slack://{SECRET}"])
    told = (here.folder / "reelmill.toml").read_text(encoding="utf-8")
    env = {"REELMILL_POST_HEADER": f"Authorization: {HEADER}", "TWELVELABS_API_KEY": KEY}
    for words in (
        ["run", "films", "--provider", "local", "--log-level", "debug"],
        ["notify", "test", "--log-level", "debug"],
        ["notify", "test", "--json"],
        ["config", "check", "--json"],
        ["doctor"],
        ["status", "--json"],
    ):
        ended = here.run(*words, env=env)
        assert ended.code in (0, 3), ended.err
        for secret in (SECRET, HEADER, KEY):
            assert secret not in ended.out + ended.err, words
    assert {HEADER, None} <= {each.headers.get("authorization") for each in listener.told}
    (here.folder / "reelmill.toml").unlink()
    assert SECRET in told
    kept = [path for path in here.folder.rglob("*") if path.is_file()]
    assert [path for path in kept for secret in (SECRET, HEADER) if secret.encode() in path.read_bytes()] == []


def test_a_header_from_a_file(tmp_path: Path, listener: Listener) -> None:
    """It is sent with the post and with nothing else; what is none is refused by its key, without its words."""
    here = watched(tmp_path / "here", listener, post_header_file="hook")
    (here.folder / "hook").write_text(f"X-Token: {HEADER}\n", encoding="utf-8")
    assert here.run("notify", "test").code == 0
    assert [each.headers.get("x-token") for each in listener.told] == [None, HEADER]
    for wrong in (HEADER, f"X Token: {HEADER}", f"X-Token: {HEADER}\nX: y", ""):
        (here.folder / "hook").write_text(wrong, encoding="utf-8")
        refused = here.run("config", "check")
        assert refused.code == 2, wrong
        assert "hook" in refused.told[0]
        assert HEADER not in refused.err


def test_notify_test_says_what_became_of_each(tmp_path: Path, listener: Listener) -> None:
    """Each configured way by its key, with where it went and why not; 3 if one was not told, 2 if there is none."""
    here = watched(tmp_path / "here", listener)
    good = here.run("notify", "test", "--json")
    assert good.code == 0
    assert [(each["way"], each["to"], each["sent"]) for each in good.json] == [
        ("ping", listener.address, True),
        ("post_json", listener.address, True),
    ]
    assert pings(listener) == ["log"]  # which changes nothing there
    assert posted(listener)[0]["run_id"] == "test"
    listener.answers.append(404)
    bad = here.run("notify", "test")
    assert bad.code == 3
    assert "it answered 404" in bad.out
    assert bad.out.split()[:2] == ["failed", "ping"]
    assert bad.out.splitlines()[2].split()[:2] == ["ok", "post_json"]
    none = Terminal(tmp_path / "none").run("notify", "test")
    assert none.code == 2
    assert "[watch] names nobody" in none.told[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ping", "hc-ping.com/x"),
        ("ping", "ftp://hc-ping.com/x"),
        ("ping", "https:///x"),
        ("ping", "https://host:x/"),
        ("post_json", "https://host/a b"),
        ("post_json", "https://host/#a"),
        ("ping_ok", [300]),
        ("on_end", [""]),
        ("textfile", "metrics.txt"),
        ("notify", ["mailto:me@example.org"]),
        ("timeout", 0),
    ],
)
def test_a_wrong_way_is_refused_by_its_key(tmp_path: Path, key: str, value: Any) -> None:
    """``config check`` and a run name file, line and key; the address itself may be a secret and is not repeated."""
    here = Terminal(tmp_path / "here", config={"watch": {key: value}})
    for words in (["config", "check"], ["run", "x.mp4"], ["notify", "test"]):
        refused = here.run(*words)
        assert refused.code == 2
        assert f"line 2: [watch] {key}: should" in refused.told[0]
        if key in ("ping", "post_json", "notify"):
            assert str(value) not in refused.err
