"""The platform's memory: accepted is on disk before it is answered, and work goes on after a restart."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest

from pipeline.core.errors import Busy, ConfigError, StoreError
from pipeline.local.limits import PlatformLimits
from pipeline.local.platform import LocalPlatform
from pipeline.local.state.ledger import Ledger
from tests.contract.platform_double import (
    SMALL,
    TOKEN,
    Canned,
    ManualClock,
    finished,
    platform,
    question,
    ready,
    settled,
    upload,
)
from tests.contract.test_platform_multipart import CONTENT, all_urls, opened, sent

SERVER = """
    import sys
    from pathlib import Path
    import anyio
    from pipeline.core.clock import SystemClock
    from pipeline.local.limits import PlatformLimits
    from pipeline.local.platform import LocalPlatform
    from tests.contract.platform_double import Canned, TOKEN

    async def main():
        limits = PlatformLimits(settle_seconds=float(sys.argv[2]), think_seconds=float(sys.argv[2]))
        async with LocalPlatform(Path(sys.argv[1]), token=TOKEN, clock=SystemClock(), analyzer=Canned(), limits=limits) as p:
            print(p.base_url, flush=True)
            await anyio.sleep_forever()

    anyio.run(main)
"""


def served(folder: Path, delay: float) -> tuple[subprocess.Popen[str], str]:
    """Start a platform in a process of its own; return it with its base URL."""
    code = textwrap.dedent(SERVER)
    process = subprocess.Popen([sys.executable, "-c", code, str(folder), str(delay)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def killed(process: subprocess.Popen[str]) -> None:
    """End a process with SIGKILL."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.asyncio
@pytest.mark.slow
async def test_after_sigkill_everything_accepted_goes_on(tmp_path: Path) -> None:
    """Assets in processing and queued tasks of a killed platform finish in the next one; the ledger has each once."""
    first, base = await anyio.to_thread.run_sync(served, tmp_path, 0.0)
    try:
        async with httpx.AsyncClient(base_url=f"{base}/v1.3", headers={"x-api-key": TOKEN}) as client:
            asset = await ready(client, "one.mp4")
    finally:
        killed(first)
    second, base = await anyio.to_thread.run_sync(served, tmp_path, 3600.0)
    try:
        async with httpx.AsyncClient(base_url=f"{base}/v1.3", headers={"x-api-key": TOKEN}) as client:
            late = await upload(client, "two.mp4")
            headers = {"Idempotency-Key": "k"}
            body = question(asset, custom_id="c")
            task = (await client.post("/analyze/tasks", json=body, headers=headers)).json()["task_id"]
            assert (await client.get(f"/assets/{late}")).json()["status"] == "processing"
    finally:
        killed(second)
    async with platform(tmp_path) as (last, client):
        assert (await settled(client, late))["status"] == "ready"
        assert (await finished(client, task))["status"] == "ready"
        again = await client.post("/analyze/tasks", json=body, headers=headers)
        assert again.json()["task_id"] == task
        assert last.ledger.twice() == []
        assert {entry.client_key for entry in last.ledger.entries()} == {"one.mp4", "two.mp4", "c"}


@pytest.mark.asyncio
async def test_a_multipart_session_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Chunks of before count after; the addresses of before are still valid where the port is the same."""
    async with platform(tmp_path, limits=SMALL) as (_, client):
        session = await opened(client)
        urls = await all_urls(client, session)
        proofs = [await sent(session, url) for url in urls[:3]]
        path = f"/assets/multipart-uploads/{session['upload_id']}"
        await client.post(path, json={"completed_chunks": proofs})
    async with platform(tmp_path, limits=SMALL) as (_, client):
        status = (await client.get(path)).json()
        assert [chunk["status"] for chunk in status["uploaded_chunks"]] == ["completed"] * 3 + ["pending"]
        fresh = (await client.post(f"{path}/presigned-urls", json={"start": 4, "count": 1})).json()["upload_urls"]
        await client.post(path, json={"completed_chunks": [await sent(session, fresh[0])]})
        asset = await settled(client, session["asset_id"])
        assert (asset["status"], asset["size"]) == ("ready", len(CONTENT))


@pytest.mark.asyncio
async def test_a_session_whose_completion_was_cut_short_is_finished_at_the_next_start(tmp_path: Path) -> None:
    """All chunks reported, then dead before the asset was made of them: the next start makes it."""
    async with platform(tmp_path, limits=SMALL) as (_, client):
        session = await opened(client)
        urls = await all_urls(client, session)
        proofs = [await sent(session, url) for url in urls]
        path = f"/assets/multipart-uploads/{session['upload_id']}"
        await client.post(path, json={"completed_chunks": proofs[:3]})
    with sqlite3.connect(tmp_path / "platform.sqlite3") as db:  # as the transaction of the last report leaves it
        db.execute("UPDATE chunks SET reported = 1")
    db.close()
    async with platform(tmp_path, limits=SMALL) as (again, client):
        assert (await settled(client, session["asset_id"]))["size"] == len(CONTENT)
        assert (await client.get(path)).json()["status"] == "completed"
        assert [entry.effect for entry in again.ledger.entries()] == ["session_opened", "session_completed"]


@pytest.mark.asyncio
async def test_half_files_and_unknown_files_are_swept_at_the_start(tmp_path: Path) -> None:
    """What a dead process left without a record is removed; what has one stays."""
    async with platform(tmp_path) as (_, client):
        asset = await ready(client)
    stray = [tmp_path / "incoming" / "a.part", tmp_path / "blobs" / "b.bin", tmp_path / "sessions" / "c.part"]
    for path in stray:
        path.write_bytes(b"x")
    async with platform(tmp_path) as (_, client):
        assert not [path for path in stray if path.exists()]
        assert (await client.post("/analyze", json=question(asset, stream=False))).status_code == 200


@pytest.mark.asyncio
async def test_one_folder_is_served_once(tmp_path: Path) -> None:
    """A second platform on the same folder is Busy; after the first has closed it is not."""
    async with platform(tmp_path):
        with pytest.raises(Busy):
            async with platform(tmp_path):
                pass
    async with platform(tmp_path):
        pass


@pytest.mark.asyncio
async def test_what_cannot_start_says_why(tmp_path: Path) -> None:
    """A taken port and an empty token are configuration errors; a newer or broken database is a store error."""
    async with platform(tmp_path / "a") as (running, _):
        port = int(running.base_url.rpartition(":")[2])
        with pytest.raises(ConfigError, match="cannot listen"):
            async with platform(tmp_path / "b", port=port):
                pass
    with pytest.raises(ConfigError, match="token"):
        LocalPlatform(tmp_path / "c", token="", clock=ManualClock())
    with sqlite3.connect(tmp_path / "a" / "platform.sqlite3") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="newer"):
        async with platform(tmp_path / "a"):
            pass
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "platform.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError):
        async with platform(tmp_path / "d"):
            pass


@pytest.mark.asyncio
async def test_least_times_pass_on_the_clock(tmp_path: Path) -> None:
    """Settling and thinking take at least what the limits say, without holding up one another."""
    clock = ManualClock()
    limits = PlatformLimits(settle_seconds=30, think_seconds=60)
    async with platform(tmp_path, clock=clock, limits=limits, analyzer=Canned(), workers=1) as (_, client):
        ids = [await upload(client, f"{number}.mp4") for number in range(5)]
        assert {a["status"] for a in (await client.get("/assets")).json()["data"]} == {"processing"}
        clock.move(30)
        for key in ids:
            assert (await settled(client, key))["status"] == "ready"


@pytest.mark.asyncio
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
async def test_a_big_upload_passes_through_little_memory(tmp_path: Path) -> None:
    """120 MB by both roads: the server's peak grows by less than 16 MB."""
    size, piece = 120_000_000, b"\1" * 1_000_000
    process, base = await anyio.to_thread.run_sync(served, tmp_path, 0.0)

    def peak() -> int:
        lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))  # kilobytes

    async def pieces() -> AsyncIterator[bytes]:
        head = b'Content-Disposition: form-data; name="method"\r\n\r\ndirect'
        yield b"--b\r\n" + head + b'\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="f.mp4"\r\n\r\n'
        for _ in range(size // len(piece)):
            yield piece
        yield b"\r\n--b--\r\n"

    async def chunk(length: int) -> AsyncIterator[bytes]:
        for at in range(0, length, len(piece)):
            yield piece[: min(len(piece), length - at)]

    try:
        async with httpx.AsyncClient(base_url=f"{base}/v1.3", headers={"x-api-key": TOKEN}, timeout=60) as client:
            await ready(client)
            before = peak()
            form = {"content-type": "multipart/form-data; boundary=b"}
            made = await client.post("/assets", content=pieces(), headers=form)
            assert (await settled(client, made.json()["_id"]))["size"] == size
            session = await opened(client, size)
            proofs = []
            async with httpx.AsyncClient(timeout=60) as plain:
                for url in session["upload_urls"]:
                    number = url["chunk_index"]
                    length = min(session["chunk_size"], size - (number - 1) * session["chunk_size"])
                    etag = (await plain.put(url["url"], content=chunk(length))).headers["ETag"]
                    proofs.append({"chunk_index": number, "proof": etag, "proof_type": "etag", "chunk_size": length})
            path = f"/assets/multipart-uploads/{session['upload_id']}"
            await client.post(path, json={"completed_chunks": proofs})
            assert (await settled(client, session["asset_id"]))["size"] == size
            assert peak() - before < 16_000
    finally:
        killed(process)


def test_a_ledger_without_a_database_is_empty(tmp_path: Path) -> None:
    """Asking before anything was served is no error."""
    assert Ledger(tmp_path / "none.sqlite3").entries() == []
