"""The inventory of both dialects, without I/O: which requests are made, and how odd entries read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.core.errors import Permanent
from pipeline.ports.inventory import RemoteObject
from pipeline.provider.dialects.inventory_protocol import InventoryDialect
from pipeline.provider.dialects.json_reading import JsonObject
from pipeline.provider.dialects.protocol import Response, UnreadableAnswer
from pipeline.provider.dialects.v1_2.inventory import InventoryV12
from pipeline.provider.dialects.v1_3.inventory import InventoryV13

BOTH = pytest.mark.parametrize("dialect", [InventoryV12(), InventoryV13()])
TIME, EPOCH = "2026-11-22T10:00:00.250Z", 1795341600.25


@BOTH
def test_deleting_is_one_plain_repeatable_request(dialect: InventoryDialect) -> None:
    """Never by force, safe to repeat, counted among reads; what is no id makes no request."""
    for sort in dialect.object_types:
        request = dialect.endpoints[sort].delete("an-id", "in-dex").request
        assert (request.method, request.safe, list(request.params), request.group) == ("DELETE", True, [], "read")
        assert request.path.endswith("/an-id")
        assert "in-dex" in request.path or sort not in dialect.per_index
        for odd in ("..", "../assets?force=true", "", "a\n", "x" * 129):
            with pytest.raises(Permanent):
                dialect.endpoints[sort].get(odd, "i")


@BOTH
def test_lists_are_read_in_pages_of_fifty(dialect: InventoryDialect) -> None:
    """Page and size in every request; ids only where the list takes them."""
    for sort in dialect.object_types:
        request = dialect.endpoints[sort].page("i", 3).request
        assert list(request.params) == [("page", "3"), ("page_limit", "50")]
    assert bool(dialect.endpoints[dialect.upload_type].by_ids) == (dialect.upload_type == "asset")
    assert set(dialect.object_types) == set(dialect.endpoints) >= {dialect.upload_type, *dialect.per_index}


READ: list[tuple[InventoryDialect, Any, dict[str, Any], RemoteObject]] = [
    (InventoryV13(), "asset", {"_id": "a"}, RemoteObject("asset", "a", owner="", captions="")),
    (
        InventoryV13(), "asset",
        {"_id": "a", "filename": "f.mp4", "status": "ready", "created_at": TIME, "size": 5, "duration": 2.5,
         "user_metadata": {"reelmill_key": "k", "other": 1}, "surprise": []},
        RemoteObject("asset", "a", "f.mp4", "k", "ready", EPOCH, size=5, seconds=2.5, captions=""),
    ),
    (
        InventoryV13(), "asset", {"id": "a", "user_metadata": None, "size": "large", "created_at": "yesterday"},
        RemoteObject("asset", "a", owner="", captions=""),
    ),
    (InventoryV13(), "analysis", {"task_id": "t", "custom_id": None, "video_source": None}, RemoteObject("analysis", "t")),
    (
        InventoryV13(), "analysis", {"task_id": "t", "custom_id": "rm-1-0", "video_source": {"asset_id": "a"}},
        RemoteObject("analysis", "t", "rm-1-0", media="a"),
    ),
    (InventoryV13(), "indexed", {"_id": "v", "asset_id": "a"}, RemoteObject("indexed", "v", place="i", media="a")),
    (
        InventoryV13(), "indexed", {"_id": "v", "user_metadata": {}, "system_metadata": {"filename": "f.mp4"}},
        RemoteObject("indexed", "v", "f.mp4", "", place="i"),
    ),
    (
        InventoryV12(), "task",
        {"_id": "t", "index_id": "j", "video_id": "v", "metadata": {"filename": "f.mp4", "duration": 3}},
        RemoteObject("task", "t", "f.mp4", place="j", media="v", seconds=3.0),
    ),
    (InventoryV12(), "video", {"_id": "v", "metadata": {"filename": "f.mp4"}}, RemoteObject("video", "v", "f.mp4", place="i")),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "sort", "body", "found"), READ)
def test_entries_are_read_with_whatever_they_lack(
    dialect: InventoryDialect, sort: Any, body: dict[str, Any], found: RemoteObject
) -> None:
    """An id is all that an entry must have; a field of another type than promised counts as not there."""
    read = dialect.endpoints[sort].build
    assert read(JsonObject(body), "i") == found
    with pytest.raises(UnreadableAnswer):
        read(JsonObject({**body, "_id": 7, "id": "", "task_id": None}), "i")


def test_sessions_are_read() -> None:
    """v1.3: id, size and times, whichever are told; v1.2 has none and asks nothing."""
    data = [{"upload_id": "u", "total_size": 9, "created_at": TIME, "expires_at": TIME}, {"upload_id": "w"}]
    call = InventoryV13().open_sessions(1)
    assert call is not None
    page = call.read(Response(200, {}, json.dumps({"data": data}).encode()))
    assert [(each.id, each.size, each.created, each.expires) for each in page.entries] == [
        ("u", 9, EPOCH, EPOCH), ("w", 0, None, None),
    ]  # fmt: skip
    assert InventoryV12().open_sessions(1) is None
