"""Every status, with every sort of body, in place of each answer or after it was acted on: curable, and never paid twice
in silence.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from pipeline.core.model import Selection, State
from tests.engine.test_late_acceptance import Night
from tests.simulation.schedule import Fault
from tests.support.clock import run_virtual

STATUSES = (300, 301, 302, 303, 304, 307, 308, *range(400, 419), 421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 499,
            500, 501, 502, 503, 504, 507, 511, 520, 529, 599)  # fmt: skip
#: What is believed, with an error's proper body: a platform that says one of these after it has acted lies.
PROOFS = (400, 401, 403, 413, 422, 429)
BODIES = ("error", "page", "empty")
#: Answers of 2xx that say nothing, or nothing that can be true.
ODD = ("cut", "torn", "html", "list", "blank", "alien", "odd ids", "another id")
#: Where it happens: the paid calls of one video (upload, index, analysis, entry in the index), and looks at how it stands.
SITES = (("pay", 1), ("pay", 2), ("pay", 3), ("pay", 4), ("read", 1), ("read", 2), ("read", 4), ("read", 6))


@pytest.mark.slow
@pytest.mark.parametrize(("site", "number"), SITES)
def test_no_answer_costs_twice_in_silence_or_leaves_what_no_retry_can_cure(
    tmp_path: Path, site: str, number: int
) -> None:
    """One answer of a whole run is replaced; then the platform is itself again: the next runs, with an operator's
    ``retry``, end with everything done, and what was paid twice stands in the ledger as doubtful. A sixth of the answers
    at each place, so that each comes at one at least; with ``REELMILL_TEST_ALL=1`` all of them at all places.
    """
    first = SITES.index((site, number)) % 6
    for what in words() if os.environ.get("REELMILL_TEST_ALL") else words()[first::6]:
        night = Night(tmp_path, "v1.3", Fault(site, number, what))
        (*_, last) = run_virtual(lives(night))
        assert last == 0, what
        effects = Counter(effect for effect, _ in night.rig.platform.ledger)
        assert set(effects) == {"asset", "index", "analysis", "indexed"}, (what, effects)
        repeated = sum(effects.values()) - len(effects)
        doubtful = sum(bool(row[5]) for row in night.rig.database._spends.values())
        assert repeated <= doubtful, (what, effects)
        if site == "read":
            assert (repeated, doubtful) == (0, 0), (what, effects)


def words() -> list[str]:
    """Return every answer there is: instead of the platform's own, or after it has done what was asked."""
    canned = [f"{status} {body} {when}" for status in STATUSES for body in BODIES for when in ("instead", "after")]
    return [word for word in (*canned, *ODD) if word not in {f"{status} error after" for status in PROOFS}]


async def lives(night: Night) -> list[int]:
    """Run until all is done, at most five times; return the exit codes."""
    codes = []
    for _ in range(5):
        await night.rig.clock.sleep(2.0)
        await night.rig.database.command("retry", Selection(), night.rig.clock.now())
        codes.append((await night.rig.run(night.entries)).exit_code)
        left = [t for t in await night.rig.database.tasks(Selection()) if t.state is not State.DONE]
        if not left and codes[-1] == 0:
            break
    return codes
