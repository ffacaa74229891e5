"""Replay a seed of the proof of the spending limits, or soak many."""

from __future__ import annotations

import sys

from tests.simulation.__main__ import main, replayable
from tests.simulation.money.schedule import draw_money
from tests.simulation.money.world import MoneyWorld

if __name__ == "__main__":
    replayable("tests.simulation.money")
    sys.exit(main("tests.simulation.money", draw_money, MoneyWorld))
