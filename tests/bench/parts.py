"""Which part of a run its CPU goes to, from a profile of the event loop's thread and the clocks of the others."""

from __future__ import annotations

import cProfile
import pstats
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeAlias

Function: TypeAlias = tuple[str, int, str]

#: part -> what the paths of its files hold. All else (built-in functions, the standard library, anyio) is its callers'.
PARTS = {
    "httpx, httpcore, h11": ("/httpx/", "/httpcore/", "/h11/"),
    "our client: transport, dialects, limits, polling": ("/pipeline/provider/",),
    "engine: claims, leases, verdicts": ("/pipeline/engine/", "/pipeline/core/lifecycle", "/pipeline/core/retry"),
    "steps: payloads, questions, answers": ("/pipeline/ingest/", "/pipeline/kit/", "/pipeline/budget/", "/jobs/"),
    "store: rows, group commit": ("/pipeline/store/",),
    "results: texts and files": ("/pipeline/sink/", "/pipeline/core/text"),
    "run: feeding, report, results.jsonl, page": ("/pipeline/app/", "/pipeline/gallery/"),
}
LOOP = "event loop"
_PASSES = 40  #: callers of callers that costs are passed on to
_THREADS = {"AnyIO worker thread": "threads that write results", "Thread-": "threads of SQLite"}


def by_thread() -> dict[str, float]:
    """Return the CPU seconds of the threads that are alive, by what they do; not the caller's."""
    found: Counter[str] = Counter()
    for thread in threading.enumerate():
        if thread is threading.current_thread() or thread.native_id is None:
            continue
        told = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text(encoding="ascii")
        found[next((part for name, part in _THREADS.items() if thread.name.startswith(name)), "other threads")] += (
            int(told.split()[0]) / 1e9
        )
    return dict(found)


async def profiled(work: Callable[[], Coroutine[Any, Any, Mapping[str, Any]]]) -> dict[str, Any]:
    """Do the work; return its figures, and ``parts``: the share of each in the CPU of this thread."""
    profile = cProfile.Profile(time.thread_time)
    profile.enable()
    try:
        figures = await work()
    finally:
        profile.disable()
    return {**figures, "parts": shares(pstats.Stats(profile))}


def shares(stats: Any) -> dict[str, float]:
    """Return the share of each part; what is nobody's own goes to its callers, by how long each called it."""
    functions: dict[Function, Any] = stats.stats
    own: Counter[str] = Counter()
    waiting = Counter({function: figures[2] for function, figures in functions.items()})
    for _ in range(_PASSES):
        passed: Counter[Function] = Counter()
        for function, cost in waiting.items():
            callers = {
                caller: max(each[3], 1e-9) for caller, each in functions[function][4].items() if caller != function
            }
            if (part := part_of(function)) or not callers:
                own[part or LOOP] += cost
                continue
            for caller, took in callers.items():
                passed[caller] += cost * took / sum(callers.values())
        waiting = passed
    own[LOOP] += sum(waiting.values())
    total = sum(own.values())
    return {part: cost / total for part, cost in own.most_common()}


def part_of(function: Function) -> str:
    """Return whose a function is; empty for what all use."""
    return next((part for part, names in PARTS.items() if any(name in function[0] for name in names)), "")


def show(plain: Mapping[str, Any], parts: Mapping[str, float]) -> None:
    """Print the table: CPU of a run without a profile, parted as one with it says."""
    loop = plain["cpu_ms_per_item"] - sum(plain["threads_ms_per_item"].values())
    lines = {part: loop * share for part, share in parts.items()} | plain["threads_ms_per_item"]
    print(f"\n{'ms CPU/item':>11}  share  where")
    for part, cost in sorted(lines.items(), key=lambda each: -each[1]):
        print(f"{cost:>11.2f}  {cost / plain['cpu_ms_per_item']:>5.0%}  {part}")
