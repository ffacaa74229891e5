"""The vendor's platform as a model: it accepts, remembers, shows late, spoils and forgets. No I/O, no waiting.

A request is posted with the moment at which it will be carried out; it is, whether or not anybody still waits for the answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.simulation.ledger import Effect, Ledger, Thing
from tests.simulation.schedule import Habits
from tests.support.clock import EPOCH

SECONDS = 60.0  #: length of every video


@dataclass(frozen=True)
class Asked:
    """A request as it arrives.

    ``key``: our own key of it, where the API has no field for one. ``state``, ``life``: the numbers of the state folder and
    of the process it comes from; ``sent``: when, by that machine's clock.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes
    key: str = ""
    state: int = 0
    life: int = 0
    sent: float = 0.0

    @classmethod
    def of(cls, method: str, url: str, headers: Mapping[str, str], body: bytes, **origin: Any) -> Asked:
        """Take an address apart."""
        parts = urlsplit(url)
        return cls(method, parts.path, parse_qsl(parts.query, keep_blank_values=True), headers, body, **origin)

    def get(self, name: str, default: str = "") -> str:
        """Return a query field."""
        return next((value for key, value in self.query if key == name), default)

    def all(self, name: str) -> list[str]:
        """Return a query field's values."""
        return [value for key, value in self.query if key == name]

    def json(self) -> dict[str, Any]:
        """Return the body as an object."""
        body = json.loads(self.body)
        assert isinstance(body, dict)
        return body

    def form(self) -> list[tuple[str, str, bytes]]:
        """Return (field, file name, content) of a multipart body."""
        boundary = self.headers["content-type"].partition("boundary=")[2].encode()
        parts = []
        for part in self.body.split(b"--" + boundary)[1:-1]:
            head, _, content = part.strip(b"\r\n").partition(b"\r\n\r\n")
            words = dict(word.strip().split("=", 1) for word in head.decode().splitlines()[0].split(";") if "=" in word)
            parts.append((words["name"].strip('"'), words.get("filename", "").strip('"'), content))
        return parts


@dataclass(frozen=True)
class Reply:
    """An answer before anything befalls it."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """Return the body's bytes."""
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


def refused(status: int, code: str, *, nested: bool = False) -> Reply:
    """Return an error in one of the platform's forms."""
    flat = {"code": code, "message": f"The platform says {code}."}
    return Reply(status, {"error": flat} if nested else flat)


def unknown() -> Reply:
    """Return what an unknown id gets."""
    return refused(404, "resource_not_exist")


Fate = Callable[[str], tuple[str, float]]


class Vendor:
    """What both dialects share: things, lists, the ledger, time. ``time``: seconds that never go back;
    ``fate``: what becomes of the next upload or answer.
    """

    def __init__(self, time: Callable[[], float], habits: Habits, rng: Random, ledger: Ledger, fate: Fate) -> None:
        self._time, self.habits, self._rng, self.ledger, self._fate = time, habits, rng, ledger, fate
        self.things: dict[str, Thing] = {}
        self.seconds = SECONDS  #: length of every video
        self.one_call = 7200.0  #: seconds of video that one analysis looks at, at most
        self._arrivals: list[tuple[float, int, Asked, float]] = []
        self._answers: dict[int, Reply] = {}
        self._tickets = count(1)
        self._at: float | None = None  #: when the request that is being carried out has arrived
        self._asked = Asked("", "", (), {}, b"")  #: that request
        self._posted = 0.0  #: when it was sent

    # ---------------------------------------------------------------------------------------------------- arriving

    def post(self, asked: Asked, after: float) -> int:
        """Take a request that will be carried out ``after`` seconds from now; return its ticket."""
        ticket = next(self._tickets)
        heappush(self._arrivals, (self._time() + after, ticket, asked, self.now()))
        return ticket

    def reply(self, ticket: int) -> Reply:
        """Return the answer to a request whose time has come."""
        self.catch_up()
        return self._answers.pop(ticket)

    def catch_up(self) -> None:
        """Carry out everything that has arrived by now, in order."""
        while self._arrivals and self._arrivals[0][0] <= self._time() + 1e-6:
            self._at, ticket, asked, self._posted = heappop(self._arrivals)
            self._asked = asked
            self._answers[ticket] = self.carry_out(asked)
        self._at = None

    def carry_out(self, asked: Asked) -> Reply:
        """Do what is asked; each dialect has its own routes."""
        raise NotImplementedError

    # -------------------------------------------------------------------------------------------------------- time

    def now(self) -> float:
        """Return epoch seconds by the platform's clock."""
        return EPOCH + (self._time() if self._at is None else self._at) + self.habits.ahead

    def date(self) -> str:
        """Return the Date header."""
        return format_datetime(datetime.fromtimestamp(self.now(), UTC), usegmt=True)

    def stamp(self, at: float) -> str:
        """Return a time as the API writes it."""
        return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")

    # ------------------------------------------------------------------------------------------------------ things

    def make(self, kind: str, name: str, takes: float = 0.0, fated: str = "", **data: Any) -> Thing:
        """Make something; what has a fate gets the next one of that site."""
        now = self.now()
        fate, size = self._fate(fated) if fated else ("", 0.0)
        thing = Thing(
            f"{len(self.things) + 1:024x}", kind, name, now, now + self._rng.random() * self.habits.lag, now + takes, fate,
            data=data,
        )  # fmt: skip
        thing.until = thing.ready + size
        self.things[thing.id] = thing
        return thing

    def find(self, kind: str, thing_id: str) -> Thing | None:
        """Return what has this id, if it is there."""
        thing = self.things.get(thing_id)
        return thing if thing is not None and thing.kind == kind and not thing.gone(self.now()) else None

    def shown(self, *kinds: str) -> list[Thing]:
        """Return what lists show, newest first."""
        now = self.now()
        found = [t for t in self.things.values() if t.kind in kinds and t.listed <= now and not t.gone(now)]
        return sorted(found, key=lambda thing: (-thing.made, thing.id))

    def looked(self, kind: str, name: str) -> None:
        """Take note that somebody looks for one thing in a list."""
        if name:
            self.ledger.looks.setdefault((kind, name), []).append(self.now())

    def page(self, asked: Asked, things: Sequence[Thing], show: Callable[[Thing], Any]) -> Reply:
        """Return one page of a list."""
        number, size = int(asked.get("page", "1")), int(asked.get("page_limit", "10"))
        pages = max(1, -(-len(things) // size))
        info = {"limit_per_page": size, "page": number, "total_page": pages, "total_results": len(things)}
        listed = things[(number - 1) * size : number * size]
        return Reply(200, {"data": [show(thing) for thing in listed], "page_info": info, "news": {"of": "the API"}})

    def accepted(self, kind: str, key: str, base: str, thing: Thing, marks: Sequence[tuple[str, str]] = ()) -> None:
        """Enter an effect into the ledger."""
        asked = self._asked
        self.ledger.accept(
            Effect(
                kind,
                key,
                base,
                self.now(),
                thing,
                frozenset(marks),
                asked.state,
                asked.life,
                asked.sent,
                self._posted,
                self.ledger.wishes,
                max((self.ledger.rounds[video] for video, _ in marks), default=0),
            )
        )

    # ------------------------------------------------------------------------------------------------------ indexes

    def new_index(self, asked: Asked, models: str) -> Reply:
        """Make an index; its name is unique in the account."""
        body = asked.json()
        now = self.now()
        if any(t.kind == "index" and t.name == body["index_name"] and not t.gone(now) for t in self.things.values()):
            return refused(400, "index_name_already_exists")
        thing = self.make("index", body["index_name"], models={models: body[models]})
        self.accepted("index", thing.name, thing.name, thing)
        return Reply(201, {"_id": thing.id})

    def indexes(self, asked: Asked) -> Reply:
        """List indexes; the filter takes parts of names."""
        found = [thing for thing in self.shown("index") if asked.get("index_name") in thing.name]
        return self.page(asked, found, self.index_body)

    def index_body(self, thing: Thing) -> dict[str, Any]:
        """Return an index as the API shows it."""
        return {
            "_id": thing.id, "index_name": thing.name, "video_count": 1, "total_duration": self.seconds,
            "created_at": self.stamp(thing.made), **thing.data["models"],
        }  # fmt: skip

    def searched(self, hits: Sequence[Mapping[str, Any]], text: str) -> Reply:
        """Answer a search."""
        self.accepted("search", text, f"{text}/{len(self.things)}", self.make("search", text))
        pool = {"total_count": len(hits), "total_duration": self.seconds * len(hits)}
        return Reply(200, {"search_pool": pool, "data": list(hits), "page_info": {"next_page_token": ""}})


def fitting(name: str, form: Mapping[str, Any], seconds: float, start: float = 0.0) -> Any:
    """Return a value that fits a JSON schema and so many seconds of a video, from ``start`` on."""
    if "anyOf" in form:
        return fitting(name, form["anyOf"][0], seconds, start)
    kind = form.get("type")
    if "enum" in form:
        return form["enum"][0]
    if kind == "array" and form["items"].get("type") == "object":
        names = form["items"]["properties"]
        return [_span(names, start + seconds * part / 4, start + seconds * (part + 1) / 4) for part in range(4)]
    if kind == "array":
        return [f"{name}{number}" for number in range(1, 6)]
    if kind == "object":
        return {key: fitting(key, value, seconds, start) for key, value in form["properties"].items()}
    if kind in ("number", "integer"):
        return 1
    return True if kind == "boolean" else f"A plain sentence about {name}."


def _span(names: Sequence[str], start: float, end: float) -> dict[str, Any]:
    times = {"start_time": start, "end_time": end}
    return {name: times.get(name, f"Words for {name} at {start:.0f}.") for name in names}
