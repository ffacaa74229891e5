"""``demo --hosts``: several workers on one database, one of which is killed."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc
import anyio.to_thread

from pipeline.app.cluster.private_postgres import PrivatePostgres, programs_of_wheel
from pipeline.app.cluster.work import submit
from pipeline.app.upkeep.migrate import migrate
from pipeline.app.wiring.database import need_driver, open_shared
from pipeline.config.settings import Settings, load
from pipeline.core.clock import SystemClock
from pipeline.core.errors import ConfigError
from pipeline.views import HostsDemo

#: What is told while it goes on.
Tell = Callable[[str], None]
_EFFECTS = ("asset_created", "analyze_task_created")
_MARK = ".reelmill-demo"  #: a file by which the demo knows what it may remove
_LOOK = 0.02  #: seconds between looks at who holds what
_PATIENCE = 300.0  #: seconds for all of it
_HOST = """\
# Made by `reelmill demo --hosts`: one host of several.
[run]
state = "state"
output = {output}

[provider]
kind = "local"
base_url = "{base_url}"
key_file = "../key"

[store]
url = "{url}"

[cluster]
host = "{name}"

[source]
shared = [{shared}]

[policy]
lease = 6  # the demo does not wait two minutes for what a killed host holds
"""


@dataclass(frozen=True, slots=True)
class _Host:
    """One worker's files."""

    name: str
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "reelmill.toml"

    def settings(self) -> Settings:
        """Return what its commands read."""
        return load(self.config, env={})


async def demo_hosts(folder: Path, hosts: int, tell: Tell) -> HostsDemo:
    """Ingest videos by several workers, kill one in the middle, and compare the ledgers.

    The database is gone afterwards; videos, results and the platform's ledger stay, below ``hosts`` in the folder.

    Raises:
        ConfigError: PostgreSQL is not installed, or cannot be started; the folder cannot be written.
    """
    programs_of_wheel()  # the extra that brings it brings the driver as well
    need_driver()
    began = SystemClock().now()
    folder, videos = await anyio.to_thread.run_sync(_make_videos, folder)
    tell(f"made {len(videos)} videos in {folder / 'videos'}")
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(_postgres())
        tell("PostgreSQL is up")
        platform = await stack.enter_async_context(_platform(folder))
        tell(f"the platform serves at {platform}, with a ledger of its own")
        members = await anyio.to_thread.run_sync(_configure, folder, hosts, url, platform)
        first = members[0].settings()
        await migrate(first)
        await submit(first, [str(folder / "videos")])
        tell(f"{members[0].name} has put {len(videos)} videos into the queue")
        victim = members[1]
        try:
            with anyio.fail_after(_PATIENCE):
                held = await _work(stack, members, victim, folder, len(videos) // 3, tell)
        except TimeoutError:
            raise ConfigError(
                f"demo: the hosts were not done within {_PATIENCE:.0f} s",
                remedy=f"this machine may be busy: try again; what each host did is in {folder}/host-*/log",
            ) from None
        return await _compare(folder, first, members, victim, held, began)


async def _work(
    stack: AsyncExitStack, members: Sequence[_Host], victim: _Host, folder: Path, uploads: int, tell: Tell
) -> int:
    """Let all work until all is done, and kill one meanwhile.

    Returns how many tasks that one held.

    Raises:
        ConfigError: another one ended by an error.
    """
    workers = {host.name: await stack.enter_async_context(_worker(host)) for host in members}
    for name, worker in workers.items():
        tell(f"{name} works: process {worker.pid}")

    def check() -> None:
        for host in members:
            if workers[host.name].returncode:
                raise ConfigError(
                    f"demo: {host.name} ended with {workers[host.name].returncode}", remedy=f"see {host.folder / 'log'}"
                )

    held = await _until_busy(members[0].settings(), victim, folder, uploads, check)
    killed = workers.pop(victim.name)
    members = [host for host in members if host is not victim]
    with suppress(ProcessLookupError):  # it was done
        killed.kill()
    tell(f"kill -9 {killed.pid}: {victim.name} held {held} tasks; the others go on")
    for worker in workers.values():
        await worker.wait()
        check()
    await killed.wait()
    return held


def _make_videos(folder: Path) -> tuple[Path, list[Path]]:
    """Make the demo's own folder anew; return it with its videos."""
    from pipeline.local.demo.videos import make_scenes

    own = folder.absolute() / "hosts"
    try:
        if own.exists() and not (own / _MARK).exists():
            raise ConfigError(
                f"demo: {own} is there, and was not made by the demo, which begins anew each time",
                remedy="name another folder: reelmill demo --hosts 3 FOLDER",
            )
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(parents=True)
        (own / _MARK).touch()
        return own, make_scenes(own / "videos")
    except OSError as error:
        raise ConfigError(
            f"demo: {own}: the videos cannot be written: {error.strerror or error}",
            remedy="name a folder that you may write: reelmill demo --hosts 3 FOLDER",
        ) from None


@asynccontextmanager
async def _postgres() -> AsyncIterator[str]:
    """Run a server in this context; give the address of an empty database."""
    folder = Path(tempfile.mkdtemp(prefix="reelmill-pg-"))  # a short path: a socket's name is limited
    server: PrivatePostgres | None = None
    try:
        server = await anyio.to_thread.run_sync(PrivatePostgres, folder)
        await anyio.to_thread.run_sync(server.make)
        await anyio.to_thread.run_sync(server.start)
        yield server.url("postgres")
    finally:
        with anyio.CancelScope(shield=True):
            if server is not None:
                with suppress(ConfigError):  # it did not start
                    await anyio.to_thread.run_sync(server.stop)
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))


@asynccontextmanager
async def _platform(folder: Path) -> AsyncIterator[str]:
    """Serve one platform for all hosts; give its address."""
    from pipeline.local.platform import LocalPlatform

    key = secrets.token_urlsafe(24)
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_text(key, encoding="ascii")
    async with LocalPlatform(folder / "platform", token=key, clock=SystemClock()) as platform:
        yield platform.base_url


def _configure(folder: Path, hosts: int, url: str, platform: str) -> list[_Host]:
    """Write each host's configuration."""
    members = [_Host(f"host-{number}", folder / f"host-{number}") for number in range(1, hosts + 1)]
    for host in members:
        host.folder.mkdir(parents=True)
        output, shared = (_toml(str(folder / name)) for name in ("out", "videos"))
        text = _HOST.format(output=output, base_url=platform, url=url, name=host.name, shared=shared)
        host.config.write_text(text, encoding="utf-8")
    return members


def _toml(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@asynccontextmanager
async def _worker(host: _Host) -> AsyncIterator[anyio.abc.Process]:
    """Run a worker; it is killed when the context ends before it does."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("REELMILL_", "TWELVELABS_"))}
    with (host.folder / "log").open("w", encoding="utf-8") as log:
        command = [sys.executable, "-m", "pipeline", "work", "--until-idle", "--quiet", "--config", str(host.config)]
        process = await anyio.open_process(command, stdin=None, stdout=log, stderr=log, env=clean, cwd=host.folder)
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


async def _until_busy(settings: Settings, victim: _Host, folder: Path, uploads: int, check: Callable[[], None]) -> int:
    """Wait until a host is at work; return how many tasks it holds.

    ``check`` is called all the time, and raises if that is in vain.
    """
    async with open_shared(settings) as database:
        while True:
            check()
            owners = [task.lease.owner for task in await database.expired(None) if task.lease is not None]
            held = sum(owner.startswith(f"{victim.name}:") for owner in owners)
            made = await anyio.to_thread.run_sync(_paid, folder)
            tally = await database.tally()
            if not tally["working"]:
                return held  # all is done already: it had nothing left to lose
            if held and sum(number for (effect, _), number in made.items() if effect == _EFFECTS[0]) >= uploads:
                return held
            await anyio.sleep(_LOOK)


def _paid(folder: Path) -> Counter[tuple[str, str]]:
    from pipeline.local.state.ledger import Ledger

    return Ledger(folder / "platform" / "platform.sqlite3").paid()


async def _compare(
    folder: Path, settings: Settings, members: Sequence[_Host], victim: _Host, held: int, began: float
) -> HostsDemo:
    """Hold the platform's ledger against the database and the results."""
    paid = await anyio.to_thread.run_sync(_paid, folder)
    async with open_shared(settings) as database:
        tally = await database.tally()
        doubtful = (await database.spent())[2]
    written = await anyio.to_thread.run_sync(lambda: sum(1 for _ in (folder / "out").glob("*/video.json")))
    made = Counter(effect for effect, _ in paid)
    return HostsDemo(
        hosts=[host.name for host in members],
        killed=victim.name,
        held=held,
        items=tally,
        written=written,
        uploads=made[_EFFECTS[0]],
        analyses=made[_EFFECTS[1]],
        twice=sorted(key for (_, key), number in paid.items() if number > 1),
        doubtful=doubtful,
        seconds=SystemClock().now() - began,
        output=folder / "out",
    )
