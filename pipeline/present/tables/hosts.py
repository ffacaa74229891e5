"""Hosts: who works on a shared database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from pipeline.present.formatting import clean, count, span
from pipeline.present.tables.layout import new_table, pair_table, trouble_line

if TYPE_CHECKING:
    from pipeline.views import ForgottenHost, HostsDemo, HostView

_COLOUR = {"at work": "green", "away": "red", "left": "dim"}


def hosts_table(hosts: Sequence[HostView], now: float) -> RenderableType:
    """Show every host with its last sign, and why one takes nothing on."""
    if not hosts:
        return Text("no host has worked on this database yet")
    table = new_table(
        ("host", "state", "last sign", "at work on", "its files wait", "lanes", "release"),
        right=("at work on", "its files wait"), fold=("lanes",),
    )  # fmt: skip
    for host in hosts:
        table.add_row(
            Text(clean(host.name)),
            Text(host_state(host), _COLOUR[host.state]),
            f"{span(max(0.0, now - host.sign))} ago",
            f"{host.holds:,}" if host.holds else "-",
            f"{host.waits:,}" if host.waits else "-",
            Text(clean(", ".join(host.lanes) or "all")),
            Text(clean(host.release)),
        )
    troubles = [trouble_line(host.name, host.trouble) for host in hosts if host.trouble is not None]
    return Group(table, *([Text(""), *troubles] if troubles else []))


def host_state(host: HostView) -> str:
    """Return how a host stands, with what it does."""
    return f"{host.state} ({host.role})" if host.state == "at work" else host.state


def forgotten_words(gone: ForgottenHost) -> str:
    """Return what came of a host's work."""
    parts = [
        *([f"{count(gone.items, 'item')} whose file only it had will fail as missing"] if gone.items else []),
        *([f"{count(gone.videos, 'video')} will be fetched again or be missing"] if gone.videos else []),
    ]
    return f"{clean(gone.name)} is forgotten; {', '.join(parts) or 'nothing waited for it'}"


def hosts_demo_table(value: HostsDemo) -> RenderableType:
    """Show the platform's ledger beside the database and the results."""
    number = sum(value.items.values())
    twice = "none" if not value.twice else f"{len(value.twice):,}: {clean(', '.join(value.twice[:5]))}"
    rows = [
        ("hosts", Text(clean(", ".join(value.hosts)))),
        ("killed", Text(f"{clean(value.killed)}, with {count(value.held, 'task')} in hand")),
        ("queue", Text(f"{value.items.get('done', 0):,} of {count(number, 'item')} done, by the database")),
        (
            "ledger",
            Text(f"{count(value.uploads, 'upload')}, {count(value.analyses, 'analysis', 'analyses')}, by the platform"),
        ),
        ("results", Text(f"{count(value.written, 'video')} in {clean(value.output)}")),
        ("made twice", Text(twice, "" if value.twice else "green")),
        ("took", Text(span(value.seconds))),
    ]
    verdict = Text("nothing lost, nothing twice", "bold green") if value.sound else Text("not as promised", "bold red")
    return Group(Text(""), pair_table(rows), Text(""), verdict)
