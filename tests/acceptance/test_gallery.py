"""The page's posters and its server, by the command as a process."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import httpx
import pytest

from tests.support.cli import Terminal, command, until
from tests.support.media import clip, clips, sound_bytes


def posters(folder: Path) -> set[str]:
    """Return the posters of a folder's output, by the name of the video's folder."""
    return {path.stem for path in (folder / "out" / "gallery" / "posters").glob("*.webp")}


def folders(folder: Path) -> set[str]:
    """Return the folders of the videos in a folder's output."""
    return {path.name for path in (folder / "out").glob("*--*")}


@pytest.mark.slow
def test_every_run_leaves_posters(tmp_path: Path) -> None:
    """One for each film, which the page knows of; what was deleted comes back with the next run, or without one."""
    here = Terminal(tmp_path)
    clips(tmp_path / "films", 2)
    (tmp_path / "films" / "sound.mp4").write_bytes(sound_bytes(5.0))
    ran = here.run("run", "films", "--output", "out")
    assert ran.code == 3, ran.err
    assert posters(tmp_path) == folders(tmp_path)
    assert len(posters(tmp_path)) == 2
    index = (tmp_path / "out" / "gallery" / "data" / "index.js").read_text(encoding="utf-8")
    assert index.count('\\"poster\\":true') == 2
    for again in (("run", "films", "--output", "out"), ("gallery", "--output", "out")):
        gone = min((tmp_path / "out" / "gallery" / "posters").iterdir())
        gone.unlink()
        here.run(*again)
        assert gone.exists(), again


@pytest.mark.slow
def test_posters_can_be_left_out(tmp_path: Path) -> None:
    """``[gallery] posters = false`` makes none."""
    here = Terminal(tmp_path, config={"gallery": {"posters": False}})
    clip(tmp_path / "film.mp4")
    assert here.run("run", "film.mp4", "--output", "out").code == 0
    assert here.run("gallery", "--output", "out").code == 0
    assert posters(tmp_path) == set()
    assert (tmp_path / "out" / "index.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_page_is_served_until_it_is_told_to_stop(tmp_path: Path, number: int) -> None:
    """Page, poster, results and the film beside the output folder, at the address that is printed; Ctrl-C ends with 0."""
    here = Terminal(tmp_path)
    (tmp_path / "films").mkdir()
    film = clip(tmp_path / "films" / "a film.mp4")
    clip(tmp_path / "films" / "unlisted.mp4", 1)
    assert here.run("run", str(film), "--output", "out").code == 0
    running = here.start("gallery", "--serve", "--port", "0", "--output", "out", "--json")
    try:
        until(lambda: not running.alive or "serving" in running.said(), "the page to be served")
        address = json.loads(running.out.read_text(encoding="utf-8"))["address"]
        assert address.startswith("http://127.0.0.1:")
        (folder,) = folders(tmp_path)
        with httpx.Client(trust_env=False, base_url=address) as client:
            assert "<!doctype html>" in client.get("").text.lower()
            assert client.get("gallery/data/index.js").headers["content-type"].startswith("text/javascript")
            assert client.get(f"gallery/posters/{folder}.webp").headers["content-type"] == "image/webp"
            assert client.get(f"{folder}/video.json").json()["key"].startswith("sha256:")
            shard = client.get("gallery/data/v-0000.js").text
            assert "../films/a%20film.mp4" in shard
            part = client.get("../films/a%20film.mp4", headers={"range": "bytes=4-7"})
            assert (part.status_code, part.content) == (206, b"ftyp")
            for hidden in ("../films/unlisted.mp4", "../.reelmill/reelmill.db", "../reelmill.toml", "gallery/"):
                assert client.get(hidden).status_code == 404, hidden
            running.signal(number)
            assert running.wait().code == 0
        assert "Traceback" not in running.said()
    finally:
        here.close()


@pytest.mark.slow
def test_what_cannot_be_served_is_said(tmp_path: Path) -> None:
    """Nothing has been run; the port is taken."""
    here = Terminal(tmp_path)
    assert here.run("gallery", "--serve").code == 2
    clip(tmp_path / "film.mp4")
    assert here.run("run", "film.mp4", "--output", "out").code == 0
    first = here.start("gallery", "--serve", "--port", "0", "--output", "out", "--json")
    try:
        until(lambda: not first.alive or "serving" in first.said(), "the page to be served")
        port = json.loads(first.out.read_text(encoding="utf-8"))["address"].split(":")[2].split("/")[0]
        second = here.run("gallery", "--serve", "--port", port, "--output", "out")
        assert second.code == 2
        assert f"127.0.0.1:{port}: cannot listen there" in second.err
        assert "choose another --port" in second.err
    finally:
        here.close()


def test_the_page_is_named_and_made_again(tmp_path: Path) -> None:
    """The end of a run names the page; ``reelmill gallery`` makes it again, says where it is, and needs no run."""
    clip(tmp_path / "film.mp4")
    (tmp_path / "reelmill.toml").write_text("[gallery]\nposters = false\n", encoding="utf-8")
    ran = command(tmp_path, "run", "film.mp4", "--json")
    page = tmp_path / "out" / "index.html"
    assert (ran.code, ran.json["page"], ran.json["page_trouble"]) == (0, str(page), None)
    page.unlink()
    made = command(tmp_path, "gallery", "--json")
    assert (made.code, made.json) == (
        0,
        {"page": str(page), "address": page.as_uri(), "videos": 1, "open_items": 0},
    )
    assert page.exists()
    told = command(tmp_path, "gallery")
    assert told.out.splitlines() == [page.as_uri(), "1 video"]
    (tmp_path / "out" / "gallery" / "data").rename(tmp_path / "aside")
    (tmp_path / "out" / "gallery" / "data").write_text("in the way", encoding="utf-8")
    blocked = command(tmp_path, "gallery")
    assert blocked.code == 2
    assert "something else is in the way" in blocked.err
