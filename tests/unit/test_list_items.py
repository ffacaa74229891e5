"""``list``: what it leaves out, how it pages, and that its data is safe and complete."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.core.model import ItemRow, Spend, State
from pipeline.ingest.payloads import ItemData, LineData, SkippedData
from pipeline.store.sqlite.database import open_database
from tests.conformance.store_kit import bring
from tests.support.cli import Ended, command

BEES = LineData(title="Honey Bees", id="b-1", tags=("nature", "Insects"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with a database of five items."""
    here = tmp_path_factory.mktemp("list")
    (here / ".reelmill").mkdir()

    async def fill() -> None:
        database = await open_database(here / ".reelmill" / "reelmill.db")

        async def item(
            state: State, path: str, place: str = "list.csv:2", subject: str = "", *, due: float = 0.0, **more: Any
        ) -> None:
            kind = "file" if path.startswith("/") else "url"
            data = ItemData(source=path, place=place, type=kind, locator=path, **more)
            await bring(database, state, f"{kind}:{path}", kind="item", subject=subject, data=data.to_json(), due=due)

        await item(State.DONE, "/films/bees/a.mp4", subject="v", line=BEES)
        written = {"folder": "honey-bees--v", "title": "Honey Bees", "seconds": 75.0}
        await bring(database, State.DONE, "v", kind="publish", subject="v", data=written)
        await database.enter(Spend("k", "analyze", 0.125, subject="v"))
        await item(State.FAILED, "/films/=cmd()\x1b[31m.mp4", line=LineData(title="=HYPERLINK(1)", tags=("@x",)))
        await item(State.PENDING, "https://example.org/talk.mp4?token=secret-1", "argument 1", due=1e12)
        await item(State.DONE, "/other/skipped.mp4", skipped=SkippedData(code="x", message="short"))
        await item(State.CANCELLED, "/films-2/z.mp4", "other.txt:1")
        await database.aclose()

    anyio.run(fill)
    return here


def titles(folder: Path, *words: str) -> list[str]:
    """Return the titles of a list."""
    ended = command(folder, "list", "--json", *words)
    assert ended.code == 0, ended.err
    return [item["title"] for item in ended.json["items"]]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), ["z.mp4", "skipped.mp4", "talk.mp4", "=HYPERLINK(1)", "Honey Bees"]),
        (("--is", "done"), ["Honey Bees"]),
        (("--is", "skipped", "--is", "cancelled"), ["z.mp4", "skipped.mp4"]),
        (("--is", "unfinished"), ["talk.mp4"]),
        (("--is", "failed"), ["=HYPERLINK(1)"]),
        (("--is", "held"), []),
        (("--tag", "insects"), ["Honey Bees"]),
        (("--tag", "insects", "--tag", "@X"), ["=HYPERLINK(1)", "Honey Bees"]),
        (("--tag", "insect"), []),
        (("honey bees",), ["Honey Bees"]),
        (("HONEY-BEES--v",), ["Honey Bees"]),
        (("b-1",), ["Honey Bees"]),
        (("nothing of that",), []),
        (("--source", "url"), ["talk.mp4"]),
        (("--source", "https://example.org/"), ["talk.mp4"]),
        (("--source", "list.csv"), ["skipped.mp4", "=HYPERLINK(1)", "Honey Bees"]),
        (("--source", "list.csv:2", "--is", "done"), ["Honey Bees"]),
        (("--source", "/films"), ["=HYPERLINK(1)", "Honey Bees"]),
        (("--source", "/films/../films/bees/"), ["Honey Bees"]),
        (("--source", "youtube"), []),
    ],
)
def test_filters(folder: Path, words: tuple[str, ...], found: list[str]) -> None:
    """Each narrows, several together narrow more; case does not count, folders are folders."""
    assert titles(folder, *words) == found


def test_the_order_by_title_is_that_of_letters(folder: Path) -> None:
    """Titles first, then whole paths of what has none."""
    got = titles(folder, "--order", "title")
    assert got.index("=HYPERLINK(1)") < got.index("Honey Bees")
    assert set(got) == set(titles(folder))


def test_pages_join_without_a_gap(folder: Path) -> None:
    """Two rows a page give all rows in order, and only the last page says that there are no more."""
    pages = [command(folder, "list", "--json", "-n", "2", "--page", str(page)).json for page in (1, 2, 3, 4)]
    assert [item["title"] for page in pages for item in page["items"]] == titles(folder)
    assert [page["more"] for page in pages] == [True, True, False, False]
    assert command(folder, "list", "--json", "-n", "5").json["more"] is False


def test_the_data_is_complete_and_safe(folder: Path) -> None:
    """CSV and JSON have the same columns; no cell is a formula, no key of an address is told, no escape reaches a terminal."""
    table = command(folder, "list", "--csv").out
    rows = list(csv.DictReader(io.StringIO(table)))
    columns = list(ItemRow.__dataclass_fields__)
    assert list(rows[0]) == columns
    assert [list(item) for item in command(folder, "list", "--json").json["items"]] == [columns] * 5
    bad, bees = rows[3], rows[4]
    assert (bad["title"], bad["tags"]) == ("'=HYPERLINK(1)", "'@x")
    assert (bees["seconds"], bees["usd"], bees["folder"], bees["tags"]) == (
        "75.0",
        "0.125",
        "honey-bees--v",
        "nature, Insects",
    )
    assert "secret-1" not in table + command(folder, "list").out
    assert "\x1b" not in table + command(folder, "list").out + command(folder, "list", "--json").out


def test_a_table_keeps_what_matters(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """State, length, cost and name at 80 columns; how to go on below."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = command(folder, "list", "-n", "4", "--page", "1").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split()[:4] == ["state", "length", "cost", "title"]
    assert lines[-1] == "1 to 4; there are more: --page 2, or --csv"
    last = command(folder, "list", "-n", "4", "--page", "2").out
    assert all(word in last for word in ("done", "1:15", "$0.12", "Honey Bees", "5 to 5, the last"))
    assert command(folder, "list", "--is", "held").out == "no item fits; `reelmill list` alone shows all\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--csv", "--json"), "--csv and --json exclude each other"),
        (("--json", "--page", "2"), "--page needs --limit here"),
        (("-n", "20000"), "a table has at most 10,000 rows"),
        (("--is", "fialed"), "fialed"),
    ],
)
def test_what_cannot_be_meant_is_refused(folder: Path, words: tuple[str, ...], said: str) -> None:
    """One sentence, exit code 2, nothing on stdout."""
    ended = command(folder, "list", *words)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


def test_nothing_has_been_run(tmp_path: Path) -> None:
    """The same words as ``status``, and no half of a JSON value."""
    ended: Ended = command(tmp_path, "list", "--json")
    assert (ended.code, ended.out) == (2, "")
    assert "nothing has been run here yet" in ended.err
