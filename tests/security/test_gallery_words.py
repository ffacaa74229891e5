"""What foreign texts may say on the page: anything but a secret or a folder of this machine."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.app.gallery.safe_words import SafeWords, shell_line
from pipeline.app.gallery.write import GalleryWriter
from pipeline.core.clock import SystemClock
from pipeline.core.model import Lane, NewTask, Placed, RunNote, State, Trouble
from pipeline.gallery.values import SourceKind
from pipeline.ingest.payloads import ItemData, LineData
from pipeline.sink.disk import DiskSink
from pipeline.store.sqlite.database import open_database
from pipeline.store.sqlite.packing import pack, unpack
from tests.support.gallery_library import Library

KEY = "tlk_planted-key-7f3a9c51"
SIGNED = "https://bucket.example/films/a.mp4?X-Amz-Signature=5eCrEt00&X-Amz-Credential=AKIA5eCrEt00"
HOSTILE = "</script><script>alert(1)</script>"
COOKIE = "/run/5eCrEt00/youtube-cookies.txt"
ANSWER = "subject, job, fingerprint, body, meta, created, packed"


def words(folder: Path, **more: Any) -> SafeWords:
    """Return the words of a page in ``folder/out``."""
    return SafeWords(folder / "out", secrets=[KEY], **more)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/srv/films/a.mp4: cannot be read", "a.mp4: cannot be read"),
        ("see /srv/films/a b.mp4", "see a b.mp4"),
        (r"C:\Users\anna\films\a.mp4 is gone", "a.mp4 is gone"),
        ("file:///srv/films/a.mp4", "a.mp4"),
        ("~anna/films/a.mp4", "a.mp4"),
        ("(/etc/ssl/private/key.pem)", "(key.pem)"),
        ("and/or, 24/7, 1/2/2026, a/b/c", "and/or, 24/7, 1/2/2026, a/b/c"),
        ("https://example.org/a/b/c.mp4", "https://example.org/a/b/c.mp4"),
        (SIGNED, "https://bucket.example/films/a.mp4?***"),
        ("s3://bucket/a?X-Amz-Signature=1", "s3://bucket/a?***"),
        ("from https://youtu.be/DXB4MApF4Lo?t=5", "from https://youtu.be/DXB4MApF4Lo?t=5"),
        ("https://anna:5eCrEt00@example.org/a", "https://example.org/a"),
        (f"the key is {KEY}", "the key is ***"),
        ("a\nb\x1b[31m", "a b"),
    ],
)
def test_a_line_names_no_folder_and_no_secret(tmp_path: Path, text: str, shown: str) -> None:
    """Paths keep their last name, addresses lose what opens them; ordinary words with strokes stay."""
    assert words(tmp_path).line(text) == shown


def test_known_folders_are_hidden_whatever_they_are_called(tmp_path: Path) -> None:
    """A folder with blanks in its name is hidden as well, where it is known: the source's own, the state's."""
    state = tmp_path / "my state folder"
    line = words(tmp_path, folders=[state]).line
    assert line(f"{state}/reelmill.db is locked") == "reelmill.db is locked"
    assert line("/srv/My films/a b.mp4 is gone", near="/srv/My films/a b.mp4") == "a b.mp4 is gone"
    assert line(f"{tmp_path}/films/x y.mp4 is gone") == "films/x y.mp4 is gone"


def item(locator: str, kind: str = "file", **line: Any) -> ItemData:
    """Return a manifest line."""
    return ItemData(source=locator, locator=locator, type=kind, line=LineData(**line))


def test_a_film_is_played_from_where_it_may_be_named(tmp_path: Path) -> None:
    """Relative beside the page, a file address only where allowed, none for half a character; quoted for a browser."""
    safe, free = words(tmp_path), words(tmp_path, absolute=True)
    beside = item(f"{tmp_path}/films/50 % #1 ?ü.mp4")
    assert safe.media(beside) == "../films/50%20%25%20%231%20%3F%C3%BC.mp4"
    assert safe.media(item(f"{tmp_path}/out/a:b.mp4")) == "a%3Ab.mp4"
    outside = item("/srv/films/a b.mp4")
    assert (safe.media(outside), free.media(outside)) == ("", "file:///srv/films/a%20b.mp4")
    assert safe.media(item(f"{tmp_path}/films/\udcff.mp4")) == ""
    assert safe.media(item(f"{tmp_path}/../escape.mp4")) == ""
    assert free.media(item("https://example.org/a.mp4", "url")) == ""


@pytest.mark.parametrize(
    ("locator", "kind", "url", "label", "name"),
    [
        (
            "https://www.youtube.com/watch?v=DXB4MApF4Lo", "youtube", "https://www.youtube.com/watch?v=DXB4MApF4Lo",
            "https://www.youtube.com/watch?v=DXB4MApF4Lo", "https://www.youtube.com/watch?v=DXB4MApF4Lo",
        ),
        (SIGNED, "url", "https://bucket.example/films/a.mp4", "https://bucket.example/films/a.mp4", ""),
        ("http://example.org/a.mp4", "url", "", "http://example.org/a.mp4", "http://example.org/a.mp4"),
        ("https://anna:pw@example.org/a.mp4", "url", "", "https://example.org/a.mp4", ""),
        ("javascript:alert(1)", "url", "", "javascript:alert(1)", "javascript:alert(1)"),
        ("/srv/films/a.mp4", "file", "", "a.mp4", ""),
    ],
)  # fmt: skip
def test_a_source_is_named_without_what_opens_it(
    tmp_path: Path, locator: str, kind: SourceKind, url: str, label: str, name: str
) -> None:
    """Only https leads anywhere; no query of a media address, no credentials, no folder outside."""
    safe, given = words(tmp_path), item(locator, kind)
    assert (safe.url(given), safe.label(given), safe.name(given)) == (url, label, name)


def test_a_command_is_one_whatever_it_names() -> None:
    """Quoted for a shell; what begins with a dash is no option."""
    assert shell_line("reelmill", "run", "a b'; rm -rf ~.mp4") == "reelmill run 'a b'\"'\"'; rm -rf ~.mp4'"
    assert shell_line("reelmill", "run", "--help.mp4") == "reelmill run -- --help.mp4"


def test_nothing_secret_is_on_the_page(tmp_path: Path) -> None:
    """Planted in every foreign field of the database: none of it is in any file of the page, and the page is whole."""
    library = Library(tmp_path / "5eCrEt00", 3, captions=1.0)
    anyio.run(library.make)
    anyio.run(partial(_plant, library))
    settings = library.settings().model_copy(update={"api_key": None})

    async def write() -> None:
        database = await open_database(library.state / "reelmill.db")
        writer = GalleryWriter(database, DiskSink(library.output), settings, SystemClock())
        made = await writer.write(whole=True, remember=False)
        assert made.videos == 3
        await database.aclose()

    anyio.run(write)
    written = {path: path.read_text(encoding="utf-8") for path in library.output.rglob("*") if path.is_file()}
    assert len(written) > 5
    assert [str(path) for path, text in written.items() if "5eCrEt00" in text] == []
    index = json.loads(json.loads(f"[{(library.output / 'gallery/data/index.js').read_text()[9:-3]}]")[2])
    assert any(item["why"]["code"] == "planted" for item in index["open"])


async def _plant(library: Library) -> None:
    """Put secrets into every foreign field there is."""
    secret = f"{library.folder}/films/x.mp4 {COOKIE} {SIGNED} {HOSTILE}"
    database = await open_database(library.state / "reelmill.db")
    data = {
        "source": SIGNED, "locator": SIGNED, "type": "url", "place": "list.csv:1",
        "line": {"id": secret, "title": secret, "tags": [secret], "metadata": {secret: secret}, "jobs": [], "prompt": secret},
    }  # fmt: skip
    await database.submit([Placed(NewTask("item", "url:planted", "resolve", data), Lane.FETCH, 0)], 1.0)
    await database.note_run(
        RunNote("planted", 1.9e9, 1.9e9 + 5, 4, {"note": secret, "stopped": _trouble(secret).as_json()})
    )
    await database.aclose()
    import aiosqlite

    async with aiosqlite.connect(library.state / "reelmill.db") as db:
        trouble = json.dumps(_trouble(secret).as_json())
        await db.execute(
            "UPDATE task SET state = ?, wake_at = NULL, trouble = ? WHERE key = 'url:planted'",
            (State.FAILED.value, trouble),
        )
        await db.execute(
            "UPDATE task SET data = json_set(data, '$.title', ?, '$.sources', json(?)) WHERE kind = 'publish'",
            (secret, json.dumps([{"source": SIGNED, "title": secret}])),
        )
        await db.execute(
            "UPDATE task SET data = json_set(data, '$.line.title', ?, '$.line.metadata', json(?), '$.line.tags', json(?))"
            " WHERE kind = 'item'",
            (secret, json.dumps({secret: secret}), json.dumps([secret])),
        )
        for row in await db.execute_fetchall(f"SELECT {ANSWER}, id FROM result"):
            *answer, number = row
            subject, job, fingerprint, body, meta, created = unpack(tuple(answer))
            meta = json.dumps({**json.loads(meta), "notes": [secret], "model": secret})
            planted = pack((subject, job, fingerprint, body, meta, created))
            await db.execute(f"REPLACE INTO result ({ANSWER}, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*planted, number))
        await db.execute("UPDATE task SET state = 'failed', trouble = ? WHERE kind = 'analysis'", (trouble,))
        await db.commit()


def _trouble(secret: str) -> Trouble:
    return Trouble("planted", secret, secret, secret)
