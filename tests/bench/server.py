"""The benchmark's own platform: just enough of API v1.3, analysis stubbed, in a process of its own and as cheap as we can.

It parses nothing that it does not answer from. Every asset and analysis it accepts is counted by its unique name, so that
a benchmark can prove that all work was done, and done once.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

SECONDS = 60.0  #: length of every video
PAGE = 50

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_NAME = re.compile(rb'name="filename"\r\n\r\n([^\r]+)')
_KEY = re.compile(rb'"custom_id": ?"([^"]+)"')
_ASSET_ID = re.compile(rb"asset_ids=([^& ]+)")


class Stub:
    """What the platform knows: who was accepted when, and how often it was asked."""

    def __init__(self, think: float) -> None:
        self._think = think
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.counts: Counter[str] = Counter()
        self.ids_asked = 0
        self.first: float | None = None  #: epoch seconds of the first request
        self._assets: dict[bytes, bytes] = {}
        self._tasks: dict[bytes, bytes] = {}
        self._ready: dict[bytes, float] = {}
        self._lags: dict[bytes, float] = {}  #: task -> seconds from its end until that was told
        self._answer = b""

    def answer(self, method: bytes, target: bytes, body: bytes) -> bytes:
        """Return the body of the answer."""
        path, _, query = target.removeprefix(b"/v1.3").partition(b"?")
        if path == b"/figures":
            return self._figures()
        if path == b"/reset":
            self.reset()
            return b"{}"
        if path == b"/mark":  # the next request counts as the first
            self.first = None
            return b"{}"
        if self.first is None:
            self.first = time.time()  # noqa: TID251 - compared with another process's start
        if path == b"/assets":
            return self._new_asset(body) if method == b"POST" else self._list_assets(query)
        if path == b"/analyze/tasks":
            return self._new_task(body) if method == b"POST" else self._list_tasks(query)
        return self._one(path)

    def _figures(self) -> bytes:
        told = {
            "counts": dict(self.counts), "assets": len(self._assets), "analyses": len(self._tasks),
            "ids_per_list": self.ids_asked / max(1, self.counts["list assets"]), "first": self.first,
            "lags": sorted(self._lags.values()),
        }  # fmt: skip
        return json.dumps(told).encode()

    def _is_ready(self, key: bytes) -> bool:
        return not self._think or time.monotonic() >= self._ready[key]

    def _accept(self, kind: str, known: dict[bytes, bytes], name: bytes) -> bytes:
        self.counts[kind] += 1
        key = known.setdefault(name, b"%s%d" % (kind[-2:].encode(), len(known)))
        if self._think:
            self._ready[key] = time.monotonic() + self._think
        return key

    def _new_asset(self, body: bytes) -> bytes:
        found = _NAME.search(body)
        assert found is not None
        return b'{"_id":"%s","status":"processing"}' % self._accept("create asset", self._assets, found[1])

    def _list_assets(self, query: bytes) -> bytes:
        self.counts["list assets"] += 1
        ids = _ASSET_ID.findall(query)
        self.ids_asked += len(ids)
        if ids:
            return b'{"data":[%s],"page_info":{"page":1,"total_page":1}}' % b",".join(self._asset(key) for key in ids)
        page, pages = _page(query), max(1, -(-len(self._assets) // PAGE))
        newest_first = islice(reversed(self._assets.values()), (page - 1) * PAGE, page * PAGE)
        shown = b",".join(self._asset(key) for key in newest_first)
        return b'{"data":[%s],"page_info":{"page":%d,"total_page":%d}}' % (shown, page, pages)

    def _asset(self, key: bytes) -> bytes:
        word = b"ready" if self._is_ready(key) else b"processing"
        return b'{"_id":"%s","status":"%s","duration":%.1f}' % (key, word, SECONDS)

    def _new_task(self, body: bytes) -> bytes:
        if not self._answer:
            told = json.loads(body)
            self._answer = json.dumps(_fitting(told["response_format"]["json_schema"])).encode()
        found = _KEY.search(body)
        assert found is not None
        return b'{"task_id":"%s","status":"queued"}' % self._accept("create task", self._tasks, found[1])

    def _list_tasks(self, query: bytes) -> bytes:
        self.counts["list tasks"] += 1
        working: list[bytes] = []
        if self._think and b"status=processing" in query:
            working = [key for key in self._tasks.values() if not self._is_ready(key)]
        page = _page(query)
        shown = [b'{"task_id":"%s","status":"processing"}' % key for key in working[(page - 1) * PAGE : page * PAGE]]
        pages = max(1, -(-len(working) // PAGE))
        return b'{"data":[%s],"page_info":{"page":%d,"total_page":%d}}' % (b",".join(shown), page, pages)

    def _one(self, path: bytes) -> bytes:
        key = path.rpartition(b"/")[2]
        if path.startswith(b"/assets/"):
            self.counts["get asset"] += 1
            return self._asset(key)
        self.counts["get task"] += 1
        if not self._is_ready(key):
            return b'{"task_id":"%s","status":"processing","created_at":"2026-01-01T00:00:00Z"}' % key
        if self._think:
            self._lags.setdefault(key, time.monotonic() - self._ready[key])
        result = {
            "data": self._answer.decode(),
            "generation_id": "g1",
            "finish_reason": "stop",
            "usage": {"output_tokens": 100},
        }
        told = b'{"task_id":"%s","status":"ready","created_at":"2026-01-01T00:00:00Z","result":%s}'
        return told % (key, json.dumps(result).encode())


def _page(query: bytes) -> int:
    return int((b"&" + query).partition(b"&page=")[2].partition(b"&")[0] or 1)


def _fitting(form: Mapping[str, Any], name: str = "") -> Any:
    """Return the smallest value that our jobs accept for a schema."""
    kind = form.get("type")
    if kind == "object":
        value = {key: _fitting(each, key) for key, each in form["properties"].items()}
        return value | {key: at for key, at in (("start_time", 0.0), ("end_time", SECONDS)) if key in value}
    if kind == "array":
        return [_fitting(form["items"], name)]
    return 1 if kind in ("number", "integer") else f"A plain sentence about {name}."


class _Talk(asyncio.Protocol):
    """One connection: HTTP/1.1 with known lengths, one request after another."""

    def __init__(self, stub: Stub, latency: float) -> None:
        self._stub = stub
        self._latency = latency
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._rest, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._rest) < whole:
                return
            method, target, _ = self._rest[: self._rest.find(b"\r\n")].split(b" ")
            body = self._stub.answer(method, target, self._rest[end + 4 : whole])
            self._rest = self._rest[whole:]
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._transport.write, head + body)
            else:
                self._transport.write(head + body)


def _serve(told: Connection, think: float, latency: float) -> None:
    async def work() -> None:
        stub = Stub(think)
        server = await asyncio.get_running_loop().create_server(lambda: _Talk(stub, latency), "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(work())


@contextmanager
def serving(think: float = 0.0, latency: float = 0.0) -> Iterator[str]:
    """Run the platform in a process of its own and yield its address. Times in seconds."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, think, latency), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()
