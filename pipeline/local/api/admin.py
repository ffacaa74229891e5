"""What only this platform has: its ledger, its counters, its faults. Wants the same key as everything else."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.local.api.context import ApiContext, json_body
from pipeline.local.api.faults import Faults, FaultScript
from pipeline.local.api.gate import Gate
from pipeline.local.api.responses import EXTENSION, reply
from pipeline.local.errors import invalid
from pipeline.local.state import ledger


class PlatformRoutes:
    """``/_platform``: for tests in other processes, and for people who look."""

    def __init__(self, desk: ApiContext) -> None:
        self._desk = desk
        self.gate: Gate | None = None  #: known only after the routes are

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(f"{EXTENSION}/ledger", self.entries, methods=["GET"]),
            Route(f"{EXTENSION}/requests", self.requests, methods=["GET"]),
            Route(f"{EXTENSION}/faults", self.show_faults, methods=["GET"]),
            Route(f"{EXTENSION}/faults", self.set_faults, methods=["POST"]),
            Route(f"{EXTENSION}/faults", self.clear_faults, methods=["DELETE"]),
        ]

    async def entries(self, request: Request) -> Response:
        """Return accepted calls; ``effect`` and ``key`` narrow."""
        effect, key = request.query_params.get("effect", ""), request.query_params.get("key", "")
        found = await self._desk.state.read(lambda db: ledger.entries(db, effect, key))
        return reply({"data": [entry.as_json() for entry in found]})

    async def requests(self, request: Request) -> Response:
        """Return how many requests came per route, and how many answers left per status."""
        return reply(self._open_gate.counters.as_json())

    async def show_faults(self, request: Request) -> Response:
        """Return the running fault script with its counts."""
        return reply(self._open_gate.script.as_json())

    async def set_faults(self, request: Request) -> Response:
        """Replace the running script: ``{"rules": [...], "seed": 0, "v1_2": "serve"}``."""
        body = await json_body(request)
        rules, seed = body.get("rules", []), body.get("seed", 0)
        if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
            raise invalid("The rules parameter must be a list of objects.")
        if not isinstance(seed, int):
            raise invalid("The seed parameter must be a whole number.")
        self._open_gate.script = FaultScript(Faults.of(rules, seed, body.get("v1_2", "serve")))
        return reply(self._open_gate.script.as_json())

    async def clear_faults(self, request: Request) -> Response:
        """Let everything go well again."""
        self._open_gate.script = FaultScript(Faults())
        return Response(status_code=204)

    @property
    def _open_gate(self) -> Gate:
        assert self.gate is not None, "the platform sets the gate before it serves"
        return self.gate
