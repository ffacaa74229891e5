"""YouTube behind the embedded platform: given only where it should be, and as patient as the engine would be."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import anyio
import httpx
import pytest

from pipeline.app.operator.platform import platform
from pipeline.app.wiring.downloads import open_youtube_client
from pipeline.app.wiring.embedded_fetch import retrying
from pipeline.app.wiring.journals import NullJournal
from pipeline.app.wiring.platform import open_platform
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.core.errors import Permanent, ReelmillError, Throttled, Transient
from pipeline.local.jobs.youtube_fetch import Fetch
from pipeline.local.platform import LocalPlatform
from pipeline.ports.source import Item, MediaFacts

V = "dQw4w9WgXcQ"


def settings_of(folder: Path, api: str) -> Settings:
    """Return settings with the embedded platform, and a Python for yt-dlp that is not there."""
    return Settings.model_validate(
        {
            "run": {"state": folder},
            "provider": {"kind": "local", "api": api},
            "youtube": {"python": folder / "no-python", "min_gap": 0, "max_gap": 0, "pace_folder": folder},
            "policy": {"attempts": 3, "retry_first": 5, "retry_most": 900},
        }
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("api", "fetches", "expected"), [("v1.2", True, True), ("v1.2", False, False), ("v1.3", True, False)]
)
async def test_only_runs_on_v1_2_fetch_behind_the_embedded_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: str, fetches: bool, expected: bool
) -> None:
    """On v1.3 the run fetches by itself, and a mere look fetches nothing."""
    given: list[bool] = []

    class Seen(LocalPlatform):
        def __init__(self, folder: Path, **options: Any) -> None:
            given.append(options.get("fetch") is not None)
            super().__init__(folder, **options)

    monkeypatch.setattr("pipeline.local.platform.LocalPlatform", Seen)
    settings, clock, rng = settings_of(tmp_path, api), SystemClock(), Random(1)
    async with (
        open_youtube_client(settings, NullJournal(), clock, rng) as youtube,
        open_platform(make_run_plan(settings), NullJournal(), clock, rng, youtube=youtube if fetches else None),
    ):
        pass
    assert given == [expected]


@pytest.mark.asyncio
async def test_the_served_platform_takes_addresses_without_a_media_folder(tmp_path: Path) -> None:
    """``reelmill platform`` accepts a YouTube address, and keeps it while this machine cannot fetch."""
    told: list[tuple[str, str]] = []
    ready = anyio.Event()

    def answer(base: str, token: str) -> None:
        told.append((base, token))
        ready.set()

    async def serve() -> None:
        await platform(settings_of(tmp_path, "v1.3"), host="127.0.0.1", port=0, faults=None, ready=answer)

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        await ready.wait()
        ((base, token),) = told
        async with httpx.AsyncClient(base_url=f"{base}/v1.2", headers={"x-api-key": token}) as client:
            engines = [{"engine_name": "pegasus1", "engine_options": ["visual"]}]
            index = (await client.post("/indexes", json={"index_name": "films", "engines": engines})).json()["_id"]
            body = {"index_id": index, "url": f"https://youtu.be/{V}"}
            made = await client.post("/tasks/external-provider", json=body)
            assert made.status_code == 201, made.text
            assert (await client.get(f"/tasks/{made.json()['_id']}")).json()["status"] == "validating"
        group.cancel_scope.cancel()


@pytest.mark.asyncio
async def test_the_served_platform_has_the_workers_that_are_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``[platform] workers`` holds for ``reelmill platform`` as for the embedded one."""
    given: list[int] = []

    class Seen(LocalPlatform):
        def __init__(self, folder: Path, **options: Any) -> None:
            given.append(options.get("workers", 1))
            super().__init__(folder, **options)

    monkeypatch.setattr("pipeline.local.platform.LocalPlatform", Seen)
    settings = settings_of(tmp_path, "v1.3")
    settings = settings.model_copy(update={"platform": settings.platform.model_copy(update={"workers": 3})})
    async with anyio.create_task_group() as group:

        def ready(_base: str, _token: str) -> None:
            group.cancel_scope.cancel()

        await platform(settings, host="127.0.0.1", port=0, faults=None, ready=ready)
    assert given == [3]


class Moment:
    """A clock on which sleeping takes no time."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


WORDS = "WEBVTT\n\n00:01.000 --> 00:02.000\nBees at work.\n"


class Scripted:
    """A source that goes wrong as told, then has the file."""

    kind = "youtube"

    def __init__(self, *errors: ReelmillError) -> None:
        self.errors = list(errors)

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        assert item.key == f"youtube:video:{V}"
        if self.errors:
            raise self.errors.pop(0)
        path = workdir / "film.mp4"
        sidecar = workdir / "film.en.vtt"
        await anyio.Path(sidecar).write_text(WORDS)
        about = {"title": "A  film"}
        return MediaFacts(path, 1, 60.0, 640, 360, "mp4", "h264", "aac", "video/mp4", captions=(sidecar,), about=about)


def fetching(source: Scripted, clock: Moment, folder: Path) -> Fetch:
    """Return the fetcher around a source."""
    return retrying(source, settings_of(folder, "v1.2"), clock, Random(1))


@pytest.mark.asyncio
async def test_waiting_is_no_attempt_and_the_file_comes_with_title_and_captions(tmp_path: Path) -> None:
    """A paced site is waited for as long as it says; a passing failure is tried again."""
    clock = Moment()
    spaced = [Throttled("spaced", after=15.0, group="youtube") for _ in range(5)]
    held = await fetching(Scripted(*spaced, Transient("broken", after=3.0)), clock, tmp_path)(V, tmp_path)
    assert (held.path.name, held.title, held.captions) == ("film.mp4", "A film", WORDS)
    assert clock.slept == [15.0] * 5 + [3.0]


@pytest.mark.asyncio
async def test_each_class_of_trouble_counts_for_itself(tmp_path: Path) -> None:
    """Two resets leave a 403 its own two waits."""
    refused = [Transient("refused", waits=(30.0, 300.0), code="forbidden") for _ in range(2)]
    clock = Moment()
    resets = [Transient("reset", after=1.0, code="network") for _ in range(2)]
    await fetching(Scripted(*resets, *refused), clock, tmp_path)(V, tmp_path)
    assert clock.slept == [1.0, 1.0, 30.0, 300.0]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("errors", "sleeps"),
    [
        ([Permanent("gone")], 0),
        ([Transient("no", waits=(60.0,)), Transient("no", waits=(60.0,))], 1),
        ([Transient("no") for _ in range(3)], 2),
        ([Throttled("for ever", after=1e9, group="youtube")], 0),
    ],
)
async def test_patience_ends(tmp_path: Path, errors: list[ReelmillError], sleeps: int) -> None:
    """A final failure at once; passing ones after their waits, the tries or the hours of the policy."""
    clock, source = Moment(), Scripted(*errors)
    with pytest.raises(ReelmillError):
        await fetching(source, clock, tmp_path)(V, tmp_path)
    assert (len(clock.slept), source.errors) == (sleeps, [])
