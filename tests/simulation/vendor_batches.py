"""The model's batches: many analyses in one call, all accepted or none, and all that may go wrong with them.

A batch's fate: it ``expires`` before half of its items are done; its results ``lose`` an item, name one twice (``double``)
or stand in another order (``shuffle``); somebody ``cancel``s it at the platform's console.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from tests.simulation.ledger import Thing
from tests.simulation.vendor import Asked, Reply, Vendor, refused, unknown

ACTIVE = 5


class Batches(Vendor):
    """Routes and behaviour of batches."""

    batch_life = 1_800.0  #: seconds until a batch expires that will

    def ask(self, body: Mapping[str, Any], asset: Thing, key: str, *, batch: str = "") -> Thing:
        """Begin an analysis."""
        raise NotImplementedError

    def task_word(self, thing: Thing) -> str:
        """Return the status word of an analysis."""
        raise NotImplementedError

    def result_body(self, thing: Thing) -> dict[str, Any]:
        """Return an answer as the API shows it."""
        raise NotImplementedError

    def batch_routes(self) -> list[tuple[str, str, Callable[..., Reply]]]:
        """Return the routes."""
        item, path = "([0-9a-f]{24})", "/v1.3/analyze/batches"
        return [
            ("POST", path, self._create),
            ("GET", path, lambda asked: self.page(asked, self.shown("batch"), self._body)),
            ("GET", f"{path}/{item}", lambda asked, batch_id: self._with(batch_id, self._body)),
            ("GET", f"{path}/{item}/results", lambda asked, batch_id: self._with(batch_id, self._results)),
            ("POST", f"{path}/{item}/cancel", self._cancel),
        ]

    def _create(self, asked: Asked) -> Reply:
        body = asked.json()
        asked_for = [{"model_name": body["model_name"], **body["defaults"], **each} for each in body["requests"]]
        if body["model_name"] != "pegasus1.5" or not 1 <= len(asked_for) <= 1000:
            return refused(400, "parameter_invalid", nested=True)
        assets = [self.find("asset", each["video"]["asset_id"]) for each in asked_for]
        if not all(assets):
            return refused(404, "resource_not_exist", nested=True)
        if any(asset is not None and asset.word(self.now(), "processing") != "ready" for asset in assets):
            return refused(409, "asset_not_ready", nested=True)
        if len({each["custom_id"] for each in asked_for}) < len(asked_for):
            return refused(400, "parameter_invalid", nested=True)
        if (
            sum(
                self._word(thing) in ("pending", "processing")
                for thing in self.things.values()
                if thing.kind == "batch"
            )
            >= ACTIVE
        ):
            return refused(429, "too_many_requests")
        batch = self.make("batch", "", fated="batch", items=[])
        for number, (each, asset) in enumerate(zip(asked_for, assets, strict=True)):
            assert asset is not None
            question = {**each, "prompt": each["prompt"]["input_text"]}
            late = batch.fate == "expire" and number % 2 == 0
            thing = self.ask(question, asset, each["custom_id"], batch=batch.id)
            if late:
                self._end(thing, batch.made + self.batch_life, "batch_expired")
            batch.data["items"].append(thing.id)
        if batch.fate == "cancel":
            self._stop(batch, batch.made + self.habits.think / 2)
        names = [{"task_id": key, "custom_id": self.things[key].name} for key in batch.data["items"]]
        return Reply(201, {**self._body(batch), "items": names})

    def _end(self, thing: Thing, at: float, code: str) -> None:
        """Let an item end without an answer, and without a bill."""
        thing.fate, thing.ready, thing.until = "canceled", at, at
        thing.data |= {"code": code, "usd": 0.0}

    def _stop(self, batch: Thing, at: float) -> None:
        batch.data["stopped"] = True
        for item in self._items(batch):
            if item.ready > at and item.fate not in ("failed", "canceled"):
                self._end(item, at, "batch_canceled")

    def _items(self, batch: Thing) -> list[Thing]:
        return [self.things[key] for key in batch.data["items"]]

    def _with(self, batch_id: str, show: Callable[[Thing], Any]) -> Reply:
        batch = self.find("batch", batch_id)
        return Reply(200, show(batch)) if batch is not None else unknown()

    def _word(self, batch: Thing) -> str:
        if any(self.task_word(item) not in ("ready", "failed", "canceled") for item in self._items(batch)):
            return "canceling" if batch.data.get("stopped") else "processing"
        return "canceled" if batch.data.get("stopped") else "expired" if batch.fate == "expire" else "completed"

    def _body(self, batch: Thing) -> dict[str, Any]:
        numbers = Counter(self.task_word(item) for item in self._items(batch))
        return {
            "batch_id": batch.id, "status": self._word(batch), "total_items": len(batch.data["items"]),
            "created_at": self.stamp(batch.made), "expires_at": self.stamp(batch.made + 86_400),
            **{f"{word}_items": numbers[word] for word in ("queued", "processing", "ready", "failed", "canceled")},
        }  # fmt: skip

    def _results(self, batch: Thing) -> bytes:
        lines = [self._line(item) for item in self._items(batch) if not item.gone(self.now())]
        if batch.fate == "lose":
            lines = lines[1:]
        if batch.fate == "double":
            lines = [
                {"task_id": "0" * 24, "custom_id": line["custom_id"], "status": "queued"} for line in lines
            ] + lines
            lines.append({"task_id": "1" * 24, "custom_id": "of-somebody-else", "status": "failed"})
        if batch.fate == "shuffle":
            lines.reverse()
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    def _line(self, item: Thing) -> dict[str, Any]:
        word = self.task_word(item)
        line = {"task_id": item.id, "custom_id": item.name, "status": word}
        if word in ("failed", "canceled"):
            return {**line, "error": {"code": item.data.get("code", ""), "message": "It did not work out."}}
        return {**line, "data": self.result_body(item)} if word == "ready" else line

    def _cancel(self, asked: Asked, batch_id: str) -> Reply:
        batch = self.find("batch", batch_id)
        if batch is None:
            return unknown()
        if self._word(batch) not in ("pending", "processing", "canceling"):
            return refused(409, f"batch_{self._word(batch)}", nested=True)
        self._stop(batch, self.now())
        return Reply(202, self._body(batch))
