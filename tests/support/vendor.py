"""The vendor's account as whole runs meet it: the product's own client over the simulation's model, without sockets.

Nothing here asserts. A test reads from ``Account.ledger`` what was accepted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

from pipeline.config.settings import Settings
from pipeline.core.clock import Clock
from pipeline.ports.video_api import Answer, Ceilings, Limiter, NewUpload, Question
from pipeline.provider.client import TwelveLabs, open_api
from pipeline.provider.dialects.v1_2.media import V12
from pipeline.provider.dialects.v1_3.media import V13
from pipeline.provider.http.rate_limits import Unlimited
from tests.simulation.ledger import Effect, Thing
from tests.simulation.schedule import Habits
from tests.simulation.vendor import Vendor
from tests.simulation.vendor_v1_2 import VendorV12
from tests.simulation.vendor_v1_3 import VendorV13
from tests.simulation.wire import KEY, Accidents, Life, Wire, wired
from tests.support.clock import EPOCH

_HABITS = Habits(arrive=0.0, answer=0.0, lag=0.0, settle=12.0, think=25.0)


class Asking(NamedTuple):
    """What a question says that a bad answer may depend on."""

    key: str
    prompt: str


class _Patient(VendorV13):
    """The current version, with answers and failures that a test chooses."""

    account: Account

    def make(self, kind: str, name: str, takes: float = 0.0, fated: str = "", **data: Any) -> Thing:
        thing = super().make(kind, name, takes, fated, **data)
        if kind == "asset" and self.account.doomed(name):
            thing.fate = "failed"
        if data.get("text") == "length":
            thing.fate = "length"
        return thing

    def answer(self, body: Mapping[str, Any]) -> str:
        text, spoil = super().answer(body), self.account.spoil
        return text if spoil is None else spoil(Asking(body["custom_id"], body["prompt"]), text)


def _never(_name: str) -> bool:
    return False


class Account:
    """The vendor's side, in both versions of its API: lives on when our process dies."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ledger: list[tuple[str, str]] = []  #: (effect, our key) of all that was accepted, in order
        self.looks: dict[tuple[str, str], list[float]] = {}  #: when each thing was looked for in a list
        self.rounds: Counter[str] = Counter()  #: tells it how often a video's questions were to be asked again
        self.wishes = None  #: tells the ledger of the simulation what a call was made for
        self.requests = 0
        self.spoil: Callable[[Asking, str], str] | None = None  #: turns a good answer text into a bad one
        self.doomed: Callable[[str], bool] = _never
        self.things: dict[str, Thing] = {}
        self.accidents = Accidents(())  #: what befalls requests on the wire
        self.fates: dict[str, list[str]] = {}  #: by site: what becomes of the next things there
        self._vendors: dict[str, Vendor] = {}
        for version, kind in (("v1.2", VendorV12), ("v1.3", _Patient)):
            ledger: Any = self
            vendor = kind(self._elapsed, _HABITS, Random(version), ledger, self._fate)
            vendor.things = self.things
            self._vendors[version] = vendor
        current: Any = self._vendors["v1.3"]
        current.account = self

    def _fate(self, site: str) -> tuple[str, float]:
        waiting = self.fates.get(site)
        return (waiting.pop(0) if waiting else ""), 0.0

    def _elapsed(self) -> float:
        return self.clock.now() - EPOCH

    def behave(self, *, seconds: float | None = None, **habits: float) -> None:
        """Change the platform's habits, or the length of every video."""
        for vendor in self._vendors.values():
            vendor.habits = replace(vendor.habits, **habits)  # type: ignore[arg-type]
            vendor.seconds = vendor.seconds if seconds is None else seconds

    def _count(self, _request: str) -> None:
        self.requests += 1

    def accept(self, effect: Effect) -> None:
        """Enter an effect into the ledger."""
        self.ledger.append((effect.kind, effect.key))

    def effects(self) -> dict[tuple[str, str], int]:
        """Return how often each paid effect was accepted."""
        return dict(Counter(self.ledger))

    @property
    def uploads(self) -> dict[str, str]:
        """Id -> name, or address, of the uploads that are there."""
        found = [t for t in self.things.values() if t.kind in ("asset", "task") and t.fate != "vanish"]
        return {thing.id: thing.data.get("url") or thing.name for thing in found}

    def lose(self, *ids: str, kind: str = "") -> None:
        """Be somebody who deletes these in the console; without any, all uploads, or all of a kind."""
        for thing_id in ids or [t.id for t in self.things.values() if t.kind == kind] or self.uploads:
            self.things[thing_id].fate, self.things[thing_id].until = "vanish", 0.0

    def open(self, version: str, identity: str, limiter: Limiter | None = None) -> TwelveLabs:
        """Return the client of one process, by default without limits."""
        wire = Wire(self._vendors[version], self.accidents, Life(), Random(1), self._count)
        settings = Settings.model_validate({"provider": {"api": version, "connections": 8}})
        with wired(lambda: wire):
            return open_api(
                settings, base_url="https://vendor.test", key="a-key-for-no-platform", identity=identity,
                limiter=limiter or Unlimited(), clock=self.clock, rng=Random(1), local=False,
            )  # fmt: skip


class Client:
    """The product's client, as one process after another opens it. A test overrides or replaces the calls it is about."""

    version = "v1.3"
    identity = "fake/v1"
    features = V13.features
    grace = 5.0

    def __init__(self, account: Account, ceilings: Ceilings | None = None) -> None:
        self.account = account
        self.ceilings = ceilings or Ceilings()
        self.index_api: Any = IndexCalls(self)
        self._real: TwelveLabs | None = None

    @property
    def real(self) -> TwelveLabs:
        """The client of the process that lives now."""
        if self._real is None:
            self._real = self.account.open(self.version, self.identity)
        return self._real

    @property
    def inventory(self) -> Any:
        """What the account holds, as the process that lives now lists it."""
        return self.real.inventory

    @property
    def batches(self) -> Any:
        """Batches, as the process that lives now asks for them; None where the API has none."""
        return self.real.batches

    @property
    def knowledge(self) -> Any:
        """Questions across videos, as the process that lives now asks them; None where the API has none."""
        return self.real.knowledge

    def reopen(self) -> None:
        """Begin another process: it remembers nothing."""
        self._real = None

    async def submit_analysis(self, question: Question, still_ours: Callable[[], None]) -> str | Answer:
        token = KEY.set(question.key)  # v1.2 sends none
        try:
            return await self.real.submit_analysis(question, still_ours)
        finally:
            KEY.reset(token)

    async def aclose(self) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any) -> Any:
            return await getattr(self.real, name)(*args)

        return call


class ClientV12(Client):
    """The client of v1.2: uploads go into an index, questions are answered at once, and nobody can ask for an answer."""

    version = "v1.2"
    identity = "fake/v1.2"
    features = V12.features
    answer_latency = 2.0

    async def create_asset(self, upload: NewUpload, still_ours: Callable[[], None]) -> str:
        made = await self.real.create_asset(upload, still_ours)
        await self.account.clock.sleep(self.answer_latency)  # accepted; the answer is on its way
        return made


class IndexCalls:
    """The client's calls about indexes. A test overrides the ones it is about, and finds the others in ``real``."""

    def __init__(self, client: Client) -> None:
        self.client, self.account = client, client.account

    @property
    def real(self) -> Any:
        """The calls of the process that lives now."""
        return self.client.real.index_api

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)
