"""A platform that accepts an upload and names another one in its answer: it is found by our name, not paid anew."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.engine.test_hostile_answers import lives
from tests.engine.test_late_acceptance import Night
from tests.simulation.schedule import Fault
from tests.support.clock import run_virtual


@pytest.mark.parametrize("number", [1, 3, 4])
def test_an_answer_with_the_id_of_nothing_costs_nothing(tmp_path: Path, number: int) -> None:
    """The id is well formed and unknown: the account's lists are asked before anything is sent again."""
    night = Night(tmp_path, "v1.3", Fault("pay", number, "another id"))
    (*_, last) = run_virtual(lives(night))
    assert last == 0
    effects = Counter(effect for effect, _ in night.rig.platform.ledger)
    assert effects == {"asset": 1, "index": 1, "analysis": 1, "indexed": 1}
