"""Ids as weapons: whatever a platform calls an id is one only in one form; anything else is no answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.core.errors import Ambiguous, Transient
from pipeline.ports.index_api import ClassifyQuery, ClassSpec, IndexSpec, ListFilter, SearchQuery
from pipeline.ports.video_api import NewUpload, Question, UploadSession
from pipeline.provider.dialects.protocol import Call, Response, UnreadableAnswer
from pipeline.provider.dialects.v1_2.indexes import IndexV12
from pipeline.provider.dialects.v1_2.inventory import InventoryV12
from pipeline.provider.dialects.v1_2.media import V12
from pipeline.provider.dialects.v1_3.batches import BatchesV13
from pipeline.provider.dialects.v1_3.indexes import IndexV13
from pipeline.provider.dialects.v1_3.inventory import InventoryV13
from pipeline.provider.dialects.v1_3.knowledge import KnowledgeV13
from pipeline.provider.dialects.v1_3.media import V13
from tests.unit.test_provider_http import WISH, client, ours, reply, scripted

ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
UPLOAD = NewUpload("film.mp4", "multipart", size=20, url="https://x/y.mp4", index_id="i")
ADDRESS = NewUpload("film.mp4", "url", url="https://x/y.mp4", index_id="i")
QUESTION = Question("k", "a", "Why?", None, 600, 0.3, "m")
SESSION = {"chunk_size": 8, "total_chunks": 3}
QUERY = SearchQuery("i", "words", options=("visual",))


def listed(**entry: Any) -> dict[str, Any]:
    """One page of a list with one entry."""
    return {"data": [entry], "page_info": {"page": 1, "total_page": 1}}


#: Every answer with an id, as a call and the body that holds one.
READERS: Mapping[str, tuple[Call[Any], Callable[[str], dict[str, Any]]]] = {
    "v1.3 asset": (V13().create_asset(ADDRESS), lambda it: {"_id": it}),
    "v1.3 asset found": (V13().find_assets(UPLOAD, 1), lambda it: listed(_id=it)),
    "v1.3 asset listed": (V13().media_by_ids(["a"]), lambda it: listed(_id=it, status="ready")),
    "v1.3 session": (V13().open_session(UPLOAD), lambda it: {**SESSION, "upload_id": it, "asset_id": "a"}),
    "v1.3 asset of a session": (V13().open_session(UPLOAD), lambda it: {**SESSION, "upload_id": "u", "asset_id": it}),
    "v1.3 task": (V13().submit_analysis(QUESTION), lambda it: {"task_id": it}),
    "v1.3 task found": (V13().find_analyses(QUESTION, 1), lambda it: listed(_id=it)),
    "v1.3 task listed": (V13().unfinished_analyses("queued", 1), lambda it: listed(_id=it, status="queued")),
    "v1.3 batch": (BatchesV13().create([QUESTION]), lambda it: {"batch_id": it}),
    "v1.3 batch listed": (BatchesV13().listed(1), lambda it: listed(batch_id=it)),
    "v1.3 index": (IndexV13().create_index(IndexSpec("films")), lambda it: {"_id": it}),
    "v1.3 index listed": (IndexV13().indexes(ListFilter(), 1), lambda it: listed(_id=it)),
    "v1.3 index alone": (IndexV13().index("i"), lambda it: {"_id": it}),
    "v1.3 indexed": (IndexV13().index_asset("i", "a", {}), lambda it: {"_id": it}),
    "v1.3 indexed listed": (IndexV13().videos("i", ListFilter(), 1), lambda it: listed(_id=it, status="ready")),
    "v1.3 asset of an indexed": (IndexV13().video("i", "v"), lambda it: {"_id": "v", "status": "ready", "asset_id": it}),
    "v1.3 place": (IndexV13().placements("a", 1), lambda it: listed(_id=it)),
    "v1.3 index of a place": (IndexV13().placements("a", 1), lambda it: listed(_id="v", index={"_id": it})),
    "v1.3 store": (KnowledgeV13().create_store("n"), lambda it: {"_id": it}),
    "v1.3 store listed": (KnowledgeV13().stores(1), lambda it: listed(_id=it)),
    "v1.3 item": (KnowledgeV13().add_item("k", "a", {}), lambda it: {"_id": it}),
    "v1.3 item listed": (KnowledgeV13().items("k", 1), lambda it: listed(_id=it, status="ready")),
    "v1.3 asset of an item": (
        KnowledgeV13().items("k", 1), lambda it: listed(_id="v", status="ready", asset_id=it),
    ),
    "v1.3 hit": (IndexV13().search(QUERY), lambda it: listed(video_id=it)),
    "v1.3 hit in a video": (IndexV13().search(QUERY), lambda it: listed(id="v", clips=[{"video_id": it}])),
    "v1.3 open session": (InventoryV13().open_sessions(1), lambda it: listed(upload_id=it)),  # type: ignore[dict-item]
    **{
        f"v1.3 {name} in the account": (endpoint.page("i", 1), lambda it: listed(_id=it))
        for name, endpoint in InventoryV13.endpoints.items()
    },
    "v1.3 asset of an entry": (InventoryV13.endpoints["indexed"].page("i", 1), lambda it: listed(_id="v", asset_id=it)),
    "v1.3 asset of a task": (
        InventoryV13.endpoints["analysis"].page("i", 1), lambda it: listed(_id="v", video_source={"asset_id": it}),
    ),
    "v1.2 task": (V12().create_asset(ADDRESS), lambda it: {"_id": it}),
    "v1.2 task found": (V12().find_assets(UPLOAD, 1), lambda it: listed(_id=it)),
    "v1.2 task listed": (V12().media_page(1), lambda it: listed(_id=it, status="ready")),
    "v1.2 video of a task": (V12().media("t"), lambda it: {"_id": "t", "status": "ready", "video_id": it}),
    "v1.2 index": (IndexV12().create_index(IndexSpec("films")), lambda it: {"_id": it}),
    "v1.2 index listed": (IndexV12().indexes(ListFilter(), 1), lambda it: listed(_id=it)),
    "v1.2 video listed": (IndexV12().videos("i", ListFilter(), 1), lambda it: listed(_id=it)),
    "v1.2 hit": (IndexV12().search(QUERY), lambda it: listed(video_id=it)),
    "v1.2 classified": (IndexV12().classify(ClassifyQuery((ClassSpec("c", ("p",)),), "i")), lambda it: listed(video_id=it)),
    **{
        f"v1.2 {name} in the account": (endpoint.page("i", 1), lambda it: listed(_id=it))
        for name, endpoint in InventoryV12.endpoints.items()
    },
    "v1.2 video of an entry": (InventoryV12.endpoints["task"].page("i", 1), lambda it: listed(_id="t", video_id=it)),
    "v1.2 index of an entry": (InventoryV12.endpoints["task"].page("i", 1), lambda it: listed(_id="t", index_id=it)),
}  # fmt: skip

ODD = st.text(min_size=1, max_size=200).filter(lambda text: ID.fullmatch(text) is None)


def read(name: str, value: str) -> object:
    """Read the answer of that name with this id."""
    call, body = READERS[name]
    return call.read(Response(200, {}, json.dumps(body(value)).encode(), 0.0))


@pytest.mark.parametrize("name", READERS)
@given(odd=ODD)
@example(odd="..")
@example(odd="../../indexes")
@example(odd="a\n")
@example(odd="a\r\nX-Evil: 1")
@example(odd="x" * 129)
@example(odd="x" * 1_000_000)
@example(odd="١٢٣")  # digits to Python, not to the rule
def test_what_has_not_the_form_of_an_id_is_no_answer(name: str, odd: str) -> None:
    """Dots, slashes, line breaks, a megabyte: the reader says that it cannot read the answer, in a short sentence."""
    with pytest.raises(UnreadableAnswer) as caught:
        read(name, odd)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", READERS)
@given(plain=st.from_regex(ID, fullmatch=True).filter(lambda text: text.isascii() and "\n" not in text))
def test_what_has_the_form_of_an_id_is_read(name: str, plain: str) -> None:
    """Letters, digits, hyphens and underscores, up to 128: no id of any platform that we know is refused."""
    assert read(name, plain) is not None


@pytest.mark.asyncio
@pytest.mark.parametrize("odd", ["..", "../../indexes", "a\nb", "x" * 1_000_000])
async def test_an_odd_id_is_asked_for_and_leads_nowhere_else(odd: str) -> None:
    """The paid call stays in doubt, so the platform is asked what it left; no request goes to a path made of the id."""
    body = {"_id": odd, "task_id": odd, "upload_id": odd, "asset_id": odd}
    async with scripted(reply(201, body)) as script, client(script.port) as api:
        for act in (api.submit_analysis(WISH, ours), api.create_asset(ADDRESS, ours)):
            with pytest.raises(Ambiguous):
                await act
        assert [heard.line.split()[1] for heard in script.heard] == ["/v1.3/analyze/tasks", "/v1.3/assets"]
    found = listed(**body, custom_id=WISH.key, filename="film.mp4", status="ready")
    async with scripted(reply(200, found)) as script, client(script.port) as api:
        for look in (api.find_analysis(WISH), api.find_asset(UPLOAD)):
            with pytest.raises(Transient) as caught:
                await look
            assert caught.value.trouble.code == "unreadable"
        paths = {heard.line.split()[1].partition("?")[0] for heard in script.heard}
        assert paths == {"/v1.3/analyze/tasks", "/v1.3/assets"}


def test_a_session_is_named_by_its_ids() -> None:
    """What is asked about a session goes to its own path."""
    session = UploadSession("u-1_A", "a", 8, 3, 0.0)
    assert V13().chunk_state(session, 1).request.path == "/assets/multipart-uploads/u-1_A"
