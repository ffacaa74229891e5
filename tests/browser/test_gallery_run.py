"""From a run to the page: what a stranger wrote into the list and the films, through the whole program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.browser.test_gallery_hostile import LOOK, RUN
from tests.support.browser import Tab
from tests.support.cli import KEY, Terminal
from tests.support.media import clip

TITLES = [f'<img src=x onerror="{RUN}">', f"</script><script>{RUN}</script>", "Zoë & “her” bees\u202e"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run over three films and one that is none, with a hostile list."""
    folder = tmp_path_factory.mktemp("run")
    lines = []
    for number, title in enumerate(TITLES):
        clip(folder / f"clip-{number}.mp4", number)
        lines.append(
            {"source": f"clip-{number}.mp4", "title": title, "tags": [title, "ours"], "metadata": {title: title}}
        )
    (folder / "<b>no film<b>.mp4").write_bytes(b"nothing")
    lines.append({"source": "<b>no film<b>.mp4", "title": "", "tags": []})
    (folder / "list.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    ran = Terminal(folder).run("run", "list.jsonl", "--output", "out")
    assert ran.code == 3, ran.err
    return folder


@pytest.mark.slow(seconds=10)
def test_a_run_leaves_a_page(tab: Tab, folder: Path) -> None:
    """Cards with posters, the failed film with its remedy, search, each view, the report: all text, no secret, no path."""
    index = folder / "out" / "index.html"
    tab.watch_requests()
    tab.open(index)
    tab.wait("performance.getEntriesByName('reelmill-searchable').length")
    tab.wait("document.querySelectorAll('.card').length === 4")
    tab.wait("[...document.querySelectorAll('.card img')].filter((each) => each.naturalWidth).length === 3")
    assert tab.run(LOOK) == []
    text = tab.text()
    assert TITLES[0] in text
    assert "no film" in text
    tab.open(index, "#/?q=glaciers")
    tab.wait("document.querySelectorAll('.card').length === 1 && document.querySelector('.card .moment')")
    for card in range(3):
        tab.open(index, "#/?tag=ours")
        tab.wait("document.querySelectorAll('.card').length === 3")
        tab.click(".card .whole", card)
        tab.wait("document.querySelector('.video details')")
        assert tab.run(f"document.querySelectorAll('details').forEach((each) => {{ each.open = true; }}); {LOOK}") == []
        tab.wait("document.querySelector('.chapter-bar button')")
    tab.open(index, "#/runs")
    tab.wait("document.querySelector('main svg')")
    assert tab.run(LOOK) == []
    assert [url for url in tab.requests if not url.startswith((folder.as_uri(), "data:"))] == []
    written = b"".join(path.read_bytes() for path in (folder / "out" / "gallery" / "data").iterdir())
    assert KEY.encode() not in written
    assert str(folder).encode() not in written
