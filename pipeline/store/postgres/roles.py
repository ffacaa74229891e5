"""Who may do what: the owner of the tables, workers, and readers.

The owner is whoever brings the schema up to date. A worker runs, retries and cancels; it can make and drop nothing, and what
was paid it can neither change nor delete. A reader looks.
"""

from __future__ import annotations

from pipeline.config.database_address import DatabaseAddress
from pipeline.core.errors import StoreError
from pipeline.store.postgres import queries
from pipeline.store.postgres.connection import Transaction
from pipeline.store.postgres.schema import SCHEMA

_LONGEST = 63 - len("_worker")  #: bytes of a name before the server would cut it
_THERE = "SELECT rolname FROM pg_roles WHERE rolname = ANY ($1::text[])"
_MAY_CREATE = "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY tablename"
#: What a worker may do with a table, where that is not :data:`_ELSE`.
_WORKER = {
    "migration": "SELECT",
    "spend": "SELECT, INSERT",
    "parked": "SELECT, INSERT, UPDATE, DELETE",
    "changed": "SELECT, INSERT, UPDATE, DELETE",
    "note": "SELECT, INSERT, UPDATE, DELETE",
    "pgqueuer": "SELECT, INSERT, UPDATE, DELETE",
    "pgqueuer_log": "SELECT, INSERT, UPDATE, DELETE",
}
_ELSE = "SELECT, INSERT, UPDATE"


def role_names(address: DatabaseAddress) -> tuple[str, str]:
    """Return the names of a database's worker and reader.

    They are made of its own name, because roles belong to the whole server.
    """
    stem = address.name.encode()[:_LONGEST].decode(errors="ignore")
    return f"{stem}_worker", f"{stem}_reader"


async def grant_rights(transaction: Transaction, address: DatabaseAddress, *, make: bool) -> tuple[str, ...]:
    """Give the two roles their rights; return those that have them now.

    All others are taken from them.
    ``make``: make what is missing; without a password it cannot log in over the network yet. Without it, who does not own the
    tables leaves the rights as they are.

    Raises:
        StoreError: one is missing, and this role may make none, or does not own the tables.
    """
    if not (await transaction.fetch(queries.OWNS, SCHEMA))[0][0]:
        if make:
            raise StoreError(
                f"Role {address.role!r} does not own the tables, so it can give nobody rights on them.",
                code="database_unwritable",
                remedy="Name their owner in [store] url for this command.",
            )
        return ()
    both = role_names(address)
    there = {row[0] for row in await transaction.fetch(_THERE, [*both])}
    if make and there != set(both):
        if not (await transaction.fetch(_MAY_CREATE))[0][0]:
            raise _not_allowed(address, both)
        for name in both:
            if name not in there:
                await transaction.fetch(f"CREATE ROLE {_quoted(name)} LOGIN")
        there = set(both)
    tables = [row[0] for row in await transaction.fetch(_TABLES, SCHEMA)]
    for name, rights in zip(both, (_WORKER, dict.fromkeys(tables, "SELECT")), strict=True):
        if name in there:
            await _grant(transaction, _quoted(name), {table: rights.get(table, _ELSE) for table in tables})
    worker = _quoted(both[0])
    if both[0] in there:
        await transaction.fetch(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO {worker}")
    return tuple(name for name in both if name in there)


async def _grant(transaction: Transaction, role: str, rights: dict[str, str]) -> None:
    await transaction.fetch(f"REVOKE ALL ON SCHEMA {SCHEMA} FROM {role}")
    await transaction.fetch(f"REVOKE ALL ON ALL TABLES IN SCHEMA {SCHEMA} FROM {role}")
    await transaction.fetch(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}")
    for table, what in rights.items():
        await transaction.fetch(f"GRANT {what} ON {SCHEMA}.{_quoted(table)} TO {role}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _not_allowed(address: DatabaseAddress, names: tuple[str, ...]) -> StoreError:
    statements = " ".join(f"CREATE ROLE {_quoted(name)} LOGIN;" for name in names)
    return StoreError(
        f"Role {address.role!r} may make no roles.",
        code="database_unwritable",
        remedy=f"Let an administrator say: {statements} Then `reelmill migrate` gives them their rights.",
    )
