"""The whole platform on real video files: nothing injected, analysis in its own processes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.core.clock import SystemClock
from pipeline.local.analysis.process_pool import ProcessPool
from pipeline.local.demo.videos import make_slides
from pipeline.local.platform import LocalPlatform
from tests.contract.platform_double import TOKEN, client_of, finished, platform, question, ready, settled, upload

CUES = [
    (0.0, 2.5, "Bees live in colonies."),
    (2.5, 5.5, "The queen lays the eggs."),
    (6.0, 9.0, "Workers gather honey."),
]
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "summary": {"type": "string"}},
    "required": ["title", "summary"],
}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Make one captioned slide video for all tests here."""
    path = tmp_path_factory.mktemp("film") / "bees.mp4"
    slides = [("The colony", ["one queen"]), ("The honey", ["many workers"])]
    return make_slides(path, slides, 5.0, CUES, title="On bees").read_bytes()


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Make a video without captions."""
    return make_slides(tmp_path_factory.mktemp("film") / "silent.mp4", [("Whales", [])], 6.0).read_bytes()


def real(folder: Path, **options: Any) -> Any:
    """Serve with the real analysis and the real clock."""
    return platform(folder, analyzer=None, clock=SystemClock(), workers=1, **options)


@pytest.mark.asyncio
async def test_a_captioned_video_is_read_and_its_words_come_back(film: bytes, tmp_path: Path) -> None:
    """Settled with its true measures; the summary is made of captions; the second question reads nothing again."""
    async with real(tmp_path) as (_, client):
        asset = await settled(client, await upload(client, "bees.mp4", film))
        assert asset["status"] == "ready"
        assert abs(asset["duration"] - 10.0) < 0.5
        assert asset["technical_metadata"]["video_width"] == 640
        form = {"type": "json_schema", "json_schema": SCHEMA}
        made = await client.post(
            "/analyze/tasks", json=question(asset["_id"], prompt="Summarize.", response_format=form)
        )
        task = await finished(client, made.json()["task_id"])
        assert task["status"] == "ready", task
        found = json.loads(task["result"]["data"])
        assert any(text in found["summary"] for _, _, text in CUES)
        (kept,) = (tmp_path / "readings").iterdir()
        written = kept.stat().st_mtime_ns
        again = await client.post("/analyze", json=question(asset["_id"], stream=False, response_format=form))
        assert json.loads(again.json()["data"]) == found
        assert kept.stat().st_mtime_ns == written
        spoken = (await client.get(f"/assets/{asset['_id']}/transcription", params={"include": "sentences"})).json()
        assert [line["value"] for line in spoken["sentences"]] == [text for _, _, text in CUES]


@pytest.mark.asyncio
async def test_captions_handed_over_replace_none(silent: bytes, tmp_path: Path) -> None:
    """WebVTT text in the metadata key ``captions`` is what is heard."""
    vtt = "WEBVTT\n\n00:00:01.000 --> 00:00:04.000\nNothing but whales here.\n"
    async with real(tmp_path) as (_, client):
        metadata = json.dumps({"captions": vtt, "title": "On whales"})
        asset = await ready(client, "w.mp4", silent, user_metadata=metadata)
        spoken = (await client.get(f"/assets/{asset}/transcription", params={"include": "sentences"})).json()
        assert [line["value"] for line in spoken["sentences"]] == ["Nothing but whales here."]


@pytest.mark.asyncio
async def test_garbage_is_a_failed_asset(tmp_path: Path) -> None:
    """Bytes that are no video end as failed with a message, and the process that looked goes on."""
    async with real(tmp_path) as (_, client):
        asset = await settled(client, await upload(client, "a.mp4", b"\0\1\2 not a film" * 500))
        assert asset["status"] == "failed"
        assert asset["error"]["message"]


@pytest.mark.asyncio
async def test_a_dead_analysis_process_fails_one_task_and_no_more(film: bytes, tmp_path: Path) -> None:
    """Killing the process turns the present task into a failed one; the next is served by a new process."""
    async with real(tmp_path) as (served, client):
        asset = await ready(client, "bees.mp4", film)
        pool = served._pool
        assert isinstance(pool, ProcessPool)
        for worker in pool._all:
            os.kill(worker._process.pid, signal.SIGKILL)
        first = (await client.post("/analyze/tasks", json=question(asset))).json()["task_id"]
        assert (await finished(client, first))["error"]["code"] == "internal_error"
        second = (await client.post("/analyze/tasks", json=question(asset))).json()["task_id"]
        assert (await finished(client, second))["status"] == "ready"
        pids = [worker._process.pid for worker in pool._all]
        assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.asyncio
async def test_serving_for_ever_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    """The address is known once it answers; a cancel closes everything."""
    bases: list[str] = []
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:

            async def serve() -> None:
                async with LocalPlatform(tmp_path, token=TOKEN, clock=SystemClock()) as served:
                    bases.append(served.base_url)
                    await anyio.sleep_forever()

            group.start_soon(serve)
            while not bases:
                await anyio.lowlevel.checkpoint()

            class Served:
                base_url = bases[0]

            async with client_of(Served()) as client:  # type: ignore[arg-type]
                assert (await client.get("/assets")).status_code == 200
            group.cancel_scope.cancel()
