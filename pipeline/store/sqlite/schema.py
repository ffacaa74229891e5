"""The database's schema as ordered migrations; never edit a released one."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from pipeline.core.errors import StoreError
from pipeline.core.log import get
from pipeline.store.migration import Migration
from pipeline.store.sqlite.connection import Connection

#: SQLite's own field for "whose file is this": the letters ``REEL``.
APPLICATION_ID = 0x5245454C
#: STRICT tables; RETURNING and UPDATE … FROM are older.
OLDEST_SQLITE = (3, 37, 0)
_LARGE = 50_000_000  #: bytes of a file that is not brought up to date in a moment
_log = get("store")


_TASK = """
CREATE TABLE task (
    id           INTEGER PRIMARY KEY,        -- grows with first submission
    kind         TEXT NOT NULL,
    key          TEXT NOT NULL,
    stage        TEXT NOT NULL,
    state        TEXT NOT NULL,
    lane         TEXT NOT NULL,
    rank         INTEGER NOT NULL,
    wake_at      REAL,                       -- due while pending, lease expiry while running, NULL once terminal
    subject      TEXT NOT NULL DEFAULT '',
    attempt      INTEGER NOT NULL DEFAULT 0,
    claims       INTEGER NOT NULL DEFAULT 0,
    stage_since  REAL NOT NULL,
    created      REAL NOT NULL,
    updated      REAL NOT NULL,
    owner        TEXT,                       -- who holds the lease, while running
    token        INTEGER NOT NULL DEFAULT 0, -- grows with each claim and never falls: the fence
    data         TEXT NOT NULL,              -- JSON object
    trouble      TEXT,                       -- JSON object: the last error
    trouble_code TEXT GENERATED ALWAYS AS (json_extract(trouble, '$.code')) VIRTUAL,
    rearm_stage  TEXT,                       -- a re-arm wished for while running, granted when it ends as done
    rearm_lane   TEXT,
    rearm_rank   INTEGER,
    rearm_due    REAL,
    CHECK ((wake_at IS NOT NULL) = (state IN ('pending', 'running'))),
    CHECK ((owner IS NOT NULL) = (state = 'running'))
) STRICT
"""

_RESULT = """
CREATE TABLE result (
    id          INTEGER PRIMARY KEY,
    subject     TEXT NOT NULL,
    job         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    body        TEXT NOT NULL,
    meta        TEXT NOT NULL,
    created     REAL NOT NULL
) STRICT
"""

_SPEND = """
CREATE TABLE spend (
    id       INTEGER PRIMARY KEY,
    key      TEXT NOT NULL UNIQUE,
    what     TEXT NOT NULL,
    usd      REAL NOT NULL,
    minutes  REAL NOT NULL,
    subject  TEXT NOT NULL,
    doubtful INTEGER NOT NULL,
    at       REAL NOT NULL
) STRICT
"""

m001 = Migration(
    "tasks, results, ledger, parked scopes, runs, notes",
    (
        f"PRAGMA application_id = {APPLICATION_ID}",
        _TASK,
        # Identity; key first, because an operator names keys without kinds.
        "CREATE UNIQUE INDEX task_identity ON task (key, kind)",
        # claim, next_due, counts by lane
        "CREATE INDEX task_due ON task (lane, rank, wake_at, id) WHERE state = 'pending'",
        # expired, counts by lane
        "CREATE INDEX task_lease ON task (wake_at, lane) WHERE state = 'running'",
        # counts; selection by state and kind, page by page
        "CREATE INDEX task_state ON task (state, kind)",
        # counts by class; retry --class
        "CREATE INDEX task_trouble ON task (trouble_code, state) WHERE trouble_code IS NOT NULL",
        # tally in one pass; selection by subject
        "CREATE INDEX task_subject ON task (subject, kind, state)",
        _RESULT,
        "CREATE UNIQUE INDEX result_identity ON result (subject, job, fingerprint)",
        _SPEND,
        "CREATE INDEX spend_subject ON spend (subject)",
        "CREATE INDEX spend_at ON spend (at, usd, minutes, doubtful)",
        "CREATE TABLE parked (scope TEXT PRIMARY KEY, until REAL NOT NULL, trouble TEXT NOT NULL) STRICT",
        "CREATE TABLE run (id TEXT PRIMARY KEY, started REAL NOT NULL, ended REAL, exit_code INTEGER,"
        " summary TEXT NOT NULL) STRICT",
        "CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    ),
)
m002 = Migration(
    "what was expected of a paid call, which jobs it answers, which run booked it",
    (
        "ALTER TABLE spend ADD COLUMN estimate REAL NOT NULL DEFAULT 0.0",
        "ALTER TABLE spend ADD COLUMN jobs TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE spend ADD COLUMN run TEXT NOT NULL DEFAULT ''",
        "UPDATE spend SET estimate = usd",  # until now nothing else was booked
    ),
)
#: What people call the things of a task, one a line: key, source, place, id, titles, tags, folder, ids at the platform. A key
#: that is a hash, or says what the source says, is left out.
_PLACES = (
    "place", "line.id", "line.title", "line.tags", "about.title", "title", "folder", "media_id", "answer_id", "asset_id",
    "video_id",
)  # fmt: skip
NAMES = "".join(
    (
        "(CASE substr(key, 1, 7) WHEN 'sha256:' THEN '' ELSE key END",
        *(
            f" || char(10) || coalesce(nullif('file:' || json_extract(data, '$.{place}'), key), '')"
            for place in ("source", "locator")
        ),
        *(f" || char(10) || coalesce(json_extract(data, '$.{place}'), '')" for place in _PLACES),
        ")",
    )
)
#: Kinds of task that have names.
NAMED_KINDS = "kind IN ('item', 'listing', 'video', 'indexing', 'publish')"
m003 = Migration(
    "names of what is done; what stopped; items by their video",
    (
        # Items by any of their names: in the order of the ids, so that an entry is appended and a page costs its own rows.
        # Only of what is done: a task that is at work changes too often.
        f"CREATE INDEX task_named ON task (kind, id, {NAMES}) WHERE state = 'done' AND {NAMED_KINDS}",
        # what needs attention, counted without reading the tasks
        "CREATE INDEX task_stopped ON task (state, kind, trouble_code, subject) WHERE state IN ('failed', 'held')",
        # the tally: how many videos the items are of
        "CREATE INDEX task_item ON task (subject, state) WHERE kind = 'item' AND subject <> ''",
    ),
)
m004 = Migration(
    "leases that ended without an outcome of their holder",
    ("ALTER TABLE task ADD COLUMN lapsed TEXT",),  # their tokens, a JSON array
)
#: Once for each video, with its last change.
_NOTE_CHANGE = (
    "BEGIN INSERT OR REPLACE INTO changed (mark, key)"
    " VALUES ((SELECT coalesce(max(mark), 0) + 1 FROM changed), {row}.key); END"
)
m005 = Migration(
    "videos whose results were written since results.jsonl was",
    (
        "CREATE TABLE changed (mark INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE) STRICT",
        "CREATE TRIGGER task_written AFTER UPDATE OF state ON task WHEN new.kind = 'publish' AND new.state = 'done' "
        + _NOTE_CHANGE.format(row="new"),
        "CREATE TRIGGER task_forgotten AFTER DELETE ON task WHEN old.kind = 'publish' "
        + _NOTE_CHANGE.format(row="old"),
    ),
)
m006 = Migration(
    "when a lane was parked",
    ("ALTER TABLE parked ADD COLUMN since REAL NOT NULL DEFAULT 0.0",),
)
m007 = Migration(
    "answers packed",
    # Body and meta of a row in few bytes, or NULL; see ``packing``. What is there stays as it is: nothing is written anew.
    ("ALTER TABLE result ADD COLUMN packed BLOB",),
)
m008 = Migration(
    "fewer indices written by each step",
    # A state changes nine times for a video, and each index that holds it is written each time.
    (
        "DROP INDEX task_trouble",
        "CREATE INDEX task_trouble ON task (trouble_code) WHERE trouble_code IS NOT NULL",  # retry --class
        "DROP INDEX task_subject",
        "CREATE INDEX task_subject ON task (subject, kind)",  # selection by subject
        "DROP INDEX task_item",
        # the tally: which videos have an item that is not done, and how many have one that is
        "CREATE INDEX task_item ON task (state, subject) WHERE kind = 'item' AND subject <> ''",
    ),
)
#: All of them, oldest first: the place in this list is the version.
MIGRATIONS: tuple[Migration, ...] = (m001, m002, m003, m004, m005, m006, m007, m008)
_INDEXED = 3  #: version from which on the indices are there that queries name
#: Columns of a table that only the writer reads, which has migrated the file before: readers must not name them.
WRITERS_COLUMNS: Mapping[str, frozenset[str]] = {"task": frozenset(("lapsed",)), "parked": frozenset(("since",))}
_NOTHING_CHANGED = "CREATE TEMP VIEW changed AS SELECT 0 AS mark, '' AS key WHERE 0"
_NOTHING_PACKED = "CREATE TEMP VIEW result AS SELECT *, NULL AS packed FROM main.result"
#: What shows a reader the newest schema over a file of an older version, in the connection's own temporary names. A reader
#: changes no file: whatever a migration adds stands here, too, for each version before it, or in ``WRITERS_COLUMNS``.
READ_AS_NEWEST: Mapping[int, tuple[str, ...]] = {
    1: (
        "CREATE TEMP VIEW spend AS SELECT id, key, what, usd, minutes, subject, doubtful, at,"
        " usd AS estimate, '' AS jobs, '' AS run FROM main.spend",
        _NOTHING_CHANGED,
        _NOTHING_PACKED,
    ),
    2: (_NOTHING_CHANGED, _NOTHING_PACKED),  # its queries are slower
    3: (_NOTHING_CHANGED, _NOTHING_PACKED),
    4: (_NOTHING_CHANGED, _NOTHING_PACKED),
    5: (_NOTHING_PACKED,),
    6: (_NOTHING_PACKED,),
    7: (),
}


async def version(connection: Connection, path: Path) -> int:
    """Return how many migrations the file has seen; 0 for an empty file.

    Raises:
        StoreError: the file is a SQLite database of another program.
    """
    # In this order: another process makes the tables and the mark in one transaction, perhaps right now.
    tables = await _one(connection, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'")
    marked = (await _one(connection, "PRAGMA application_id")) == APPLICATION_ID
    if not marked and not tables:
        return 0
    known = await _one(connection, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'migration'")
    if not marked or not known:
        raise StoreError(
            f"{path} is a SQLite database, but not one of Reelmill.",
            code="database_foreign",
            remedy="Point the state folder somewhere else; nothing was changed in this file.",
        )
    return int(await _one(connection, "SELECT coalesce(max(version), 0) FROM migration"))


async def migrate(connection: Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the file to the newest version, one transaction per migration.

    Raises:
        StoreError: the file comes from a newer release, or from another program.
        sqlite3.Error: what SQLite says; the failing migration is undone.
    """
    while await check(connection, path, migrations):
        await connection.execute("BEGIN IMMEDIATE")
        try:
            # Checked again under the lock: another process may have been faster.
            if behind := await check(connection, path, migrations):
                await anyio.to_thread.run_sync(_tell, path)
                await _run(connection, len(migrations) - behind, migrations)
            await connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                await connection.execute("ROLLBACK")
            raise


def _tell(path: Path) -> None:
    """Say what a large file is waited for."""
    if (size := path.stat().st_size) > _LARGE:
        _log.warning("database.brought_up_to_date", file=str(path), mb=size // 1_000_000, why="once for this release")


async def check(connection: Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Return how many migrations the file lacks.

    Raises:
        StoreError: the file comes from a newer release, or from another program.
    """
    found = await version(connection, path)
    if found > len(migrations):
        raise StoreError(
            f"{path} has schema version {found}; this release of Reelmill knows up to version {len(migrations)}.",
            code="database_newer",
            remedy="Install the newer release that wrote it, or use another state folder. Nothing was changed.",
        )
    return len(migrations) - found


async def prepare_reader(connection: Connection, path: Path) -> bool:
    """Let a connection read the file as if it were newest; False: it cannot.

    Raises:
        StoreError: the file comes from a newer release, or from another program.
    """
    behind = await check(connection, path)
    connection.indexed = len(MIGRATIONS) - behind >= _INDEXED
    statements = READ_AS_NEWEST.get(len(MIGRATIONS) - behind) if behind else ()
    for statement in statements or ():
        await connection.execute(statement)
    return statements is not None


async def _run(connection: Connection, done: int, migrations: Sequence[Migration]) -> None:
    await connection.execute("CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, name TEXT) STRICT")
    for statement in migrations[done].statements:
        await connection.execute(statement)
    await connection.execute("INSERT INTO migration (version, name) VALUES (?, ?)", (done + 1, migrations[done].name))


async def _one(connection: Connection, sql: str) -> int:
    rows = list(await connection.execute_fetchall(sql))
    return int(rows[0][0])


def old_sqlite() -> str:
    """Return SQLite's version if it is too old, else empty."""
    return "" if sqlite3.sqlite_version_info >= OLDEST_SQLITE else sqlite3.sqlite_version
