"""``doctor``'s look at what YouTube needs: versions and their age, and what each lack costs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread

from pipeline.clock import iso
from pipeline.model import Trouble
from pipeline.sections import Fetch, YouTube
from pipeline.source.cookies import read_cookies
from pipeline.source.youtube_options import base
from pipeline.source.youtube_process import Hello, Launch, WorkerGone, start
from pipeline.views import Finding

FLOOR = "2026.08.19"  #: older ones ask YouTube in ways that it does not answer any more
OLD = 90  #: days after which a yt-dlp is likely to be broken
_GB = 1000**3
_RENEW = "upgrade yt-dlp and yt-dlp-ejs together; it may live in a Python of its own, see [youtube] python"


async def look_at_youtube(rules: YouTube, folder: Path, fetch: Fetch, now: float) -> list[Finding]:
    """Return one finding per line. Starts a worker and asks it; no request leaves this machine."""
    python = str(rules.python or sys.executable)
    found: list[Finding] = []
    try:
        worker = await start(Launch(python, plugins=rules.plugins), os.environ)
        try:
            tools = await worker.ask("tools", {"params": base(rules)}, quiet=60.0)
            found += versions(worker.hello, tools, now)
        finally:
            await worker.end()
    except WorkerGone as gone:
        cost = "no YouTube video can be fetched: install yt-dlp there, or set [youtube] python to a Python that has it"
        found.append(Finding("yt-dlp", "bad", f"cannot be run by {python}", cost, {"why": str(gone)}))
    found += await anyio.to_thread.run_sync(partial(_files, rules, folder, fetch, now))
    return found


def versions(hello: Hello, tools: Mapping[str, Any], now: float) -> Iterator[Finding]:
    """Yield what the worker says of itself. Pure."""
    age = _age(hello.yt_dlp, now)
    old = age is None or age > OLD or _numbers(hello.yt_dlp) < _numbers(FLOOR)
    shown = hello.yt_dlp if age is None else f"{hello.yt_dlp} ({age} days old)"
    yield Finding("yt-dlp", "warn" if old else "ok", shown, f"YouTube has probably moved on: {_RENEW}" if old else "")
    lacking = "YouTube's challenges cannot be solved, so that most formats are missing: install yt-dlp-ejs with yt-dlp[default]"
    yield Finding("yt-dlp-ejs", "ok" if hello.ejs else "warn", hello.ejs or "not found", "" if hello.ejs else lacking)
    yield _runtimes(tools.get("runtimes"))
    ffmpeg = tools.get("ffmpeg")
    cost = (
        "" if ffmpeg else "picture and sound are put together by ourselves, which fails for streams whose clock jumps"
    )
    yield Finding("ffmpeg", "ok" if ffmpeg else "warn", str(ffmpeg or "not found"), cost)


def _runtimes(found: Any) -> Finding:
    known = [each for each in found or () if isinstance(each, list) and len(each) == 3]
    shown = ", ".join(f"{name} {version}{'' if good else ' (too old)'}" for name, version, good in known)
    if any(good for *_, good in known):
        return Finding("JavaScript runtime", "ok", shown)
    cost = "one of YouTube's clients is left, and formats are missing: install Deno, e.g. with yt-dlp[default,deno]"
    return Finding("JavaScript runtime", "warn", shown or "none that yt-dlp may use", cost)


def _files(rules: YouTube, folder: Path, fetch: Fetch, now: float) -> Iterator[Finding]:
    return iter([*_cookies(rules, now), _disk(folder, fetch)])


def _cookies(rules: YouTube, now: float) -> Iterator[Finding]:
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


def _disk(folder: Path, fetch: Fetch) -> Finding:
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    wanted = fetch.max_bytes
    shown = f"{free / _GB:.1f} GB free, downloads may take {f'{wanted / _GB:.1f} GB' if wanted else 'all of it'}"
    short = free < max(wanted, _GB)
    cost = "a full disk pauses downloads: lower [fetch] max_bytes, or free some space" if short else ""
    return Finding("room for downloads", "warn" if short else "ok", shown, cost)


def _age(version: str, now: float) -> int | None:
    """Return how many days old a calendar version is; None if it is none."""
    try:
        year, month, day = _numbers(version)[:3]
        return (datetime.fromtimestamp(now, UTC).date() - date(year, month, day)).days
    except ValueError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
