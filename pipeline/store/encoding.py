"""Values to columns and back, for every database alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json import JSONEncoder, loads
from typing import Any

from pipeline.core.errors import Permanent
from pipeline.core.model import (
    DOUBT,
    REFUND,
    SETTLEMENTS,
    Json,
    Lane,
    Lease,
    Parked,
    Placed,
    Result,
    RunNote,
    Spend,
    State,
    Task,
    Trouble,
)
from pipeline.ports.store import Applied


def unstorable(detail: str) -> Permanent:
    """Return the error for a value that can never be written."""
    return Permanent(
        "A value cannot be stored.",
        code="unstorable",
        remedy="This is a fault of the step or job that made it.",
        detail=detail,
    )


#: One row as a driver returns it: values in the order of the selected columns.
Row = Sequence[Any]
#: The columns of a task in the order of :func:`parse_task`.
TASK = (
    "id, kind, key, stage, data, state, lane, rank, subject, attempt, claims, wake_at, stage_since, created, updated,"
    " owner, token, trouble"
)

#: The columns of a ledger entry in the order of :func:`parse_spend`.
SPEND = "key, what, usd, minutes, subject, doubtful, at, estimate, jobs, run"


def _ends(*endings: str) -> str:
    return " OR ".join(f"key LIKE '%{ending}'" for ending in endings)


#: In SQL of every kind, what :class:`Spend` says of an entry: whether it is a settlement, and how many calls it adds.
SETTLES = _ends(*SETTLEMENTS)
CALLS = f"(CASE WHEN {_ends(REFUND)} THEN -1 WHEN {_ends(*SETTLEMENTS, DOUBT)} THEN 0 ELSE 1 END)"


def to_json(value: Json) -> str:
    """Write JSON text.

    Raises:
        Permanent: ``unstorable``: the value is not JSON (NaN is not).
    """
    try:
        text = _readable(value)
        if text.isascii() or _encodable(text):
            return text
        # Half a surrogate pair, e.g. of a file name that is not UTF-8: only its escaped form can be stored.
        return _escaped(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise unstorable(str(error)) from error


def json_pattern(text: str) -> str:
    """Return what SQL's LIKE finds a text by in stored JSON; ``^`` escapes."""
    return _pattern(to_json(text)[1:-1])


def text_pattern(text: str) -> str:
    """Return what SQL's LIKE finds a text by; ``^`` escapes."""
    return _pattern(storable_part(text))


def storable_part(text: str) -> str:
    """Return a text, or its longest part that is Unicode."""
    return max(_HALVES.split(text), key=len)


def _pattern(text: str) -> str:
    return "%" + re.sub(r"([%_^])", r"^\1", text) + "%"


_HALVES = re.compile("[\ud800-\udfff\0]+")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


# Made once: `json.dumps` with options makes an encoder per call, and each task is encoded some thirty times.
_readable = JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain).encode
_escaped = JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain).encode


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def encode_name(text: str) -> str:
    """Return the text of an identity column.

    Raises:
        Permanent: ``unstorable``: it is not text that a database can look up again (NUL, half a surrogate pair).
    """
    if "\0" in text or not (text.isascii() or _encodable(text)):
        raise unstorable(f"not storable as a name: {text[:80]!a}")
    return text


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A task to submit, encoded for the columns."""

    kind: str
    key: str
    stage: str
    data: str
    lane: str
    rank: int
    subject: str
    due: float
    now: float
    restart_at: str | None
    restart_lane: str | None
    restart_rank: int
    restart_failed: bool


def encode_entry(placed: Placed, now: float) -> QueueEntry:
    """Encode a new task."""
    new = placed.new
    return QueueEntry(
        encode_name(new.kind), encode_name(new.key), encode_name(new.stage), to_json(dict(new.data)),
        placed.lane.value, placed.rank, encode_name(new.subject), float(new.due), now,
        None if new.restart_at is None else encode_name(new.restart_at),
        None if placed.restart_lane is None else placed.restart_lane.value,
        placed.restart_rank, new.restart_failed,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Move:
    """A transition, encoded; ``fence`` is its lease: task id, owner, token."""

    fence: tuple[int, str, int]
    state: State
    stage: str
    lane: str
    rank: int
    attempt: int
    claims: int
    wake_at: float | None
    stage_since: float
    data: str | None  #: None keeps
    subject: str | None  #: None keeps
    trouble: str | None
    clears_trouble: bool  #: without a trouble of its own, whether the old one goes or stays
    now: float
    results: Sequence[Row]
    spends: Sequence[Row]
    entries: Sequence[QueueEntry]
    by_holder: bool


def encode_move(applied: Applied, now: float) -> Move:
    """Encode a worker's outcome.

    Raises:
        Permanent: ``unstorable``.
    """
    task, move = applied.task, applied.move
    lease = task.lease or Lease("", 0, 0.0)
    return Move(
        (task.id, encode_name(lease.owner), lease.token),
        move.state, encode_name(move.stage), applied.lane.value, applied.rank, move.attempt, move.claims, move.wake_at,
        move.stage_since,
        None if move.data is None else to_json(dict(move.data)),
        None if move.subject is None else encode_name(move.subject),
        None if move.trouble is None else to_json(move.trouble.as_json()),
        move.state is State.DONE or move.word == "advanced",
        now,
        tuple(map(encode_result, move.results)),
        tuple(map(encode_spend, move.spend)),
        [encode_entry(placed, now) for placed in applied.spawn],
        applied.by_holder,
    )  # fmt: skip


def encode_result(result: Result) -> Row:
    """Return (subject, job, fingerprint, body, meta, created)."""
    return (
        encode_name(result.subject), encode_name(result.job), encode_name(result.fingerprint),
        to_json(result.body), to_json(dict(result.meta)), result.created,
    )  # fmt: skip


def encode_spend(spend: Spend) -> Row:
    """Return the columns :data:`SPEND`."""
    return (
        encode_name(spend.key), encode_name(spend.what), spend.usd, spend.minutes, encode_name(spend.subject),
        int(spend.doubtful), spend.at, spend.estimate, encode_name(spend.jobs), encode_name(spend.run),
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _parse_trouble(text: str) -> Trouble:
    """Parse a trouble; many tasks have the same."""
    return Trouble.from_json(loads(text))


def parse_task(row: Row) -> Task:
    """Parse a task from the columns :data:`TASK`."""
    state, wake_at, owner, trouble = State(row[5]), row[11], row[15], row[17]
    lease = Lease(owner, row[16], wake_at) if owner is not None else None
    return Task(
        row[0], row[1], row[2], row[3], loads(row[4]), state, Lane(row[6]), row[7], row[8], row[9], row[10], wake_at,
        row[12], row[13], row[14], lease, None if trouble is None else _parse_trouble(trouble),
    )  # fmt: skip


def parse_result(row: Row) -> Result:
    """Parse what :func:`encode_result` returned."""
    return Result(row[0], row[1], row[2], loads(row[3]), loads(row[4]), row[5])


def parse_spend(row: Row) -> Spend:
    """Parse what :func:`encode_spend` returned."""
    return Spend(row[0], row[1], row[2], row[3], row[4], bool(row[5]), row[6], row[7], row[8], row[9])


def parse_parked(row: Row) -> Parked:
    """Parse (scope, until, trouble)."""
    return Parked(row[0], row[1], _parse_trouble(row[2]))


def encode_note(note: RunNote) -> Row:
    """Return (id, started, ended, exit_code, summary)."""
    return (encode_name(note.id), note.started, note.ended, note.exit_code, to_json(dict(note.summary)))


def parse_note(row: Row) -> RunNote:
    """Parse what :func:`encode_note` returned."""
    return RunNote(row[0], row[1], row[2], row[3], loads(row[4]))
