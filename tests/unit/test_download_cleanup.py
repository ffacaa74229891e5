"""What is left of downloads that are over: removed when a run begins, and never what somebody still needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.app.wiring.downloads import clean_up_downloads, download_folder
from pipeline.core.errors import Throttled
from pipeline.core.model import Lane, NewTask, Placed, Selection, State, Task
from pipeline.source.youtube.formats import StreamFormat, parse_format, parse_record, to_record
from pipeline.source.youtube.storage.cleanup import Disposal, DownloadCleanup, decide_disposal, list_videos
from pipeline.source.youtube.storage.folder import (
    DownloadFolder,
    FinishedDownload,
    discard_download,
    measure_usage,
    parse_video_id,
    release_download,
)
from pipeline.source.youtube.storage.quota import DiskQuota
from tests.support.clock import VirtualClock, run_virtual
from tests.support.memory_database import MemoryDatabase
from tests.support.run_harness import settings_for

V, W, X = "dQw4w9WgXcQ", "a_b-c_d-e_f", "-_third0001"
HTTP = parse_format({"format_id": "18", "protocol": "https", "ext": "mp4", "filesize": 100})
HLS = parse_format({"format_id": "96", "protocol": "m3u8_native", "ext": "mp4"})


def half(base: Path, video: str = V, kind: StreamFormat = HTTP, size: int = 60) -> Path:
    """Leave a half-fetched video and something besides; return its folder."""
    with DownloadFolder(base, video) as folder:
        folder.prepare([kind])
        (folder.path / f"{video}.{kind.id}.{kind.ext}.part").write_bytes(b"x" * size)
        (folder.path / "other.temp.mp4").write_bytes(b"x" * 5)
    return folder.path


def whole(base: Path, video: str = V) -> Path:
    """Leave a fetched video; return its path."""
    with DownloadFolder(base, video) as folder:
        path = folder.path / f"{video}.18.mp4"
        path.write_bytes(b"x" * 100)
        folder.finish(FinishedDownload(path, 100, "ab", {}))
    return path


def sweep(
    base: Path, fates: Mapping[str, Disposal], *, keep: bool = False, spare: float = 1e9, age: float = 0.0
) -> int:
    """Sweep so many seconds after everything was written."""
    now = max((entry.lstat().st_mtime for entry in base.rglob("*")), default=0.0) + age
    return DownloadCleanup(base, now, keep, spare).run(fates)


@pytest.mark.parametrize(
    ("item", "video", "fate"),
    [
        *((state, None, Disposal.KEEP) for state in (State.PENDING, State.RUNNING, State.HELD)),
        *((State.DONE, state, Disposal.KEEP) for state in (State.PENDING, State.RUNNING, State.HELD, State.FAILED)),
        (State.PENDING, State.DONE, Disposal.KEEP),
        (State.FAILED, None, Disposal.KEEP_FOR_RETRY),
        (None, None, Disposal.KEEP_FOR_RETRY),
        (State.CANCELLED, None, Disposal.REMOVE),
        (State.CANCELLED, State.CANCELLED, Disposal.REMOVE),
        (State.DONE, State.DONE, Disposal.REMOVE),
        (State.DONE, State.CANCELLED, Disposal.REMOVE),
        (State.DONE, None, Disposal.REMOVE),
    ],
)
def test_a_video_is_over_when_nobody_comes_back_for_it(item: State | None, video: State | None, fate: Disposal) -> None:
    """Open tasks keep everything, and so does an upload that failed; what a retry could use waits; the rest goes."""
    states = {"item": item, "video": video}
    tasks = [
        Task(0, kind, f"youtube:video:{V}", "x", {}, state, Lane.FETCH, 0) for kind, state in states.items() if state
    ]
    assert decide_disposal(tasks) is fate


def test_every_fate_is_carried_out(tmp_path: Path) -> None:
    """Needed ones stay as they are, of waiting ones the part that can be gone on with stays, the rest is gone."""
    folders = {video: half(tmp_path, video) for video in (V, W, X)}
    assert [parse_video_id(folder) for folder in folders.values()] == [V, W, X]
    assert sweep(tmp_path, {V: Disposal.KEEP, W: Disposal.KEEP_FOR_RETRY, X: Disposal.REMOVE}) == 1
    assert sorted(os.listdir(folders[V])) == sorted(["attempt.json", f"{V}.18.mp4.part", "other.temp.mp4"])
    assert sorted(os.listdir(folders[W])) == sorted(["attempt.json", f"{W}.18.mp4.part"])
    assert list_videos(tmp_path) == sorted([V, W])
    assert not folders[X].with_suffix(".lock").exists()
    with DownloadFolder(tmp_path, W) as again:
        assert again.prepare([HTTP]) == 60


@pytest.mark.parametrize(
    "torn", [b"", b"{", b"[]", b'{"formats": 7}', b'{"formats": [[1]]}', b'{"formats": [[null, 1, 2, 3]]}']
)
def test_what_cannot_be_gone_on_with_does_not_wait(tmp_path: Path, torn: bytes) -> None:
    """Pieces, parts of unknown size, complete parts, and folders without a record that can be read."""
    half(tmp_path, V, HLS)
    half(tmp_path, W, HTTP, size=100)
    (half(tmp_path, X) / "attempt.json").write_bytes(torn)
    assert sweep(tmp_path, {}) == 3
    assert list_videos(tmp_path) == []


def test_waiting_has_an_end_and_a_bound(tmp_path: Path) -> None:
    """After a week even a good part goes; and together they take no more than they may."""
    half(tmp_path, V)
    half(tmp_path, W)
    assert sweep(tmp_path, {}, age=8 * 86_400) == 2
    for video in (V, W, X):
        half(tmp_path, video)
    assert sweep(tmp_path, {}, spare=130) == 1
    assert len(list_videos(tmp_path)) == 2


def test_whole_files_stay_where_they_are_kept(tmp_path: Path) -> None:
    """``keep = true`` outlives every fate and no longer counts; without it a proved upload's copy goes."""
    path = whole(tmp_path)
    assert sweep(tmp_path, {V: Disposal.KEEP_FOR_RETRY}) == 0
    assert sweep(tmp_path, {V: Disposal.REMOVE}, keep=True) == 0
    assert (path.exists(), measure_usage(tmp_path)) == (True, {})
    assert sweep(tmp_path, {V: Disposal.REMOVE}) == 0
    whole(tmp_path, W)
    assert sweep(tmp_path, {W: Disposal.REMOVE}) == 1


def test_what_would_go_is_measured_before(tmp_path: Path) -> None:
    """A plan names what is certain to go, in folders and bytes, and touches nothing."""
    half(tmp_path, V)
    whole(tmp_path, W)
    half(tmp_path, X)
    fates = {V: Disposal.KEEP, W: Disposal.REMOVE, X: Disposal.KEEP_FOR_RETRY}
    there = sorted(tmp_path.rglob("*"))
    now = max(entry.lstat().st_mtime for entry in tmp_path.rglob("*"))
    number, size = DownloadCleanup(tmp_path, now, False, 1e9).measure(fates)
    assert (number, size >= 100) == (1, True)
    assert DownloadCleanup(tmp_path, now, True, 1e9).measure(fates) == (0, 0)
    assert DownloadCleanup(tmp_path, now + 8 * 86_400, False, 1e9).measure(fates)[0] == 2
    assert sorted(tmp_path.rglob("*")) == there
    assert sweep(tmp_path, fates) == number


def test_strangers_and_busy_folders_are_left_alone(tmp_path: Path) -> None:
    """A folder that another process works on, or that is none of ours, is not touched."""
    (tmp_path / "yt_own films").mkdir()
    (tmp_path / f"yt_{V}_000000").mkdir()
    folder = half(tmp_path)
    code = "import sys; from pathlib import Path; from pipeline.source.youtube.storage.folder import DownloadFolder\n"
    code += f"with DownloadFolder(Path({str(tmp_path)!r}), {V!r}): print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert sweep(tmp_path, {V: Disposal.REMOVE}) == 0
        assert len(os.listdir(folder)) == 3
        other.communicate()
    assert sweep(tmp_path, {V: Disposal.REMOVE}) == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(["yt_own films", f"yt_{V}_000000"])


def test_a_removal_that_was_cut_off_can_be_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after any of its steps, the folder is still known as fetched, and the next removal finishes it."""
    for steps in range(6):
        path, left = whole(tmp_path), steps
        (path.parent / "captions.en.vtt").write_text("x")

        def counted(entry: Path, missing_ok: bool = False, real=Path.unlink) -> None:  # type: ignore[no-untyped-def]
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            real(entry, missing_ok=missing_ok)

        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(Path, "unlink", counted)
            discard_download(path)
        discard_download(path)
        assert not path.parent.exists() or os.listdir(path.parent) == []
        sweep(tmp_path, {V: Disposal.REMOVE})
        assert not path.parent.exists()


def test_formats_survive_their_record() -> None:
    """What is written for the next attempt is read as it was."""
    assert to_record(parse_record(to_record([HTTP, HLS]))) == to_record([HTTP, HLS])
    assert parse_record(None) == parse_record([1]) == []


def test_a_run_sweeps_before_it_begins(tmp_path: Path) -> None:
    """A cancelled item's folder goes, a waiting one's stays, and no folder at all is no trouble."""

    async def work() -> None:
        clock, database, settings = VirtualClock(), MemoryDatabase(), settings_for(tmp_path)
        await clean_up_downloads(settings, database, clock)
        base = download_folder(settings)
        half(base, V)
        half(base, W)
        items = [NewTask("item", f"youtube:video:{video}", "download", {}) for video in (V, W)]
        await database.submit([Placed(item, Lane.DOWNLOAD, 0) for item in items], clock.now())
        await clean_up_downloads(settings, database, clock)
        assert list_videos(base) == sorted([V, W])
        await database.command("cancel", Selection(keys=(f"youtube:video:{V}",)), clock.now())
        await clean_up_downloads(settings, database, clock)
        assert list_videos(base) == [W]

    run_virtual(work())


# ------------------------------------------------------------------------------------------------------------------- room


def test_a_video_that_does_not_fit_is_not_looked_at_again_before_it_does(tmp_path: Path) -> None:
    """What one look has found out is remembered: there is room for others, and for this one once enough is free."""

    async def work() -> None:
        quota = DiskQuota(tmp_path, 250, VirtualClock(), 600.0)
        first = whole(tmp_path)
        await quota.require_space("large")
        with pytest.raises(Throttled):
            await quota.reserve("large", 200)
        with pytest.raises(Throttled):
            await quota.require_space("large")
        await quota.require_space("small")
        release_download(first, keep=False)
        await quota.require_space("large")
        assert await quota.reserve("large", 200) == 250

    run_virtual(work())


def test_what_the_embedded_platform_fetches_counts_too(tmp_path: Path) -> None:
    """Its folders lie one order deeper; their bytes are the same bytes."""
    whole(tmp_path / "asset-1" / "youtube")
    assert sum(measure_usage(tmp_path).values()) > 100


def test_no_two_find_out_about_the_same_room(tmp_path: Path) -> None:
    """Of two that are known to need it, the first to look has it; the other goes on waiting."""

    async def work() -> None:
        quota = DiskQuota(tmp_path, 250, VirtualClock(), 600.0)
        assert await quota.reserve("first", 200) == 250
        for name in ("second", "third"):
            with pytest.raises(Throttled):
                await quota.reserve(name, 150)
        quota.release("first")
        await quota.require_space("second")
        with pytest.raises(Throttled):
            await quota.require_space("third")
        assert await quota.reserve("second", 150) == 250
        quota.release("second")
        await quota.require_space("third")

    run_virtual(work())
