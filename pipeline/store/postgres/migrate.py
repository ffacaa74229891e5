"""Brings a database to this release's schema; looks whether one has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pipeline.config.database_address import DatabaseAddress
from pipeline.config.store import Engine
from pipeline.core.errors import StoreError
from pipeline.store.migration import Migration
from pipeline.store.postgres.connection import NO_LIMIT, Link, Transaction, lock_work
from pipeline.store.postgres.roles import grant_rights
from pipeline.store.postgres.schema import MIGRATION_BESIDE, MIGRATION_LOCK, MIGRATION_TABLE, MIGRATIONS, SCHEMA

_THERE = "SELECT to_regclass($1)::text"
_VERSION = "SELECT coalesce(max(version), 0) FROM migration"
_NOTE = "INSERT INTO migration (version, name, beside) VALUES ($1, $2, $3)"
#: Whether processes of an older version can go on. ($1: theirs.)
_BESIDE = """
SELECT bool_and(coalesce((to_jsonb(migration) ->> 'beside')::bigint, version) <= $1) FROM migration WHERE version > $1
"""


@dataclass(frozen=True, slots=True)
class MigrationDone:
    """What was done to a database."""

    before: int  #: its version; 0: it had none
    version: int
    roles: tuple[str, ...]  #: that have their rights now


async def migrate(
    address: DatabaseAddress,
    migrations: Sequence[Migration] = MIGRATIONS,
    *,
    make_roles: bool = False,
    engine: Engine = "none",
) -> MigrationDone:
    """Bring the database to the newest version, all or nothing.

    Processes of its present version may be at work where each step says that they can go on beside it.

    The worker's and the reader's role get their rights, where they are there. ``make_roles``: where not, they are made.
    ``engine``: has tables of its own beside ours, which are made, too.

    Raises:
        Busy: somebody is at work who could not go on.
        DatabaseAway: it does not answer now.
        StoreError: it comes from a newer release, or cannot be changed.
    """
    connection = Link(address, statement_seconds=NO_LIMIT)
    await connection.open()
    try:
        work = partial(_bring_up_to_date, address, migrations, make_roles, engine)
        done = await connection.transaction(work)
        if engine == "pgqueuer":
            from pipeline.store.postgres.handout import hints

            await connection.alone(hints.upgrade)
        return done
    finally:
        await connection.aclose()


async def _bring_up_to_date(
    address: DatabaseAddress,
    migrations: Sequence[Migration],
    make_roles: bool,
    engine: Engine,
    transaction: Transaction,
) -> MigrationDone:
    before, version = await _migrate(transaction, address, migrations)
    if engine == "pgqueuer":
        from pipeline.store.postgres.handout import hints

        await hints.install(transaction)
    roles = await grant_rights(transaction, address, make=make_roles)
    return MigrationDone(before, version, roles)


async def _migrate(
    transaction: Transaction, address: DatabaseAddress, migrations: Sequence[Migration]
) -> tuple[int, int]:
    await transaction.fetch("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
    if not (await transaction.fetch(_THERE, f"{SCHEMA}.migration"))[0][0]:
        await transaction.fetch(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        await transaction.fetch(MIGRATION_TABLE)
    before = int((await transaction.fetch(_VERSION))[0][0])
    if before > len(migrations):
        raise _newer(before, address, len(migrations))
    steps = list(enumerate(migrations[before:], before + 1))
    if any((migration.beside or number) > before for number, migration in steps):
        await lock_work(transaction, str(address), "pg_try_advisory_xact_lock")
    if steps:
        await transaction.fetch(MIGRATION_BESIDE)
    for number, migration in steps:
        for statement in migration.statements:
            await transaction.fetch(statement)
        await transaction.fetch(_NOTE, number, migration.name, migration.beside or number)
    return before, len(migrations)


async def check_version(connection: Link | Transaction, address: DatabaseAddress, *, hinted: bool = False) -> None:
    """Look whether this release can work with the database's schema.

    It is its own, or one that only adds to it.
    ``hinted``: and the tables of PgQueuer.

    Raises:
        StoreError: it has none, an older or a newer one.
    """
    there = (await connection.fetch(_THERE, f"{SCHEMA}.migration"))[0][0]
    found = int((await connection.fetch(_VERSION))[0][0]) if there else 0
    if found > len(MIGRATIONS) and not (await connection.fetch(_BESIDE, len(MIGRATIONS)))[0][0]:
        raise _newer(found, address, len(MIGRATIONS))
    if found < len(MIGRATIONS):
        has = f"has schema version {found}; this release of Reelmill needs {len(MIGRATIONS)}"
        raise StoreError(
            f"The {address} {has if found else 'holds nothing of Reelmill yet'}.",
            code="database_older",
            remedy="Run `reelmill migrate` once, as a role that may make tables.",
        )
    if hinted and not (await connection.fetch(_THERE, f"{SCHEMA}.pgqueuer"))[0][0]:
        raise StoreError(
            f"The {address} has no tables of PgQueuer, which [store] engine names.",
            code="database_older",
            remedy="Run `reelmill migrate` once with that configuration, as a role that may make tables.",
        )


def _newer(found: int, address: DatabaseAddress, known: int) -> StoreError:
    return StoreError(
        f"The {address} has schema version {found}; this release of Reelmill knows up to version {known}.",
        code="database_newer",
        remedy="Install the newer release that wrote it. Nothing was changed.",
    )
