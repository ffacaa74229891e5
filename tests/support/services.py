"""The services of a task type over fakes."""

from __future__ import annotations

from random import Random
from typing import Any

from pipeline.ingest.look_schedule import LookSchedule
from pipeline.ingest.services import Services
from tests.support.clock import VirtualClock
from tests.support.memory_database import MemoryDatabase
from tests.support.vendor import Account, Client


def fake_services(api: type[Client] = Client, records: Any = None) -> Services:
    """Return services over a platform of their own and a virtual clock."""
    clock = VirtualClock()
    client = api(Account(clock))
    database = MemoryDatabase()
    looks = LookSchedule(client.grace, clock, database, client.identity)
    return Services(client, records or database, clock, Random(1), looks)
