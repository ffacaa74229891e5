"""The platform's records, each a frozen dataclass with a table of its own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar

from pipeline.core.model import Json

BEGINS = "video_start_seconds"  #: of the technical facts: where the clock inside the file starts; missing: at 0


@dataclass(frozen=True, slots=True)
class AssetRow:
    """An uploaded video; ``forced_outcome`` is what a fault rule decided.

    It is ``stuck`` or ``fail:<message>``.
    """

    id: str
    method: str  #: direct, url, multipart; inline for what came inside an analyze request
    status: str  #: processing, ready, failed
    filename: str
    file_type: str
    created: float
    hidden: bool = False  #: inline media: used, never listed
    size: int = 0
    duration: float = 0.0
    sha256: str = ""
    url: str = ""
    hls: bool = False
    thumbnail: bool = False
    error: str = ""
    forced_outcome: str = ""
    user_metadata: dict[str, Json] = field(default_factory=dict)
    technical: dict[str, Json] = field(default_factory=dict)

    def since_begin(self, at: float | None) -> float | None:
        """Return a time of the clock inside the file as seconds of the video."""
        return None if at is None else max(0.0, at - float(self.technical.get(BEGINS, 0.0)))


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A multipart upload: its bytes grow in one file."""

    id: str
    asset_id: str
    filename: str
    kind: str
    total_size: int
    chunk_size: int
    total_chunks: int
    created: float
    updated: float
    expires: float
    status: str = "active"  #: active, completed, expired; failed once its asset was deleted
    hls: bool = False
    thumbnail: bool = False
    forced_outcome: str = ""
    user_metadata: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """One stored piece of a session, counted from 1.

    ``reported`` once its proof was accepted.
    """

    id: str  #: ``<session>:<index>``
    session_id: str
    number: int
    etag: str
    size: int
    uploaded: float
    updated: float
    reported: bool = False


@dataclass(frozen=True, slots=True)
class JobRow:
    """An analysis: a task of its own, or an item of a batch."""

    id: str
    asset_id: str
    status: str  #: queued, processing, ready, failed, canceled
    created: float
    updated: float
    custom_id: str = ""
    batch_id: str = ""
    mode: str = "general"
    video_url: str = ""
    completed: float = 0.0
    minutes: float = 0.0
    forced_outcome: str = ""
    source: dict[str, Json] = field(default_factory=dict)
    request: dict[str, Json] = field(default_factory=dict)
    result: dict[str, Json] = field(default_factory=dict)
    error: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """The first request with an ``Idempotency-Key``."""

    id: str
    body: str  #: SHA-256 of the request
    job_id: str
    created: float


@dataclass(frozen=True, slots=True)
class BatchRow:
    """Up to a thousand analyses; ``status`` is stored once final."""

    id: str
    status: str  #: pending, processing, canceling, canceled, completed, expired
    created: float
    expires: float
    model: str
    mode: str
    total: int
    ended: float = 0.0


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A named index, with its models in v1.3's field names."""

    id: str
    name: str
    created: float
    updated: float
    models: list[Json] = field(default_factory=list)
    addons: list[Json] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class VideoRow:
    """A video in an index, or on its way there."""

    id: str
    index_id: str
    asset_id: str
    status: str  #: validating, pending, queued, indexing, ready, failed
    filename: str
    created: float
    updated: float
    title: str  #: what lists of videos show as the filename; v1.2 can change it
    task_id: str = ""  #: of v1.2; empty where an asset was indexed
    gone: bool = False  #: the video was deleted, its task is still there
    estimated: float = 0.0  #: epoch seconds at which it should be ready
    indexed: float = 0.0
    duration: float = 0.0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    size: int = 0
    forced_outcome: str = ""
    user_metadata: dict[str, Json] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)  #: kinds of words that nobody has looked for in it


@dataclass(frozen=True, slots=True)
class ResultPagesRow:
    """The whole answer of a search or classification, kept for pagination."""

    id: str
    kind: str  #: path it is read at: ``search`` or ``classify``
    created: float
    expires: float
    limit: int  #: entries of one page
    head: dict[str, Json] = field(default_factory=dict)  #: what stands beside the entries on every page
    info: dict[str, Json] = field(default_factory=dict)  #: what stands in ``page_info`` on every page
    data: list[Json] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class KnowledgeStoreRow:
    """Assets that are asked as a whole; names need not be unique."""

    id: str
    name: str
    created: float
    updated: float
    description: str = ""
    metadata: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnowledgeItemRow:
    """An asset in a knowledge store; the full-text index has its words."""

    id: str
    store_id: str
    asset_id: str
    status: str  #: queued, pending, processing, ready, failed
    created: float
    updated: float
    forced_outcome: str = ""
    metadata: dict[str, Json] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)  #: kinds of words that nobody has looked for in it


R = TypeVar(
    "R", AssetRow, SessionRow, ChunkRow, JobRow, ReplayRow, BatchRow, IndexRow, VideoRow, ResultPagesRow,
    KnowledgeStoreRow, KnowledgeItemRow,
)  # fmt: skip
_SQL_TYPES = {"str": "TEXT", "int": "INTEGER", "float": "REAL", "bool": "INTEGER"}
_OLD_COLUMNS = {"forced_outcome": "fate"}  # fields whose column keeps the name it had


class Table(Generic[R]):
    """Stores frozen records of one dataclass in one SQLite table, in order of arrival.

    All calls happen inside a transaction of :class:`pipeline.local.state.database.PlatformDatabase`.
    """

    def __init__(self, name: str, record: type[R], index: Sequence[str] = ()) -> None:
        self.name = name
        self._record: type[R] = record
        self._fields = [f.name for f in fields(record)]
        columns = [_OLD_COLUMNS.get(name, name) for name in self._fields]
        self._json = {f.name for f in fields(record) if str(f.type) not in _SQL_TYPES}
        self._flags = {f.name for f in fields(record) if str(f.type) == "bool"}
        kinds = [_SQL_TYPES.get(str(f.type), "TEXT") for f in fields(record)]
        parts = [
            f'"{c}" {kind} NOT NULL' + (" UNIQUE" if c == "id" else "") for c, kind in zip(columns, kinds, strict=True)
        ]
        self.ddl = [
            f"CREATE TABLE IF NOT EXISTS {name} (seq INTEGER PRIMARY KEY AUTOINCREMENT, {', '.join(parts)}) STRICT",
            *(f'CREATE INDEX IF NOT EXISTS {name}_{c} ON {name} ("{c}")' for c in index),
        ]
        self._names = ", ".join(f'"{c}"' for c in columns)
        self._sets = ", ".join(f'"{c}" = ?' for c in columns)

    def add(self, db: sqlite3.Connection, record: R) -> None:
        """Insert a new record."""
        marks = ", ".join("?" * len(self._fields))
        db.execute(f"INSERT INTO {self.name} ({self._names}) VALUES ({marks})", self._values(record))

    def put(self, db: sqlite3.Connection, record: R) -> None:
        """Replace the record of the same id, in its place."""
        db.execute(f"UPDATE {self.name} SET {self._sets} WHERE id = ?", [*self._values(record), record.id])

    def get(self, db: sqlite3.Connection, key: str) -> R | None:
        """Return the record, or None."""
        found = self.select(db, "id = ?", [key], limit=1)
        return found[0] if found else None

    def drop(self, db: sqlite3.Connection, where: str, values: Sequence[Json]) -> int:
        """Delete matching records; return how many."""
        return db.execute(f"DELETE FROM {self.name} WHERE {where}", values).rowcount

    def count(self, db: sqlite3.Connection, where: str = "1", values: Sequence[Json] = ()) -> int:
        """Count matching records."""
        (number,) = db.execute(f"SELECT count(*) FROM {self.name} WHERE {where}", values).fetchone()
        return int(number)

    def select(
        self,
        db: sqlite3.Connection,
        where: str = "1",
        values: Sequence[Json] = (),
        *,
        by: str = "seq",
        newest_first: bool = False,
        limit: int = -1,
        offset: int = 0,
    ) -> list[R]:
        """Return matching records in order of a column, by default of arrival."""
        order = "DESC" if newest_first else "ASC"
        rows = db.execute(
            f"SELECT {self._names} FROM {self.name} WHERE {where} ORDER BY {by} {order}, seq {order} LIMIT ? OFFSET ?",
            [*values, limit, offset],
        )
        return [self._record(**self._decoded(row)) for row in rows]

    def _values(self, record: R) -> list[Any]:
        raw = [(name, getattr(record, name)) for name in self._fields]
        return [json.dumps(value) if name in self._json else value for name, value in raw]

    def _decoded(self, row: Sequence[Any]) -> dict[str, Any]:
        found = dict(zip(self._fields, row, strict=True))
        for name in self._json:
            found[name] = json.loads(found[name])
        for name in self._flags:
            found[name] = bool(found[name])
        return found


ASSETS = Table("assets", AssetRow, index=("filename", "status", "created"))
SESSIONS = Table("sessions", SessionRow, index=("status", "created"))
CHUNKS = Table("chunks", ChunkRow, index=("session_id",))
JOBS = Table("jobs", JobRow, index=("asset_id", "status", "batch_id", "created"))
REPLAYS = Table("replays", ReplayRow)
BATCHES = Table("batches", BatchRow)
INDEXES = Table("indexes", IndexRow, index=("name",))
VIDEOS = Table("videos", VideoRow, index=("index_id", "asset_id", "task_id", "status", "filename"))
RESULT_PAGES = Table("sheets", ResultPagesRow, index=("expires",))
KNOWLEDGE_STORES = Table("knowledge_stores", KnowledgeStoreRow)
KNOWLEDGE_ITEMS = Table("knowledge_items", KnowledgeItemRow, index=("store_id", "asset_id", "status"))
TABLES = (
    ASSETS, SESSIONS, CHUNKS, JOBS, REPLAYS, BATCHES, INDEXES, VIDEOS, RESULT_PAGES, KNOWLEDGE_STORES, KNOWLEDGE_ITEMS,
)  # fmt: skip
