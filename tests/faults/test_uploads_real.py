"""Uploads in parts by real processes over real sockets: killed in the middle of bytes, watched for memory and for keys.

The ten gigabytes of the gate are a resumed session: its file and its lists have their full size, of the bytes every
sixteenth chunk is sent, the short last one too. All ten gigabytes (half a minute of processor time)::

    python -m tests.faults.test_uploads_real 10
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.core.errors import Permanent
from pipeline.ports.video_api import NewUpload
from pipeline.provider.client import open_api
from pipeline.provider.http.rate_limits import Unlimited
from tests.contract.platform_double import SMALL, TOKEN, ManualClock, client_of, platform, settled
from tests.faults.upload_server import Cloud, cloud
from tests.support.cli import KEY, environment

CHUNK = 256 * 1024
PARALLEL = Settings().provider.chunk_parallel
MEGABYTE = 1024 * 1024


def start(there: Cloud, path: Path, kept: Path) -> subprocess.Popen[bytes]:
    """Start a process that sends the file."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.upload_process", there.api, str(path), str(kept)],
        env=environment(TWELVELABS_API_KEY=KEY), cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait for its end, and return what it measured."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out)
    return found


def sparse(path: Path, size: int) -> Path:
    """Make a file of that size which takes no room."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


@pytest.mark.slow
def test_a_killed_process_sends_a_chunk_per_worker_again(tmp_path: Path) -> None:
    """SIGKILL in the middle of bytes, six times: counted where they arrive, no kill costs more than its workers hold."""
    path = sparse(tmp_path / "film.mp4", 64 * CHUNK - 100)
    rng, kills = Random(7), 0
    with cloud(CHUNK, KEY) as there:
        for sixth in range(6):
            at = there.total + rng.randrange(4 * CHUNK, 10 * CHUNK) if sixth else rng.randrange(1, CHUNK)
            process = start(there, path, tmp_path / "session.json")
            there.watch = killing(process, at)
            process.wait(60)
            process.communicate()
            kills += process.returncode == -9
        there.watch = lambda _: None
        finish(start(there, path, tmp_path / "session.json"))
        session = there.last
        assert (kills, len(there.sessions), session.status) == (6, 1, "completed")
        assert session.stored == set(range(1, 65))
        assert 0 < session.again <= kills * PARALLEL * CHUNK
        assert not any(KEY in str(headers) for server, _, headers in there.seen if server == "storage")


def killing(process: subprocess.Popen[bytes], at: int) -> Callable[[int], None]:
    """Return a watch that kills the process once so many bytes have come."""

    def watch(total: int) -> None:
        if total >= at and process.poll() is None:
            process.kill()

    return watch


@pytest.mark.slow
def test_ten_gigabytes_need_no_more_memory_than_ten_megabytes(tmp_path: Path) -> None:
    """A sparse file of 10 GB in 1,193 chunks: the process's peak is that of a small one, and below 120 MB."""
    small = measured(tmp_path, 10 * MEGABYTE, lambda _: False)
    large = measured(tmp_path, 10 * 1000**3, lambda index: index % 16 != 9)
    assert large["sent"] == 74 * 8 * MEGABYTE + 10 * 1000**3 % (8 * MEGABYTE)
    assert large["peak"] < 120 * MEGABYTE
    assert large["peak"] - small["peak"] < 24 * MEGABYTE, (small, large)


def measured(folder: Path, size: int, have: Callable[[int], bool]) -> dict[str, Any]:
    """Send a file of that size in chunks of the platform's usual size; return peak, processor time and bytes sent."""
    path = sparse(folder / f"{size}.mp4", size)
    with cloud(8 * MEGABYTE, KEY) as there:
        there.have = have
        found = finish(start(there, path, folder / f"{size}.json"))
        assert (there.last.status, there.last.again) == ("completed", 0)
        return {**found, "sent": there.total}


def client_at(base: str, key: str = KEY) -> Any:
    """Return our client of a platform."""
    return open_api(
        Settings(), base_url=base, key=key, identity="t/v1.3", limiter=Unlimited(), clock=SystemClock(), rng=Random(1),
        local=True,
    )  # fmt: skip


@pytest.mark.asyncio
async def test_addresses_that_expire_in_the_middle_are_renewed(tmp_path: Path) -> None:
    """All that were handed out stop working at once: new ones are asked for, and no chunk is lost or given up."""
    path = sparse(tmp_path / "film.mp4", 40 * CHUNK)
    with cloud(CHUNK, KEY) as there:

        def expire(total: int) -> None:
            if total > 20 * CHUNK and not there.last.good_from:
                there.last.good_from = there.last.generation + 1

        there.watch = expire
        api = client_at(there.api)
        try:
            upload = NewUpload("film.mp4", "multipart", size=40 * CHUNK, path=path)
            await api.send_chunks(await api.open_session(upload, lambda: None), path, lambda _: None)
        finally:
            await api.aclose()
        assert (there.last.status, there.last.good_from > 0) == ("completed", True)
        assert there.last.again <= (PARALLEL + 1) * CHUNK
        assert not any(KEY in str(headers) for server, _, headers in there.seen if server == "storage")
        assert all(headers["x-api-key"] == KEY for server, _, headers in there.seen if server == "api")


@pytest.mark.asyncio
async def test_an_expired_session_gives_way_to_another(tmp_path: Path) -> None:
    """A day later: the word is clear, the old bytes are gone, the second session makes the one asset there is."""
    clock, content = ManualClock(), bytes(range(256)) * 13
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    upload = NewUpload("film-1.mp4", "multipart", size=len(content), path=path)
    async with platform(tmp_path / "there", limits=SMALL, clock=clock) as (served, client):
        api = client_at(served.base_url, TOKEN)
        try:
            old = await api.open_session(upload, lambda: None)
            clock.move(25 * 3600)
            with pytest.raises(Permanent) as caught:
                await api.send_chunks(old, path, lambda _: None)
            assert caught.value.trouble.code == "session_expired"
            assert (await api.media(old.asset_id)).state in ("failed", "gone")
            new = await api.open_session(upload, lambda: None)
            await api.send_chunks(new, path, lambda _: None)
        finally:
            await api.aclose()
        assert new.upload_id != old.upload_id
        assert (await settled(client, new.asset_id))["size"] == len(content)
        assert [entry.object_id for entry in served.ledger.entries(effect="session_completed")] == [new.asset_id]
        assert list((tmp_path / "there").rglob(f"*{old.upload_id}*")) == []
        async with client_of(served) as again:
            assert (await again.get("/assets/multipart-uploads")).json()["data"] == []


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
        print(measured(Path(folder), int(gigabytes * 1000**3), lambda _: False))
