"""Batches of API v1.3: one call for up to a thousand analyses. No I/O.

The platform finds a batch by nothing but its id, and names its items only in the results, which are JSON Lines. Each line
is read by itself: one that cannot be read hides no other.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pipeline.core.model import Json
from pipeline.ports.batch_api import BatchCeilings, BatchResults, BatchStatus, EndedItem
from pipeline.ports.video_api import Question
from pipeline.provider.dialects import calls
from pipeline.provider.dialects.calls import list_request, path_segment
from pipeline.provider.dialects.json_reading import JsonObject, ignore_body, parse_lines, read_id, read_page
from pipeline.provider.dialects.protocol import (
    Call,
    FoundObject,
    MalformedId,
    Page,
    Request,
    Response,
    UnreadableAnswer,
)
from pipeline.provider.dialects.v1_3.media import output_tokens, read_task, window_of

_BATCHES = "/analyze/batches"
_ID = ("batch_id", "_id", "id")
_WORDS = ("queued", "processing", "ready", "failed", "canceled")
#: Which of two lines about one item counts.
_WORTH = {"working": 0, "gone": 0, "failed": 1, "canceled": 1, "ready": 2}
_MOST = 32 * 1024 * 1024  #: bytes of a batch's results
_ABSURD = 1_000_000  #: items beyond which a count is taken for a slip
_TIMEOUT = 300.0  #: seconds without a byte: a batch takes the platform longer than a single call

_STATE: Mapping[str, Literal["working", "completed", "canceled", "expired"]] = {
    "pending": "working", "processing": "working", "canceling": "working",
    "completed": "completed", "canceled": "canceled", "expired": "expired",
}  # fmt: skip


class BatchesV13:
    """Batches of v1.3. Stateless."""

    ceilings = BatchCeilings()
    known_words = frozenset(_STATE)

    def create(self, questions: Sequence[Question]) -> Call[str]:
        asked = [_item(question) for question in questions]
        defaults = _shared(asked)
        body = {
            "model_name": questions[0].model,
            "analysis_mode": "general",
            "defaults": defaults,
            "requests": [
                {name: value for name, value in item.items() if name not in defaults or defaults[name] != value}
                for item in asked
            ],
        }
        return Call(Request("POST", _BATCHES, "analyze", json=body, timeout=_TIMEOUT), read_id(*_ID))

    def listed(self, page: int) -> Call[Page[FoundObject]]:
        read = read_page(lambda body: FoundObject(body.id(*_ID), "", body.timestamp("created_at")))
        return Call(list_request(_BATCHES, page), read)

    def status(self, batch_id: str) -> Call[BatchStatus]:
        return calls.get(_path(batch_id), _status)

    def results(self, batch_id: str) -> Call[BatchResults]:
        return Call(Request("GET", f"{_path(batch_id)}/results", safe=True, most=_MOST), _results)

    def cancel(self, batch_id: str) -> Call[None]:
        return Call(Request("POST", f"{_path(batch_id)}/cancel", safe=True), ignore_body)


def _path(batch_id: str) -> str:
    return f"{_BATCHES}/{path_segment(batch_id)}"


def _item(question: Question) -> dict[str, Json]:
    item: dict[str, Json] = {
        "custom_id": question.key,
        "video": {"type": "asset_id", "asset_id": question.media_id},
        "prompt": {"input_text": question.prompt},
        "temperature": question.temperature,
        "max_tokens": output_tokens(question),
        **window_of(question),
    }
    if question.schema is not None:
        item["response_format"] = {"type": "json_schema", "json_schema": dict(question.schema)}
    return item


def _shared(asked: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """Return what most items say alike, so that it is sent once.

    Only what every item has: a default would reach one that says nothing.
    """
    shared: dict[str, Json] = {}
    for name in ("prompt", "temperature", "max_tokens", "response_format"):
        if all(name in item for item in asked):
            said = Counter(json.dumps(item[name], sort_keys=False) for item in asked)
            shared[name] = json.loads(said.most_common(1)[0][0])
    return shared


def _status(body: JsonObject) -> BatchStatus:
    word = body.word("status")
    counts = {name: min(max(0, body.count(f"{name}_items")), _ABSURD) for name in _WORDS}
    return BatchStatus(_STATE.get(word, "working"), word, counts)


def _results(response: Response) -> BatchResults:
    """Read the items; of two with one key, the further one counts."""
    lines, unreadable = parse_lines(response.body)
    found: dict[str, EndedItem] = {}
    twice = 0
    for line in lines:
        try:
            key, item = line.required("custom_id"), _result(line)
        except UnreadableAnswer:
            unreadable += 1
            continue
        before = found.get(key)
        twice += before is not None
        if before is None or _WORTH[item.status.state] > _WORTH[before.status.state]:
            found[key] = item
    if unreadable and not found:
        raise UnreadableAnswer(f"none of {unreadable} lines is an item of a batch")
    return BatchResults(found, twice, unreadable)


def _result(body: JsonObject) -> EndedItem:
    """Read one line, even without a proper id of its task."""
    try:
        task_id = body.optional_id("task_id")
    except MalformedId:
        task_id = ""
    return EndedItem(read_task(body, result="data"), task_id)
