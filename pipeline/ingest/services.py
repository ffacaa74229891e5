"""What every type of task works with."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from pipeline.core.clock import Clock
from pipeline.ingest.look_schedule import LookSchedule
from pipeline.ports.store import Records
from pipeline.ports.video_api import VideoApi

#: Graces for which what an upload of another run lacks is left to that run: it may be at work on it.
HEAD_START = 6


@dataclass(frozen=True, slots=True)
class Services:
    """What task types work with: platform, records, time, chance, and the looks."""

    api: VideoApi
    records: Records
    clock: Clock
    rng: Random
    looks: LookSchedule
    host: str = ""  #: the name of this one; empty where there is no other
