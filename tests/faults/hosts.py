"""``python -m tests.faults.hosts --case kill --seeds 20``: several hosts on one PostgreSQL, and what can happen to them.

Real processes, PostgreSQL, HTTP and disk. The platform is a process of its own, lives on, and its ledger is the truth. Exit
code 1 if a call was accepted twice, an item is lost, or a process ended that nobody had ended.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from pipeline.app.cluster.work import submit
from pipeline.config.database_address import parse_address
from pipeline.config.settings import load
from pipeline.local.state.ledger import Ledger
from pipeline.store.postgres.migrate import migrate
from tests.faults.canned_platform import canned
from tests.faults.siege import padded
from tests.support.cli import KEY, Running, Terminal, pause, until
from tests.support.postgres_server import RECKLESS, PostgresProcess

LEASE = 4.0  #: seconds
ONCE = ("asset_created", "session_completed", "analyze_task_created")
#: What has to be there before it happens: enough of one effect, or of folders with results.
MOMENTS = ("asset_created", "analyze_task_created", "written")


@dataclass
class Cluster:
    """Some hosts, their database and their platform."""

    folder: Path
    server: PostgresProcess
    ledger: Ledger
    films: Path
    videos: int
    hosts: list[Terminal]
    workers: list[Running] = field(default_factory=list)

    def start(self, number: int) -> Running:
        """Start a worker of a host, again if it was ended."""
        worker = self.hosts[number].start("work", "--until-idle", "--quiet")
        self.workers[number : number + 1] = [worker]
        return worker

    def effects(self) -> Counter[str]:
        """Count what the platform has accepted, and folders with results."""
        made = Counter(entry.effect for entry in self.ledger.entries())
        return made + Counter(written=len(list((self.folder / "out").glob("*/video.json"))))

    def wait_for(self, moment: str, number: int) -> None:
        """Wait until there is so much of it, or all workers have ended."""
        until(
            lambda: self.effects()[moment] >= number or not any(worker.alive for worker in self.workers),
            f"{number} × {moment}",
        )

    def present(self) -> int:
        """Return how many hosts are at work or were killed."""
        return len(self.ask("""SELECT 1 FROM reelmill.note WHERE name LIKE 'host:%' AND value LIKE '%"left":false%'"""))

    def ask(self, sql: str) -> list[asyncpg.Record]:
        """Ask the database itself."""

        async def asked() -> list[asyncpg.Record]:
            link = await asyncpg.connect(self.server.url("postgres"))
            try:
                return list(await link.fetch(sql))
            finally:
                await link.close()

        return asyncio.run(asked())

    def check(self, ended: Sequence[Running]) -> list[str]:
        """Return what is not as promised, once these workers, which nobody has ended, are through."""
        wrong = [
            f"a worker ended with {code}: {worker.said()[-500:]}" for worker in ended if (code := worker.wait().code)
        ]
        twice = {pair: number for pair, number in self.ledger.paid().items() if number > 1 and pair[0] in ONCE}
        wrong += [f"accepted {number} times: {pair}" for pair, number in twice.items()]
        states = {
            row[0]: row[1]
            for row in self.ask("SELECT state, count(*) FROM reelmill.task WHERE kind = 'item' GROUP BY 1")
        }
        if states != {"done": self.videos}:
            wrong.append(f"items: {states}")
        made = self.effects()
        if (made["asset_created"], made["analyze_task_created"], made["written"]) != (self.videos,) * 3:
            wrong.append(f"made: {dict(made)}")
        return wrong


@contextmanager
def cluster(hosts: int, videos: int) -> Iterator[Cluster]:
    """Set everything up: a list is in the queue, and every host works."""
    folder, socket = (Path(tempfile.mkdtemp(prefix=f"reelmill-{name}-")) for name in ("hosts", "pg"))
    server = PostgresProcess(socket, RECKLESS)
    server.start()
    terminals: list[Terminal] = []
    try:
        films = padded(folder / "films", videos)
        url = server.url("postgres")
        asyncio.run(migrate(parse_address(url)))
        with canned(folder / "there") as (base_url, database):
            terminals += [_host(folder, number, base_url, url) for number in range(hosts)]
            made = Cluster(folder, server, Ledger(database), films, videos, terminals)
            settings = load(terminals[0].folder / "reelmill.toml", env={"TWELVELABS_API_KEY": KEY})
            asyncio.run(submit(settings, [str(films)]))
            for number in range(hosts):
                made.start(number)
            yield made
            for terminal in terminals:
                terminal.close()
    finally:
        for terminal in terminals:
            terminal.close()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(socket, ignore_errors=True)


def _host(folder: Path, number: int, base_url: str, url: str) -> Terminal:
    own = folder / f"host-{number}"
    return Terminal(own, {"TWELVELABS_API_KEY": KEY}, {
        "run": {"state": str(own / "state"), "output": str(folder / "out")},
        "provider": {"kind": "local", "base_url": base_url},
        "jobs": {"enabled": ["gist"]},
        "store": {"url": url},
        "cluster": {"host": own.name},
        "source": {"shared": [str(folder / "films")]},
        "policy": {"lease": LEASE},
        "gallery": {"enabled": False},
    })  # fmt: skip


# ------------------------------------------------------------------------------------------------------ what happens


def kill_one(rng: random.Random, videos: int) -> list[str]:
    """SIGKILL of one of two."""
    with cluster(2, videos) as made:
        made.wait_for(rng.choice(MOMENTS), rng.randint(1, videos // 2))
        made.workers[1].kill()
        return made.check(made.workers[:1])


def kill_two(rng: random.Random, videos: int) -> list[str]:
    """SIGKILL of two of three; one of them starts again at once."""
    with cluster(3, videos) as made:
        for dead in (1, 2):
            made.wait_for(rng.choice(MOMENTS), rng.randint(1, videos // 2))
            made.workers[dead].kill()
        made.start(1)
        return made.check(made.workers[:2])


def freeze(rng: random.Random, videos: int) -> list[str]:
    """SIGSTOP for one and a half leases: others have gone on by then; what wakes drops what it had."""
    with cluster(2, videos) as made:
        made.wait_for(rng.choice(MOMENTS), rng.randint(1, videos // 2))
        made.workers[1].signal(signal.SIGSTOP)
        pause(1.5 * LEASE)
        made.workers[1].signal(signal.SIGCONT)
        return made.check(made.workers)


def restart_server(rng: random.Random, videos: int) -> list[str]:
    """The database crashes and comes back, several times: nobody ends, and no attempt is counted."""
    with cluster(2, videos) as made:
        for _ in range(3):
            made.wait_for(rng.choice(MOMENTS), rng.randint(1, videos // 2))
            made.server.stop("immediate")
            pause(rng.uniform(0.0, 2.0))
            made.server.start()
        return made.check(made.workers) + _counted(made)


def stop_all(rng: random.Random, videos: int) -> list[str]:
    """SIGTERM to all at once, then one starts: no attempt is counted."""
    with cluster(3, videos) as made:
        made.wait_for(rng.choice(MOMENTS[:2]), rng.randint(1, videos // 2))
        until(lambda: made.present() == len(made.workers), "all hosts to have joined")
        wrong = _stop(made.workers)
        return wrong + made.check([made.start(0)]) + _counted(made)


def everything(rng: random.Random, videos: int) -> list[str]:
    """One host is killed, one freezes, the server crashes, all are stopped, one starts: the sample of the gate."""
    with cluster(3, videos) as made:
        made.wait_for(rng.choice(MOMENTS[:2]), rng.randint(1, videos // 3))
        made.workers[2].kill()
        made.workers[1].signal(signal.SIGSTOP)
        made.server.stop("immediate")
        pause(1.0)
        made.server.start()
        pause(1.5 * LEASE)
        made.workers[1].signal(signal.SIGCONT)
        pause(rng.uniform(0.0, 1.0))
        wrong = _stop(made.workers[:2])
        return wrong + made.check([made.start(2)])


def _stop(workers: Sequence[Running]) -> list[str]:
    """SIGTERM to all at once; return who did not end well."""
    for worker in workers:
        worker.signal(signal.SIGTERM)
    ended = [(worker.wait().code, worker.said()) for worker in workers]
    return [f"SIGTERM ended with {code}: {said[-1500:]}" for code, said in ended if code]


def _counted(made: Cluster) -> list[str]:
    """Return the tasks for which an attempt was counted."""
    rows = made.ask("SELECT kind, stage, attempt FROM reelmill.task WHERE attempt > 0")
    return [f"counted: {[*map(tuple, rows)]}"] if rows else []


CASES: dict[str, Callable[[random.Random, int], list[str]]] = {
    "kill-one": kill_one, "kill-two": kill_two, "freeze": freeze, "restart": restart_server, "stop": stop_all,
    "everything": everything,
}  # fmt: skip


def main(given: Sequence[str]) -> int:
    """Run cases with seeds; tell each in a line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.hosts", description=__doc__)
    parser.add_argument("--case", choices=[*CASES, "all"], default="all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--videos", type=int, default=18)
    asked = parser.parse_args(given)
    bad = 0
    for name in CASES if asked.case == "all" else [asked.case]:
        for seed in range(asked.first, asked.first + asked.seeds):
            began, before = time.monotonic(), os.times()
            wrong = CASES[name](random.Random(seed), asked.videos)
            after = os.times()
            cpu = sum(after[:4]) - sum(before[:4])
            print(
                f"{name} {seed}: {'; '.join(wrong) or 'ok'} ({time.monotonic() - began:.0f} s, {cpu:.0f} s of CPU)",
                flush=True,
            )
            bad += bool(wrong)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
