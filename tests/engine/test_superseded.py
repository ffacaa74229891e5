"""What is asked in place of a question that nobody wants any more, and what becomes of the old one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.model import State
from pipeline.views import RunReport
from tests.engine.test_batches import crowd
from tests.simulation.vendor import Reply, refused
from tests.support.clock import run_virtual
from tests.support.fakes import Crash, clips, items
from tests.support.memory_database import MemoryDatabase
from tests.support.scripted_run import Life, priced


def test_a_question_that_was_changed_while_it_waited_is_asked_in_its_new_form(tmp_path: Path) -> None:
    """Without money, an analysis waits. If its prompt changes meanwhile, the new one is asked and written, even if the
    manifest does not name the video any more: what was begun is not lost.
    """
    life = Life.at(tmp_path, None, **priced(budget={"max_usd_per_run": 0.0}))
    entries = items(clips(tmp_path, 1))
    assert run_virtual(life.run(entries)).exit_code == 5
    life.configure(tmp_path, **priced(jobs={"settings": {"summary": {"prompt": "Heed the weather."}}}))
    report = run_virtual(life.run([]))
    assert (report.exit_code, report.items["done"]) == (0, 1)
    (question,) = life.api.questions
    assert "Heed the weather." in question.prompt
    (files,) = life.sink.folders.values()
    assert {"gist.json", "summary.md", "video.json"} <= set(files)


def asking(prompt: str, **sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return sections with one question."""
    topic = {"enabled": ["topic"], "settings": {"topic": {"job": "ask", "prompt": prompt}}}
    return priced(jobs=topic, **sections)


class TwoNights:
    """A run that ends while the platform is at work, and a second one with another configuration."""

    def __init__(self, folder: Path, **sections: dict[str, Any]) -> None:
        self.folder = folder
        self.life = Life.at(folder, None, **asking("What is it?", run={"max_time": 400}, **sections))
        self.life.platform.behave(think=3_000.0)

    def live(self, *, pause: float = 0.0, **sections: dict[str, Any]) -> RunReport:
        """Live through both; return the second one's report."""

        async def go() -> RunReport:
            entries = items(clips(self.folder, 2))
            assert (await self.life.run(entries)).exit_code == 6
            assert len(self.asked) == 2
            await self.life.clock.sleep(pause)
            self.life.platform.behave(think=25.0)
            self.life.configure(self.folder, **sections)
            return await self.life.run(entries)

        return run_virtual(go())

    @property
    def asked(self) -> list[Any]:
        """The platform's analyses, in the order in which they were asked."""
        return [thing for thing in self.life.platform.things.values() if thing.kind == "analysis"]

    def words(self) -> list[str]:
        """What became of each."""
        return [thing.word(1e12, "") for thing in self.asked]

    def counted(self) -> dict[str, float]:
        """Return what our ledger counts for each call."""
        sums: dict[str, float] = {}
        for row in self.life.database._spends.values():
            key = str(row[0]).partition("/")[0]
            sums[key] = sums.get(key, 0.0) + float(row[2])
        return sums


@pytest.mark.parametrize("mode", ["off", "always"])
def test_a_question_that_is_asked_in_other_words_is_cancelled_at_the_platform(tmp_path: Path, mode: str) -> None:
    """Alone, or all of a batch: it ends there, the new one is asked, and the ledger holds no less than the bill. What a batch
    has not answered is free; of one alone only the platform knows, and where it tells, that counts.
    """
    nights = TwoNights(tmp_path, batches={"mode": mode})
    report = nights.live(**asking("Who is it?", batches={"mode": mode}))
    assert (report.exit_code, report.items["done"], report.doubtful) == (0, 2, 0)
    assert nights.words() == ["canceled", "canceled", "ready", "ready"]
    counted = nights.counted()
    for thing in nights.asked:
        ours = counted[thing.name]
        assert ours >= thing.data["usd"] - 1e-9
        told = thing.word(1e12, "") == "ready" or thing.data.get("tells") or mode == "always"
        assert not told or ours == pytest.approx(thing.data["usd"])
    assert {task.state for kind in ("analysis", "batch") for task in run_virtual(nights.life.tasks(kind))} == {
        State.DONE
    }


def test_fewer_jobs_take_nothing_back(tmp_path: Path) -> None:
    """A question that is only not named this time is paid and answered, as what is there already stays there."""
    nights = TwoNights(tmp_path)
    report = nights.live(**priced(jobs={"enabled": ["gist"]}))
    assert (report.exit_code, nights.words()) == (0, ["ready"] * 4)


def test_what_was_answered_meanwhile_is_kept_and_settled(tmp_path: Path) -> None:
    """The platform was quicker: the bill is settled by the usage, and the answer is kept as received."""
    nights = TwoNights(tmp_path)
    report = nights.live(pause=4_000.0, **asking("Who is it?"))
    assert (report.exit_code, nights.words()) == (0, ["ready"] * 4)
    assert all(nights.counted()[thing.name] == pytest.approx(thing.data["usd"]) for thing in nights.asked)
    (video, _) = run_virtual(nights.life.tasks("video"))
    kept = run_virtual(nights.life.database.results([video.key]))
    assert [result.job for result in kept].count("_answer") == 2


@pytest.mark.parametrize(
    ("reply", "again"),
    [(refused(404, "not_found"), False), (Reply(405), False), (refused(403, "api_not_allowed"), False), (Reply(500), True),
     (Reply(404, {"message": "no Route"}), True), (refused(409, "busy", nested=True), True), (refused(402, "x"), True)],
)  # fmt: skip
def test_a_platform_that_cannot_cancel_goes_on(tmp_path: Path, reply: Reply, again: bool) -> None:
    """Nobody waits for it or stops for it: the old question ends by itself and is kept, the new one is asked beside it. What it
    does not offer, or not to us, it is asked for once.
    """
    nights = TwoNights(tmp_path)
    vendor: Any = nights.life.platform._vendors["v1.3"]
    asked: list[str] = []
    vendor._stop_analysis = lambda request, task_id: asked.append(task_id) or reply
    report = nights.live(**asking("Who is it?"))
    assert (report.exit_code, report.items["done"], nights.words()) == (0, 2, ["ready"] * 4)
    assert (len(asked) > 2) == again, asked


def test_a_question_that_is_wanted_again_is_asked_again(tmp_path: Path) -> None:
    """The run that cancelled it died before it could note that; then its words are the old ones once more."""
    nights = TwoNights(tmp_path)

    async def forget(question: Any, task_id: str) -> Any:
        await nights.life.api.real.cancel_analysis(question, task_id)
        raise Crash("dead")

    life = nights.life
    life.api.cancel_analysis = forget  # type: ignore[attr-defined]
    with pytest.raises(BaseExceptionGroup):
        nights.live(**asking("Who is it?"))
    del life.api.cancel_analysis  # type: ignore[attr-defined]
    life.configure(tmp_path, **asking("What is it?"))
    report = run_virtual(life.run(items(clips(tmp_path, 2))))
    assert (report.exit_code, report.items["done"]) == (0, 2)
    assert "canceled" in nights.words()


def test_a_question_of_another_run_is_not_cancelled(tmp_path: Path) -> None:
    """A second state folder has only waited for its answer; it asks in other words beside it."""
    nights = TwoNights(tmp_path)

    async def go() -> RunReport:
        entries, life = items(clips(tmp_path, 2)), nights.life
        await life.run(entries)
        life.database = MemoryDatabase()
        await life.run(entries)
        assert len(nights.asked) == 2
        life.configure(tmp_path, **asking("Who is it?"))
        return await life.run(entries)

    report = run_virtual(go())
    assert (report.exit_code, report.items["done"], nights.words()) == (0, 2, ["ready"] * 4)


def test_what_waited_to_be_sent_is_not_sent_in_its_old_words(tmp_path: Path) -> None:
    """A batch that found no room one night holds what nobody asks for the next: it is never sent, and costs nothing."""
    batches = {"mode": "always"}
    life = Life.at(tmp_path, None, **asking("What is it?", run={"max_time": 400}, batches=batches))

    async def go() -> RunReport:
        crowd(life)
        entries = items(clips(tmp_path, 2))
        assert (await life.run(entries)).exit_code == 6
        life.configure(tmp_path, **asking("Who is it?", batches=batches))
        return await life.run(entries)

    report = run_virtual(go())
    assert (report.exit_code, report.items["done"], report.doubtful) == (0, 2, 0)
    asked = [thing for thing in life.platform.things.values() if thing.kind == "analysis"]
    ours = [thing for thing in asked if not thing.name.startswith("other-")]
    assert [thing.word(1e12, "") for thing in ours] == ["ready"] * 2
    booked = sum(float(row[2]) for row in life.database._spends.values())
    assert booked == pytest.approx(sum(thing.data["usd"] for thing in ours))
