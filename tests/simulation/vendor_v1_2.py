"""The model's API v1.2: indexing tasks, YouTube addresses, answers at once that nobody can be asked about afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.simulation.ledger import Thing
from tests.simulation.vendor import Asked, Reply, Vendor, refused, unknown
from tests.simulation.vendor_v1_3 import base_of


class VendorV12(Vendor):
    """Routes by method and shape of the path."""

    def carry_out(self, asked: Asked) -> Reply:
        """Find the route and follow it."""
        for method, shape, handle in self._routes():
            found = re.fullmatch(shape, asked.path)
            if method == asked.method and found:
                return handle(asked, *found.groups())
        return refused(404, "resource_not_exist")

    def _routes(self) -> list[tuple[str, str, Callable[..., Reply]]]:
        item = "([0-9a-f]{24})"
        return [
            ("POST", "/v1.2/tasks", self._new_task),
            ("POST", "/v1.2/tasks/external-provider", self._external),
            ("GET", "/v1.2/tasks", self._tasks),
            ("GET", f"/v1.2/tasks/{item}", self._task),
            ("POST", "/v1.2/(gist|summarize|generate)", self._ask),
            ("POST", "/v1.2/indexes", lambda asked: self.new_index(asked, "engines")),
            ("GET", "/v1.2/indexes", self.indexes),
            ("GET", f"/v1.2/indexes/{item}", self._index),
            ("GET", f"/v1.2/indexes/{item}/videos", self._videos),
            ("GET", f"/v1.2/indexes/{item}/videos/{item}", self._video),
            ("POST", "/v1.2/search", self._search),
        ]

    # ------------------------------------------------------------------------------------------------------- tasks

    def _new_task(self, asked: Asked) -> Reply:
        form = asked.form()
        name = next(file for field, file, _ in form if field == "video_file")
        index = next(content.decode() for field, _, content in form if field == "index_id")
        if self.find("index", index) is None:
            return refused(400, "resource_not_exist")
        thing = self.make("task", name, self.habits.settle, "asset", index=index)
        self.accepted("asset", name, base_of(name), thing)
        return Reply(200, {"_id": thing.id})

    def _external(self, asked: Asked) -> Reply:
        body = asked.json()
        # The platform names the task by the site's own title, once it has looked there.
        thing = self.make(
            "task", f"Film {body['url'][-1]}", self.habits.settle, "asset", index=body["index_id"], url=body["url"]
        )
        self.accepted("asset", body["url"], body["url"], thing)
        return Reply(201, {"_id": thing.id})

    def _tasks(self, asked: Asked) -> Reply:
        index, name = asked.get("index_id"), asked.get("filename")
        self.looked("asset", name)
        found = [t for t in self.shown("task") if (not index or t.data["index"] == index) and name in t.name]
        return self.page(asked, found, self._task_body)

    def _task(self, asked: Asked, task_id: str) -> Reply:
        thing = self.find("task", task_id)
        if thing is None:
            return refused(400, "resource_not_exist")
        return Reply(200, self._task_body(thing))

    def _task_body(self, thing: Thing) -> dict[str, Any]:
        word = thing.word(self.now(), "indexing" if self.now() > thing.made + 3 else "validating")
        named = thing.name if "url" not in thing.data or self.now() > thing.made + 4 else ""
        body = {
            "_id": thing.id, "index_id": thing.data["index"], "status": word, "created_at": self.stamp(thing.made),
            "metadata": {"filename": named, "duration": self.seconds},
        }  # fmt: skip
        if word == "ready":
            return {**body, "video_id": thing.id[::-1]}
        left = thing.ready - self.now()
        return {**body, "estimated_time": self.stamp(thing.ready)} if 0 < left < 600 else body

    # -------------------------------------------------------------------------------------------------------- asks

    def _ask(self, asked: Asked, path: str) -> Reply:
        body = asked.json()
        task = self.find("task", body["video_id"][::-1])
        if task is None or task.word(self.now(), "indexing") != "ready":
            return refused(400, "resource_not_exist")
        thing = self.make("ask", asked.key, 0.0, "answer")
        video = task.data.get("url") or base_of(task.name)
        question = f"{path} {sorted((name, str(value)) for name, value in body.items() if name != 'video_id')}"
        self.accepted("ask", asked.key, base_of(asked.key), thing, [(video, question)])
        if thing.fate in ("garbage", "length"):
            return Reply(
                200, {"id": "1", "alien": True, **({"finish_reason": "length"} if thing.fate == "length" else {})}
            )
        thing.fate = ""  # answers at once cannot get stuck or vanish
        return Reply(200, {"id": "1", **_answer(path, body.get("type", ""))})

    # ----------------------------------------------------------------------------------------------------- indexes

    def _index(self, asked: Asked, index_id: str) -> Reply:
        thing = self.find("index", index_id)
        return Reply(200, self.index_body(thing)) if thing is not None else refused(400, "resource_not_exist")

    def _ready(self, index_id: str) -> list[Thing]:
        now = self.now()
        return [t for t in self.shown("task") if t.data["index"] == index_id and t.word(now, "") == "ready"]

    def _videos(self, asked: Asked, index_id: str) -> Reply:
        if self.find("index", index_id) is None:
            return unknown()
        return self.page(asked, self._ready(index_id), self._video_body)

    def _video(self, asked: Asked, index_id: str, video_id: str) -> Reply:
        task = self.find("task", video_id[::-1])
        if task is None or task not in self._ready(index_id):
            return unknown()
        return Reply(200, self._video_body(task))

    def _video_body(self, task: Thing) -> dict[str, Any]:
        return {"_id": task.id[::-1], "created_at": self.stamp(task.made), "metadata": {"filename": task.name}}

    def _search(self, asked: Asked) -> Reply:
        body = asked.json()
        found = self._ready(body["index_id"])
        return self.searched(
            [{"video_id": t.id[::-1], "start": 1, "end": 2, "score": 80.5} for t in found], body["query"]
        )


def _answer(path: str, kind: str) -> Mapping[str, Any]:
    if path == "gist":
        return {"title": "A title", "topics": ["one topic"], "hashtags": ["one", "two", "three", "four", "five"]}
    if path == "generate":
        return {"data": "A free answer."}
    if kind == "summary":
        return {"summary": "One sentence."}
    if kind == "chapter":
        halves = [(0, 30, "First"), (30, 60, "Second")]
        return {
            "chapters": [
                {"chapter_number": n, "start": a, "end": b, "chapter_title": t, "chapter_summary": f"{t} half."}
                for n, (a, b, t) in enumerate(halves)
            ]
        }
    return {"highlights": [{"start": 5, "end": 9, "highlight": "A moment", "highlight_summary": "It happens."}]}
