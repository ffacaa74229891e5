"""The file on disk changes between two attempts of one upload: noticed before anything is completed, told in one sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import anyio
import pytest
import structlog
from structlog.testing import capture_logs

from pipeline.core.errors import InputError, Permanent, Transient
from pipeline.core.model import State
from pipeline.ingest.file_identity import locate
from pipeline.ingest.payloads import VideoData
from pipeline.ports.video_api import Ceilings, UploadSession
from tests.support.clock import run_virtual
from tests.support.fakes import Crash, clips, items
from tests.support.scripted_run import Life, ScriptedClient
from tests.support.vendor import Account

PARTS = Ceilings(direct_bytes=10)


class Interrupted(ScriptedClient):
    """A platform in whose middle our process dies once: half of the chunks are there, the rest was never sent."""

    def __init__(self, platform: Account) -> None:
        super().__init__(platform, PARTS)
        self.dies = True
        self.sent: list[bytes] = []

    async def send_chunks(self, session: UploadSession, path: Path, progress: Callable[[int], None]) -> None:
        if self.dies:
            self.dies = False
            raise Crash("in the middle of the chunks")
        self.sent.append(await anyio.Path(path).read_bytes())
        await self.real.send_chunks(session, path, progress)


def halfway(folder: Path) -> tuple[Life, Interrupted, Path]:
    """Return a life whose first run died in the middle of an upload in parts, and the file."""
    life = Life.at(folder)
    life.api = api = Interrupted(life.platform)
    (path,) = clips(folder, 1)
    with pytest.raises(BaseExceptionGroup):
        run_virtual(life.run(items([path])))
    assert len(life.effects_of("session")) == 1
    return life, api, path


def rewrite(path: Path, *, keep_times: bool) -> bytes:
    """Put other bytes of the same length there, as an encoder or a restored backup does; return the old ones."""
    before, content = path.stat(), path.read_bytes()
    path.write_bytes(content[::-1])
    if keep_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return content


@pytest.mark.parametrize("keep_times", [False, True])
def test_other_content_of_the_same_size_is_never_mixed_in(tmp_path: Path, keep_times: bool) -> None:
    """Not even where size and time of change are as they were: the old upload ends, and nothing of the file goes into it."""
    life, api, path = halfway(tmp_path)
    old = rewrite(path, keep_times=keep_times)
    run_virtual(life.run(items([path]), seed=2))
    videos = {task.key: task for task in run_virtual(life.tasks("video"))}
    first = videos[f"sha256:{sha256(old).hexdigest()}"]
    assert first.state is State.FAILED
    assert first.trouble is not None
    assert (first.stage, first.trouble.code) == ("send", "file_changed")
    assert str(path) in first.trouble.message
    assert "run again" in first.trouble.remedy
    assert all(sha256(content).hexdigest() != sha256(old).hexdigest() for content in api.sent)
    if not keep_times:  # what the file holds now is a new video, with an upload of its own
        new = videos[f"sha256:{sha256(path.read_bytes()).hexdigest()}"]
        assert new.state is State.DONE
        assert len(api.sent) == 1


def test_a_larger_file_is_another_one(tmp_path: Path) -> None:
    """A recording that went on: the old upload ends with one sentence, the new content is a video of its own."""
    life, api, path = halfway(tmp_path)
    path.write_bytes(path.read_bytes() + b"and more")
    run_virtual(life.run(items([path]), seed=2))
    states = sorted(
        (task.state.value, task.trouble.code if task.trouble else "") for task in run_virtual(life.tasks("video"))
    )
    assert states == [("done", ""), ("failed", "file_changed")]
    assert api.sent == [path.read_bytes()]


@pytest.mark.parametrize("what", ["touched", "copied back", "renamed"])
def test_the_same_content_goes_on_whatever_happened_around_it(tmp_path: Path, what: str) -> None:
    """A new time, another inode, another name that the manifest also has: the very same session is finished."""
    life, api, path = halfway(tmp_path)
    content, names = path.read_bytes(), [path]
    if what == "touched":
        os.utime(path)
    elif what == "copied back":
        path.unlink()
        path.write_bytes(content)
    else:
        names = [path.rename(tmp_path / "elsewhere.mp4")]
    report = run_virtual(life.run(items(names), seed=2))
    if what == "renamed":  # the upload may go on before the new name is looked at
        assert run_virtual(life.troubles()).get("video") in (None, "file_missing")
        run_virtual(life.retry())
        report = run_virtual(life.run(items(names), seed=3))
    videos = run_virtual(life.tasks("video"))
    assert (report.exit_code, [task.state for task in videos]) == (0, [State.DONE])
    assert (api.sent, len(life.effects_of("session"))) == ([content], 1)


def test_a_direct_upload_is_the_file_that_was_hashed(tmp_path: Path) -> None:
    """Other bytes of the same length between the look and the upload: nothing is sent under a hash that is not its own."""
    life = Life.at(tmp_path)
    (path,) = clips(tmp_path, 1)

    def meddle(number: int) -> Exception | None:
        if number == 1:
            rewrite(path, keep_times=False)
            return Transient("connection refused", untouched=True)
        return None

    life.api.upload_trouble = meddle
    run_virtual(life.run(items([path])))
    assert len(life.api.uploads) == 1
    assert run_virtual(life.troubles())["video"] == "file_changed"
    assert life.effects_of("asset") == []


class Forgetful(ScriptedClient):
    """A platform that completed the upload, and has forgotten the session by the time we ask."""

    async def send_chunks(self, session: UploadSession, path: Path, progress: Callable[[int], None]) -> None:
        await self.real.send_chunks(session, path, progress)
        raise Permanent("the session is not known", code="session_expired")


def test_a_session_that_was_completed_and_forgotten_is_not_opened_again(tmp_path: Path) -> None:
    """We died before we heard that the upload was whole, and came back too late: the asset is there and is taken."""
    life = Life.at(tmp_path)
    life.platform.behave(settle=0.0)
    life.api = Forgetful(life.platform, PARTS)
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    assert len(life.effects_of("session")) == 1


class Expired(ScriptedClient):
    """A platform whose first session expires while its bytes are sent."""

    times = 1

    async def send_chunks(self, session: UploadSession, path: Path, progress: Callable[[int], None]) -> None:
        if self.times:
            self.times -= 1
            raise Permanent("the upload session cannot be used any more", code="session_expired")
        await self.real.send_chunks(session, path, progress)


@pytest.mark.asyncio
async def test_what_cannot_be_compared_is_taken_as_it_is(tmp_path: Path) -> None:
    """Without a hash, size alone decides; without any file, the words name the path."""
    path = tmp_path / "film"
    path.write_bytes(b"12345")
    found, stamp = await locate(VideoData(path=str(path), size=5), [])
    assert (found, stamp[0]) == (path, 5)
    with pytest.raises(InputError) as caught:
        await locate(VideoData(path=str(tmp_path / "none"), size=5), [])
    assert caught.value.trouble.code == "file_missing"


def test_an_upload_that_begins_anew_says_so_once(tmp_path: Path) -> None:
    """A session that expired: one line names the file and why; the new session has the old one's place, not its marks."""
    life = Life.at(tmp_path)
    life.api = Expired(life.platform, PARTS)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with capture_logs() as said:
        assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    (line,) = [entry for entry in said if entry["event"] == "upload.begins_anew"]
    assert line["path"].endswith("clip-0.mp4")
    assert "session" in line["why"]
    first, second = life.effects_of("session")
    assert first == second  # the same name: what is left of the first can be told from anybody else's
    assert len(life.effects_of("asset")) == 1
    task = run_virtual(life.one("video"))
    assert task.data["session"]["asset_id"] == task.data["media_id"]
