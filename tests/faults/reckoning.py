"""Two ledgers side by side: what the platform has accepted, and what our own calls possibly paid twice.

The platform's is the truth. A call that it took more often than once is *told* if our ledger has a doubtful entry about the
same thing, else *silent*. A call under a new generation of its name is *anew*: an entry of its own must stand for it.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.model import REFUND
from pipeline.ingest.remote_names import parse_custom_id, parse_upload_name, upload_digest
from pipeline.local.state.ledger import LedgerEntry

#: What our ledger calls the calls that the platform bills, or that leave something behind. A session that was opened in
#: vain costs nothing and expires.
WHAT = {
    "asset_created": "upload", "session_completed": "upload", "task_created": "index", "external_task_created": "index",
    "indexed": "index", "analyze_task_created": "analyze", "analyze_sync": "analyze", "gist": "analyze",
    "summarize": "analyze", "generate": "analyze", "batch_item_created": "analyze",
}  # fmt: skip
_GENERATION = re.compile(r"-\d+(\.\w+)?(?=:|$)")


@dataclass(frozen=True, slots=True)
class Reckoning:
    """Calls that are paid for, as counted by the platform."""

    paid: int = 0
    anew: int = 0  #: of which under a new name, because what was there before is of no use
    told: int = 0  #: of which repeats that our ledger calls possibly paid twice
    silent: int = 0  #: of which repeats that it does not
    unbooked: int = 0  #: of which calls that our ledger does not know at all

    def __add__(self, other: Reckoning) -> Reckoning:
        return Reckoning(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def reckon(entries: Iterable[LedgerEntry], state: Path) -> Reckoning:
    """Compare the platform's entries with the ledger in a state folder."""
    paid = [entry for entry in entries if entry.effect in WHAT and (entry.effect, entry.path) != _ARRIVED]
    spends = _spends(state)
    owners = {key: digest for key, _, digest, _ in spends if key.startswith("rm-")}
    about = Counter((WHAT[entry.effect], _subject(entry, owners)) for entry in paid)
    calls = {(entry.effect, entry.client_key): (WHAT[entry.effect], _subject(entry, owners)) for entry in paid}
    names = {(effect, _GENERATION.sub(r"\1", key)) for effect, key in calls}
    doubtful = Counter((what, digest) for _, what, digest, doubt in spends if doubt)
    booked = Counter((what, digest) for key, what, digest, _ in spends if not key.endswith(_CORRECTIONS))
    repeats = about - Counter(calls.values())
    firm = Counter(
        (what, digest) for key, what, digest, doubt in spends if not doubt and not key.endswith(_CORRECTIONS)
    )
    nameless = bool(_NAMELESS & {entry.effect for entry in paid})
    anew = (firm - Counter(calls.values())) & (repeats - doubtful) if nameless else Counter()
    return Reckoning(
        len(paid), len(calls) - len(names) + anew.total(), (repeats & doubtful).total(),
        (repeats - doubtful - anew).total(),
        sum(number for (what, _), number in (about - booked).items() if what != "upload"),  # which alone costs nothing
    )  # fmt: skip


#: Questions of v1.2, which bear no name of ours: only our ledger tells a repeat from one asked anew after a bad answer.
_NAMELESS = {"gist", "summarize", "generate"}
#: How the keys of entries end that only correct others.
_CORRECTIONS = ("/length", REFUND)
#: On v1.2 the platform bills an upload when it has arrived; the upload itself is in the ledger already.
_ARRIVED = ("indexed", "/v1.2/tasks")


def _spends(state: Path) -> list[tuple[str, str, str, bool]]:
    """Return (key, what, the digest that names of the video carry, doubtful) of each entry in our ledger."""
    with closing(sqlite3.connect(f"{(state / 'reelmill.db').absolute().as_uri()}?mode=ro", uri=True)) as reader:
        rows = reader.execute("SELECT key, what, subject, doubtful FROM spend").fetchall()
    return [(key, what, upload_digest(subject), bool(doubtful)) for key, what, subject, doubtful in rows]


def _subject(entry: LedgerEntry, owners: dict[str, str]) -> str:
    """Return the digest that names of the video carry; empty for a call that is not ours."""
    if parse_custom_id(entry.client_key) is not None:
        return owners.get(entry.client_key, "")
    name = parse_upload_name(entry.client_key.partition(":")[0])
    return name.digest if name is not None else ""
