"""The page as ``reelmill gallery --serve`` serves it, in real browsers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.support.browser import Tab
from tests.support.cli import Terminal, until
from tests.support.media import scenes_bytes


@dataclass(frozen=True, slots=True)
class Served:
    """A served page and the folder of its only video."""

    address: str
    folder: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Ingest a film with captions, and serve the page."""
    here = Terminal(tmp_path_factory.mktemp("served"))
    rows, columns = np.indices((360, 640)) // 20
    picture = np.repeat(((rows + columns) % 5 * 50)[..., None], 3, axis=2).astype(np.uint8)
    film = here.folder / "films" / "a film.webm"
    film.parent.mkdir()
    film.write_bytes(scenes_bytes([(12, picture)], codec="libvpx", form="webm"))
    film.with_suffix(".vtt").write_text("WEBVTT\n\n00:01.000 --> 00:03.000\nBees dance.\n", encoding="utf-8")
    ran = here.run("run", str(film), "--output", "out")
    assert ran.code == 0, ran.err
    running = here.start("gallery", "--serve", "--port", "0", "--output", "out", "--json")
    try:
        until(lambda: not running.alive or "serving" in running.said(), "the page to be served")
        (folder,) = [path.name for path in (here.folder / "out").glob("*--*")]
        yield Served(json.loads(running.out.read_text(encoding="utf-8"))["address"], folder)
    finally:
        here.close()


@pytest.mark.slow
def test_poster_film_and_caption_track(served: Served, tab: Tab) -> None:
    """The card has its poster; the film beside the output folder plays from a second; ``<track src>`` loads cues."""
    tab.open(served.address)
    tab.wait("[...document.images].some((image) => image.complete && image.naturalWidth === 320)")
    tab.open(f"{served.address}#/v/{served.folder}")
    tab.wait("document.querySelector('video')?.readyState >= 1")
    tab.run("document.querySelector('video').currentTime = 9;")
    tab.wait("!document.querySelector('video').seeking && document.querySelector('video').currentTime === 9")
    tab.run(
        "const track = document.createElement('track'); track.id = 'proof'; track.src = args[0];"
        "document.querySelector('video').append(track); track.track.mode = 'hidden';",
        f"{served.address}{served.folder}/chapters.vtt",
    )
    tab.wait("document.querySelector('#proof').readyState === 2")
    assert tab.value("document.querySelector('#proof').track.cues.length") >= 1


@pytest.mark.slow
def test_another_page_cannot_run_the_data(served: Served, lone_tab: Tab, tmp_path: Path) -> None:
    """A foreign page that names the data files as its own scripts reads nothing, and shows nothing of it in a frame."""
    page = tmp_path / "evil.html"
    data = f"{served.address}gallery/data/index.js"
    (tmp_path / "evil.js").write_text("window.stolen = []; window.reelmill = (...all) => stolen.push(all);", "utf-8")
    page.write_text(
        f"<!doctype html><script src='evil.js'></script><script src='{data}' onerror='window.refused = 1'></script>"
        f"<img src='{served.address}gallery/posters/{served.folder}.webp' onerror='window.unseen = 1'>",
        encoding="utf-8",
    )
    lone_tab.open(page)
    lone_tab.wait("window.refused && window.unseen")
    assert lone_tab.value("window.stolen.length") == 0
