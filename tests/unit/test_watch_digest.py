"""The digest: when one is due (virtual time), and real apprise that sends it to a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from pipeline.app.watch.digest import NAME, Digest, make_digest
from pipeline.app.watch.ways import bare_report
from pipeline.core.clock import iso
from pipeline.core.errors import Ambiguous
from pipeline.core.model import RunNote, Trouble
from pipeline.views import NamedItems, RunReport
from pipeline.watch.digest import notify
from tests.support.clock import EPOCH, run_virtual
from tests.support.fakes import clips, items
from tests.support.listener import Listener
from tests.support.memory_database import MemoryDatabase
from tests.support.run_harness import settings_for
from tests.support.scripted_run import Life, priced

SECRET = "f00dfeed-1234-4000"
NOON = EPOCH // 86_400 * 86_400 + 43_200.0
HOUR = 3600.0


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Somebody on loopback."""
    with Listener() as server:
        yield server


def report_at(folder: Path, now: float, code: int = 0, note: str = "") -> RunReport:
    """Return the report of a run that ended now, with one new video for two dollars."""
    bare = bare_report(settings_for(folder), "x", code, note, now)
    return replace(bare, items={"done": 1, "held": 0}, this_run={"new": NamedItems(1, ("a.mp4",))}, usd=2.0)


async def night(folder: Path, database: MemoryDatabase, now: float, code: int = 0, stopped: str = "") -> Digest | None:
    """Let a run end; return its digest, remembered as a run does it."""
    summary = {"usd": 2.0, "published": 1}
    if stopped:
        summary |= {"stopped": Trouble(stopped, "It stopped.").as_json()}
    await database.note_run(RunNote(f"run-{now}", now - 60, now, code, summary))
    made = await make_digest(report_at(folder, now, code), database, "daily", now)
    if made is not None:
        await database.save(NAME, made.memory)
    return made


def test_one_a_day_covers_the_runs_since_the_last(tmp_path: Path) -> None:
    """The first run that ends on a day sends it: its own story first, then how much was done since."""

    async def scene() -> Sequence[Digest | None]:
        database = MemoryDatabase()
        times = (NOON, NOON + HOUR, NOON + 2 * HOUR, NOON + 13 * HOUR, NOON + 14 * HOUR)
        return [await night(tmp_path, database, now) for now in times]

    first, *quiet, next_day, last = run_virtual(scene())
    assert first is not None
    assert next_day is not None
    assert [*quiet, last] == [None, None, None]
    assert first.title == "reelmill: all done: 1 new · $2.00"
    assert first.body.splitlines()[0] == f"all done: 1 new · $2.00 · {(tmp_path / 'out').as_uri()}"
    assert "since" not in first.body
    assert next_day.body.splitlines()[-1] == f"since {iso(NOON)}: 3 runs, 3 videos written, $6.00"


def test_what_needs_a_person_is_told_at_once_and_once_a_day(tmp_path: Path) -> None:
    """Each cause by itself: the same one waits for another day, another one does not."""

    async def scene() -> list[bool]:
        database, told = MemoryDatabase(), []
        for hours, code, stopped in (
            (0, 0, ""), (1, 4, "key"), (2, 4, "key"), (3, 4, "credit"), (4, 5, "budget"), (5, 3, ""), (6, 4, "credit"),
            (13, 4, "credit"), (14, 4, "credit"), (15, 130, ""),
        ):  # fmt: skip
            told.append(await night(tmp_path, database, NOON + hours * HOUR, code, stopped) is not None)
        return told

    assert run_virtual(scene()) == [True, True, False, True, True, False, False, True, False, False]


def test_after_each_run_or_never(tmp_path: Path) -> None:
    """The operator's choice; what needs a person is told in any case, and what was refused by its sentence."""

    async def scene() -> list[bool]:
        database = MemoryDatabase()
        good, broken = report_at(tmp_path, NOON), bare_report(settings_for(tmp_path), "x", 2, "no list", NOON)
        found = [await make_digest(good, database, "run", NOON), await make_digest(good, database, "never", NOON)]
        for report in (broken, broken, replace(broken, note="no folder")):
            made = await make_digest(report, database, "never", NOON)
            found.append(made)
            if made is not None:
                await database.save(NAME, made.memory)
        return [each is not None for each in found]

    assert run_virtual(scene()) == [True, False, True, False, True]


def test_held_items_are_told_at_once(tmp_path: Path) -> None:
    """By the reason that holds them, once a day, and only where a list of the run names them."""
    life = Life.at(tmp_path, **priced(policy={"on_ambiguous_create": "hold"}))
    life.api.can_be_asked, life.api.ask_trouble = False, lambda _: Ambiguous("lost", code="no_answer")

    async def scene() -> list[Digest | None]:
        report = await life.run(items(clips(tmp_path, 1)))
        assert (report.exit_code, report.items["held"]) == (3, 1)
        now = life.clock.now()
        unlisted = await make_digest(replace(report, troubles=()), life.database, "never", now)
        first = await make_digest(report, life.database, "never", now)
        assert first is not None
        await life.database.save(NAME, first.memory)
        return [unlisted, await make_digest(report, life.database, "never", now + 60), first]

    unlisted, again, first = run_virtual(scene())
    assert (unlisted, again) == (None, None)
    assert first is not None
    assert "- clip-0.mp4: " in first.body


def test_real_apprise_tells_each_address(listener: Listener) -> None:
    """All at once; one that refuses, one that is none and one that is slow keep the message from nobody."""
    there = listener.address.replace("http://", "json://")
    listener.then = 200
    addresses = [f"{there}/{SECRET}/good", f"nonsense://{SECRET}"]
    said = anyio.run(notify, addresses, "reelmill: all done", "the whole story", 60.0)
    assert said == ["", "apprise does not know this address, or it is not complete"]
    (got,) = listener.told
    assert got.path.endswith(f"/{SECRET}/good")
    body = json.loads(got.body)
    assert (body["title"], body["message"]) == ("reelmill: all done", "the whole story")


def test_why_an_address_did_not_take_it_names_no_part_of_it(listener: Listener) -> None:
    """The library's words, without what opens the address."""
    listener.then = 500
    host = listener.address.removeprefix("http://")
    (why,) = anyio.run(notify, [f"json://user:pass-{SECRET}@{host}/{SECRET}"], "t", "b", 60.0)
    assert "500" in why
    for part in ("user", SECRET, host):
        assert part not in why


def test_an_address_that_never_answers_costs_the_time_limit(listener: Listener) -> None:
    """The others are told, and it is said which one was not."""
    listener.answers.append("never")
    host = listener.address.removeprefix("http://")
    (why,) = anyio.run(notify, [f"json://{host}/{SECRET}"], "t", "b", 3.0)
    assert why == "it did not end within 3 s and was killed"


def test_without_apprise_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra that is not installed costs the digest and nothing else."""
    (tmp_path / "apprise.py").write_text("raise ImportError", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said = anyio.run(notify, ["json://127.0.0.1/x"], "t", "b", 60.0)
    assert said == ["apprise is not installed: pip install 'reelmill[notify]'"]
