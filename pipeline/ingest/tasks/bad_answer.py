"""What follows an answer that is of no use. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.model import Spend, Trouble
from pipeline.core.outcome import Advance, Fail, Outcome
from pipeline.ingest.job_requests import JobRequest
from pipeline.ingest.payloads import AnalysisData
from pipeline.ingest.request_builder import at_max_tokens, max_tokens, renewed
from pipeline.ingest.stored_json import changed


def ask_with_more_room(data: AnalysisData, requests: Sequence[JobRequest], reason: str) -> Outcome:
    """Ask again with more room, where room was missing; each is paid."""
    if reason != "length":
        why = Trouble(
            "answer_unfinished",
            f"The platform ended the answer as '{reason}'.",
            "`reelmill retry` asks, and pays, again; asking for less, or in other words, may help.",
        )
        return Fail(why, stage="price", data=renewed(data).to_json())
    doublings = data.doublings + 1
    if data.legacy:  # v1.2 takes no number of tokens: the same would be cut off, and billed, again
        cut = Trouble("answer_cut_off", "The answer was cut off; API v1.2 gives no more room.", "Ask for less.")
        return Fail(cut, stage="price", data=renewed(data).to_json())
    if at_max_tokens(requests, doublings - 1):
        limit = max_tokens(requests, doublings)
        cut = Trouble(
            "answer_cut_off", f"The answer did not fit into {limit:,} tokens.", "Ask for less, or set fuse = false."
        )
        return Fail(cut, stage="price", data=renewed(changed(data, doublings=0)).to_json())
    return Advance("finish", renewed(changed(data, doublings=doublings)).to_json())


def may_be_two(data: AnalysisData) -> bool:
    """Return True if this key may have another answer.

    A call that was repeated in doubt may have been accepted twice; nobody has looked for the other one since.
    """
    return bool(data.doubtful and data.task_id and not data.sought)


def look_for_another(data: AnalysisData, spend: Sequence[Spend] = ()) -> Advance:
    """Look for another answer of this key before a further one is paid."""
    return Advance("duplicate", changed(data, useless=[*data.useless, data.task_id]).to_json(), spend=spend)
