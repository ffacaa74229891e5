"""What only this platform has: its ledger, its counters, its faults."""

from __future__ import annotations

from sqlite3 import Connection

from starlette.requests import Request
from starlette.responses import Response

from pipeline.local.api.context import ApiContext
from pipeline.local.api.http.faults import Faults, FaultScript
from pipeline.local.api.http.responses import json_response
from pipeline.local.state import ledger


def list_ledger(request: Request, db: Connection) -> Response:
    """Return accepted calls; ``effect`` and ``key`` narrow."""
    effect, key = request.query_params.get("effect", ""), request.query_params.get("key", "")
    return json_response({"data": [entry.as_json() for entry in ledger.entries(db, effect, key)]})


async def count_requests(context: ApiContext) -> Response:
    """Return how many requests came per route, and how many answers left per status."""
    return json_response(context.gate.counters.as_json())


async def show_faults(context: ApiContext) -> Response:
    """Return the running fault script with its counts."""
    return json_response(context.gate.script.as_json())


async def set_faults(context: ApiContext, body: Faults) -> Response:
    """Replace the running script: ``{"rules": [...], "seed": 0, "v1_2": "serve"}``."""
    context.gate.script = FaultScript(body)
    return json_response(context.gate.script.as_json())


async def clear_faults(context: ApiContext) -> None:
    """End all faults."""
    context.gate.script = FaultScript(Faults())
