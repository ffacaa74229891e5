"""The model's API v1.3: assets, multipart sessions, analyses as tasks, indexes, search."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.config.settings import PricesSection
from tests.simulation.ledger import Thing
from tests.simulation.vendor import Asked, Reply, Vendor, fitting, refused, unknown
from tests.simulation.vendor_batches import Batches

CHUNK = 2_000  #: bytes
_GENERATION = re.compile(r"-\d+(\.\w+)?$")


def base_of(name: str) -> str:
    """Return an upload's name, or a question's key, without its generation."""
    return _GENERATION.sub("", name)


class VendorV13(Batches, Vendor):
    """Routes by method and shape of the path."""

    clock_start = 0.0  #: where the clock inside every file starts
    clock = ""  #: what times in answers count from: a player's 0:00, or that of the ``window``, or that of the ``file``

    def carry_out(self, asked: Asked) -> Reply:
        """Find the route and follow it."""
        for method, shape, handle in self._routes():
            found = re.fullmatch(shape, asked.path)
            if method == asked.method and found:
                return handle(asked, *found.groups())
        return refused(404, "not_found")

    def _routes(self) -> list[tuple[str, str, Callable[..., Reply]]]:
        item = "([0-9a-f]{24})"
        sessions = "/v1.3/assets/multipart-uploads"
        return [
            ("POST", "/v1.3/assets", self._new_asset),
            ("GET", "/v1.3/assets", self._assets),
            ("POST", sessions, self._open),
            ("GET", f"{sessions}/{item}", self._session),
            ("POST", f"{sessions}/{item}/presigned-urls", self._addresses),
            ("POST", f"{sessions}/{item}", self._report),
            ("PUT", f"/chunks/{item}/(\\d+)", self._chunk),
            ("GET", f"/v1.3/assets/{item}", self._asset),
            ("GET", f"/v1.3/assets/{item}/indexed-assets", self._places),
            ("GET", f"/v1.3/assets/{item}/transcription", self._heard),
            ("POST", "/v1.3/analyze/tasks", self._analyze),
            ("GET", "/v1.3/analyze/tasks", self._analyses),
            ("GET", f"/v1.3/analyze/tasks/{item}", self._analysis),
            ("POST", f"/v1.3/analyze/tasks/{item}/cancel", self._stop_analysis),
            *self.batch_routes(),
            ("POST", "/v1.3/indexes", lambda asked: self.new_index(asked, "models")),
            ("GET", "/v1.3/indexes", self.indexes),
            ("GET", f"/v1.3/indexes/{item}", self._index),
            ("POST", f"/v1.3/indexes/{item}/indexed-assets", self._put),
            ("GET", f"/v1.3/indexes/{item}/indexed-assets", self._videos),
            ("GET", f"/v1.3/indexes/{item}/indexed-assets/{item}", self._video),
            ("POST", "/v1.3/search", self._search),
        ]

    # ------------------------------------------------------------------------------------------------------ assets

    def _new_asset(self, asked: Asked) -> Reply:
        fields = {name: content for name, _, content in asked.form()}
        name = fields["filename"].decode()
        content = fields.get("file", b"")  # nothing where the platform fetches an address
        thing = self.make("asset", name, self.habits.settle, "asset", size=len(content))
        self.accepted("asset", name, base_of(name), thing)
        return Reply(201, self._asset_body(thing))

    def _assets(self, asked: Asked) -> Reply:
        ids, name = asked.all("asset_ids"), asked.get("filename")
        self.looked("asset", name)
        found = [t for t in self.shown("asset") if t.data["size"] >= 0 and name in t.name and (not ids or t.id in ids)]
        return self.page(asked, found, self._asset_body)

    def _asset(self, asked: Asked, asset_id: str) -> Reply:
        thing = self.find("asset", asset_id)
        return Reply(200, self._asset_body(thing)) if thing is not None else unknown()

    def _heard(self, asked: Asked, asset_id: str) -> Reply:
        """Return what is said in every video, in the sorts that are asked for."""
        if self.find("asset", asset_id) is None:
            return unknown()
        spans = [{"start": 4.0 * n, "end": 4.0 * n + 3, "value": f"Sentence {n} is said."} for n in range(3)]
        return Reply(200, {"status": "ready", **dict.fromkeys(asked.all("include"), spans)})

    def _asset_body(self, thing: Thing) -> dict[str, Any]:
        word = thing.word(self.now(), "processing")
        body = {"_id": thing.id, "filename": thing.name, "status": word, "created_at": self.stamp(thing.made)}
        if word == "failed":
            return {**body, "error": {"message": "The file could not be read."}}
        return {**body, **({"duration": self.seconds, "size": thing.data["size"]} if word == "ready" else {})}

    # ---------------------------------------------------------------------------------------------------- sessions

    def _open(self, asked: Asked) -> Reply:
        body = asked.json()
        total = -(-body["total_size"] // CHUNK)
        asset = self.make("asset", body["filename"], 1e12, size=-1)
        session = self.make(
            "session", body["filename"], asset=asset.id, total=total, size=body["total_size"], done=set()
        )
        self.accepted("session", session.name, session.id, session)
        return Reply(
            201,
            {
                "upload_id": session.id, "asset_id": asset.id, "chunk_size": CHUNK, "total_chunks": total,
                "expires_at": self.stamp(session.made + 86_400), "upload_urls": [], "upload_headers": {},
            },
        )  # fmt: skip

    def _session(self, asked: Asked, session_id: str) -> Reply:
        thing = self.find("session", session_id)
        if thing is None:
            return unknown()
        done = sorted(thing.data["done"])
        reply = self.page(asked, [], lambda each: each)
        chunks = [{"index": index, "status": "completed"} for index in done]
        info = {**reply.body["page_info"], "total_page": 1}
        word = "completed" if len(done) == thing.data["total"] else "active"
        return Reply(200, {"status": word, "uploaded_chunks": chunks, "page_info": info})

    def _addresses(self, asked: Asked, session_id: str) -> Reply:
        thing = self.find("session", session_id)
        if thing is None:
            return unknown()
        body, ends = asked.json(), self.now() + self.habits.address_life
        urls = [
            {
                "chunk_index": index,
                "url": f"https://storage.test/chunks/{session_id}/{index}?signature=secret&until={ends}",
                "expires_at": self.stamp(ends),
            }
            for index in range(body["start"], body["start"] + body["count"])
        ]
        return Reply(200, {"upload_urls": urls})

    def _chunk(self, asked: Asked, session_id: str, index: str) -> Reply:
        if float(asked.get("until")) < self.now():
            return Reply(403, b"<Error><Code>AccessDenied</Code></Error>")
        thing = self.things[session_id]
        thing.data.setdefault("held", {})[int(index)] = len(asked.body)
        return Reply(200, None, {"ETag": f'"{session_id}-{index}"'})

    def _report(self, asked: Asked, session_id: str) -> Reply:
        thing = self.find("session", session_id)
        if thing is None:
            return unknown()
        held, done = thing.data.get("held", {}), thing.data["done"]
        before = len(done)
        for chunk in asked.json()["completed_chunks"]:
            if chunk["chunk_index"] not in held or chunk["proof"] != f"{session_id}-{chunk['chunk_index']}":
                return refused(400, "parameter_invalid")
            done.add(chunk["chunk_index"])
        if len(done) == thing.data["total"] > before:
            self._complete(thing, sum(held.values()))
        return Reply(200, {"total_completed": len(done)})

    def _complete(self, session: Thing, size: int) -> None:
        assert size == session.data["size"]
        asset, made = self.things[session.data["asset"]], self.make("", "", self.habits.settle, "asset")
        del self.things[made.id]
        asset.ready, asset.fate, asset.until, asset.data = (
            made.ready,
            made.fate,
            made.until,
            {"size": size, "parts": True},
        )
        self.accepted("asset", asset.name, base_of(asset.name), asset)

    # ---------------------------------------------------------------------------------------------------- analyses

    def _analyze(self, asked: Asked) -> Reply:
        body, key = asked.json(), asked.headers.get("idempotency-key", "")
        asset = self.find("asset", body["video"]["asset_id"])
        if asset is None:
            return refused(400, "resource_not_exist", nested=True)
        if asset.word(self.now(), "processing") != "ready":
            return refused(400, "asset_not_ready", nested=True)
        start, end = self.window(body)
        if end - start < 1 or end > self.seconds or end - start > self.one_call:
            return refused(400, "parameter_invalid", nested=True)
        kept = [t for t in self.things.values() if t.kind == "analysis" and t.data["key"] == key]
        if self.habits.keeps_keys and kept:
            return Reply(202, {"task_id": kept[-1].id, "status": "queued"})
        return Reply(202, {"task_id": self.ask(body, asset, key).id, "status": "queued"})

    def ask(self, body: Mapping[str, Any], asset: Thing, key: str, *, batch: str = "") -> Thing:
        """Begin an analysis, alone or as an item of a batch."""
        thing = self.make(
            "analysis", body["custom_id"], self.habits.think, "answer", asset=asset.id, key=key, text=self.answer(body)
        )
        # Some answers are as long as they may be: it bills minutes and tokens, whatever becomes of them.
        tokens = self.billed(body["max_tokens"], thing)
        rates, (start, end) = PricesSection(), self.window(body)
        usd = (end - start) / 60 * rates.analyze_minute + tokens / 1000 * rates.output_1000_tokens
        free = batch and thing.fate in ("failed", "canceled")  # as the platform says of the items of a batch
        thing.data |= {"tokens": tokens, "usd": 0.0 if free else usd, "batch": batch}
        lines = body["prompt"].splitlines()
        wanted = body["response_format"]["json_schema"]["properties"]
        asks = ("\n".join([name, *(line for line in lines if f"`{name}`" in line)]) for name in wanted)
        marks = [(base_of(asset.name), f"{start:g}-{end:g} {ask}") for ask in asks]
        self.accepted("analysis", thing.name, base_of(thing.name), thing, marks)
        return thing

    def billed(self, room: int, thing: Thing) -> int:
        """Return how many tokens an answer has, of as many as it may have."""
        many = len(self.things)
        return room if many % 3 == 0 or thing.fate == "length" else 1 + many * 997 % room

    def answer(self, body: Mapping[str, Any]) -> str:
        """Return the text that answers a question: what its schema wants."""
        wanted = body["response_format"]["json_schema"]["properties"]
        start, end = self.window(body)
        counts_from = {"window": 0.0, "file": start + self.clock_start}.get(self.clock, start)
        return json.dumps({name: fitting(name, form, end - start, counts_from) for name, form in wanted.items()})

    def window(self, body: Mapping[str, Any]) -> tuple[float, float]:
        """Return the part that a question is about, as a player counts; the API counts by the clock inside the file."""
        start, end = body.get("start_time"), body.get("end_time")
        return (
            0.0 if start is None else start - self.clock_start,
            self.seconds if end is None else end - self.clock_start,
        )

    def _analyses(self, asked: Asked) -> Reply:
        asset, word = asked.get("asset_id"), asked.get("status")
        self.looked("analysis", asset)
        found = [
            thing
            for thing in self.shown("analysis")
            if (not asset or thing.data["asset"] == asset) and (not word or self.task_word(thing) == word)
        ]
        return self.page(asked, found, lambda thing: self._task_body(thing, listed=True))

    def _analysis(self, asked: Asked, task_id: str) -> Reply:
        thing = self.find("analysis", task_id)
        return Reply(200, self._task_body(thing)) if thing is not None else unknown()

    def _stop_analysis(self, asked: Asked, task_id: str) -> Reply:
        """Cancel an analysis; some are billed all the same, and a part of these says how much."""
        thing = self.find("analysis", task_id)
        if thing is None:
            return unknown()
        if self.task_word(thing) in ("ready", "failed", "canceled"):
            return refused(409, "task_not_cancelable", nested=True)
        thing.fate, thing.ready, thing.until = "canceled", self.now(), self.now()
        bills, tells = divmod(int(thing.id, 16) % 4, 2)
        thing.data |= {"code": "user_canceled", "tells": bool(bills and tells)}
        if not bills:
            thing.data["usd"] = 0.0
        return Reply(200, {"task_id": thing.id, "status": "canceled"})

    def task_word(self, thing: Thing) -> str:
        """Return the status word of an analysis."""
        return thing.word(self.now(), "processing" if self.now() > thing.made + 5 else "queued")

    def _task_body(self, thing: Thing, *, listed: bool = False) -> dict[str, Any]:
        word = self.task_word(thing)
        body = {"task_id": thing.id, "custom_id": thing.name, "status": word, "created_at": self.stamp(thing.made)}
        if word in ("failed", "canceled"):
            used = {"result": {"usage": {"output_tokens": thing.data["tokens"]}}} if thing.data.get("tells") else {}
            return {**body, **used, "error": {"code": thing.data.get("code", ""), "message": "It did not work out."}}
        if word != "ready" or listed:
            return body
        return {**body, "result": self.result_body(thing)}

    def result_body(self, thing: Thing) -> dict[str, Any]:
        """Return an answer as the API shows it."""
        text, reason = thing.data["text"], "stop"
        if thing.fate == "length":
            text, reason = text[: len(text) // 2], "length"
        if thing.fate == "garbage":
            text = '{"alien": [1, 2'
        return {"data": text, "finish_reason": reason, "usage": {"output_tokens": thing.data["tokens"]}}

    # ----------------------------------------------------------------------------------------------------- indexes

    def _index(self, asked: Asked, index_id: str) -> Reply:
        thing = self.find("index", index_id)
        return Reply(200, self.index_body(thing)) if thing is not None else unknown()

    def _put(self, asked: Asked, index_id: str) -> Reply:
        asset = self.find("asset", asked.json()["asset_id"])
        if asset is None or self.find("index", index_id) is None:
            return unknown()
        thing = self.make("indexed", asset.name, self.habits.settle, asset=asset.id, index=index_id)
        self.accepted("indexed", asset.id, f"{index_id}/{asset.id}", thing)
        return Reply(202, {"_id": thing.id})

    def _videos(self, asked: Asked, index_id: str) -> Reply:
        since = asked.get("created_at")
        found = [
            thing
            for thing in self.shown("indexed")
            if thing.data["index"] == index_id and self.stamp(thing.made) >= since
        ]
        return self.page(asked, found, self._video_body)

    def _video(self, asked: Asked, index_id: str, video_id: str) -> Reply:
        thing = self.find("indexed", video_id)
        return Reply(200, self._video_body(thing)) if thing is not None else unknown()

    def _places(self, asked: Asked, asset_id: str) -> Reply:
        if self.find("asset", asset_id) is None:
            return unknown()
        self.looked("indexed", asset_id)
        found = [thing for thing in self.shown("indexed") if thing.data["asset"] == asset_id]
        return self.page(asked, found, lambda thing: {"_id": thing.id, "index_id": thing.data["index"]})

    def _video_body(self, thing: Thing) -> dict[str, Any]:
        word = thing.word(self.now(), "indexing")
        return {
            "_id": thing.id, "status": word, "asset_id": thing.data["asset"], "created_at": self.stamp(thing.made),
            "system_metadata": {"filename": thing.name, "duration": self.seconds},
            **({"indexed_at": self.stamp(thing.ready)} if word == "ready" else {}),
        }  # fmt: skip

    def _search(self, asked: Asked) -> Reply:
        fields = {name: content.decode() for name, _, content in asked.form()}
        found = [thing for thing in self.shown("indexed") if thing.data["index"] == fields["index_id"]]
        hits = [{"video_id": thing.id, "start": 1, "end": 2, "rank": n} for n, thing in enumerate(found, 1)]
        return self.searched(hits, fields["query_text"])
