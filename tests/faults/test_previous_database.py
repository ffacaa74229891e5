"""A database that the previous version has written: read as it is, and its run finished without paying twice.

``tests/fixtures/previous_version`` holds what that version left when it was killed: its database, and the database of the
platform that it talked to. Nothing here knows a class of the store or of the task types: the command line is the way in, and
SQL and the platform's ledger are the way to look, so that code may move and change its form under this test.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.state.ledger import Ledger
from tests.faults.canned_platform import canned
from tests.support.cli import KEY, Terminal, until
from tests.support.site import Blob, MediaServer, captions, entry, interpreter, plain, player

FIXTURE = Path(__file__).parents[1] / "fixtures" / "previous_version"
#: What that version knew: each stage of each kind of task. A kind or stage that came later cannot be in the fixture.
STAGES = {
    "item": ("resolve", "download"),
    "listing": ("expand",),
    "video": ("place", "open", "upload", "find", "send", "settle", "fan_out"),
    "analysis": ("price", "submit", "find", "await", "split"),
    "publish": ("write",),
    "indexing": ("price", "submit", "find", "await"),
}
STATES = {"pending", "running", "done", "failed", "cancelled", "held"}
#: Calls that leave something behind, and what they come to. An upload in parts counts once it is whole.
CREATE = {
    "asset_created": "upload", "session_completed": "upload", "task_created": "upload", "external_task_created": "upload",
    "analyze_task_created": "analysis", "indexed": "indexed",
}  # fmt: skip
ASK = ("gist", "generate")  #: calls of API v1.2 that only ask, of which nothing is left that could be looked for
TOUCHED = 1_700_000_000  #: epoch seconds: when the films were last written
PARTS = 24_576  #: bytes by which a film is larger that the previous version has sent in parts
TOPIC = {"job": "ask", "prompt": "What is it about?"}
BUSY = 180.0  #: seconds that a run may take on a busy machine
MANY = {"requests_per_minute": 6000.0}


@dataclass(frozen=True)
class Scene:
    """One database, with the configuration that it was written under."""

    name: str
    films: int = 0
    in_parts: tuple[int, ...] = ()
    again: tuple[int, ...] = ()  #: films that lie in a second folder as well
    outside: int = 0  #: videos of YouTube that the platform fetches by itself
    #: What the next run cannot end alone, by its manifest line: failed, held and cancelled, until an operator retries it.
    stopped: tuple[str, ...] = ()
    #: Paid before the kill for what went wrong then, e.g. an upload that the platform could not read.
    wasted: Mapping[str, int] = field(default_factory=dict)
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


SCENES = {
    scene.name: scene
    for scene in (
        Scene(
            "v1_3",
            films=49,
            in_parts=(22, 23, 24),
            again=(2, 25),
            # Film 9 was unreadable, too: it is mended now, and that is enough.
            stopped=tuple(f"film-{number:02}.mp4" for number in (4, 5, 6, 7, 8, 10)),
            wasted={"upload": 4, "analysis": 4},
            config={
                "provider": {"kind": "twelvelabs", "poll_spacing": 0.2},
                "index": {"name": "films"},
                "jobs": {"enabled": ["gist", "topic"], "topic": TOPIC},
                "limits": dict.fromkeys(("assets", "analyze", "index", "search", "read"), MANY),
            },
        ),
        Scene(
            "v1_2",
            films=22,
            again=(2,),
            outside=5,
            stopped=(
                *(f"film-{number:02}.mp4" for number in (16, 21, 22)),
                "https://www.youtube.com/watch?v=external003",
            ),
            config={
                "provider": {"kind": "local", "api": "v1.2", "poll_spacing": 0.2},
                "jobs": {"enabled": ["gist", "topic"], "topic": TOPIC},
            },
        ),
        Scene(
            "youtube",
            stopped=("https://www.youtube.com/watch?v=video000005",),
            config={
                "provider": {"kind": "local", "poll_spacing": 0.2},
                "jobs": {"enabled": ["gist"]},
                "source": {"allow_private_urls": True},
            },
        ),
    )
}


# ------------------------------------------------------------------------------------------------- what was left behind


def film(number: int, *, in_parts: bool = False) -> bytes:
    """Return a film's bytes: one short video and boxes of free space behind it, which tell the films apart."""
    boxes = [f"{number:016}".encode(), *([bytes(PARTS - 8)] if in_parts else [])]
    return (FIXTURE / "film.mp4").read_bytes() + b"".join(
        (len(box) + 8).to_bytes(4, "big") + b"free" + box for box in boxes
    )


def dumped(scene: str, database: str) -> Iterator[str]:
    """Yield the SQL of a database, the schema first."""
    for path in sorted((FIXTURE / scene).glob(f"{database}*.sql")):
        yield path.read_text(encoding="utf-8")


def rows(database: Path | str, query: str) -> list[Any]:
    """Ask a database; one column comes as plain values."""
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        found = connection.execute(query).fetchall()
    return [row[0] if len(row) == 1 else row for row in found]


def put(path: Path, content: bytes) -> None:
    """Write a file that was last changed long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (TOUCHED, TOUCHED))


@dataclass
class Place:
    """The films of a scene, and the folders of its two runs: one goes on with the fixture, one starts from nothing."""

    scene: Scene
    folder: Path
    site: MediaServer

    def __post_init__(self) -> None:
        for number in range(1, 1 + self.scene.films):
            content = self.film(number)
            put(self.films / f"film-{number:02}.mp4", content)
            if number in self.scene.again:
                put(self.films / "again" / f"film-{number:02}.mp4", content)
        for number in range(1, 1 + self.scene.outside):
            put(self.media / f"Outside {number} [external{number:03}].mp4", film(90 + number))
        manifest = (FIXTURE / self.scene.name / "list.jsonl").read_text(encoding="utf-8")
        put(self.films / "list.jsonl", manifest.replace("@SITE@", self.site.base).encode())

    @property
    def films(self) -> Path:
        """The folder that the manifest and the films lie in."""
        return self.folder / "films"

    @property
    def media(self) -> Path:
        """The folder that stands for YouTube on API v1.2."""
        return self.folder / "media"

    def film(self, number: int) -> bytes:
        """Return a film of this scene."""
        return film(number, in_parts=number in self.scene.in_parts)

    def source(self, line: str) -> str:
        """Return how the command line names what a manifest line names."""
        return line if "://" in line else str(self.films / line)

    def terminal(self, name: str, base_url: str) -> Terminal:
        """Return a terminal in a folder of its own, whose commands use a platform."""
        here = self.folder / name
        config: dict[str, Any] = {section: dict(values) for section, values in self.scene.config.items()}
        config["provider"]["base_url"] = base_url
        config["policy"] = {"retry_first": 0.2}
        config["run"] = {"state": str(here / "state"), "output": str(here / "out")}
        if self.scene.name == "youtube":
            config["youtube"] = {
                "python": str(interpreter(self.folder, self.site)), "pace_folder": str(here / "pace"), "min_gap": 0.0,
                "max_gap": 0.0, "lists": {"since": "2026-01-01", "exclude": ["trailer"]},
            }  # fmt: skip
        return Terminal(here, {"TWELVELABS_API_KEY": KEY}, config)

    def revive(self, name: str) -> None:
        """Make a state folder and a platform's folder from the fixture."""
        here = self.folder / name
        words = {"@FILMS@": str(self.films), "@HERE@": str(here), "@SITE@": self.site.base}
        for path, database in ((state(here), "reelmill"), (here / "platform" / "platform.sqlite3", "platform")):
            path.parent.mkdir(parents=True)
            with closing(sqlite3.connect(path)) as connection:
                for text in dumped(self.scene.name, database):
                    for word, meaning in words.items():
                        text = text.replace(word, meaning)
                    connection.executescript(text)
        self._refill(here / "platform")
        fetched = "kind = 'video' AND stage = 'upload' AND json_extract(data, '$.fetched')"
        for copy in rows(state(here), f"SELECT json_extract(data, '$.path') FROM task WHERE {fetched}"):
            put(Path(copy), self.film(_number(copy)))

    def _refill(self, platform: Path) -> None:
        """Give the platform the bytes back that it has not looked at yet; its own rows say which."""
        unread = "SELECT id, filename FROM assets WHERE status = 'processing' AND method = 'direct'"
        unsent = "SELECT id, filename FROM sessions WHERE status = 'active'"
        for query, folder, ending in ((unread, "blobs", "bin"), (unsent, "sessions", "part")):
            for key, name in rows(platform / "platform.sqlite3", query):
                put(platform / folder / f"{key}.{ending}", self.film(_number(name)))


def _number(name: str) -> int:
    found = re.search(r"(?:film-|video0*)(\d+)", name)
    assert found is not None, name
    return int(found[1])


def youtube(site: MediaServer) -> None:
    """Put up the videos and lists that the manifest of that scene names; films are what is played."""
    for number in range(1, 11):
        video, content = f"video{number:06}", film(number)
        site.files[f"/media/{video}.mp4"] = Blob(content)
        told = captions(f"{site.base}/caption") if number == 1 else {}
        formats = [plain(f"{site.base}/media/{video}.mp4", len(content))]
        site.players[video] = player(video, 5.0, formats, captions=told)
    site.files["/caption"] = Blob(b"WEBVTT\n\n00:00.000 --> 00:02.000\nHello there\n", "text/vtt")
    site.thumbnail("video000001", (FIXTURE / "picture.jpg").read_bytes())
    site.players["video000004"]["microformat"]["playerMicroformatRenderer"]["uploadDate"] = "2025-12-30"
    for number in (11, 12):
        site.files[f"/direct/{number}.mp4"] = Blob(film(number))
    for letter, numbers in (("A", (2, 3, 4)), ("B", (1, 2)), ("C", (2, 3)), ("D", (3,))):
        entries = [entry(f"video{number:06}", timestamp=1_780_000_000) for number in numbers]
        trailer = entry("trailer0001", title="Trailer")
        site.lists[f"PL{letter * 16}"] = {"title": f"List {letter}", "entries": [*entries, trailer]}


# ------------------------------------------------------------------------------------------------------- what is seen


def state(here: Path) -> Path:
    """Return the database of a run's folder."""
    return here / "state" / "reelmill.db"


def settled(platform: Path) -> bool:
    """True once the platform has done what it had accepted: no run of these may wait for it past a stage's deadline."""
    working = (
        "SELECT count(*) FROM assets WHERE status = 'processing' AND method <> 'multipart'",
        "SELECT count(*) FROM jobs WHERE status IN ('queued', 'processing')",
        "SELECT count(*) FROM videos WHERE status NOT IN ('ready', 'failed')",
    )
    return not any(rows(platform, query)[0] for query in working)


def undone(here: Path) -> list[str]:
    """Return the items that are not done, or whose video is not, with all that belongs to it; by what was named."""
    open_ones = "SELECT subject FROM task WHERE state <> 'done' AND subject <> ''"
    which = f"(kind IN ('item', 'listing') AND state <> 'done') OR (kind = 'item' AND subject IN ({open_ones}))"
    return sorted(rows(state(here), f"SELECT json_extract(data, '$.locator') FROM task WHERE {which}"))


def written(here: Path) -> dict[str, str]:
    """Return the results, by video and file; of what holds ids and times, only what they are about."""
    found: dict[str, str] = {}
    for path in (here / "out").glob("*/video.json"):
        card = json.loads(path.read_text(encoding="utf-8"))
        key = card["key"]
        found[key] = str([card["title"], card["sources"], card["media"], sorted(card["results"])])
        for file in (file for file in path.parent.rglob("*") if file.is_file() and file != path):
            raw = file.parent.name == "raw"
            found[f"{key} {'raw' if raw else file.name}"] = "" if raw else file.read_bytes().hex()
    lines = [json.loads(line) for line in (here / "out" / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    found["results.jsonl"] = str(sorted([line["key"], *sorted(line["results"])] for line in lines))
    return found


@dataclass(frozen=True)
class Paid:
    """What a platform has taken in all."""

    created: Mapping[tuple[str, str], int]  #: (effect, our key) -> times
    asked: Mapping[tuple[str, str], int]

    @classmethod
    def of(cls, platform: Path) -> Paid:
        """Read the platform's ledger."""
        entries = Ledger(platform).entries()
        created = Counter((CREATE[each.effect], each.client_key) for each in entries if each.effect in CREATE)
        return cls(created, Counter((each.effect, each.client_key) for each in entries if each.effect in ASK))

    def counts(self) -> Counter[str]:
        """Return how many effects of each sort there are."""
        return Counter(effect for effect, _ in self.created)

    def twice(self) -> list[tuple[str, str]]:
        """Return what was made more than once under one key."""
        return [pair for pair, times in self.created.items() if times > 1]


# -------------------------------------------------------------------------------------------------------------- tests


def test_the_fixture_has_a_task_in_every_stage() -> None:
    """Each stage of each kind waits or is at work, calls are in doubt in all three ways, and every state is there."""
    live: set[tuple[str, str]] = set()
    states: set[str] = set()
    doubtful: set[tuple[str, str, str]] = set()
    for name in SCENES:
        with closing(sqlite3.connect(":memory:")) as connection:
            for text in dumped(name, "reelmill"):
                connection.executescript(text)
            for kind, stage, word, claims in connection.execute("SELECT kind, stage, state, claims FROM task"):
                states.add(word)
                live |= {(kind, stage)} if word in ("pending", "running") else set()
                # Being paid for the first time; asked about by a run that died as well; about to be asked about.
                if (stage in ("upload", "submit") and word == "running" and claims == 1) or stage == "find":
                    doubtful.add((kind, stage, word))
            tables = ("migration", "result", "spend", "run", "note")
            assert all(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)
            if name == "youtube":
                assert connection.execute("SELECT scope FROM parked").fetchall() == [("download",)]
            if name == "v1_2":
                assert connection.execute("SELECT count(*) FROM spend WHERE doubtful").fetchone()[0]
    assert live == {(kind, stage) for kind, stages in STAGES.items() for stage in stages}
    assert states == STATES
    paying = {"video": "upload", "analysis": "submit", "indexing": "submit"}
    assert doubtful == {
        (kind, *rest)
        for kind, stage in paying.items()
        for rest in ((stage, "running"), ("find", "running"), ("find", "pending"))
    }


@pytest.mark.slow(seconds=8)
@pytest.mark.parametrize("name", SCENES)
def test_readers_take_the_database_of_the_previous_version_as_it_is(tmp_path: Path, name: str) -> None:
    """Status, costs, plan and the rest tell all they know before a run has brought it up to date, and change nothing."""
    with MediaServer() as site:
        place = Place(SCENES[name], tmp_path, site)
        place.revive("here")
        here = place.terminal("here", "http://127.0.0.1:9")
        before = state(here.folder).read_bytes()
        usd = rows(state(here.folder), "SELECT total(usd) FROM spend")[0]
        locator = rows(state(here.folder), "SELECT json_extract(data, '$.locator') FROM task WHERE kind = 'item'")[0]
        for line in (
            ["status"], ["costs", "--by", "source"], ["show", locator], ["gallery"],
            ["plan", str(place.films / "list.jsonl")],
        ):  # fmt: skip
            ended = here.run(*line)
            assert ended.code == 0 or line[0] == "plan", (line, ended)
            assert "older release" not in ended.err, (line, ended.err)
            assert "Traceback" not in ended.err, (line, ended.err)
        costs = here.run("costs", "--json").json
        assert sum(group["usd"] for group in costs["groups"]) == pytest.approx(usd)
        assert state(here.folder).read_bytes() == before


@pytest.mark.slow(seconds=40)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCENES)
def test_the_run_of_the_previous_version_is_finished(tmp_path: Path, name: str) -> None:
    """The same line goes on with every task as it was left; results and bill end as those of a run without a break."""
    with MediaServer() as site, ExitStack() as stack:
        youtube(site)
        place = Place(SCENES[name], tmp_path, site)
        line = ("run", str(place.films / "list.jsonl"))
        plain_url, plain_platform = stack.enter_context(canned(tmp_path / "plain" / "platform", place.media))
        undisturbed = place.terminal("plain", plain_url)
        stack.callback(undisturbed.close)
        running = undisturbed.start(*line)

        place.revive("here")
        url, platform = stack.enter_context(canned(tmp_path / "here" / "platform", place.media))
        here = place.terminal("here", url)
        until(lambda: settled(platform), "the platform to do what it had accepted")
        pruned = here.run("prune", "--raw", "0s", "--runs", "10", "--yes")  # takes nothing that is needed
        assert pruned.code == 0, pruned.err
        first = here.run(*line, timeout=BUSY)
        stopped = sorted(map(place.source, place.scene.stopped))
        assert (first.code, undone(here.folder)) == (3, stopped), first.err
        retried = here.run("retry", *stopped)
        assert retried.code == 0, retried.err
        last = here.run(*line, timeout=BUSY)
        assert (last.code, undone(here.folder)) == (0, []), last.err

        ended = running.wait(BUSY)
        assert ended.code == 0, ended.err
        assert set(rows(state(here.folder), "SELECT state FROM task")) == {"done"}
        assert written(here.folder) == written(undisturbed.folder)
        paid, bill = Paid.of(platform), Paid.of(plain_platform)
        assert paid.twice() == []
        assert paid.counts() == bill.counts() + Counter(place.scene.wasted)
        assert paid.asked.keys() == bill.asked.keys()
        repeated = sum(times - 1 for times in paid.asked.values())
        assert max(paid.asked.values(), default=1) <= 2
        assert repeated <= rows(state(here.folder), "SELECT count(*) FROM spend WHERE doubtful")[0]
