"""What a batch stores in the database, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.ingest.payloads import PaidData

#: What became of a batch. refused: certainly never accepted. doubtful: nobody can tell. outdated: never sent, since its money
#: was another day's, or nobody wanted any of it.
Verdict = Literal["", "ended", "refused", "doubtful", "outdated"]


@dataclass(frozen=True, kw_only=True)
class BatchData(PaidData):
    """One batch: the analyses that are asked by it."""

    members: Mapping[str, str] = field(default_factory=dict)  #: custom id -> key of the analysis; those not settled yet
    batch_id: str = ""
    accepted: float = 0.0  #: when it was, epoch seconds
    verdict: Verdict = ""
    ended: float = 0.0  #: when the verdict was given, epoch seconds; 0 in older databases
    size: int = 0  #: analyses that were asked by it
    seconds: float = 0.0  #: of video in it
    counts: Mapping[str, int] = field(default_factory=dict)  #: items by status words, as last seen
