"""One hostile answer while a question across videos is asked: a real ``reelmill ask`` meets it, then a person asks again."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pipeline.core.model import REFUND, SETTLED
from pipeline.local.platform import LocalPlatform
from pipeline.local.state.ledger import LedgerEntry
from tests.faults.hostile.front import Front
from tests.faults.hostile.playing import HONEST, HOSTILE, Seen, ended, until
from tests.faults.reckoning import Reckoning
from tests.support.cli import Terminal

QUESTION = "Is there a zeppelin?"


async def ask(seen: Seen, front: Front, here: Terminal, videos: Path, platform: LocalPlatform) -> None:
    """Ask before a hostile platform, then before an honest one, at last with a person's yes to pay once more."""
    front.honest = True
    await ended(here.start("run", str(videos)), seen, HONEST, honest=True)
    front.honest = False
    hostile = here.start("ask", QUESTION)
    await until(lambda: front.given > 0, hostile, seen, HONEST)
    await ended(hostile, seen, HOSTILE)
    front.honest, seen.given = True, front.given
    for words in ([], ["--again"]):
        if seen.codes[-1] != 0:
            await ended(here.start("ask", QUESTION, *words, "--json"), seen, HONEST, honest=True)
    seen.lost = int(seen.codes[-1] != 0 or not _answered(here))
    seen.calls = reckon_asked(platform.ledger.entries(), here.folder / ".reelmill")


def _answered(here: Terminal) -> bool:
    """Ask once more, for nothing: what is kept is shown, and says something."""
    shown = here.run("ask", QUESTION, "--json")
    return shown.code == 0 and bool(json.loads(shown.out)["kept"])


def reckon_asked(entries: Sequence[LedgerEntry], state: Path) -> Reckoning:
    """Compare what the platform billed for questions and places in stores with what we know of it."""
    billed = Counter(entry.effect for entry in entries)
    places = Counter(entry.client_key for entry in entries if entry.effect == "knowledge_item_created")
    with closing(sqlite3.connect(f"file:{state / 'reelmill.db'}?mode=ro", uri=True)) as reader:
        rows = reader.execute("SELECT key, doubtful FROM spend WHERE what = 'ask'").fetchall()
    booked = sum(not key.endswith((SETTLED, REFUND)) for key, _ in rows) - sum(key.endswith(REFUND) for key, _ in rows)
    doubtful = sum(doubt for key, doubt in rows if not key.endswith((SETTLED, REFUND)))
    repeats = max(0, billed["response"] - 1)
    return Reckoning(
        billed["response"] + places.total(),
        anew=places.total() - len(places),
        told=min(repeats, doubtful),
        silent=max(0, repeats - doubtful),
        unbooked=max(0, billed["response"] - booked),
    )
