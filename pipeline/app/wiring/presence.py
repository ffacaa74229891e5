"""This host's line among those that share a database."""

from __future__ import annotations

import re
import secrets
import socket
from pathlib import Path

from pipeline import __version__
from pipeline.app.wiring.state_folder import host_id
from pipeline.config.settings import Settings
from pipeline.core.clock import Clock
from pipeline.core.model import Lane, fingerprint
from pipeline.engine.hosts import Duty, Host, Presence, find_hosts
from pipeline.ports.store import Journal

_BOOT = Path("/proc/sys/kernel/random/boot_id")  # one for each time that a machine starts; only Linux has it
_OTHER = re.compile(r"[^A-Za-z0-9._-]+")


async def new_presence(settings: Settings, journal: Journal, clock: Clock, duty: Duty) -> Presence:
    """Return this host's presence, under its name; it has not joined yet.

    A state folder that is known keeps its name, also where the machine has another one now.

    Raises:
        ConfigError: the state folder cannot be written.
    """
    folder = settings.run.state
    own = host_id(folder)
    name = await find_own_name(settings, journal, own)
    lanes = [lane.value for lane in Lane if lane in duty.lanes]
    host = Host(name, own, _seat(folder), secrets.token_hex(8), __version__, duty.role, lanes)
    return Presence(journal, clock, host)


async def find_own_name(settings: Settings, journal: Journal, own: str) -> str:
    """Return this host's name; ``own``: the id of its state folder."""
    if settings.cluster.host:
        return settings.cluster.host
    known = [host.name for host in (await find_hosts(journal)).values() if host.id == own]
    return known[0] if known else _default_name(own)


def _default_name(own: str) -> str:
    machine = _OTHER.sub("-", socket.gethostname())[:40].strip("-._") or "host"
    return f"{machine}-{own[:8]}"


def _seat(folder: Path) -> str:
    """Return what all have in common that must hold one lock."""
    started = _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else ""
    return fingerprint(socket.gethostname(), started, str(folder.resolve()))
