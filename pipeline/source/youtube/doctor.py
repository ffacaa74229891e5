"""The YouTube part of ``doctor``: versions, their age, and what each lack costs."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from pipeline.config.youtube import FetchSection, YouTubeSection
from pipeline.core.clock import iso
from pipeline.core.model import Trouble
from pipeline.source.youtube.cookies import read_cookies
from pipeline.source.youtube.options import base
from pipeline.source.youtube.worker.pool import SCRIPT, Hello, WorkerCommand, WorkerGone, start_worker
from pipeline.views import Finding

FLOOR = "2026.08.19"  #: YouTube no longer answers what older versions ask
OLD = 90  #: days after which a yt-dlp is likely to be broken
_GB = 1000**3
_RUNTIMES = ("deno", "node", "qjs", "bun")
_FACTS = 30.0  #: seconds for a look at the packages
_ANSWERS = 2.0  #: seconds for a connection on this machine
_RENEW = "upgrade yt-dlp and yt-dlp-ejs together; it may live in a Python of its own, see [youtube] python"


async def check_youtube(rules: YouTubeSection, folder: Path, fetch: FetchSection, now: float) -> list[Finding]:
    """Return one finding per line; starts a worker, sends no request."""
    worker_command = WorkerCommand(str(rules.python or sys.executable), plugins=rules.plugins)
    found: list[Finding] = []
    facts: Mapping[str, Any] = {}
    try:
        worker = await start_worker(worker_command, os.environ)
        try:
            tools = await worker.ask("tools", {"params": base(rules)}, quiet=60.0)
        finally:
            await worker.end()
        facts = await _facts(worker_command, str(rules.ffmpeg) if rules.ffmpeg is not None else "ffmpeg")
        found += version_findings(worker.hello, tools, facts, now)
    except WorkerGone as gone:
        cost = "no YouTube video can be fetched: install yt-dlp there, or set [youtube] python to a Python that has it"
        found.append(Finding("yt-dlp", "bad", f"cannot be run by {worker_command.python}", cost, {"why": str(gone)}))
    found.append(await _pot_provider(rules, facts))
    found += await anyio.to_thread.run_sync(partial(_files, rules, folder, fetch, now))
    return found


async def _facts(worker_command: WorkerCommand, ffmpeg: str) -> Mapping[str, Any]:
    """Ask the worker's Python what is installed beside yt-dlp; {} if it cannot say."""
    command = [worker_command.python, str(SCRIPT.with_name("versions.py")), *_RUNTIMES, ffmpeg]
    try:
        with anyio.fail_after(_FACTS):
            ran = await anyio.run_process(command, check=False, env=worker_command.environment(os.environ))
        found = json.loads(ran.stdout)
    except (OSError, TimeoutError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def version_findings(hello: Hello, tools: Mapping[str, Any], facts: Mapping[str, Any], now: float) -> Iterator[Finding]:
    """Yield findings about the worker's versions, with their ages. Pure."""
    age = _age(hello.yt_dlp, now)
    old = age is None or age > OLD or _numbers(hello.yt_dlp) < _numbers(FLOOR)
    shown = hello.yt_dlp if age is None else f"{hello.yt_dlp} ({age} days old)"
    yield Finding("yt-dlp", "warn" if old else "ok", shown, f"YouTube has probably moved on: {_RENEW}" if old else "")
    yield _solver(hello, facts, now)
    yield _runtimes(tools.get("runtimes"), facts, now)
    ffmpeg = tools.get("ffmpeg")
    cost = (
        "" if ffmpeg else "picture and sound are put together by ourselves, which fails for streams whose clock jumps"
    )
    since = "".join(_since(each, now) for name, each in _programs(facts).items() if Path(name).name not in _RUNTIMES)
    yield Finding("ffmpeg", "ok" if ffmpeg else "warn", f"{ffmpeg}{since}" if ffmpeg else "not found", cost)


def _solver(hello: Hello, facts: Mapping[str, Any], now: float) -> Finding:
    """Judge the challenge solver: yt-dlp silently ignores all versions but one."""
    lost = "YouTube's challenges cannot be solved, so that most formats are missing"
    if not hello.ejs:
        return Finding("yt-dlp-ejs", "warn", "not found", f"{lost}: install yt-dlp-ejs with yt-dlp[default]")
    shown = hello.ejs + _since(_part(facts, "dists").get("yt-dlp-ejs"), now)
    wanted = str(_part(facts, "wants").get("yt-dlp-ejs") or hello.ejs)
    if wanted == hello.ejs:
        return Finding("yt-dlp-ejs", "ok", shown)
    return Finding(
        "yt-dlp-ejs", "warn", f"{shown}; this yt-dlp wants {wanted}", f"it is left unused and {lost}: {_RENEW}"
    )


def _runtimes(found: Any, facts: Mapping[str, Any], now: float) -> Finding:
    known = [each for each in found or () if isinstance(each, list) and len(each) == 3]
    there = _programs(facts)
    shown = ", ".join(
        f"{name} {version}{'' if good else ' (too old)'}{_since(there.get(name), now)}" for name, version, good in known
    )
    if any(good for *_, good in known):
        return Finding("JavaScript runtime", "ok", shown)
    cost = "one of YouTube's clients is left, and formats are missing: install Deno, e.g. with yt-dlp[default,deno]"
    unused = sorted(set(there) & set(_RUNTIMES) - {name for name, *_ in known} - {"deno"})
    if unused:
        cost += (
            f"; {unused[0]} is here but only used with [youtube] options = {{ js_runtimes = {{ {unused[0]} = {{}} }} }}"
        )
    return Finding("JavaScript runtime", "warn", shown or "none that yt-dlp may use", cost)


async def _pot_provider(rules: YouTubeSection, facts: Mapping[str, Any]) -> Finding:
    """Judge the PO-token provider: its plugin, and a local one's answer."""
    name = "PO-token provider"
    if not rules.pot_provider:
        return Finding(name, "ok", "none", "formats of some of YouTube's clients stay away; the usual ones need none")
    plugins = [f"{each} {version}" for each, version in _part(facts, "plugins").items() if "pot" in each.lower()]
    if not plugins:
        cost = "it is never asked: install bgutil-ytdlp-pot-provider beside yt-dlp"
        return Finding(name, "warn", f"{rules.pot_provider}, but no plugin for it", cost)
    shown = f"{rules.pot_provider}, {', '.join(plugins)}"
    address = urlsplit(rules.pot_provider)
    if address.hostname not in ("127.0.0.1", "localhost", "::1"):
        return Finding(name, "ok", f"{shown}; not on this machine, so not tried")
    try:
        with anyio.fail_after(_ANSWERS):
            await (await anyio.connect_tcp(address.hostname, address.port or 80)).aclose()
    except (OSError, TimeoutError):
        return Finding(name, "warn", f"{shown}; does not answer", "videos are fetched without its tokens: start it")
    return Finding(name, "ok", f"{shown}; answers")


def _part(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = facts.get(name)
    return found if isinstance(found, Mapping) else {}


def _programs(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return _part(facts, "programs")


def _since(thing: Any, now: float) -> str:
    """Return since when a file is on this disk: its age."""
    since = thing.get("since") if isinstance(thing, Mapping) else None
    if not isinstance(since, int | float) or isinstance(since, bool):
        return ""
    return f" (on this disk for {max(0, int((now - since) // 86_400))} days)"


def _files(rules: YouTubeSection, folder: Path, fetch: FetchSection, now: float) -> Iterator[Finding]:
    return iter([*_cookies(rules, now), _disk(folder, fetch)])


def _cookies(rules: YouTubeSection, now: float) -> Iterator[Finding]:
    if rules.cookies is None:
        yield Finding("YouTube cookies", "ok", "none", "age-restricted and members-only videos fail without an account")
        return
    found = read_cookies(rules.cookies)
    if isinstance(found, Trouble):
        yield Finding("YouTube cookies", "bad", found.message, found.remedy)
        return
    ended = bool(found.soonest) and found.soonest < now
    until = f", the first of them until {iso(found.soonest)}" if found.soonest else ""
    cost = "some have run out: export them again" if ended else ""
    yield Finding("YouTube cookies", "warn" if ended else "ok", f"{found.youtube} in {rules.cookies}{until}", cost)


def _disk(folder: Path, fetch: FetchSection) -> Finding:
    there = folder.absolute()
    while not os.path.exists(there):  # also where one may not look
        there = there.parent
    free = shutil.disk_usage(there).free
    wanted = fetch.max_bytes
    shown = f"{free / _GB:.1f} GB free, downloads may take {f'{wanted / _GB:.1f} GB' if wanted else 'all of it'}"
    short = free < max(wanted, _GB)
    cost = "a full disk pauses downloads: lower [fetch] max_bytes, or free some space" if short else ""
    return Finding("room for downloads", "warn" if short else "ok", shown, cost)


def _age(version: str, now: float) -> int | None:
    """Return the age of a calendar version in days, or None."""
    try:
        year, month, day = _numbers(version)[:3]
        return (datetime.fromtimestamp(now, UTC).date() - date(year, month, day)).days
    except ValueError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
