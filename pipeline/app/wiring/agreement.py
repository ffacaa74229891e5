"""What all hosts on one database must have in common."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import anyio.to_thread

from pipeline.app.wiring.run_plan import RunPlan
from pipeline.core.errors import ConfigError
from pipeline.core.model import Json, fingerprint
from pipeline.engine.hosts import Presence
from pipeline.ports.store import Journal

#: A file in the output folder, by which hosts know that they write to the same one: a line for each database.
_MARK = ".reelmill-hosts"
_NOTE = "output"  #: name of the note that says what is in it
_LOOKS, _BETWEEN = 6, 0.5  #: times, seconds: the first host needs a moment to write it


async def agree(plan: RunPlan, journal: Journal, presence: Presence) -> None:
    """Make sure that this host and those at work do the same.

    Raises:
        ConfigError: a setting that decides results differs; results would be written elsewhere.
    """
    await presence.agree(deciding_settings(plan))
    await share_output(plan.settings.run.output.absolute(), journal, presence)


def deciding_settings(plan: RunPlan) -> Mapping[str, str]:
    """Return what decides what is asked, paid and written: setting, fingerprint."""
    return {name: fingerprint(value) for name, value in _deciding(plan)}


def _deciding(plan: RunPlan) -> Iterator[tuple[str, Json]]:
    settings, provider = plan.settings, plan.settings.provider
    yield "[provider] kind and api", plan.platform.identity
    yield "[provider] base_url", _account(plan.platform.base_url)
    yield "[provider] model", provider.model
    yield "[provider] temperature", provider.temperature
    yield "[index]", settings.index.model_dump(mode="json") | {"name": settings.index_name}
    yield "[jobs] enabled", sorted(settings.jobs.enabled)
    yield "[jobs] fuse", settings.jobs.fuse
    yield "[jobs] transcripts", settings.jobs.transcripts
    for name, asked in plan.planner.configured().items():  # of the job's release, prompt, parameters and model
        yield f"[jobs.{name}]", asked
    if plan.platform.local:
        own = settings.platform.model
        yield "[platform.model]", [own.name, own.images] if own.base_url else None
    for section in ("prices", "limits", "budget"):
        for key, value in getattr(settings, section).model_dump(mode="json").items():
            yield f"[{section}] {key}", value
    for key in ("on_ambiguous_create", "on_ambiguous_ask"):
        yield f"[policy] {key}", getattr(settings.policy, key)


def _account(base_url: str) -> Json:
    """Return what names a platform; on loopback, each machine has its own."""
    host = urlsplit(base_url).hostname or ""
    here = host == "localhost" or host.startswith("127.") or host == "::1"
    return [base_url, socket.gethostname() if here else ""]


async def share_output(folder: Path, journal: Journal, presence: Presence) -> None:
    """Look for what the first host has left in the output folder.

    Where nobody else is at work, it may be new, or moved: then this host is the first one.
    """
    mine = secrets.token_hex(8)
    mark = await journal.change(_NOTE, lambda note: (mine, mine) if note is None else (None, str(note)))
    for _ in range(_LOOKS):
        if mark in await anyio.to_thread.run_sync(_read, folder / _MARK):
            return
        others = ", ".join(sorted(host.name for host in await presence.others() if host.rules))
        if mark == mine or not others:
            await anyio.to_thread.run_sync(_add, folder / _MARK, mark)
            return
        await anyio.sleep(_BETWEEN)  # the first host may be about to write it
    raise ConfigError(
        f"[run] output: {folder} is not the folder that the other hosts write to ({others});"
        f" its file {_MARK} lacks the line that they have left there",
        remedy="mount their output folder, and name it in [run] output",
    )


def _read(file: Path) -> list[str]:
    with suppress(OSError):
        return file.read_text(encoding="ascii", errors="replace").split()
    return []


def _add(file: Path, mark: str) -> None:
    try:
        with file.open("a", encoding="ascii") as stream:
            stream.write(f"{mark}\n")
    except OSError as error:
        raise ConfigError(
            f"[run] output: {file} cannot be written ({error.strerror or error})",
            remedy="mend its rights: all hosts that share the database write there",
        ) from None
