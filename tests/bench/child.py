"""The measured processes: each does one thing, then prints its figures as one line of JSON on stdout."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import httpx

from tests.bench.parts import by_thread, profiled
from tests.bench.server import SECONDS

ROOT = Path(__file__).parents[2]
#: How wide the measured run is; the bare loops have as many workers as it has connections.
WIDE = 20


def start(job: str, told: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    """Start one of ``JOBS`` in a new process; nobody hears what it says."""
    command = [sys.executable, "-m", "tests.bench.child", job, json.dumps(told)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def spawn(job: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """Run one of ``JOBS`` in a new process and return its figures."""
    command = [sys.executable, "-m", "tests.bench.child", job, json.dumps(told)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise SystemExit(f"{job} ended with {ended.returncode}:\n{ended.stderr[-4000:]}")
    figures: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return figures


@dataclass
class Meter:
    """Wall and CPU seconds since its making."""

    wall: float
    cpu: float
    peak_before_mb: float

    @classmethod
    def start(cls) -> Meter:
        return cls(time.perf_counter(), time.process_time(), _peak_mb())

    def read(self, items: int) -> dict[str, Any]:
        """Return the figures of a finished job."""
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        return {
            "items_per_second": items / wall, "cpu_ms_per_item": 1000 * cpu / items, "peak_mb": _peak_mb(),
            "peak_before_mb": self.peak_before_mb, "wall": wall,
            "threads_ms_per_item": {part: 1000 * took / items for part, took in by_thread().items()},
        }  # fmt: skip


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ----------------------------------------------------------------------------------------------------- the product


class TinySource:
    """The Source port without decoding: a file's facts are its size and its content's hash."""

    kind = "file"

    async def fetch(self, item: Any, workdir: Path) -> Any:
        from pipeline.ports.source import MediaFacts

        path = Path(item.locator)
        content, seen = path.read_bytes(), path.stat()  # noqa: ASYNC240 - a few bytes
        mark = sha256(content).hexdigest()
        return MediaFacts(path, len(content), SECONDS, 640, 360, "mp4", "h264", "", "video/mp4", mark, seen.st_mtime_ns)


def tiny_items(folder: Path, number: int) -> Iterator[Any]:
    """Yield items whose files are there."""
    from pipeline.ports.source import Item, ManifestLine

    for index in range(number):
        path = folder / f"{index:07}.mp4"
        yield Item(f"file:{path}", "file", str(path), ManifestLine(str(path), f"bench:{index}"))


def settings_for(folder: Path, url: str, jobs: Iterable[str]) -> Any:
    """Return settings of a run against the benchmark's platform: nothing limits it but its own speed."""
    from pipeline.config.settings import Settings

    # Wider than the connections: a step also reads and hashes, and only its request needs one.
    lanes = {"fetch": 16, "upload": 2 * WIDE, "poll": 64, "analyze": 2 * WIDE, "write": 32}
    return Settings.model_validate(
        {
            "run": {"state": folder / "state", "output": folder / "out"},
            "provider": {"kind": "local", "base_url": url, "connections": WIDE, "in_hand": 400},
            "lanes": lanes,
            "jobs": {"enabled": list(jobs)},
            "gallery": {"posters": False},  # decoding is not orchestration
        }
    )


async def product(told: Mapping[str, Any]) -> dict[str, Any]:
    """Run Reelmill's own session: SQLite, the real client, the real disk; only the look into the file is synthetic."""
    from pipeline.app.runs.session import RunSession
    from pipeline.app.wiring.components import Adapters
    from pipeline.app.wiring.platform import open_platform
    from pipeline.app.wiring.run_plan import make_run_plan
    from pipeline.app.wiring.state_folder import lock_state_folder, open_for_writing
    from pipeline.core import log
    from pipeline.core.clock import SystemClock
    from pipeline.sink.disk import DiskSink

    log.setup("warning", "json", [])
    folder, number = Path(told["folder"]), told["items"]
    settings = settings_for(folder, told["url"], told["jobs"])
    plan, clock, rng = make_run_plan(settings), SystemClock(), Random(1)
    adapters = Adapters(
        {"file": TinySource()}, DiskSink(settings.run.output), lambda facts, most: None, lambda paths: ""
    )
    with lock_state_folder(settings.run.state):
        async with open_for_writing(settings.run.state) as database, open_platform(plan, database, clock, rng) as api:
            session = RunSession(plan, database, api, clock, rng, adapters)
            meter = Meter.start()
            report = await session.run(tiny_items(Path(told["films"]), number))
            figures = meter.read(number)
    assert report.exit_code == 0, report
    assert report.published == number, report
    return dict(figures)


# ---------------------------------------------------------------------------------------------------- the bare loop


class Bare:
    """The same requests with nothing around them: no database, no files, no retries, no limits."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = told
        self._url = f"{told['url']}/v1.3"
        self._quota = {name: count / told["items"] for name, count in told["counts"].items()}
        self._ids = [f"et{number}" for number in range(round(told["ids_per_list"]))]
        shards = told["shards"]
        if shards:
            limits = httpx.Limits(max_connections=WIDE // shards, max_keepalive_connections=WIDE // shards)
            self._clients = [httpx.AsyncClient(limits=limits, headers={"x-api-key": "k"}) for _ in range(shards)]
        else:
            self._clients = [httpx.AsyncClient(headers={"x-api-key": "k"})]

    async def run(self) -> dict[str, Any]:
        """Work through all items with as many workers as the product has connections."""
        left = iter(range(self._told["items"]))
        meter = Meter.start()
        async with asyncio.TaskGroup() as group:
            for worker in range(WIDE):
                group.create_task(self._work(self._clients[worker % len(self._clients)], left))
        figures = meter.read(self._told["items"])
        for client in self._clients:
            await client.aclose()
        return figures

    async def _work(self, client: httpx.AsyncClient, left: Iterator[int]) -> None:
        for number in left:
            asset = await self._asset(client, number)
            for _ in range(self._share("list assets", number)):
                params = [*(("asset_ids", each) for each in self._ids), ("page", "1"), ("page_limit", "50")]
                (await client.get(f"{self._url}/assets", params=params)).json()
            for _ in range(self._share("get asset", number)):
                (await client.get(f"{self._url}/assets/{asset}")).json()
            task = await self._task(client, number, asset)
            for _ in range(self._share("list tasks", number)):
                params = [("status", "queued"), ("page", "1"), ("page_limit", "50")]
                (await client.get(f"{self._url}/analyze/tasks", params=params)).json()
            for _ in range(self._share("get task", number)):
                (await client.get(f"{self._url}/analyze/tasks/{task}")).json()

    def _share(self, kind: str, number: int) -> int:
        """Return how many requests of a kind fall to this item, so that all items make as many as the product did."""
        quota = self._quota.get(kind, 0.0)
        return int((number + 1) * quota) - int(number * quota)

    async def _asset(self, client: httpx.AsyncClient, number: int) -> str:
        told = {"method": "direct", "filename": f"bare-{number}.mp4", "enable_hls": "false", "enable_thumbnail": "false",
                "user_metadata": json.dumps({"reelmill_key": f"sha256:{number:064}"})}  # fmt: skip
        file = {"file": (f"bare-{number}.mp4", b"%064d" % number, "video/mp4")}
        made = (await client.post(f"{self._url}/assets", data=told, files=file)).json()
        return str(made["_id"])

    async def _task(self, client: httpx.AsyncClient, number: int, asset: str) -> str:
        body = {
            **self._told["question"],
            "video": {"type": "asset_id", "asset_id": asset},
            "custom_id": f"bare-{number}",
        }
        made = await client.post(f"{self._url}/analyze/tasks", json=body, headers={"idempotency-key": f"bare-{number}"})
        return str(made.json()["task_id"])


async def bare(told: Mapping[str, Any]) -> dict[str, Any]:
    """Make the product's requests and keep nothing."""
    return dict(await Bare(told).run())


# ------------------------------------------------------------------------------------------------- the long queue


class NamedSource(TinySource):
    """Like ``TinySource``, but a file's name is its content: 200,000 links to a few files are as many videos."""

    async def fetch(self, item: Any, workdir: Path) -> Any:
        facts = await super().fetch(item, workdir)
        return replace(facts, sha256=sha256(item.key.encode()).hexdigest())


async def queue(told: Mapping[str, Any]) -> dict[str, Any]:
    """Run over a manifest with the real reader; some seconds after its last line, stop as Ctrl-C does."""
    import structlog

    from pipeline.app.runs.session import RunSession
    from pipeline.app.wiring.components import Adapters, read_entries
    from pipeline.app.wiring.platform import open_platform
    from pipeline.app.wiring.run_plan import make_run_plan
    from pipeline.app.wiring.state_folder import lock_state_folder, open_for_writing
    from pipeline.core.clock import SystemClock
    from pipeline.sink.disk import DiskSink

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    settings = settings_for(Path(told["folder"]), told["url"], told["jobs"])
    plan, clock, rng = make_run_plan(settings), SystemClock(), Random(1)
    sink = DiskSink(settings.run.output)
    adapters = Adapters({"file": NamedSource()}, sink, lambda facts, most: None, lambda paths: "")
    with lock_state_folder(settings.run.state):
        entries = read_entries(settings, told["sources"], plan.planner)
        async with open_for_writing(settings.run.state) as database, open_platform(plan, database, clock, rng) as api:
            session = RunSession(plan, database, api, clock, rng, adapters)
            meter = Meter.start()
            async with asyncio.TaskGroup() as group:
                running = group.create_task(session.run(entries))
                while session.snapshot().reading:  # noqa: ASYNC110 - the run tells nobody, it is looked at
                    await asyncio.sleep(0.05)
                fed = meter.read(1)["wall"]
                await asyncio.sleep(told["seconds"])
                session.components.pool.stop()
                report = await running
            waiting = sum((await database.counts()).in_lane.values())
    return {**meter.read(1), "fed": fed, "waiting": waiting, "published": report.published}


async def night(told: Mapping[str, Any]) -> dict[str, Any]:
    """Run over a manifest beside a large library."""
    from tests.bench.scale_library import night

    return await night(told)


async def planned(told: Mapping[str, Any]) -> dict[str, Any]:
    """Plan a manifest of a large library."""
    from pipeline.app import plan
    from tests.bench.scale_library import cloud_settings

    meter = Meter.start()
    made = await plan(cloud_settings(Path(told["folder"]), "http://127.0.0.1:1"), [told["manifest"]])
    return {**meter.read(1), "counts": dict(made.counts)}


async def upload(told: Mapping[str, Any]) -> dict[str, Any]:
    """Upload one large file in one of the ways that are compared."""
    from tests.bench import upload as ways

    figures: dict[str, Any] = await getattr(ways, told["way"])(told)
    return figures


async def parts(told: Mapping[str, Any]) -> dict[str, Any]:
    """Run Reelmill's session under a profiler."""
    return await profiled(lambda: product(told))


JOBS = {
    "product": product,
    "parts": parts,
    "bare": bare,
    "queue": queue,
    "night": night,
    "planned": planned,
    "upload": upload,
}


def main() -> None:
    """Do the job named by the first argument with the JSON of the second."""
    print(json.dumps(asyncio.run(JOBS[sys.argv[1]](json.loads(sys.argv[2])))))


if __name__ == "__main__":
    main()
