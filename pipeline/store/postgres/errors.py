"""Error translation: what PostgreSQL answers, by its code, as our errors."""

from __future__ import annotations

from pipeline.core.errors import DatabaseAway, ReelmillError, StoreError
from pipeline.store.encoding import unstorable

_STANDBY = "25006"
#: Codes (https://www.postgresql.org/docs/current/errcodes-appendix.html) of what passes: words, our code, remedy.
_PASSING: dict[str, tuple[str, str, str]] = {
    "53100": ("The disk of {where} is full.", "disk_full", "Make room on the disk of the database."),
    "53200": ("{where} is out of memory.", "database_away", "Give the server more memory, or fewer connections."),
    "53300": ("{where} takes no more connections.", "database_away", "Raise max_connections, or run fewer processes."),
    _STANDBY: (
        "{where} only reads: it is a standby, or was made one.",
        "database_standby",
        "Name the primary in [store] url; after a failover, wait.",
    ),
    "55P03": ("{where} is locked by somebody else.", "database_locked", "End whatever holds its tables."),
    "40001": (
        "{where} was changed by others all the time.",
        "database_locked",
        "Start again; report it if it stays so.",
    ),
    "40P01": (
        "{where} was changed by others all the time.",
        "database_locked",
        "Start again; report it if it stays so.",
    ),
    "57014": ("{where} took too long to answer.", "database_away", "Look at the load of the server."),
    "58030": ("The disk of {where} failed.", "database_io", "Check the disk of the database."),
}
#: What stays so until somebody does something. The longest prefix of a code counts.
_LASTING: dict[str, tuple[str, str, str]] = {
    "28": (
        "{where} refuses this role or its password.",
        "database_refused",
        "Check role and password, and the server's pg_hba.conf.",
    ),
    "3D000": (
        "{where} does not exist.",
        "database_missing",
        "Create it, or correct the address; then `reelmill migrate`.",
    ),
    "42501": (
        "This role may not do that in {where}.",
        "database_unwritable",
        "Name a role in [store] url that may, such as the owner of the tables; `reelmill migrate` sets the rights of others.",
    ),
    "42P01": ("{where} has no tables of Reelmill.", "database_older", "Run `reelmill migrate` once."),
    "3F000": ("{where} has no tables of Reelmill.", "database_older", "Run `reelmill migrate` once."),
    "XX001": ("{where} is damaged.", "database_damaged", "Stop all runs, and restore it from a backup."),
    "XX002": ("An index of {where} is damaged.", "database_damaged", "Stop all runs, and REINDEX the database."),
}
#: Classes of codes of a connection that ended, or that the server does not give now.
_GONE = ("08", "57P")
#: Classes of codes that are about a value.
_VALUE = ("22", "23", "54")


def of_code(code: str, detail: str, where: str) -> ReelmillError:
    """Return our error for one of the server's.

    ``where`` is the database in words, without a password.
    """
    if code.startswith(_GONE):
        return away(detail, where)
    if code in _PASSING:
        text, name, remedy = _PASSING[code]
        return _error(text, name, remedy, detail, where, final=False)
    for length in (5, 2):
        if code[:length] in _LASTING:
            text, name, remedy = _LASTING[code[:length]]
            return _error(text, name, remedy, detail, where, final=True)
    if code.startswith(_VALUE):
        return unstorable(detail)
    remedy = "Report this with the detail; nothing was changed."
    return _error("{where} does not answer as expected.", "database_unexpected", remedy, detail, where, final=True)


def away(detail: str, where: str) -> ReelmillError:
    """Return the error for a server that does not answer."""
    remedy = "Start it, or check the network and the address."
    return _error("{where} does not answer.", "database_away", remedy, detail, where, final=False)


def standby(detail: str, where: str) -> ReelmillError:
    """Return the error for a server that answers, and only reads."""
    return of_code(_STANDBY, detail, where)


def closed(where: str) -> StoreError:
    """Return the error for a call on a closed database."""
    return StoreError(f"{_begin(where)} was closed already.", code="database_closed")


def _error(text: str, code: str, remedy: str, detail: str, where: str, *, final: bool) -> ReelmillError:
    sort = StoreError if final else DatabaseAway
    return sort(_begin(text.format(where=where)), code=code, remedy=remedy, detail=detail)


def _begin(words: str) -> str:
    return words[:1].upper() + words[1:]
