"""Knowledge stores on the local platform, and answers over them: the vendor's shapes, and words that stand in the videos."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from twelvelabs.types import ResponseInputItem, ResponseSelection, TextParam
from twelvelabs.types.text_param_format import TextParamFormat_JsonSchema

from pipeline.app.asking.citations import SCHEMA
from pipeline.local.analysis.protocol import AnalysisRequest, VideoWords
from tests.contract.platform_double import Canned, platform, ready
from tests.contract.test_sdk import sdk, uploaded
from tests.contract.test_shapes import NUMBER, PAGE_INFO, TEXT, TIME, WHOLE, Shape, fits, misfits

STORE_ID, ITEM_ID = re.compile(r"ks_[0-9a-f]{24}"), re.compile(r"ksi_[0-9a-f]{24}")
STORE: Shape = {
    "_id": STORE_ID, "name": TEXT, "description?": TEXT, "item_count": WHOLE, "created_at": TIME, "updated_at": TIME,
    "metadata?": dict,
}  # fmt: skip
ITEM: Shape = {
    "_id": ITEM_ID, "asset_type": {"video"}, "asset_id": TEXT, "status": {"queued", "pending", "processing", "ready", "failed"},
    "system_metadata": {
        "asset_type": {"video"}, "filename?": TEXT, "duration?": NUMBER, "fps?": NUMBER, "width?": WHOLE, "height?": WHOLE,
        "codec_name?": TEXT, "size?": WHOLE,
    },
    "metadata?": dict, "created_at": TIME, "updated_at": TIME,
}  # fmt: skip
#: One that the vendor's own example of a stream has, in this order.
EVENTS = (
    "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.done",
    "content_part.done", "output_item.done", "completed",
)  # fmt: skip
BEES = "Bees dance for each other.\nThe queen lays eggs."
SEA = "The moon pulls the sea.\nTides come twice a day."


async def filled(client: httpx.AsyncClient, **captions: str) -> tuple[str, dict[str, str]]:
    """Make a store with captioned videos; return its id, and their items by name."""
    store = (await client.post("/knowledge-stores", json={"name": "films"})).json()["_id"]
    items = {}
    for name, words in captions.items():
        metadata = json.dumps({"title": name, "captions": words})
        asset = await ready(client, f"{name}.mp4", user_metadata=metadata)
        answer = await client.post(f"/knowledge-stores/{store}/items", json={"asset_id": asset, "metadata": {"k": "v"}})
        items[name] = fits(answer, ITEM, 202)["_id"]
    for item in items.values():
        with anyio.fail_after(20):
            while (await client.get(f"/knowledge-stores/{store}/items/{item}")).json()["status"] != "ready":
                pass
    return store, items


def body(store: str, question: str, **more: Any) -> dict[str, Any]:
    """Return the body of a question."""
    asked = [{"type": "message", "role": "user", "content": question}]
    return {"knowledge_store_id": store, "input": asked, "stream": True, **more}


async def answered(client: httpx.AsyncClient, *words: Any, **more: Any) -> dict[str, Any]:
    """Ask, and return the response that the last event holds."""
    answer = await client.post("/responses", json=body(*words, **more))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    *events, end = answer.text.strip().split("\n\n")
    assert end == "data: [DONE]"
    named = [event.split("\n") for event in events]
    data = [json.loads(line.removeprefix("data: ")) for _, line in named]
    assert [name.removeprefix("event: ") for name, _ in named] == [each["type"] for each in data]
    assert tuple(dict.fromkeys(each["type"].removeprefix("response.") for each in data)) == EVENTS
    assert [each["sequence_number"] for each in data] == list(range(len(data)))
    whole = "".join(each["delta"] for each in data if each["type"] == "response.output_text.delta")
    response: dict[str, Any] = data[-1]["response"]
    assert whole == response["output"][0]["content"][0]["text"]
    return response


FORM = {"format": {"type": "json_schema", "name": "answer", "schema": dict(SCHEMA)}}


@pytest.mark.asyncio
async def test_stores_and_items_have_the_vendors_shape(tmp_path: Path) -> None:
    """Creation, list, one, change, removal; an asset that is not there is refused."""
    async with platform(tmp_path) as (served, client):
        made = fits(await client.post("/knowledge-stores", json={"name": "a", "metadata": {"x": "y"}}), STORE, 201)
        store, items = await filled(client, bees=BEES)
        listed = fits(await client.get("/knowledge-stores"), {"data": [STORE], "page_info": PAGE_INFO})["data"]
        assert [each["_id"] for each in listed] == [store, made["_id"]]
        fits(await client.get(f"/knowledge-stores/{store}"), STORE)
        found = fits(await client.get(f"/knowledge-stores/{store}/items"), {"data": [ITEM], "page_info": PAGE_INFO})
        assert [each["_id"] for each in found["data"]] == [items["bees"]]
        path = f"/knowledge-stores/{store}"
        assert fits(await client.patch(path, json={"name": "b", "metadata": {}}), STORE)["name"] == "b"
        assert (await client.post(f"{path}/items", json={"asset_id": "0" * 24})).json()["code"] == "resource_not_exist"
        assert (await client.delete(f"{path}/items/{items['bees']}")).status_code == 200
        assert (await client.delete(path)).status_code == 200
        assert (await client.get(path)).status_code == 404
        assert len(served.ledger.entries("knowledge_item_created")) == 1


@pytest.mark.asyncio
async def test_it_quotes_what_stands_in_the_videos(tmp_path: Path) -> None:
    """In our form and in plain text with the vendor's markers; within a selection; and nothing where nothing speaks of it."""
    async with platform(tmp_path) as (served, client):
        store, items = await filled(client, bees=BEES, sea=SEA)
        response = await answered(client, store, "Who lays eggs?", text=FORM)
        form = json.loads(response["output"][0]["content"][0]["text"])
        assert form["citations"] == [
            {"video": items["bees"], "start": 2.0, "end": 4.0, "quote": "The queen lays eggs."}
        ]
        assert "The queen lays eggs." in form["answer"]
        assert response["usage"]["output_tokens"] > 0

        (part,) = (await answered(client, store, "Who lays eggs?"))["output"][0]["content"]
        (cited,) = part["annotations"]
        assert part["text"][cited["start_index"] : cited["end_index"] + 1] == "[1]"
        assert (cited["item_id"], cited["start_sec"], cited["end_sec"]) == (items["bees"], 2.0, 4.0)

        chosen = {"selections": [{"kind": "item", "id": items["sea"]}], "text": FORM}
        response = await answered(client, store, "Who lays eggs? {{sel:0}}", **chosen)
        form = json.loads(response["output"][0]["content"][0]["text"])
        assert (form["citations"], form["answer"]) == ([], "Nothing in these videos (1) speaks of lays, eggs.")
        assert len(served.ledger.entries("response")) == 3


@pytest.mark.asyncio
async def test_the_vendors_sdk_reads_it(tmp_path: Path) -> None:
    """Store, item, selection, schema and every event of the stream, in the SDK's own types."""
    async with sdk(tmp_path) as (_, client):
        store = await client.knowledge_stores.create(name="films")
        assert store.id is not None
        item = await client.knowledge_store_items.create(store.id, asset_id=await uploaded(client))
        assert item.id is not None
        with anyio.fail_after(20):
            while (await client.knowledge_store_items.retrieve(store.id, item.id)).status != "ready":
                pass
        asked = [ResponseInputItem(type="message", role="user", content="Is there a zeppelin? {{sel:0}}")]
        form = TextParam(format=TextParamFormat_JsonSchema(name="answer", schema_=dict(SCHEMA)))
        chosen = [ResponseSelection(kind="item", id=item.id)]
        stream = client.responses.create_stream(
            knowledge_store_id=store.id, input=asked, selections=chosen, text=form, instructions="Be brief."
        )
        events = [event async for event in stream]
        assert events[-1].type == "response.completed"
        response = events[-1].response
        assert response.status == "completed"
        text = json.loads(response.output[0].content[0].text)
        assert "speaks of zeppelin" in text["answer"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"stream": False}, "parameter_invalid"),
        ({"input": []}, "parameter_not_provided"),
        ({"input": [{"type": "message", "role": "user", "content": "x" * 10_001}]}, "parameter_invalid"),
        ({"input": [{"type": "message", "role": "user", "content": "a {{sel:0}}"}]}, "parameter_invalid"),
        ({"selections": [{"kind": "item", "id": "ksi_0"}]}, "resource_not_exist"),
        ({"selections": [{"kind": "collection", "id": "ksic_0"}]}, "not_supported_by_local_platform"),
        ({"session_id": "sess_1"}, "not_supported_by_local_platform"),
        ({"knowledge_store_id": "ks_0"}, "resource_not_exist"),
        ({"text": {"format": {"type": "json_schema"}}}, "parameter_invalid"),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object", "properties": {}}}}},
            "not_supported_by_local_platform",
        ),
        (
            {"input": [{"type": "message", "role": "user", "content": "Write a song"}]},
            "not_supported_by_local_platform",
        ),
    ],
)
async def test_what_cannot_be_asked_is_refused_and_billed_nothing(
    tmp_path: Path, more: dict[str, Any], code: str
) -> None:
    """In the vendor's flat shape, with a code that says why."""
    async with platform(tmp_path) as (served, client):
        store = (await client.post("/knowledge-stores", json={"name": "films"})).json()["_id"]
        answer = await client.post("/responses", json={**body(store, "Why?"), **more})
        assert answer.status_code in (400, 404)
        assert misfits(answer.json(), {"code": TEXT, "message": TEXT, "details?": dict}) == []
        assert answer.json()["code"] == code
        assert served.ledger.entries("response") == []


class Jammed(Canned):
    """Reads nothing: its disk does not take it now."""

    def words(self, request: AnalysisRequest) -> VideoWords:
        raise OSError("no space")


@pytest.mark.asyncio
async def test_what_was_put_there_outlives_the_process(tmp_path: Path) -> None:
    """An item that was not read yet is read by the next process; what was read answers after any number of them."""
    async with platform(tmp_path, analyzer=Jammed()) as (_, client):
        store = (await client.post("/knowledge-stores", json={"name": "films"})).json()["_id"]
        asset = await ready(client, "bees.mp4", user_metadata=json.dumps({"captions": BEES}))
        assert (await client.post(f"/knowledge-stores/{store}/items", json={"asset_id": asset})).status_code == 202
    for _ in range(2):
        async with platform(tmp_path) as (_, client):
            with anyio.fail_after(20):
                while not (await client.get(f"/knowledge-stores/{store}/items", params={"status": "ready"})).json()[
                    "data"
                ]:
                    pass
            response = await answered(client, store, "Who lays eggs?", text=FORM)
            assert len(json.loads(response["output"][0]["content"][0]["text"])["citations"]) == 1
