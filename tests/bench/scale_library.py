"""A library of any size, made from the rows and files of one real video.

One video goes through a real run; its rows are repeated with other names, hashes and ids, many thousand a second. So the
library has what a run writes today, without a second description of it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from pipeline.sink.layout import key8
from pipeline.store.sqlite.packing import pack, unpack
from tests.bench.child import Meter, TinySource, settings_for, spawn

_FIRST = "0000000"  #: the number of the video that is real, wherever it stands
_PER_FOLDER = 1000  #: files; also few enough for a file's number of links
_BATCH = 2000
_TABLES = {
    "task": "kind, key, stage, state, lane, rank, wake_at, subject, attempt, claims, stage_since, created, updated, data,"
    " trouble",
    "result": "subject, job, fingerprint, body, meta, created, packed",
    "spend": "key, what, usd, minutes, subject, doubtful, at, estimate, jobs, run",
}
_TROUBLE = (
    '{"code":"unreadable_video","message":"The file cannot be read as a video.","remedy":"copy it again","detail":""}'
)


def cloud_settings(folder: Path, url: str) -> Any:
    """Return settings as ``reelmill.toml`` below gives them: the vendor's platform, so that captions do not matter."""
    from pydantic import SecretStr

    from pipeline.config.settings import BucketSection, LimitsSection

    free = BucketSection()  # ten requests a minute would be all that a night is measured by
    limits = LimitsSection(assets=free, analyze=free, index=free, read=free)
    settings = settings_for(folder, url, ["gist"])
    provider = settings.provider.model_copy(update={"kind": "twelvelabs", "poll_spacing": 0.2})
    gallery = settings.gallery.model_copy(update={"enabled": False})  # it has a benchmark of its own
    return settings.model_copy(
        update={"provider": provider, "api_key": SecretStr("k"), "gallery": gallery, "limits": limits}
    )


def write_configuration(folder: Path, url: str) -> None:
    """Let commands in this folder find what :func:`cloud_settings` says."""
    (folder / "reelmill.toml").write_text(
        f'[run]\nstate = "state"\noutput = "out"\n[provider]\nkind = "twelvelabs"\nbase_url = "{url}"\n'
        '[jobs]\nenabled = ["gist"]\n[gallery]\nenabled = false\n',
        encoding="utf-8",
    )


def film(folder: Path, number: int) -> Path:
    """Return where a video's file is or would be."""
    return folder / "films" / f"{number // _PER_FOLDER:05}" / f"Lecture {number:07}.mp4"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a library is."""

    videos: int  #: finished, four tasks each
    failed: int  #: items that could not be read
    files: int  #: videos, from the first, whose files and results lie on the disk as well


def make(folder: Path, url: str, sizes: Sizes) -> Path:
    """Make the library; return a manifest of the videos whose files are there."""
    first, manifest = film(folder, 0), folder / "films.txt"
    first.parent.mkdir(parents=True)
    first.write_bytes(b"%064d" % 0)
    manifest.write_text(f"{first}\n", encoding="utf-8")
    made = spawn("night", {"folder": str(folder), "url": url, "manifest": str(manifest)})
    assert made["published"] == 1, made
    with sqlite3.connect(folder / "state" / "reelmill.db", isolation_level=None) as db:
        for pragma in ("journal_mode = WAL", "synchronous = OFF", "cache_size = -200000"):
            db.execute(f"PRAGMA {pragma}")
        _Pattern(db, first).repeat(sizes)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return _files(folder, sizes.files)


async def night(told: Mapping[str, Any]) -> dict[str, Any]:
    """Run over a manifest, or over one film, with everything real but the look into a file."""
    from pipeline.app.runs.session import RunSession
    from pipeline.app.wiring.components import Adapters, read_entries
    from pipeline.app.wiring.platform import open_platform
    from pipeline.app.wiring.run_plan import make_run_plan
    from pipeline.app.wiring.state_folder import lock_state_folder, open_for_writing
    from pipeline.core import log
    from pipeline.core.clock import SystemClock
    from pipeline.sink.disk import DiskSink

    log.setup("warning", "json", [])
    folder = Path(told["folder"])
    plan, clock, rng = make_run_plan(cloud_settings(folder, told["url"])), SystemClock(), Random(1)
    sink = DiskSink(plan.settings.run.output)
    adapters = Adapters({"file": TinySource()}, sink, lambda facts, most: None, lambda paths: "")
    meter = Meter.start()
    with lock_state_folder(plan.settings.run.state):
        async with (
            open_for_writing(plan.settings.run.state) as database,
            open_platform(plan, database, clock, rng) as api,
        ):
            session = RunSession(plan, database, api, clock, rng, adapters)
            report = await session.run(read_entries(plan.settings, [told["manifest"]], plan.planner))
    return {**meter.read(1), "published": report.published, "items": dict(report.items)}


class _Pattern:
    """The rows of the real video, to be repeated."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = str(path)
        self._rows = {
            table: db.execute(f"SELECT {columns} FROM {table} ORDER BY id").fetchall()
            for table, columns in _TABLES.items()
        }
        self._rows["result"] = [unpack(row) for row in self._rows["result"]]
        self._hash = sha256(b"%064d" % 0).hexdigest()
        (folder,) = db.execute("SELECT data ->> 'folder' FROM task WHERE kind = 'publish'").fetchone()
        self._folder = str(folder)
        (self._answer,) = db.execute("SELECT data ->> 'answer' FROM task WHERE kind = 'analysis'").fetchone()
        found = db.execute("SELECT data ->> 'media_id', data ->> 'task_id', data ->> 'name' FROM task").fetchall()
        self._ids = sorted({str(each) for row in found for each in row if each}, key=len, reverse=True)

    def repeat(self, sizes: Sizes) -> None:
        """Add the other videos, then what failed."""
        for start in range(1, sizes.videos, _BATCH):
            numbers = range(start, min(start + _BATCH, sizes.videos))
            found = {table: self._like(rows, numbers) for table, rows in self._rows.items()}
            self._add({**found, "result": map(pack, found["result"])})
        for start in range(0, sizes.failed, _BATCH):
            numbers = range(sizes.videos + start, sizes.videos + min(start + _BATCH, sizes.failed))
            self._add({"task": self._failed(numbers)})

    def _add(self, rows: Mapping[str, Iterator[Sequence[Any]]]) -> None:
        self._db.execute("BEGIN")
        for table, these in rows.items():
            marks = ", ".join("?" * len(_TABLES[table].split(",")))
            self._db.executemany(f"INSERT INTO {table} ({_TABLES[table]}) VALUES ({marks})", these)
        self._db.execute("COMMIT")

    def _like(self, rows: Sequence[tuple[Any, ...]], numbers: range) -> Iterator[tuple[Any, ...]]:
        for number in numbers:
            names = self._names(number)
            for row in rows:
                yield tuple(_replaced(value, names) if isinstance(value, str) else value for value in row)

    def _failed(self, numbers: range) -> Iterator[tuple[Any, ...]]:
        (item,) = (row for row in self._rows["task"] if row[0] == "item")
        for number in numbers:
            kind, key, rank = item[0], item[1], item[5]
            names = self._names(number)
            data = _replaced(item[13], names)
            yield (
                kind, _replaced(key, names), "resolve", "failed", "fetch", rank, None, "", 1, 0, *item[10:13], data, _TROUBLE,
            )  # fmt: skip

    def _names(self, number: int) -> list[tuple[str, str]]:
        """Return what stands for what: the longest first, so that none is part of another."""
        mark = sha256(b"%064d" % number).hexdigest()
        path = film(Path(self._path).parents[2], number)
        return [
            (self._path, str(path)), (self._hash, mark), (self._folder, folder_name(number)),
            (self._answer, answer_name(number)),
            *((each, f"{each}-{number}") for each in self._ids), (_FIRST, f"{number:07}"),
        ]  # fmt: skip


def folder_name(number: int) -> str:
    """Return where the results of a repeated video are."""
    return (
        f"lecture-{number:07}--{key8(f'sha256:{number}')}"  # a name as the sink makes it, or it would not be looked at
    )


def answer_name(number: int) -> str:
    """Return the name of a repeated answer of the platform."""
    return f"rm-{sha256(b'%d' % number).hexdigest()[:24]}-0"


def _replaced(text: str, names: Sequence[tuple[str, str]]) -> str:
    for old, new in names:
        text = text.replace(old, new)
    return text


def _files(folder: Path, number: int) -> Path:
    """Make the files of the first videos, and their results; return a manifest of them."""
    manifest = folder / "films.txt"
    (results,) = (each for each in (folder / "out").iterdir() if each.is_dir() and each.name != "gallery")
    (raw,) = (results / "raw").iterdir()
    plain = [each for each in results.iterdir() if each.is_file()]
    source = film(folder, 0)
    with manifest.open("w", encoding="utf-8") as lines:
        lines.write(f"{source}\n")
        for each in range(1, number):
            path, home = film(folder, each), folder / "out" / folder_name(each)
            (home / "raw").mkdir(parents=True)
            path.parent.mkdir(exist_ok=True)
            put: Any = os.link if each % _PER_FOLDER else shutil.copy2  # a file has not any number of links
            put(source, path)
            for file in plain:
                put(file, home / file.name)
            put(raw, home / "raw" / f"{answer_name(each)}.json")
            if each % _PER_FOLDER == 0:
                source, raw = path, home / "raw" / f"{answer_name(each)}.json"
                plain = [home / file.name for file in plain]
            lines.write(f"{path}\n")
    return manifest
