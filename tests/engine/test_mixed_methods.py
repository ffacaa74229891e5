"""Files and YouTube addresses in one v1.2 index: whose task is whose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pipeline.app.runs.session import RunSession
from pipeline.app.wiring.components import Adapters
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.core.model import Selection
from pipeline.ports.source import Item, ManifestLine, MediaFacts
from tests.support.clock import VirtualClock, run_virtual
from tests.support.fakes import Crash, FakeSource, Wreck, Wrecked, clips, items
from tests.support.memory_database import MemoryDatabase
from tests.support.run_harness import Rig, settings_for
from tests.support.scripted_run import Life, priced
from tests.support.vendor import Account, Client, ClientV12


def rig_for(folder: Path) -> Rig:
    """Return fresh outsides."""
    clock = VirtualClock()
    platform = Account(clock)
    settings = settings_for(folder, provider={"api": "v1.2"}, jobs={"enabled": ("summary",)}, lanes={"upload": 1})
    return Rig(settings, MemoryDatabase(), platform, clock, api=ClientV12(platform))


def test_an_address_is_held_if_the_clock_was_put_back_while_it_was_on_its_way(tmp_path: Path) -> None:
    """Time is all that tells its task from others; when time cannot be trusted, a person decides."""
    address = "https://www.youtube.com/watch?v=video000001"
    entries = [Item("youtube:video:video000001", "youtube", address, ManifestLine(address, "test"))]
    rig, quiet = rig_for(tmp_path), Wreck()
    run_virtual(rig_for(tmp_path).run(entries, quiet))

    async def both() -> int:
        try:
            await rig.run(entries, Wreck((1 + quiet.calls.index("api.create_asset"), "after")))
        except* Crash:
            pass
        rig.clock.skew -= 90_000.0
        await rig.run(entries, seed=2)
        rig.clock.skew += 90_000.0
        return (await rig.run(entries, seed=3)).items["held"]

    assert run_virtual(both()) == 1
    assert len([effect for effect, _ in rig.platform.ledger if effect == "asset"]) == 1


def test_an_address_never_takes_the_task_of_a_file(tmp_path: Path) -> None:
    """Wherever a process dies, an address whose upload is in doubt is not given the upload of a file that was made at the
    same time: every video's answers are about itself.
    """
    address = "https://www.youtube.com/watch?v=video000001"
    entries = [
        *items(clips(tmp_path, 1)),
        Item("youtube:video:video000001", "youtube", address, ManifestLine(address, "test")),
    ]
    calm, quiet = rig_for(tmp_path), Wreck()
    assert run_virtual(calm.run(entries, quiet)).exit_code == 0
    last = len(quiet.calls) - quiet.calls[::-1].index("api.create_asset")
    for point in range(1, last + 12):
        rig = rig_for(tmp_path)

        async def both(rig: Rig = rig, point: int = point) -> None:
            try:
                await rig.run(entries, Wreck((point, "before")))
            except* Crash:
                pass
            await rig.run(entries, seed=2)

        run_virtual(both())
        for video in run_virtual(rig.database.tasks(Selection(kinds=("video",)))):
            if "media_id" in video.data:
                wanted = video.data.get("external") or video.data["name"]
                assert rig.platform.uploads[video.data["media_id"]] == wanted, point


class _Site(FakeSource):
    """A site whose videos are fetched into files that are removed once their upload is proved."""

    kind = "youtube"

    async def fetch(self, item: Item, workdir: Path) -> MediaFacts:
        copy = workdir / "copy.mp4"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(item.key.encode() * 9)
        facts = await super().fetch(replace(item, locator=str(copy)), workdir)
        return replace(facts, fetched=True)


class _Switching(Rig):
    """A rig whose runs can fetch from the site, and speak another API than the run before."""

    def speak(self, version: str) -> None:
        """Change the configuration."""
        self.api = (ClientV12 if version == "v1.2" else Client)(self.platform)
        self.settings = self.settings.model_copy(
            update={"provider": self.settings.provider.model_copy(update={"api": version})}
        )

    def session(self, wreck: Wreck | None = None, seed: int = 1) -> RunSession:
        async def release(path: Path) -> None:
            path.unlink(missing_ok=True)  # noqa: ASYNC240

        assert self.api is not None
        self.api.reopen()
        api: Any = self.api if wreck is None else Wrecked(self.api, wreck, "api")
        sources: Any = {"file": self.source, "youtube": _Site()}
        adapters = Adapters(sources, self.sink, lambda facts, ceilings: None, lambda paths: "", release)
        return RunSession(make_run_plan(self.settings), self.database, api, self.clock, Random(seed), adapters)


@pytest.mark.parametrize(("first", "then"), [("v1.2", "v1.3"), ("v1.3", "v1.2")])
def test_a_video_of_a_site_follows_its_run_to_another_api(tmp_path: Path, first: str, then: str) -> None:
    """v1.2 had fetched it by itself, and v1.3 needs its bytes; or the other way round: it is handed over as that one wants."""
    address = "https://www.youtube.com/watch?v=video000001"
    entries = [Item("youtube:video:video000001", "youtube", address, ManifestLine(address, "test"))]
    known = rig_for(tmp_path)
    rig = _Switching(known.settings, known.database, known.platform, known.clock)
    rig.speak(first)
    assert run_virtual(rig.run(entries)).exit_code == 0
    rig.speak(then)
    assert run_virtual(rig.run(entries, seed=2)).exit_code == 0
    assert rig.platform.effects().keys() >= {("asset", address)}
    assert len([effect for effect, _ in rig.platform.ledger if effect == "asset"]) == 2
    assert len(run_virtual(rig.answers())) == 2
    rig.speak(first)  # where all is done already
    assert run_virtual(rig.run(entries, seed=3)).exit_code == 0
    assert len([effect for effect, _ in rig.platform.ledger if effect == "asset"]) == 2


def test_what_waited_to_be_sent_to_another_platform_is_sent_once(tmp_path: Path) -> None:
    """A run dies with an upload next, and its successor speaks to another platform: it is told as that one's, and not
    uploaded a second time when it turns out to stand there under another's name.
    """
    known = rig_for(tmp_path)
    rig = _Switching(known.settings, known.database, known.platform, known.clock)
    rig.speak("v1.2")
    entries, quiet = items(clips(tmp_path, 1)), Wreck()
    with pytest.raises(BaseExceptionGroup):
        run_virtual(rig.run(entries, Wreck((2, "before"))))
    assert [task.stage for task in run_virtual(rig.database.tasks(Selection(kinds=("video",))))] == ["upload"]
    rig.speak("v1.3")
    assert run_virtual(rig.run(entries, quiet, seed=2)).exit_code == 0
    assert quiet.calls.count("api.create_asset") == 1


def test_an_upload_into_an_index_that_is_gone_is_retried_into_a_new_one(tmp_path: Path) -> None:
    """Somebody deletes the index between two runs: the upload fails, and a retry does not ask for the old index for ever."""
    rig, quiet = rig_for(tmp_path), Wreck()
    entries = items(clips(tmp_path, 1))
    run_virtual(rig_for(tmp_path).run(entries, quiet))

    async def scenario() -> None:
        with pytest.raises(BaseExceptionGroup):
            await rig.run(entries, Wreck((1 + quiet.calls.index("api.create_asset"), "before")))
        rig.platform.lose(kind="index")
        assert (await rig.run(entries, seed=2)).exit_code == 3
        assert await rig.database.command("retry", Selection(), rig.clock.now()) == 1
        assert (await rig.run(entries, seed=3)).exit_code == 0
        assert len([effect for effect, _ in rig.platform.ledger if effect == "asset"]) == 1

    run_virtual(scenario())


def test_who_comes_back_from_another_platform_pays_for_nothing_again(tmp_path: Path) -> None:
    """A look at another platform, and back: what is answered and indexed there stays so, without an upload."""
    sections: dict[str, Any] = {"index": {"name": "films"}}
    life = Life.at(tmp_path, **priced(**sections))
    paths, elsewhere = items(clips(tmp_path, 1)), Account(life.clock)

    async def scenario() -> None:
        assert (await life.run(paths)).exit_code == 0
        life.configure(tmp_path, **sections)
        life.api.identity, life.api.account = "elsewhere/v1", elsewhere
        assert (await life.run(paths, seed=2)).exit_code == 0
        paid = [list(account.ledger) for account in (life.platform, elsewhere)]
        assert all({"asset", "indexed", "analysis"} <= {effect for effect, _ in ledger} for ledger in paid)
        life.configure(tmp_path, **priced(**sections))
        life.api.identity, life.api.account = Client.identity, life.platform
        assert (await life.run(paths, seed=3)).exit_code == 0
        assert [life.platform.ledger, elsewhere.ledger] == paid

    run_virtual(scenario())
