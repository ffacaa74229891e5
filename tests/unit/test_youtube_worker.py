"""The parent's side of a worker: what it does when the other side dies, stalls or talks nonsense. Real processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from pipeline.source.youtube.worker.pool import WorkerCommand, WorkerGone, WorkerPool, WorkerProcess, start_worker
from tests.support.site import scripted

HELLO = """
import json, sys, time, os
def say(**event): print(json.dumps(event), flush=True)
def heard(): return json.loads(sys.stdin.readline())
say(event="hello", protocol=1, yt_dlp="2026.10.26", ejs="0.8.0", python="3.11")
"""


@asynccontextmanager
async def playing(folder: Path, body: str) -> AsyncIterator[WorkerProcess]:
    """Start a worker that plays a script."""
    worker = await start_worker(WorkerCommand(str(scripted(folder, HELLO + body))), os.environ)
    try:
        yield worker
    finally:
        await worker.end()


async def gone(pid: int) -> bool:
    """Return whether a process ends within a second."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").exists() and " Z " in Path(f"/proc/{pid}/stat").read_text():  # noqa: ASYNC240
            return True  # dead; whoever inherited it has not looked yet
        await anyio.sleep(0.01)
    return False


@pytest.mark.asyncio
async def test_events_on_the_way_are_handed_on_and_the_last_one_is_the_answer(tmp_path: Path) -> None:
    """Progress is seen, leftovers of another request are not, the versions are known."""
    body = """
n = heard()["id"]
say(event="progress", id=n - 1, bytes=1); say(event="progress", id=n, bytes=2); say(event="beat", id=n, quiet=0.1)
say(event="probed", id=n, info={"id": "x"}, rss=1)
time.sleep(60)
"""
    seen: list[int] = []
    async with playing(tmp_path, body) as worker:
        answer = await worker.ask("probe", {}, quiet=5.0, seen=lambda event: seen.append(event["bytes"]))
        assert (answer["event"], seen, worker.exhausted) == ("probed", [2], False)
        assert worker.hello.yt_dlp == "2026.10.26"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("heard(); sys.exit(3)", "without a word"),
        ("heard(); raise RuntimeError('it broke inside')", "it broke inside"),
        ("heard(); print('no json', flush=True); time.sleep(60)", "nonsense"),
        ("heard(); print('[1, 2]', flush=True); time.sleep(60)", "nonsense"),
        ("n = heard()['id']; say(event='beat', id=n, quiet=99.0); time.sleep(60)", "nothing has come"),
        ("heard(); os.close(1); time.sleep(60)", "without a word"),
    ],
)
async def test_a_worker_that_cannot_be_trusted_is_worn(tmp_path: Path, body: str, said: str) -> None:
    """Death, noise and standstill all end in one error with its last words, and the worker gets no other job."""
    async with playing(tmp_path, body) as worker:
        with pytest.raises(WorkerGone, match=said) as caught:
            await worker.ask("probe", {}, quiet=5.0)
        assert not caught.value.missing
        assert worker.exhausted


@pytest.mark.asyncio
async def test_a_chatty_worker_is_never_blocked(tmp_path: Path) -> None:
    """A megabyte on stderr does not fill a pipe."""
    body = 'n = heard()["id"]; sys.stderr.write("x" * 1_000_000); say(event="listed", id=n); time.sleep(60)'
    async with playing(tmp_path, body) as worker:
        assert (await worker.ask("list", {}, quiet=5.0))["event"] == "listed"


@pytest.mark.asyncio
async def test_ending_takes_what_it_started_with_it(tmp_path: Path) -> None:
    """A grandchild (an ffmpeg, say) does not outlive the worker, and ending takes no more than a tenth of a second."""
    body = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
n = heard()["id"]; say(event="probed", id=n, child=child.pid)
time.sleep(60)
"""
    async with playing(tmp_path, body) as worker:
        child = (await worker.ask("probe", {}, quiet=5.0))["child"]
        before = time.monotonic()
        await worker.end()
        assert time.monotonic() - before < 0.1
    assert await gone(child)


@pytest.mark.asyncio
async def test_when_the_parent_is_gone_the_worker_is_too(tmp_path: Path) -> None:
    """A run that is killed with -9 leaves no yt-dlp and nothing that it started."""
    code = f"""
import anyio, os, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
from pipeline.source.youtube.worker.pool import WorkerCommand, start_worker
async def main():
    worker = await start_worker(WorkerCommand({sys.executable!r}), os.environ)
    print(worker.pid, flush=True)
    await anyio.sleep(60)
anyio.run(main)
"""
    parent = await anyio.open_process([sys.executable, "-c", code], stderr=None)
    assert parent.stdout is not None
    pid = int(await parent.stdout.receive())
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    await parent.aclose()
    assert await gone(pid)


@pytest.mark.asyncio
async def test_a_python_without_yt_dlp_is_told_from_a_broken_one(tmp_path: Path) -> None:
    """No interpreter, one without yt-dlp, one that speaks another protocol: all are ``missing``."""
    without = "import sys; sys.modules['yt_dlp'] = None; import runpy; sys.argv = sys.argv[1:]\n"
    without += "runpy.run_path(sys.argv[0], run_name='__main__')"
    other = "import json; print(json.dumps({'event': 'hello', 'protocol': 99}), flush=True)"
    for python in ("/nowhere/python", str(scripted(tmp_path, without)), str(scripted(tmp_path, other))):
        with pytest.raises(WorkerGone) as caught:
            await start_worker(WorkerCommand(python), os.environ)
        assert caught.value.missing


@pytest.mark.asyncio
async def test_the_worker_sees_no_key_of_ours(tmp_path: Path) -> None:
    """The environment is a short list: proxies pass, keys do not."""
    body = 'n = heard()["id"]; say(event="listed", id=n, env=dict(os.environ)); time.sleep(60)'
    command = WorkerCommand(str(scripted(tmp_path, HELLO + body)))
    ours = {**os.environ, "TWELVELABS_API_KEY": "tlk_secret", "HTTPS_PROXY": "http://proxy:1"}
    worker = await start_worker(command, ours)
    try:
        seen = (await worker.ask("list", {}, quiet=5.0))["env"]
    finally:
        await worker.end()
    assert "TWELVELABS_API_KEY" not in seen
    assert seen["HTTPS_PROXY"] == "http://proxy:1"
    assert seen["YTDLP_NO_PLUGINS"] == "1"


@pytest.mark.asyncio
async def test_a_crew_keeps_good_workers_and_ends_worn_ones(tmp_path: Path) -> None:
    """The second job gets the first one's process; after a cancel it gets a new one; after fifty too."""
    body = """
while True:
    request = heard()
    if request["do"] == "probe": say(event="probed", id=request["id"], rss=1)
"""
    pool = WorkerPool(WorkerCommand(str(scripted(tmp_path, HELLO + body))), 1)
    pids = []
    for _ in range(51):
        async with pool.worker() as worker:
            await worker.ask("probe", {}, quiet=5.0)
            pids.append(worker.pid)
    assert pids[0] == pids[49]
    assert pids[50] != pids[0]
    before = time.monotonic()
    with anyio.move_on_after(0.05):
        async with pool.worker() as worker:
            await worker.ask("hang", {}, quiet=5.0)
    assert time.monotonic() - before < 0.05 + 0.1
    assert await gone(pids[50])
    async with pool.worker() as worker:
        assert worker.pid != pids[50]
        await worker.ask("probe", {}, quiet=5.0)
    await pool.aclose()
    assert await gone(worker.pid)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        "there(); time.sleep(60)",
        HELLO + "signal.signal(signal.SIGTERM, signal.SIG_IGN); heard(); there(); time.sleep(60)",
        HELLO + "n = heard()['id']; there()\nwhile True: say(event='progress', id=n, bytes=1)",
        HELLO + "heard(); there(); os.kill(os.getpid(), signal.SIGSTOP)",
    ],
    ids=["starting", "deaf", "chatty", "stopped"],
)
async def test_a_cancel_takes_a_tenth_of_a_second_in_every_state(tmp_path: Path, body: str) -> None:
    """Whatever a worker does, its job is over at once and it is dead: the best of three, as others use this machine too."""
    mark = tmp_path / "there"
    before = "import json, os, pathlib, signal, sys, time\n"
    before += f"def there(): pathlib.Path({str(mark)!r}).write_text(str(os.getpid()))\n"
    pool, took = WorkerPool(WorkerCommand(str(scripted(tmp_path, before + body))), 1), []

    async def job() -> None:
        async with pool.worker() as worker:
            await worker.ask("probe", {}, quiet=60.0)

    for _ in range(3):
        mark.unlink(missing_ok=True)
        async with anyio.create_task_group() as group:
            group.start_soon(job)
            while not mark.exists() or not mark.read_text():  # noqa: ASYNC110 - another process writes it
                await anyio.sleep(0.005)
            began = time.monotonic()
            group.cancel_scope.cancel()
        took.append(time.monotonic() - began)
        assert group.cancel_scope.cancelled_caught
        assert await gone(int(mark.read_text()))
        assert pool._idle == []
    assert min(took) < 0.1


@pytest.mark.asyncio
async def test_a_worker_that_died_while_it_had_nothing_to_do_costs_no_job(tmp_path: Path) -> None:
    """Killed for its memory, say, between two jobs: the next job gets another one, and the dead one is put away."""
    pool = WorkerPool(WorkerCommand(str(scripted(tmp_path, HELLO + "time.sleep(60)"))), 1)
    async with pool.worker() as worker:
        first = worker
    os.kill(first.pid, signal.SIGKILL)
    while not first.exhausted:  # noqa: ASYNC110 - the kernel tells it in its own time
        await anyio.sleep(0.005)
    async with pool.worker() as worker:
        assert worker.pid != first.pid
        assert not worker.exhausted
    await pool.aclose()


@pytest.mark.asyncio
async def test_a_large_parent_does_not_make_its_workers_look_worn() -> None:
    """What a new process is said to have had at most begins with its parent's: only its own memory counts."""
    large = b"x" * 330_000_000
    worker = await start_worker(WorkerCommand(), os.environ)
    try:
        event = await worker.ask("tools", {"params": {"quiet": True}}, quiet=60.0)
        assert 0 < event["rss"] < 200_000_000 < len(large)
        assert not worker.exhausted
    finally:
        await worker.end()
