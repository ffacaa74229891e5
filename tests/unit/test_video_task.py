"""Task type ``video``: every creating call is intent, ask, act; what is lost is found, what is gone is uploaded again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.budget.limits import SpendingLimits
from pipeline.config.settings import BudgetSection, JobsSection
from pipeline.core.errors import Ambiguous, Permanent, Transient
from pipeline.core.model import Lane, NewTask, Placed, Selection, State, Task, Trouble
from pipeline.core.outcome import Advance, Done, Outcome
from pipeline.ingest.adoption import Adoption
from pipeline.ingest.job_requests import JobPlanner
from pipeline.ingest.paid_call import Billing
from pipeline.ingest.payloads import SessionData, VideoData
from pipeline.ingest.tasks.video import VideoOptions, VideoTaskType
from pipeline.ports.source import Item, ManifestLine, MediaFacts
from pipeline.ports.video_api import Ceilings, MediaStatus, NewUpload, UploadSession
from tests.support.clock import run_virtual
from tests.support.fakes import FakeSource, clips, items
from tests.support.memory_database import MemoryDatabase
from tests.support.scripted_run import Life, ScriptedClient
from tests.support.services import fake_services
from tests.support.vendor import Client


def lost(number: int) -> Exception | None:
    """Lose the first answer."""
    return Ambiguous("connection reset") if number == 1 else None


def always(number: int) -> Exception | None:
    """Lose every answer."""
    return Ambiguous("connection reset")


# ------------------------------------------------------------------------------------------------------- the method


@pytest.mark.parametrize(
    ("ceilings", "effect"),
    [(Ceilings(direct_bytes=180), "asset"), (Ceilings(direct_bytes=179, multipart_bytes=180), "session")],
)
def test_the_method_is_chosen_by_size(tmp_path: Path, ceilings: Ceilings, effect: str) -> None:
    """To the byte: what fits goes directly, what does not goes in parts; each once."""
    life = Life.at(tmp_path, ceilings)
    (path,) = clips(tmp_path, 1)
    assert path.stat().st_size == 180
    assert run_virtual(life.run(items([path]))).exit_code == 0
    assert len(life.effects_of("asset")) == 1
    assert len(life.effects_of("session")) == (effect == "session")


def test_a_file_that_is_too_large_for_every_method_is_refused(tmp_path: Path) -> None:
    """The words name its size and what is possible; nothing is sent."""
    life = Life.at(tmp_path, Ceilings(direct_bytes=10, multipart_bytes=100))
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 3
    task = run_virtual(life.one("video"))
    assert task.trouble is not None
    assert (task.trouble.code, "180" in task.trouble.message) == ("file_too_large", True)
    assert life.platform.ledger == []


def test_an_address_is_uploaded_by_address(tmp_path: Path) -> None:
    """No file is opened; the platform is told where to fetch it."""
    life = Life.at(tmp_path)
    item = Item("url:https://h/a.mp4", "url", "https://h/a.mp4?sig=s", ManifestLine("https://h/a.mp4?sig=s", "list:1"))
    assert run_virtual(life.run([item])).exit_code == 0
    (upload,) = life.api.uploads
    assert (upload.method, upload.url, upload.path) == ("url", "https://h/a.mp4?sig=s", None)


def test_an_upload_says_what_it_is(tmp_path: Path) -> None:
    """Unique name, our key, the file's own name and the user's title: enough to recognise it in the vendor's console."""
    life = Life.at(tmp_path)
    run_virtual(life.run(items(clips(tmp_path, 1), title="My film")))
    (upload,) = life.api.uploads
    assert upload.name.startswith("clip-0-")
    assert upload.name.endswith("-0.mp4")
    assert upload.metadata["source_name"] == "clip-0.mp4"
    assert upload.metadata["title"] == "My film"
    assert str(upload.metadata["reelmill_key"]).startswith("sha256:")
    assert upload.size == 180


# ------------------------------------------------------------------------------------------------------- intent, ask, act


def test_an_upload_whose_answer_was_lost_is_found_again(tmp_path: Path) -> None:
    """The platform has it: it is adopted after the grace, not uploaded a second time."""
    life = Life.at(tmp_path)
    life.api.upload_trouble, life.api.accepted = lost, True
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    assert len(life.effects_of("asset")) == 1
    assert len(life.api.uploads) == 1


def test_an_upload_that_never_arrived_is_made_again(tmp_path: Path) -> None:
    """The platform was asked and has nothing: the same name goes out again, a little later."""
    life = Life.at(tmp_path)
    life.api.upload_trouble = lost
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    first, second = life.api.uploads
    assert first.name == second.name
    assert life.api.at[1] - life.api.at[0] >= life.api.grace
    assert len(life.effects_of("asset")) == 1


def test_an_upload_that_never_arrives_is_given_up(tmp_path: Path) -> None:
    """As often as the policy says, later each time, asking before each; then the video fails and a retry begins again."""
    life = Life.at(tmp_path, policy={"attempts": 5})
    life.api.upload_trouble = always
    paths = clips(tmp_path, 1)
    assert run_virtual(life.run(items(paths))).exit_code == 3
    assert len(life.api.uploads) == 5
    waits = [after - before for before, after in zip(life.api.at, life.api.at[1:], strict=False)]
    assert waits[-1] > waits[0]
    assert run_virtual(life.one("video")).stage == "place"
    life.api.upload_trouble = lambda number: None
    run_virtual(life.retry())
    assert run_virtual(life.run(items(paths), seed=2)).exit_code == 0
    assert len(life.effects_of("asset")) == 1


def test_an_upload_that_was_given_up_is_asked_for_before_it_is_made_again(tmp_path: Path) -> None:
    """It arrived after all, long after the last look: an operator's retry takes it and sends nothing."""
    life = Life.at(tmp_path, policy={"attempts": 3})
    life.api.upload_trouble, life.api.accepted = always, True
    seen, life.api.find_asset = life.api.find_asset, nothing  # type: ignore[method-assign]
    entries = items(clips(tmp_path, 1))

    async def scenario() -> None:
        assert (await life.run(entries)).exit_code == 3
        sent = len(life.effects_of("asset"))
        life.api.find_asset = seen  # type: ignore[method-assign]
        await life.retry()
        assert (await life.run(entries)).exit_code == 0
        assert len(life.effects_of("asset")) == sent

    run_virtual(scenario())


async def nothing(_upload: object) -> None:
    """See nothing of what has arrived."""


def test_a_refused_connection_needs_no_question(tmp_path: Path) -> None:
    """Nothing was sent for certain: the next attempt uploads without asking."""
    life = Life.at(tmp_path)
    life.api.upload_trouble = lambda number: Transient("refused", untouched=True) if number < 3 else None
    asked = 0
    real = life.api.find_asset

    async def counted(upload: object) -> str | None:
        nonlocal asked
        asked += 1
        return await real(upload)  # type: ignore[arg-type]

    life.api.find_asset = counted  # type: ignore[method-assign]
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    assert (asked, len(life.api.uploads)) == (0, 3)


# ------------------------------------------------------------------------------------------------------- in parts


class Expiring(ScriptedClient):
    """A platform whose sessions expire while their bytes are sent."""

    expire = 1
    names: list[str]

    async def send_chunks(self, session: UploadSession, path: Path, progress: object) -> None:
        if self.expire > 0:
            self.expire -= 1
            raise Permanent("the session has expired", code="session_expired")
        await self.real.send_chunks(session, path, lambda _: None)


PARTS = Ceilings(direct_bytes=10)


def test_a_session_that_expired_is_opened_again(tmp_path: Path) -> None:
    """A night without power: another session, all bytes, one finished upload."""
    life = Life.at(tmp_path)
    life.api = Expiring(life.platform, PARTS)
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    assert (len(life.effects_of("session")), len(life.effects_of("asset"))) == (2, 1)


def test_sessions_that_always_expire_are_given_up(tmp_path: Path) -> None:
    """Not for ever: the video fails with the platform's word and can be retried from the beginning."""
    life = Life.at(tmp_path, policy={"attempts": 4})
    life.api = Expiring(life.platform, PARTS)
    life.api.expire = 1000
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 3
    assert len(life.effects_of("session")) == 4
    task = run_virtual(life.one("video"))
    assert task.trouble is not None
    assert (task.stage, task.trouble.code) == ("place", "session_expired")


class Misfit(ScriptedClient):
    """The first sessions are refused when they are read, or are of a kind that was not checked once."""

    refused = 0
    unfit = 0

    async def open_session(self, upload: NewUpload, still_ours: Callable[[], None]) -> UploadSession:
        if self.refused > 0:
            self.refused -= 1
            raise Transient("the platform opened an upload that cannot be used", code="bad_session")
        session: UploadSession = await self.real.open_session(upload, still_ours)
        if self.unfit > 0:
            self.unfit -= 1
            return replace(session, chunk_size=1, total_chunks=7)
        return session


def test_a_session_that_cannot_be_used_gives_way_to_another(tmp_path: Path) -> None:
    """One of an earlier version that nobody checked: not the file's fault; another is opened by itself."""
    life = Life.at(tmp_path)
    life.api = Misfit(life.platform, PARTS)
    life.api.unfit = 1
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    assert (len(life.effects_of("session")), len(life.effects_of("asset"))) == (2, 1)


def test_sessions_that_can_never_be_used_are_given_up_and_a_retry_opens_another(tmp_path: Path) -> None:
    """The reason names the session, and ``retry`` begins where one is opened."""
    life = Life.at(tmp_path, policy={"attempts": 3})
    life.api = api = Misfit(life.platform, PARTS)
    api.refused = 3
    paths = clips(tmp_path, 1)

    async def scenario() -> None:
        assert (await life.run(items(paths))).exit_code == 3
        task = await life.one("video")
        assert task.trouble is not None
        assert (task.state, task.stage, task.trouble.code) == (State.FAILED, "open", "bad_session")
        assert await life.retry() == 1
        assert (await life.run(items(paths))).exit_code == 0
        assert len(life.effects_of("session")) == 1

    run_virtual(scenario())


# ------------------------------------------------------------------------------------------------------- settling


def test_a_video_that_the_platform_cannot_read_fails_and_is_retried_under_a_new_name(tmp_path: Path) -> None:
    """The failed asset is not found again by its name: the retry's upload is another one."""
    life = Life.at(tmp_path)
    life.platform.doomed = lambda name: name.endswith("-0.mp4")
    paths = clips(tmp_path, 1)

    async def scenario() -> None:
        assert (await life.run(items(paths))).exit_code == 3
        task = await life.one("video")
        assert task.trouble is not None
        assert (task.state, task.stage, task.trouble.code) == (State.FAILED, "place", "asset_failed")
        assert task.trouble.remedy
        assert (await life.run(items(paths))).exit_code == 3  # a refused video stays refused
        assert len(life.api.uploads) == 1
        assert await life.retry() == 1
        assert (await life.run(items(paths))).exit_code == 0
        assert [upload.name[-6:] for upload in life.api.uploads] == ["-0.mp4", "-1.mp4"]

    run_virtual(scenario())


def test_an_asset_that_vanished_is_uploaded_again(tmp_path: Path) -> None:
    """Somebody cleaned up in the console while we waited: the video gets a new asset by itself."""
    life = Life.at(tmp_path)
    real = life.api.media
    looks = 0

    async def once_gone(media_id: str) -> MediaStatus:
        nonlocal looks
        looks += 1
        if looks == 2:
            life.platform.lose()
        return await real(media_id)

    life.api.media = once_gone  # type: ignore[method-assign]
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    assert len(life.effects_of("asset")) == 2
    assert len(set(life.effects_of("asset"))) == 2
    assert len(life.effects_of("analysis")) == 1


def test_an_asset_that_always_vanishes_is_given_up(tmp_path: Path) -> None:
    """Uploading again has an end."""
    life = Life.at(tmp_path, policy={"attempts": 3})

    async def gone(media_id: str) -> MediaStatus:
        return MediaStatus("gone")

    life.api.media = gone  # type: ignore[method-assign]
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 3
    assert len(life.effects_of("asset")) == 3


UPCOMING = Trouble("upcoming", "The video has not been shown yet.", "it is fetched by itself once it is there", "raw")


@pytest.mark.parametrize("airs", [True, False])
def test_what_the_platform_can_have_later_is_handed_over_again_then(tmp_path: Path, airs: bool) -> None:
    """A premiere that the platform refuses is given to it once more when it says; after two weeks it is given up."""
    life = Life.at(tmp_path, limits={"patience": 86_400}, policy={"attempts": 2})
    real, refused = life.api.media, list[str]()

    async def refusing(media_id: str) -> MediaStatus:
        if media_id not in refused and airs and len(refused) == 3:
            return await real(media_id)
        if media_id not in refused:
            refused.append(media_id)
        return MediaStatus("failed", trouble=UPCOMING, later=80_000.0)

    life.api.media = refusing  # type: ignore[method-assign]

    async def scenario() -> None:
        report = await life.run(items(clips(tmp_path, 1)))
        video = await life.one("video")
        if airs:
            assert (report.exit_code, len(life.effects_of("asset")), video.attempt) == (0, 4, 0)
            assert life.clock.now() - video.created >= 3 * 80_000
        else:
            assert (report.exit_code, video.state, video.trouble) == (3, State.FAILED, UPCOMING)
            assert 13 * 86_400 <= life.clock.now() - video.created <= 15 * 86_400

    run_virtual(scenario())


def test_a_reason_of_the_platform_is_the_class_of_the_failure(tmp_path: Path) -> None:
    """What can never be had fails at once, by the platform's own reason; a retry hands it over again."""
    life = Life.at(tmp_path)
    real = life.api.media
    private = Trouble("private", "The video is private.", "give cookies", "raw")

    async def refusing(media_id: str) -> MediaStatus:
        return MediaStatus("failed", trouble=private)

    life.api.media = refusing  # type: ignore[method-assign]

    async def scenario() -> None:
        assert (await life.run(items(clips(tmp_path, 1)))).exit_code == 3
        assert (await life.one("video")).trouble == private
        await life.database.command("retry", Selection(classes=("private",)), life.clock.now())
        life.api.media = real  # type: ignore[method-assign]
        assert (await life.run([])).exit_code == 0
        assert len(set(life.effects_of("asset"))) == 2

    run_virtual(scenario())


def test_the_platforms_length_of_the_video_counts(tmp_path: Path) -> None:
    """What is billed and checked is what the platform found, not what the file's header says."""
    life = Life.at(tmp_path)
    life.platform.behave(seconds=77.0)
    run_virtual(life.run(items(clips(tmp_path, 1))))
    assert run_virtual(life.one("video")).data["seconds"] == 77.0
    assert run_virtual(life.one("analysis")).data["seconds"] == 77.0


# ------------------------------------------------------------------------------------------------------- the file


class Moving(FakeSource):
    """A source whose first file disappears after all have been looked at."""

    def __init__(self, gone: Path, after: int) -> None:
        super().__init__()
        self.gone = gone
        self.left = after

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        facts = await super().fetch(item, workdir)
        self.left -= 1
        if self.left == 0:
            self.gone.unlink()
        return facts


def test_a_renamed_file_is_found_under_its_other_name(tmp_path: Path) -> None:
    """Two lines name one content; the first name is gone when the upload begins: the second serves."""
    first, second = clips(tmp_path, 2)
    second.write_bytes(first.read_bytes())
    life = Life.at(tmp_path, lanes={"upload": 1, "fetch": 1})
    life.source = Moving(first, 2)

    async def scenario() -> None:
        real = life.api.create_asset
        taken: list[Path | None] = []

        async def noting(upload: object, ensure_fresh: object) -> str:
            taken.append(upload.path)  # type: ignore[attr-defined]
            return await real(upload, ensure_fresh)  # type: ignore[arg-type]

        life.api.create_asset = noting  # type: ignore[method-assign]
        # Uploads wait in a closed lane until both lines have been read.
        life.api.upload_trouble = lambda number: Transient("busy", untouched=True) if first.exists() else None
        assert (await life.run(items([first, second]))).exit_code == 0
        assert taken[-1] == second
        assert len(life.effects_of("asset")) == 1

    run_virtual(scenario())


@pytest.mark.parametrize("what", ["gone", "grown"])
def test_a_file_that_is_gone_or_changed_before_its_upload_is_told(tmp_path: Path, what: str) -> None:
    """One clear sentence with the path and the remedy; nothing is uploaded under a hash that is not its own."""
    path, other = clips(tmp_path, 2)
    life = Life.at(tmp_path)

    class Changing(FakeSource):
        async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
            facts = await super().fetch(item, workdir)
            if item.locator == str(path):
                path.unlink() if what == "gone" else path.write_bytes(b"longer" * 100)
            return facts

    life.source = Changing()
    assert run_virtual(life.run(items([path, other]))).exit_code == 3
    failed = next(task for task in run_virtual(life.tasks("video")) if task.state is State.FAILED)
    assert failed.trouble is not None
    assert failed.trouble.code == {"gone": "file_missing", "grown": "file_changed"}[what]
    assert str(path) in failed.trouble.message
    assert failed.trouble.remedy
    assert len(life.effects_of("asset")) == 1
    assert len(life.sink.folders) == 1


def test_the_same_content_under_two_names_is_one_video(tmp_path: Path) -> None:
    """One upload, one analysis, one folder that names both sources."""
    first, second = clips(tmp_path, 2)
    second.write_bytes(first.read_bytes())
    life = Life.at(tmp_path)
    assert run_virtual(life.run(items([first, second]))).exit_code == 0
    assert (len(life.effects_of("asset")), len(life.effects_of("analysis"))) == (1, 1)
    (files,) = life.sink.folders.values()
    assert all(path.name in str(files["video.json"]) for path in (first, second))


def test_what_an_upload_needs_is_not_lost_on_the_way(tmp_path: Path) -> None:
    """Everything that ``place`` stored about an upload is in the request, whatever the method: the index, too."""
    life = Life.at(tmp_path)

    async def scenario() -> None:
        await life.run(items(clips(tmp_path, 1)))
        task = await life.one("video")
        components = life.session().components
        kinds = components.pool._task_types  # the only way to a task type's step without a run
        step = kinds["video"].stage("upload").step
        await step(replace(task, claims=1, data={**task.data, "index_id": "index-1", "title": "T"}), lambda: None)

    run_virtual(scenario())
    assert (life.api.uploads[-1].index_id, life.api.uploads[-1].title) == ("index-1", "T")


def test_a_video_too_short_for_an_index_is_analysed_all_the_same(tmp_path: Path) -> None:
    """Indexes take 4 seconds or more, analyses one: nothing is put into the index, nothing fails, and all answers are there."""
    life = Life.at(tmp_path, index={"name": "films"}, jobs={"enabled": ("summary",)})
    life.platform.behave(seconds=2.0)
    assert run_virtual(life.run(items(clips(tmp_path, 1)))).exit_code == 0
    assert (len(life.effects_of("analysis")), len(life.effects_of("indexed"))) == (1, 0)


# ----------------------------------------------------------------------------------------------------- several hosts


class _Session(Client):
    """A platform with an upload session whose asset is as it is told."""

    word = "waiting"

    async def media(self, media_id: str) -> MediaStatus:
        return MediaStatus("ready" if self.word == "ready" else "working", self.word)


def _fetched_elsewhere(stage: str, *, claims: int = 1, word: str = "waiting") -> Outcome:
    """Run a step of a video that another host has fetched and that is given to this one."""
    database = MemoryDatabase()
    services = replace(fake_services(_Session, database), host="two")
    services.api.word = word  # type: ignore[attr-defined]
    planner = JobPlanner((), JobsSection(enabled=()), [])
    spending = SpendingLimits(BudgetSection(), services.clock, "run")
    billing = Billing(spending, database, services.clock, "run", patience=1.0)
    kind = VideoTaskType(
        services, planner, VideoOptions("pegasus1.5", 0.2, 3), adoption=Adoption(services.api.inventory), billing=billing,
        price=lambda minutes: 0.0,
    )  # fmt: skip
    session = {"upload_id": "u", "asset_id": "a", "chunk_size": 5, "total_chunks": 2, "expires_at": 9e9, "headers": {}}
    key = "youtube:video:dQw4w9WgXcQ"
    data = VideoData(
        path="/one/a.mp4", size=9, fetched=True, host="one", host_gone=True, name="n", provider=services.api.identity,
        session=SessionData.from_json(session), method="multipart",
    ).to_json()  # fmt: skip
    task = Task(1, "video", key, stage, data, State.RUNNING, Lane.UPLOAD, 0, key, claims=claims)

    async def step() -> Outcome:
        item = NewTask("item", key, "download", {"type": "youtube", "locator": "https://y"}, key)
        await database.submit([Placed(item, Lane.DOWNLOAD, 0)], 0.0)
        return await getattr(kind, stage)(task, lambda: None)  # type: ignore[no-any-return]

    return run_virtual(step())


@pytest.mark.parametrize("stage", ["place", "open", "send"])
def test_what_an_absent_host_has_fetched_is_fetched_again(stage: str) -> None:
    """Whatever lies under the same path here: its file is not ours. The video goes on once it is here."""
    ended = _fetched_elsewhere(stage)
    assert isinstance(ended, Done)
    (again,) = ended.spawn
    assert (again.kind, again.stage, again.restart_at, again.data) == (
        "item",
        "download",
        "download",
        {"refetch": True},
    )


def test_an_upload_that_an_absent_host_may_have_sent_is_looked_for_first() -> None:
    """Nothing is fetched or sent again before the platform has been asked; one that is complete is gone on with."""
    looking = _fetched_elsewhere("upload", claims=2)
    assert (isinstance(looking, Advance), looking.stage) == (True, "find")  # type: ignore[union-attr]
    settled = _fetched_elsewhere("send", word="ready")
    assert (isinstance(settled, Advance), settled.stage) == (True, "settle")  # type: ignore[union-attr]
