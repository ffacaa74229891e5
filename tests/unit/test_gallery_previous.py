"""The page of a database that the previous release has left, in the middle of a run."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from pipeline.app.gallery.write import GalleryWriter
from pipeline.core.clock import SystemClock
from pipeline.sink.disk import DiskSink
from pipeline.store.sqlite.database import open_database
from tests.faults.test_previous_database import SCENES, dumped
from tests.support.run_harness import settings_for


@pytest.mark.parametrize("scene", SCENES)
def test_a_database_of_the_previous_release_gives_a_page(tmp_path: Path, scene: str) -> None:
    """Read as it is: each published video has its card with a state and a line, each other one stands with a reason."""
    state = tmp_path / "state" / "reelmill.db"
    state.parent.mkdir()
    with closing(sqlite3.connect(state)) as connection:
        for text in dumped(scene, "reelmill"):
            for word in ("@FILMS@", "@HERE@"):
                text = text.replace(word, str(tmp_path / "films"))
            connection.executescript(text.replace("@SITE@", "http://127.0.0.1:9"))
        published = connection.execute(
            "SELECT count(*) FROM task WHERE kind = 'publish' AND json_extract(data, '$.folder') <> ''"
        ).fetchone()[0]

    async def write() -> None:
        database = await open_database(state)
        writer = GalleryWriter(database, DiskSink(tmp_path / "out"), settings_for(tmp_path), SystemClock())
        made = await writer.write(whole=True, remember=False)
        assert made.videos == published
        await database.aclose()

    anyio.run(write)
    text = (tmp_path / "out" / "gallery" / "data" / "index.js").read_text(encoding="utf-8")
    index = json.loads(json.loads(f"[{text[9:-3]}]")[2])
    assert len(index["rows"]) == published > 0
    assert all(row["state"] != "done" or row["line"] for row in index["rows"])
    assert index["open"]
    assert all(item["why"]["message"] for item in index["open"])
    assert index["report"]["runs"]
    assert str(tmp_path) not in text
