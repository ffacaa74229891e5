"""The services of a task type over fakes."""

from __future__ import annotations

from random import Random
from typing import Any

from pipeline.ingest.services import Services
from tests.support.clock import VirtualClock
from tests.support.fakes import FakeApi, FakePlatform
from tests.support.memory_database import MemoryDatabase


def fake_services(api: type[FakeApi] = FakeApi, records: Any = None) -> Services:
    """Return services over a platform of their own and a virtual clock."""
    clock = VirtualClock()
    return Services(api(FakePlatform(clock)), records or MemoryDatabase(), clock, Random(1))
