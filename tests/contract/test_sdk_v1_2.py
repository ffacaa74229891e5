"""The vendor's last v1.2 SDK drives the local platform from index to deletion, in its own words and types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.core.clock import SystemClock
from pipeline.local.demo.videos import make_slides
from tests.contract.platform_double import TOKEN, platform
from tests.support.slide_reader import install_slide_reader

SDK = "twelvelabs==0.3.2"
SESSION = Path(__file__).with_name("sdk_v1_2_session.py")
CUES = [
    (0.0, 2.5, "Bees live in colonies."),
    (2.6, 5.5, "The queen lays the eggs."),
    (6.0, 9.0, "Workers gather honey."),
]
SLIDES = [("The colony", ["one queen"]), ("The honey", ["many workers"])]
VTT = "WEBVTT\n\n" + "\n\n".join(f"00:{a:06.3f} --> 00:{b:06.3f}\n{text}" for a, b, text in CUES) + "\n"


@pytest.fixture(scope="session")
def old_sdk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the old SDK beside today's, once, into a folder that only the session's process looks into."""
    cache = getattr(request.config, "cache", None)
    name = f"twelvelabs-0.3.2-{sys.implementation.cache_tag}"
    folder: Path = cache.mkdir(name) if cache is not None else tmp_path_factory.mktemp(name)
    if not (folder / "whole").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
        ran = subprocess.run([*command, "--target", str(folder), SDK], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"{SDK} cannot be installed: {ran.stderr[-2000:]}"
        (folder / "whole").touch()
    return folder


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a film without captions, captions for it, and a folder with one that stands for YouTube's."""
    folder = tmp_path_factory.mktemp("films")
    make_slides(folder / "bees.mp4", SLIDES, 5.0)
    (folder / "bees.vtt").write_text(VTT, encoding="utf-8")
    (folder / "youtube").mkdir()
    make_slides(folder / "youtube" / "Whales at night [nhY1s6CZziE].mp4", [("Whales", ["sleep"])], 6.0)
    return folder


@pytest.mark.asyncio
@pytest.mark.slow
async def test_the_old_sdk_goes_through_a_whole_life(
    old_sdk: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call that the local platform serves parses in the SDK's types and says what is in the film."""
    reader = install_slide_reader(tmp_path / "bin", films / "bees.mp4", SLIDES)
    monkeypatch.setenv("PATH", str(reader), prepend=os.pathsep)
    arguments = [str(films / "bees.mp4"), str(films / "bees.vtt"), "https://youtu.be/nhY1s6CZziE?si=abc"]
    async with platform(tmp_path, analyzer=None, clock=SystemClock(), workers=2, media=films / "youtube") as (
        served,
        _,
    ):
        settings = {"TWELVELABS_BASE_URL": served.base_url, "API_KEY": TOKEN, "PYTHONPATH": str(old_sdk)}
        with anyio.fail_after(100):
            ran = await anyio.run_process(
                [sys.executable, str(SESSION), *arguments], env={**os.environ, **settings}, check=False
            )
        assert ran.returncode == 0, ran.stderr.decode()[-3000:]
        seen: dict[str, Any] = json.loads(ran.stdout.decode().splitlines()[-1])
        assert seen["titles"] == ["bees.mp4", "Whales at night"]
        assert seen["said"] == [text for _, _, text in CUES]
        assert seen["part"] == [CUES[1][2]]
        assert "The colony" in seen["shown"]
        assert seen["hits"][0][0] == "conversation"
        assert seen["hits"][0][1:] == [100.0, "high"]
        assert seen["pool"] == [2, len(seen["hits"])]
        assert (seen["groups"], seen["exact"]) == ([1], [1, 0])
        assert (seen["classes"], seen["clips"]) == ([["Bees"]], [1])
        assert (seen["title"], seen["only"]) == ("On bees", [None, None, True])
        assert (seen["chapters"][0][:2], seen["chapters"][-1][2]) == ([0, 0], 10)
        assert seen["highlights"] >= 1
        assert seen["summary"] in [text for _, _, text in CUES]
        assert CUES[1][2] in seen["answer"]
        assert (seen["pieces"], seen["wrong_key"]) == (True, 401)
        effects = [entry.effect for entry in served.ledger.entries()]
        assert effects.count("task_created") == effects.count("external_task_created") == 1
        assert served.ledger.twice() == [("generate", next(e.client_key for e in served.ledger.entries("generate")))]
