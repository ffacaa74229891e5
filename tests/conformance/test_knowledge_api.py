"""Our client's knowledge stores against the embedded platform, over real HTTP: what ``ports.KnowledgeApi`` promises."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from pipeline.app.asking.citations import SCHEMA
from pipeline.core.errors import Ambiguous, Permanent, Throttled
from pipeline.ports.knowledge_api import CrossQuestion, KnowledgeApi, KnowledgeItem
from tests.conformance.test_video_api import Hurried, accepted, pair, uploaded


async def ready(api: KnowledgeApi, store: str) -> KnowledgeItem:
    """Look until the one item of a store is final."""
    with anyio.fail_after(10):
        while True:
            (item,) = await api.items(store)
            if item.state != "working":
                return item
            await Hurried().sleep(1.0)


@pytest.mark.asyncio
async def test_a_store_is_made_filled_and_asked(tmp_path: Path) -> None:
    """Each call once, each thing found by its list; the answer comes whole, in our form and in plain text."""
    async with pair(tmp_path) as (api, served):
        assert api.knowledge is not None
        store = await api.knowledge.create_store("ours")
        assert [(each.id, each.name) for each in await api.knowledge.stores()] == [(store, "ours")]
        media = await uploaded(api, tmp_path)
        item = await api.knowledge.add_item(store, media, {"k": "v"})
        found = await ready(api.knowledge, store)
        assert (found.id, found.asset_id, found.state, found.seconds) == (item, media, "ready", 60.0)
        for schema in (SCHEMA, None):
            reply = await api.knowledge.ask(CrossQuestion(store, "Is there a zeppelin?", "", [item], schema))
            assert (reply.state, reply.text.startswith("{")) == ("completed", schema is not None)
            assert set(reply.usage) == {"input_tokens", "output_tokens"}
        assert accepted(served, "response") == 2
        for _ in range(2):
            await api.knowledge.delete_item(store, item)
        assert await api.knowledge.items(store) == []


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", ["reset_after", "truncate", "malformed"])
async def test_a_lost_answer_is_ambiguous(tmp_path: Path, fault: str) -> None:
    """Of a store and an item, which are there; and of an answer, which nobody can look for. None is sent twice."""
    rules = [
        {"match": f"POST /v1.3/{path}$", "do": fault, "nth": 1} for path in ("knowledge-stores", ".*items", "responses")
    ]
    async with pair(tmp_path, rules=rules) as (api, served):
        assert api.knowledge is not None
        with pytest.raises(Ambiguous):
            await api.knowledge.create_store("ours")
        (store,) = await api.knowledge.stores()
        with pytest.raises(Ambiguous):
            await api.knowledge.add_item(store.id, await uploaded(api, tmp_path), {})
        assert len(await api.knowledge.items(store.id)) == 1
        with pytest.raises(Ambiguous):
            await api.knowledge.ask(CrossQuestion(store.id, "Why?"))
        assert accepted(served, "response") == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "rule", [{"status": 404, "body": "html"}, {"status": 405, "code": "api_not_allowed"}, {"status": 404}]
)
async def test_a_platform_without_these_calls_is_told_in_one_sentence(tmp_path: Path, rule: dict[str, object]) -> None:
    """Whatever it answers where it knows nothing; on v1.2 there is nothing to call."""
    rules = [{"match": "knowledge-stores", "do": "status", **rule}]
    async with pair(tmp_path, rules=rules) as (api, _):
        assert api.knowledge is not None
        with pytest.raises(Permanent, match="does not answer questions across videos"):
            await api.knowledge.stores()
    async with pair(tmp_path / "old", speaks="v1.2") as (api, _):
        assert api.knowledge is None


@pytest.mark.asyncio
async def test_rate_limits_are_waited_for_but_not_with_an_answer(tmp_path: Path) -> None:
    """Lists and places wait by themselves; who asks decides about the question."""
    later = {"do": "status", "status": 429, "hint": "retry-after", "seconds": 2}
    rules = [{"match": "knowledge-stores", "every": 2, **later}, {"match": "responses", **later}]
    async with pair(tmp_path, rules=rules) as (api, served):
        assert api.knowledge is not None
        media = await uploaded(api, tmp_path)
        store = await api.knowledge.create_store("ours")
        await api.knowledge.add_item(store, media, {})
        assert len(await api.knowledge.items(store)) == 1
        with pytest.raises(Throttled):
            await api.knowledge.ask(CrossQuestion(store, "Why?"))
        assert accepted(served, "knowledge_item_created") == 1
