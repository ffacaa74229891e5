"""``reconcile`` as a process: real SQLite, real HTTP, an account in which others are at work, too."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from pipeline import app
from pipeline.config.settings import load
from pipeline.local.state.ledger import PAID
from pipeline.view_json import jsonable
from tests.support.cli import KEY, PATIENCE, Ended, Platform, Terminal, customer, environment, serving, until
from tests.support.media import clip, clip_bytes, clips

pytestmark = pytest.mark.slow

INDEX: dict[str, Any] = {"index": {"name": "films"}, "jobs": {"enabled": ["gist"]}}
NOBODY = "0" * 24  #: what no key of ours is digested to


@dataclass
class Hand:
    """Somebody with the same key who works in the account directly."""

    client: httpx.Client

    def call(self, method: str, path: str, **given: Any) -> Any:
        """Make a call; return its JSON."""
        answer = self.client.request(method, path, **given)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def listed(self, path: str) -> dict[str, Any]:
        """Return everything of one list, by id."""
        found = self.call("GET", path, params={"page_limit": 50})["data"]
        return {each.get("_id") or each["task_id"]: each for each in found}

    def upload(self, name: str, owner: str = "", number: int = 9) -> str:
        """Upload an asset and wait until it is ready; return its id."""
        metadata = json.dumps({"reelmill_key": owner} if owner else {})
        made = self.call(
            "POST", "/assets", data={"method": "direct", "filename": name, "user_metadata": metadata},
            files={"file": (name, clip_bytes(number), "video/mp4")},
        )["_id"]  # fmt: skip
        until(lambda: self.call("GET", f"/assets/{made}")["status"] == "ready", "the asset to be ready")
        return str(made)

    def ask(self, asset_id: str, custom_id: str) -> str:
        """Ask and wait for the answer; return the task's id."""
        body = {
            "model_name": "pegasus1.5", "video": {"type": "asset_id", "asset_id": asset_id}, "prompt": "A title.",
            "custom_id": custom_id,
        }  # fmt: skip
        made = self.call("POST", "/analyze/tasks", json=body)["task_id"]
        until(lambda: self.call("GET", f"/analyze/tasks/{made}")["status"] == "ready", "the answer")
        return str(made)

    def index(self, index_id: str, asset_id: str, owner: str) -> str:
        """Put an asset into an index; return the entry's id."""
        base, body = (
            f"/indexes/{index_id}/indexed-assets",
            {"asset_id": asset_id, "user_metadata": {"reelmill_key": owner}},
        )
        made = self.call("POST", base, json=body)["_id"]
        until(lambda: self.call("GET", f"{base}/{made}")["status"] == "ready", "the entry")
        return str(made)


@contextmanager
def at_work(folder: Path, api: str = "v1.3") -> Iterator[tuple[Platform, Hand]]:
    """Serve a platform, and give a hand in its account."""
    with serving(folder / "there") as platform:
        base = f"{platform.base_url}/{api}"
        with httpx.Client(base_url=base, headers={"x-api-key": KEY}, timeout=20, trust_env=False) as client:
            yield platform, Hand(client)


def at_terminal(terminal: Terminal, answers: str, *args: str) -> Ended:
    """Run a command with somebody at the keyboard; without an answer they press Ctrl-C when they are asked."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *args], cwd=terminal.folder, env=environment(**terminal.env), stdin=slave,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        os.write(master, answers.encode())
        assert process.stderr is not None
        asked = b""
        while not answers and b"[y/N]" not in asked:
            line = process.stderr.readline()
            assert line, asked
            asked += line
        if not answers:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    finally:
        os.close(slave)
        os.close(master)
    return Ended(process.returncode, out.decode(), (asked + err).decode())


def planned(terminal: Terminal) -> dict[str, Any]:
    """Return the plan: the same call as the command's, without the start of another process."""
    state = terminal.folder / ".reelmill"
    settings = load(terminal.folder / "reelmill.toml", env=terminal.env, flags={"run": {"state": state}})
    done: Any = jsonable(anyio.run(lambda: app.reconcile(settings)))
    plan: dict[str, Any] = done["plan"]
    return plan


def ids(leftovers: list[dict[str, Any]]) -> set[str]:
    """Return the ids of leftovers."""
    return {each["holding"]["id"] for each in leftovers}


def effects(platform: Platform) -> Counter[str]:
    """Return how often each paid effect was accepted."""
    return Counter(entry["effect"] for entry in platform.entries() if entry["effect"] in PAID)


def abandoned(terminal: Terminal, platform: Platform) -> None:
    """Leave an item in the account whose analysis never ends: its run is killed, the item cancelled."""
    platform.spoil({"match": "POST /v1.3/(analyze/tasks|indexes/[0-9a-f]+/indexed-assets)$", "do": "stuck"})
    running = terminal.start("run", str(clip(terminal.folder / "stuck.mp4", 7)))
    until(lambda: effects(platform)["analyze_task_created"] == 1 and effects(platform)["indexed"] == 1, "both calls")
    busy = terminal.run("reconcile", "--apply", "--yes")
    assert (busy.code, "Another run" in busy.err) == (75, True)
    running.kill()
    platform.spoil()
    assert terminal.run("cancel", "stuck.mp4").code == 0


def test_an_account_is_tidied_up(tmp_path: Path) -> None:
    """Leftovers of every sort: planned, refused without a yes, deleted with one, and nothing else; then there is nothing."""
    with at_work(tmp_path) as (platform, hand):
        here = customer(tmp_path / "here", platform, **INDEX)
        abandoned(here, platform)
        stuck = {**hand.listed("/assets"), **hand.listed("/analyze/tasks")}
        clips(here.folder / "films", 2)
        assert here.run("run", "films").code == 0
        (films,) = hand.listed("/indexes")
        asset = next(each for each in hand.listed("/assets").values() if each["_id"] not in stuck)
        asked = hand.listed("/analyze/tasks").values()
        task = next(each for each in asked if each["video_source"]["asset_id"] == asset["_id"])
        owner = asset["user_metadata"]["reelmill_key"]
        theirs = {hand.upload("holiday.mp4"), hand.upload(asset["filename"])}  # our name, and no key of ours beside it
        theirs |= {hand.ask(min(theirs), "title-of-holiday")}
        twin = hand.upload(asset["filename"], owner)
        again = hand.ask(asset["_id"], task["custom_id"])
        entry = hand.index(films, twin, owner)
        stray = hand.upload(f"film-{NOBODY}-0.mp4", "k" * 200)
        strays = {stray, hand.ask(stray, f"rm-{NOBODY}-0"), hand.index(films, stray, "k" * 200)}
        strays |= {hand.ask(twin, task["custom_id"])}  # as another state folder would ask about its own upload
        session = {"filename": "half.mp4", "type": "video", "total_size": 10_000_000}
        hand.call("POST", "/assets/multipart-uploads", json=session)

        plan = planned(here)
        cancelled = {each["holding"]["id"] for each in plan["orphans"] if each["verdict"] == "cancelled"}
        assert cancelled > set(stuck)
        assert ids(plan["orphans"]) == cancelled | {twin, again, entry}
        assert ids(plan["strays"]) == strays
        assert [each["state"] for each in plan["sessions"]] == ["foreign"]
        assert all(each["item"].endswith("stuck.mp4") for each in plan["orphans"] if each["holding"]["id"] in cancelled)
        everything = account(hand, films)

        said_no = at_terminal(here, "", "reconcile", "--apply")
        assert (said_no.code, said_no.err.count("[y/N]")) == (130, 1)
        assert all(each in said_no.err for each in (twin, again, entry, *cancelled, *strays))
        assert not any(each in said_no.err for each in theirs)
        assert account(hand, films) == everything

        said_yes = at_terminal(here, "y\n", "reconcile", "--apply", "--strays", "--json")
        assert said_yes.code == 0, said_yes.err
        assert {each["id"] for each in said_yes.json["deleted"]} == ids(plan["orphans"]) | strays
        assert account(hand, films) == everything - ids(plan["orphans"]) - strays >= theirs
        last = planned(here)
        assert (last["orphans"], last["strays"], last["vanished"]) == ([], [], [])


def account(hand: Hand, index_id: str) -> set[str]:
    """Return the ids of everything that is there."""
    return {
        *hand.listed("/assets"),
        *hand.listed("/analyze/tasks"),
        *hand.listed(f"/indexes/{index_id}/indexed-assets"),
    }


def test_a_vanished_upload_is_sent_again_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    """Somebody has deleted an asset: the next run uploads it, asks nothing that has an answer, and a new prompt works."""
    with at_work(tmp_path) as (platform, hand):
        here = customer(tmp_path / "here", platform, jobs={"enabled": ["gist"]})
        clips(here.folder / "films", 2)
        assert here.run("run", "films").code == 0
        gone, lost = sorted(hand.listed("/assets").values(), key=lambda each: each["filename"])
        for each in (gone, lost):
            hand.call("DELETE", f"/assets/{each['_id']}")
        (here.folder / "films" / "clip-01.mp4").unlink()
        found = {each["media_id"]: each["repair"] for each in planned(here)["vanished"]}
        assert found == {gone["_id"]: "file", lost["_id"]: "none"}
        done = at_terminal(here, "y\n", "reconcile", "--apply", "--json")
        assert (done.code, [each["media_id"] for each in done.json["rearmed"]]) == (0, [gone["_id"]])
        before = effects(platform)
        ran = here.run("run", "--json")
        assert (ran.code, ran.json["analyses"]) == (0, 0), ran.err
        assert effects(platform) - before == Counter({"asset_created": 1})
        asked = here.run("run", str(here.folder / "films" / "clip-00.mp4"), "--jobs", "gist,summary", "--json")
        assert (asked.code, asked.json["analyses"]) == (0, 1), asked.err
        assert platform.twice() == []


def test_killed_while_deleting_and_repeated(tmp_path: Path) -> None:
    """SIGKILL between deletions, again and again: what is gone is gone, what is ours in use stays, the rest follows."""
    with at_work(tmp_path) as (platform, hand):
        here = customer(tmp_path / "here", platform, jobs={"enabled": ["gist"]})
        clips(here.folder / "films", 1)
        assert here.run("run", "films").code == 0
        (kept,) = hand.listed("/assets").values()
        theirs = hand.upload("holiday.mp4")
        for _ in range(7):
            hand.upload(kept["filename"], kept["user_metadata"]["reelmill_key"])
        platform.spoil({"match": "DELETE /v1.3/assets/", "do": "latency", "seconds": 0.2})
        left = [9]
        for _ in range(2):
            running = here.start("reconcile", "--apply", "--yes")
            until(lambda: len(hand.listed("/assets")) < left[-1], "a deletion")
            assert running.alive, running.said()
            running.kill()
            left.append(len(hand.listed("/assets")))
        assert left[0] > left[-1] > 2
        platform.spoil()
        last = here.run("reconcile", "--apply", "--yes", "--json")
        assert (last.code, last.json["refused"], last.json["changed"]) == (0, [], [])
        assert set(hand.listed("/assets")) == {kept["_id"], theirs}


def test_the_older_api_is_tidied_up_and_repaired(tmp_path: Path) -> None:
    """v1.2: a second task of the same file goes with its video; a deleted video is uploaded again, its answers stay."""
    config: dict[str, Any] = {**INDEX, "provider": {"api": "v1.2"}}
    with at_work(tmp_path, "v1.2") as (platform, hand):
        here = customer(tmp_path / "here", platform, **config)
        clips(here.folder / "films", 2)
        assert here.run("run", "films").code == 0
        (films,) = hand.listed("/indexes")
        first, second = hand.listed("/tasks").values()

        def put(name: str) -> str:
            form = {"video_file": (name, clip_bytes(8), "video/mp4")}
            made = hand.call("POST", "/tasks", data={"index_id": films, "language": "en"}, files=form)["_id"]
            until(lambda: hand.call("GET", f"/tasks/{made}")["status"] == "ready", "the task")
            return str(made)

        twin, theirs, stray = put(first["metadata"]["filename"]), put("holiday.mp4"), put(f"film-{NOBODY}-0.mp4")
        video = {task: hand.call("GET", f"/tasks/{task}")["video_id"] for task in (twin, theirs, stray)}
        hand.call("DELETE", f"/indexes/{films}/videos/{second['video_id']}")
        plan = planned(here)
        assert ids(plan["orphans"]) == {twin, video[twin]}
        assert ids(plan["strays"]) == {stray, video[stray]}
        assert [(each["media_id"], each["repair"]) for each in plan["vanished"]] == [(second["video_id"], "file")]
        before = effects(platform)
        assert here.run("reconcile", "--apply", "--yes", "--strays").code == 0
        ran = here.run("run", "--json")
        assert (ran.code, ran.json["analyses"]) == (0, 0), ran.err
        assert effects(platform) - before == Counter({"task_created": 1, "indexed": 1})
        assert {theirs, first["_id"]} < set(hand.listed("/tasks"))
        assert {video[theirs], first["video_id"]} < set(hand.listed(f"/indexes/{films}/videos"))
        last = planned(here)
        assert (last["strays"], last["vanished"]) == ([], [])
        assert ids(last["orphans"]) == {second["_id"]}  # the task whose video was deleted, now that there is another


def test_the_embedded_platform_is_an_account_too(tmp_path: Path) -> None:
    """Without a key and without a server: started for the comparison, and ended with it."""
    here = Terminal(tmp_path / "here", {}, {"jobs": {"enabled": ["gist"]}})
    clips(here.folder / "films", 1)
    assert here.run("run", "films").code == 0
    shown = here.run("reconcile")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("local/v1.3: 1 analysis (1 kept), 1 asset (1 kept)\n")
    assert "nothing to do: the database and the account agree" in shown.out
