"""v1.3: one question over a knowledge store, answered as a stream of events."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from sqlite3 import Connection
from typing import Annotated, Literal

from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pipeline.core.model import Json
from pipeline.local.analysis.answer.cross_video import CrossAnswer, PoolItem, answer_across, is_answer_form
from pipeline.local.analysis.answer.free_text import refuse_new_words
from pipeline.local.analysis.protocol import AnalysisRefused, count_tokens
from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.bodies import Body
from pipeline.local.api.http.fields import ONE_OF, OR_DEFAULT, Id, must_be, refuse, require
from pipeline.local.api.http.responses import dump, new_id, time_text
from pipeline.local.api.v1_3.knowledge import find_store
from pipeline.local.errors import ApiError, invalid, missing, unsupported
from pipeline.local.state import fulltext
from pipeline.local.state.tables import ASSETS, KNOWLEDGE_ITEMS, KnowledgeItemRow

_KINDS = ("conversation", "text_in_video")
_SELECTED = re.compile(r"\{\{sel:([0-9]{1,6})\}\}")
_PIECE = 13  #: characters of one delta: small and prime, so that pieces break anywhere


class InputMessage(Body):
    """One message of the one who asks."""

    type: Annotated[Literal["message"], ONE_OF]
    role: Annotated[Literal["user"], ONE_OF]
    content: Annotated[str, Field(min_length=1, max_length=10_000), must_be("a text of 1 to 10000 characters")]


class SelectionBody(Body):
    """An item, or a collection of items, that the question is about."""

    kind: Annotated[Literal["item", "collection"], ONE_OF]
    id: Id


class TextFormat(Body):
    """How the answer shall look."""

    type: Annotated[Literal["text", "json_schema"], ONE_OF] = "text"
    name: Json = None
    json_form: Json = Field(None, alias="schema")

    @model_validator(mode="after")
    def _complete(self) -> TextFormat:
        if self.type == "text":
            return self
        if not isinstance(self.name, str) or not isinstance(self.json_form, dict):
            raise invalid("A format of type 'json_schema' needs a name and a schema.")
        if not is_answer_form(self.json_form):
            raise unsupported(
                "this JSON schema for a response",
                "It fills one form: a text 'answer', and 'citations', a list of objects with 'video', 'start', 'end', 'quote'.",
            )
        return self


class TextBody(Body):
    """What is said of the answer's text."""

    format: TextFormat | None = None


class RespondBody(Body):
    """The body of ``POST /responses``."""

    knowledge_store_id: Id
    input: Annotated[
        list[InputMessage], Field(min_length=1), require("The input parameter must be a list of messages.")
    ]
    stream: Annotated[Literal[True], refuse("The stream parameter must be true.")]
    session_id: Json = None
    instructions: Annotated[str, must_be("a text"), OR_DEFAULT] = ""
    include: Json = None
    selections: Annotated[list[SelectionBody], must_be("a list of selections"), OR_DEFAULT] = Field(
        default_factory=list
    )
    text: TextBody | None = None

    @property
    def wants_json(self) -> bool:
        """True if the answer shall be a JSON object."""
        return self.text is not None and self.text.format is not None and self.text.format.type == "json_schema"

    @property
    def question(self) -> str:
        """What is asked, without the tokens of selections."""
        return _SELECTED.sub(" ", "\n".join(message.content for message in self.input)).strip()

    @model_validator(mode="after")
    def _askable(self) -> RespondBody:
        if self.session_id is not None:
            raise unsupported("conversations of several turns", "Leave session_id out.")
        if any(selection.kind == "collection" for selection in self.selections):
            raise unsupported("item collections", "Select items one by one.")
        for message in self.input:
            for number in _SELECTED.findall(message.content):
                if int(number) >= len(self.selections):
                    raise invalid(f"The token of selection {number} has no selection.")
        return self


async def respond(context: ApiContext, request: Request, body: RespondBody) -> Response:
    """Answer by quoting; billed when accepted, heard or not."""
    now = context.clock.now()
    generation = f"resp_{new_id(now)}"
    try:
        refuse_new_words(body.question)
    except AnalysisRefused as refusal:
        raise ApiError(400, refusal.code, refusal.message) from None

    def accept(db: Connection) -> CrossAnswer:
        store = find_store(db, body.knowledge_store_id)
        pool = _pool(db, store.id, [selection.id for selection in body.selections])
        found = answer_across(body.question, pool, lambda words: fulltext.matches(db, store.id, _KINDS, words))
        context.record(db, request, "response", generation, body.question)
        return found

    found = await context.write(accept)
    text, annotations = (dump(found.as_json()).decode(), []) if body.wants_json else found.as_text()
    quoted = "".join(each.text for each in found.passages)
    usage: dict[str, Json] = {
        "input_tokens": count_tokens(body.question + body.instructions + quoted),
        "output_tokens": count_tokens(text),
    }
    head: dict[str, Json] = {
        "id": generation,
        "type": "response",
        "object": "response",
        "incomplete_details": None,
        "session_id": f"sess_{new_id(now)}",
        "knowledge_store_id": body.knowledge_store_id,
        "created_at": time_text(now),
    }
    return StreamingResponse(_stream(_events(head, text, annotations, usage)), media_type="text/event-stream")


def _pool(db: Connection, store_id: str, selected: list[str]) -> dict[str, PoolItem]:
    """Return the ready items that are asked; raises ApiError for an unknown one."""
    items = {item.id: item for item in KNOWLEDGE_ITEMS.select(db, "store_id = ?", [store_id])}
    for key in selected:
        if key not in items:
            raise missing("knowledge store item", key)
    asked = {key: items[key] for key in selected} if selected else items
    return {key: _pool_item(db, item) for key, item in asked.items() if item.status == "ready"}


def _pool_item(db: Connection, item: KnowledgeItemRow) -> PoolItem:
    asset = ASSETS.get(db, item.asset_id)
    given = {} if asset is None else {"filename": asset.filename, **asset.user_metadata}
    named = next((str(given[name]) for name in ("title", "source_name", "filename") if given.get(name)), item.id)
    return PoolItem(named, bool(set(_KINDS) - set(item.unread)))


def _events(
    head: Mapping[str, Json], text: str, annotations: Json, usage: Json
) -> Iterator[tuple[str, dict[str, Json]]]:
    """Yield type and fields of each event, in the vendor's order."""
    message = {"type": "message", "id": f"msg_{head['session_id']}_0", "role": "assistant", "phase": "final_answer"}
    part: dict[str, Json] = {"type": "output_text", "text": text, "annotations": annotations}
    there = {"output_index": 0, "content_index": 0, "item_id": message["id"]}
    begun = {"response": {**head, "status": "in_progress", "output": []}}
    whole = {**message, "status": "completed", "content": [part]}
    yield "response.created", begun
    yield "response.in_progress", begun
    empty = {"type": "output_text", "text": "", "annotations": []}
    yield (
        "response.output_item.added",
        {"output_index": 0, "item": {**message, "status": "in_progress", "content": [empty]}},
    )
    yield "response.content_part.added", {**there, "part": empty}
    for at in range(0, len(text), _PIECE):
        yield "response.output_text.delta", {**there, "delta": text[at : at + _PIECE]}
    yield "response.output_text.done", {**there, "text": text}
    yield "response.content_part.done", {**there, "part": part}
    yield "response.output_item.done", {"output_index": 0, "item": whole}
    yield "response.completed", {"response": {**head, "status": "completed", "output": [whole], "usage": usage}}


async def _stream(events: Iterator[tuple[str, dict[str, Json]]]) -> AsyncIterator[bytes]:
    for number, (name, fields) in enumerate(events):
        yield b"event: %b\ndata: %b\n\n" % (name.encode(), dump({"type": name, "sequence_number": number, **fields}))
    yield b"data: [DONE]\n\n"
