"""Knowledge stores of API v1.3, and the answers over them. No I/O.

An answer has no list and no key of ours: what of it is lost cannot be looked for. Its text comes as events; the last one
with a ``response`` in it says how it ended and what it used. Citations stand in ``annotations`` since the SDK 1.3.6 (October
2026); the schema of July has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pipeline.core.model import Json
from pipeline.ports.knowledge_api import Citation, CrossQuestion, CrossReply, KnowledgeItem, KnowledgeStore
from pipeline.provider.dialects import calls
from pipeline.provider.dialects.calls import list_request, path_segment
from pipeline.provider.dialects.json_reading import JsonObject, is_id, parse, parse_text, read_id, read_page
from pipeline.provider.dialects.protocol import Call, Page, Request, Response, UnreadableAnswer
from pipeline.provider.dialects.v1_3.event_stream import read_events

_STORES = "/knowledge-stores"
_ID = ("_id", "id")
_TIMEOUT = 300.0  #: seconds without a byte: the platform thinks before it speaks
_ABSURD = 1_000_000_000  #: tokens beyond which a usage is taken for a slip
_STATES: Mapping[str, Literal["ready", "failed"]] = {"ready": "ready", "failed": "failed"}  #: others are working
_ENDS: Mapping[str, Literal["completed", "incomplete", "failed"]] = {
    "completed": "completed", "incomplete": "incomplete", "failed": "failed",
}  # fmt: skip


class KnowledgeV13:
    """Knowledge stores of v1.3. Stateless."""

    def stores(self, page: int) -> Call[Page[KnowledgeStore]]:
        """List knowledge stores."""
        return Call(list_request(_STORES, page), read_page(_store))

    def create_store(self, name: str) -> Call[str]:
        """Make one; read its id."""
        return Call(Request("POST", _STORES, "index", json={"name": name}), read_id(*_ID))

    def items(self, store_id: str, page: int) -> Call[Page[KnowledgeItem]]:
        """List the items of a store."""
        return Call(list_request(f"{_STORES}/{path_segment(store_id)}/items", page), read_page(_item))

    def add_item(self, store_id: str, asset_id: str, metadata: Mapping[str, str]) -> Call[str]:
        """Put an asset into a store; read the item's id."""
        body: Json = {"asset_type": "video", "asset_id": asset_id, "metadata": dict(metadata)}
        return Call(Request("POST", f"{_STORES}/{path_segment(store_id)}/items", "index", json=body), read_id(*_ID))

    def delete_item(self, store_id: str, item_id: str) -> Call[None]:
        """Take an asset out of a store."""
        return calls.delete(f"{_STORES}/{path_segment(store_id)}/items/{path_segment(item_id)}")

    def respond(self, question: CrossQuestion) -> Call[CrossReply]:
        """Ask; read the stream of the answer."""
        tokens = " ".join(f"{{{{sel:{number}}}}}" for number in range(len(question.selected)))
        body: dict[str, Json] = {
            "knowledge_store_id": question.store_id,
            "input": [{"type": "message", "role": "user", "content": f"{question.text}\n\n{tokens}".strip()}],
            "stream": True,
        }
        if question.instructions:
            body["instructions"] = question.instructions
        if question.selected:
            body["selections"] = [{"kind": "item", "id": path_segment(each)} for each in question.selected]
        if question.schema is not None:
            body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": dict(question.schema)}}
        request = Request(
            "POST", "/responses", "search", headers={"accept": "text/event-stream"}, json=body, timeout=_TIMEOUT
        )
        return Call(request, _read_answer)


def _store(body: JsonObject) -> KnowledgeStore:
    return KnowledgeStore(body.id(*_ID), body.text("name"), body.timestamp("created_at"))


def _item(body: JsonObject) -> KnowledgeItem:
    word = body.word("status")
    seconds = body.child("system_metadata").positive("duration")
    return KnowledgeItem(body.id(*_ID), body.optional_id("asset_id"), _STATES.get(word, "working"), word, seconds)


def _read_answer(response: Response) -> CrossReply:
    """Read the end of the stream; raise UnreadableAnswer if it was cut before.

    A platform may send the object itself, as the vendor's own first example shows it.
    """
    if "event-stream" not in response.headers.get("content-type", "") and response.body.lstrip().startswith(b"{"):
        return _ended(parse(response), "")
    ended: JsonObject | None = None
    said, broken = "", 0
    for text in read_events(response.body):
        if text == "[DONE]":
            break
        try:
            event = parse_text(text)
        except UnreadableAnswer:
            broken += 1
            continue
        if event.text("type") == "response.output_text.done":
            said = event.text("text") or said
        found = event.child("response")
        if found.text("status") in _ENDS:
            ended = found
    if ended is None:
        raise UnreadableAnswer(f"the stream of the answer ended before it was complete ({broken} broken events)")
    return _ended(ended, said)


def _ended(body: JsonObject, said: str) -> CrossReply:
    """Build the reply; ``said`` is its text where the end repeats none."""
    state = _ENDS.get(body.text("status"))
    if state is None:
        raise UnreadableAnswer(f"an answer of status {body.text('status')[:40]!r}")
    messages = (each for each in body.children("output") if each.text("type") == "message")
    parts = [part for each in messages for part in each.children("content") if part.text("text")]
    text, citations = "", list[Citation]()
    for part in parts:
        text += "\n" if text else ""
        citations += _citations(part, len(text))
        text += part.text("text")
    text = text or said
    if not text.strip() and state == "completed":
        raise UnreadableAnswer("a complete answer without a text")
    return CrossReply(text, state, body.text("id")[:128], _usage(body.child("usage")), citations)


def _citations(part: JsonObject, before: int) -> Iterator[Citation]:
    """Yield what a part of the text cites; ``before``: characters in front of it."""
    for each in part.children("annotations"):
        item_id = each.text("item_id")
        if each.text("type") != "video_citation" or not is_id(item_id):
            continue
        whole = "start_sec" not in each and "end_sec" not in each
        start, end = (None, None) if whole else (each.number("start_sec"), each.number("end_sec"))
        yield Citation(item_id, start, end, before + max(0, each.count("start_index")))


def _usage(body: JsonObject) -> dict[str, int]:
    """Return the tokens of a usage that can be believed, else nothing."""
    found = {name: body.raw.get(name) for name in ("input_tokens", "output_tokens")}
    good = {
        name: value
        for name, value in found.items()
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _ABSURD
    }
    return good if len(good) == len(found) else {}
