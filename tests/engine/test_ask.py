"""``ask``: paid once, kept, never sent twice in silence, and believed as far as it can be checked."""

from __future__ import annotations

import inspect
import json
import pickle
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.app.account.knowledge_places import list_stores
from pipeline.app.asking.ask import Asking
from pipeline.app.asking.citations import AskedVideo, read_answer
from pipeline.app.asking.records import AskedQuestion
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.config.settings import Settings
from pipeline.core.errors import (
    Ambiguous,
    ConfigError,
    DatabaseAway,
    NotYet,
    OverBudget,
    Permanent,
    ReelmillError,
    StoreError,
    Throttled,
    Transient,
    decide_exit,
)
from pipeline.core.model import ItemFilter, State
from pipeline.ingest.payloads import ItemData, LineData, VideoData
from pipeline.ports.knowledge_api import Citation
from pipeline.views import AnswerView
from tests.conformance.store_kit import bring
from tests.support.clock import VirtualClock, run_virtual
from tests.support.fake_knowledge import FakeKnowledge, said
from tests.support.memory_database import MemoryDatabase

HERE = "twelvelabs/v1.3"
TEXT = "When does someone open the door?"
PRICED = {"response_input_million_tokens": 2.0, "response_output_million_tokens": 10.0}
MOMENT = {"video": "v1", "start": 3, "end": 9.5, "quote": "the door opens"}
LOST = Ambiguous("the connection ended without an answer; it may have been accepted")


class Person:
    """Hears all, and answers as it was told to."""

    def __init__(self, agrees: bool | None = None) -> None:
        self.agrees = agrees
        self.told: list[str] = []
        self.asked: list[str] = []

    def tell(self, text: str) -> None:
        self.told.append(text)

    def agree(self, question: str) -> bool | None:
        self.asked.append(question)
        return self.agrees


class House:
    """What outlives a process: an account, and a database with two videos, a and b."""

    def __init__(self, **sections: Any) -> None:
        raw = {"provider": {"kind": "twelvelabs"}, "run": {"output": "o"}, **sections}
        self.settings = Settings.model_validate(raw).model_copy(update={"api_key": "k"})
        self.knowledge, self.database, self.clock = FakeKnowledge(), MemoryDatabase(), VirtualClock()
        self.person, self.rng = Person(), Random(1)

    async def fill(self) -> None:
        """Bring two videos that are on the platform, one that is on another, and one that is on none."""
        for name, tag, provider in (
            ("a", "door", HERE),
            ("b", "sea", HERE),
            ("c", "sea", "local/v1.3"),
            ("d", "x", ""),
        ):
            line = LineData(title=f"Film {name}", tags=(tag,))
            item = ItemData(source=f"/{name}.mp4", type="file", locator=f"/{name}.mp4", line=line)
            await bring(self.database, State.DONE, f"file:/{name}.mp4", kind="item", subject=name, data=item.to_json())
            video = VideoData(
                media_id=f"asset-{name}" if provider else "", provider=provider, settled=bool(provider), seconds=60.0
            )
            await bring(self.database, State.DONE, name, kind="video", subject=name, data=video.to_json())

    async def ask(self, text: str = TEXT, *, again: bool = False, **which: Any) -> AnswerView:
        """Ask in a process of its own."""
        asking = Asking(make_run_plan(self.settings), self.database, self.clock, self.rng, self.person)
        kept = await asking.look(text, ItemFilter(**which), again=again)
        if kept is not None:
            return await asking.show(kept, kept=True)
        return await asking.ask(SimpleNamespace(knowledge=self.knowledge))  # type: ignore[arg-type]

    async def ledger(self) -> list[tuple[float, bool]]:
        """Return what each call counts for, all its entries together, and whether it is doubtful."""
        found: dict[str, tuple[float, bool]] = {}
        for spend in await self.database.spends([""]):
            key = spend.key.removesuffix("/settled").removesuffix("/refused")
            usd, doubtful = found.get(key, (0.0, False))
            found[key] = (round(usd + spend.usd, 6), doubtful or spend.doubtful)
        return [*found.values()]


def lived(scenario: Callable[[House], Coroutine[Any, Any, None]], **sections: Any) -> House:
    """Live through a scenario in virtual time."""
    house = House(**sections)

    async def live() -> None:
        await house.fill()
        await scenario(house)

    run_virtual(live())
    return house


def test_an_answer_is_paid_settled_and_kept() -> None:
    """Both videos get their place, the answer its moments; the ledger holds what its tokens cost; a repeat pays nothing."""

    async def scenario(house: House) -> None:
        house.knowledge.replies = [said("Twice.", MOMENT)]
        found = await house.ask()
        assert (found.answer, found.checked, found.videos, found.absent, found.kept) == ("Twice.", True, 2, 2, False)
        assert [(each.video.title, each.start, each.end, each.quote) for each in found.moments] == [
            ("Film a", 3.0, 9.5, "the door opens")
        ]
        assert await house.ledger() == [(0.003, False)]
        assert found.usd == pytest.approx(0.003)
        again = await house.ask()
        assert (again.answer, again.kept, again.moments) == (found.answer, True, found.moments)
        assert len(house.knowledge.asked) == 1
        (question,) = house.knowledge.asked
        assert (question.text, question.selected) == (TEXT, ())
        assert "Film" not in question.instructions  # a title may be a stranger's words
        assert "v1 = ksi_0 (60 s)" in question.instructions

    lived(scenario, prices=PRICED)


def test_again_and_other_words_or_videos_are_other_answers() -> None:
    """Each is paid by itself; what is narrowed selects items, because the store holds more."""

    async def scenario(house: House) -> None:
        house.knowledge.replies = [said("1"), said("2"), said("3"), said("4")]
        await house.ask()
        assert (await house.ask(again=True)).answer == "2"
        assert (await house.ask("Who is it?")).answer == "3"
        assert (await house.ask(tags=["door"])).answer == "4"
        assert [each.selected for each in house.knowledge.asked] == [(), (), (), ["ksi_0"]]
        assert await house.ledger() == [(0.003, False)] * 4
        assert len(house.knowledge.there["ks_0"]) == 2

    lived(scenario, prices=PRICED)


def test_a_lost_answer_is_told_and_never_asked_for_again_in_silence() -> None:
    """Its reservation stands, the next ask names the danger, `--again` is booked as possibly paid twice."""

    async def scenario(house: House) -> None:
        house.knowledge.failures["ask"] = [LOST]
        house.knowledge.replies = [said("Found.")]
        with pytest.raises(Ambiguous):
            await house.ask()
        assert await house.ledger() == [(0.6, False)]
        with pytest.raises(ConfigError, match="may have been paid") as refused:
            await house.ask()
        assert "--again" in refused.value.trouble.remedy
        assert len(house.knowledge.asked) == 1
        assert (await house.ask(again=True)).answer == "Found."
        assert sorted(await house.ledger()) == [(0.003, True), (0.6, False)]
        assert (await house.ask()).kept

    lived(scenario, prices=PRICED)


def test_a_process_that_dies_between_note_and_answer_leaves_the_note() -> None:
    """Killed in the middle of the call: the same as a lost answer."""

    async def scenario(house: House) -> None:
        class Died(BaseException):
            pass

        async def die(_question: object) -> None:
            raise Died

        answering, house.knowledge.ask = house.knowledge.ask, die  # type: ignore[method-assign,assignment]
        with pytest.raises(Died):
            await house.ask()
        house.knowledge.ask = answering  # type: ignore[method-assign]
        with pytest.raises(ConfigError, match="may have been paid"):
            await house.ask()

    lived(scenario)


def test_a_lost_repeat_does_not_take_the_answer_away() -> None:
    """The answer before it is shown, with a word about the one that never came."""

    async def scenario(house: House) -> None:
        house.knowledge.replies = [said("Before.")]
        await house.ask()
        house.knowledge.failures["ask"] = [LOST]
        with pytest.raises(Ambiguous):
            await house.ask(again=True)
        found = await house.ask()
        assert (found.answer, found.kept) == ("Before.", True)
        assert "never came" in house.person.told[-1]

    lived(scenario)


@pytest.mark.parametrize(
    ("error", "taken"),
    [
        (Permanent("no", code="parameter_invalid"), False),
        (Throttled("later", after=9_999.0, group="search"), False),
        (Transient("unreachable", untouched=True), False),
        (Transient("odd"), True),
    ],
)
def test_what_was_surely_not_taken_costs_nothing_and_may_be_asked_again(error: ReelmillError, taken: bool) -> None:
    """Its money is given back and its note taken away; anything else stays in doubt."""

    async def scenario(house: House) -> None:
        house.knowledge.failures["ask"] = [error] * 3
        house.knowledge.replies = [said("Yes.")]
        with pytest.raises(type(error)):
            await house.ask()
        assert [usd for usd, _ in await house.ledger()] == [0.6 if taken else 0.0]
        house.knowledge.failures.clear()
        if taken:
            with pytest.raises(ConfigError, match="may have been paid"):
                await house.ask()
        else:
            assert (await house.ask()).answer == "Yes."
            assert sum(usd for usd, _ in await house.ledger()) == pytest.approx(0.003)

    lived(scenario, prices=PRICED)


def test_a_limit_holds_before_the_call() -> None:
    """The most that is reserved for passes no limit: exit 5, and nothing was sent or noted."""

    async def scenario(house: House) -> None:
        with pytest.raises(OverBudget) as refused:
            await house.ask()
        assert decide_exit(refused.value)[0] == 5
        assert (house.knowledge.asked, await house.ledger()) == ([], [])

    lived(scenario, prices=PRICED, budget={"max_usd_per_day": 0.5})


@pytest.mark.parametrize("agrees", [True, False, None])
def test_an_unknown_price_and_a_limit_need_a_yes(agrees: bool | None) -> None:
    """Nobody can tell what it costs: with a limit a person decides, before anything is put into the account."""

    async def scenario(house: House) -> None:
        house.person.agrees = agrees
        house.knowledge.replies = [said("Yes.")]
        if agrees:
            assert (await house.ask()).usd is None
        else:
            with pytest.raises(OverBudget, match="no price"):
                await house.ask()
            assert house.knowledge.names == {}
        assert len(house.person.asked) == 1

    lived(scenario, budget={"max_usd_per_run": 100.0})


def test_without_a_limit_an_unknown_price_is_told() -> None:
    """It is asked, and both unknowns are said: of the answer, and of the places in the store."""

    async def scenario(house: House) -> None:
        house.knowledge.replies = [said("Yes.")]
        await house.ask()
        assert "2 videos get a place" in house.person.told[0]
        assert "no price" in house.person.told[1]
        assert house.person.asked == []

    lived(scenario)


def test_lost_answers_of_the_store_are_looked_for() -> None:
    """Neither the store nor an item is made twice, however late a list shows them."""

    async def scenario(house: House) -> None:
        house.knowledge.failures = {"create_store": [LOST], "add_item": [LOST]}
        house.knowledge.hidden = 2
        house.knowledge.replies = [said("Yes.")]
        await house.ask()
        assert len(house.knowledge.names) == 1
        assert [item.asset_id for item in house.knowledge.there["ks_0"]] == ["asset-a", "asset-b"]

    lived(scenario)


def test_places_that_a_dead_process_asked_for_are_waited_for() -> None:
    """A list that shows them late makes no second ones."""

    async def scenario(house: House) -> None:
        house.knowledge.failures["add_item"] = [LOST]
        house.knowledge.replies = [said("Yes.")]
        house.knowledge.hidden = 99
        asking = house.ask()
        house.knowledge.failures["items"] = []

        class Died(BaseException):
            pass

        sleeping, naps = house.clock.sleep, 0

        async def die(seconds: float) -> None:
            nonlocal naps
            naps += 1
            if naps == 2:
                raise Died
            await sleeping(seconds)

        house.clock.sleep = die  # type: ignore[method-assign]
        with pytest.raises(Died):
            await asking
        house.clock.sleep, house.knowledge.hidden = sleeping, 2  # type: ignore[method-assign]
        await house.ask()
        assert sorted(item.asset_id for item in house.knowledge.there["ks_0"]) == ["asset-a", "asset-b"]

    lived(scenario)


def test_what_the_platform_cannot_read_is_left_out_and_told() -> None:
    """The others are asked; where none is left, nothing is."""

    async def scenario(house: House) -> None:
        house.knowledge.broken = frozenset({"asset-a"})
        house.knowledge.replies = [said("Yes.", {**MOMENT, "video": "v1"})]
        found = await house.ask()
        assert (found.videos, found.unread, found.moments[0].video.title) == (1, 1, "Film b")
        with pytest.raises(Permanent, match="none of these"):
            await house.ask(tags=["door"])
        assert len(house.knowledge.asked) == 1

    lived(scenario)


def test_what_the_platform_could_not_read_is_added_again_a_few_times() -> None:
    """A failed place is taken out and made anew by the next question; what fails each time is left alone after three."""

    async def scenario(house: House) -> None:
        house.knowledge.broken = frozenset({"asset-a"})
        house.knowledge.replies = [said("Yes.")] * 9
        assert (await house.ask("first")).unread == 1
        house.knowledge.broken = frozenset()
        found = await house.ask("second")
        assert (found.videos, found.unread) == (2, 0)
        assert sorted(item.asset_id for item in house.knowledge.there["ks_0"]) == ["asset-a", "asset-b"]
        assert house.knowledge.asked[-1].selected == ()  # the store holds nothing else
        house.knowledge.there["ks_0"].clear()
        house.knowledge.broken = frozenset({"asset-b"})
        for number in range(6):
            assert (await house.ask(f"question {number}")).unread == 1
        assert house.knowledge.added.count("asset-b") == 1 + 1 + 3
        assert len(house.knowledge.there["ks_0"]) == 2

    lived(scenario)


def test_the_stores_of_an_account_are_listed() -> None:
    """Those of our name, the one that is asked first; none where the platform has none, or not for this account."""

    async def scenario(house: House) -> None:
        house.knowledge.broken = frozenset({"asset-a"})
        house.knowledge.replies = [said("Yes.")]
        await house.ask()
        await house.knowledge.create_store("somebody else's")
        await house.knowledge.create_store(house.knowledge.names["ks_0"].name)
        found = [(each.id, each.videos, each.failed, each.used) for each in await list_stores(house.knowledge)]
        assert found == [("ks_2", 0, 0, True), ("ks_0", 2, 1, False)]
        assert await list_stores(None) == []
        house.knowledge.failures["stores"] = [Permanent("no", code="no_questions_across"), Transient("down")]
        assert await list_stores(house.knowledge) == []
        with pytest.raises(Transient):
            await list_stores(house.knowledge)

    lived(scenario)


def test_a_store_that_reads_for_ever_is_not_waited_for_that_long() -> None:
    """The patience of the limits, then exit 6; the same command goes on."""

    async def scenario(house: House) -> None:
        house.knowledge.reads_after = 10_000
        with pytest.raises(NotYet) as refused:
            await house.ask()
        assert decide_exit(refused.value)[0] == 6
        house.knowledge.reads_after, house.knowledge.replies = 0, [said("Yes.")]
        assert (await house.ask()).answer == "Yes."
        assert len(house.knowledge.there["ks_0"]) == 2

    lived(scenario)


class Watched:
    """Stands for something outside, and has a picture taken before and after each call of it."""

    def __init__(self, real: Any, take: Callable[[], None]) -> None:
        self._real, self._take = real, take

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def call(*args: Any) -> Any:
            self._take()
            answer = await found(*args)
            self._take()
            return answer

        return call


def test_death_at_every_call_of_a_question() -> None:
    """Whatever it dies at, the same command answers, or tells what may have been paid; nothing is sent twice in silence."""
    pictures: list[bytes] = []

    async def scenario(house: House) -> None:
        database, knowledge = house.database, house.knowledge
        knowledge.replies = [said("Yes.", MOMENT)] * 3

        def take() -> None:
            pictures.append(pickle.dumps((database, knowledge, house.clock)))

        house.database, house.knowledge = Watched(database, take), Watched(knowledge, take)  # type: ignore[assignment]
        await house.ask()

    lived(scenario, prices=PRICED)
    fates = Counter[str]()

    async def after(picture: bytes, number: int) -> None:
        house = House(prices=PRICED)
        house.database, house.knowledge, house.clock = pickle.loads(picture)
        house.rng = Random(1000 + number)
        sent = len(house.knowledge.asked)
        try:
            found = await house.ask()
            assert len(house.knowledge.asked) == 1
            fates["kept" if found.kept else "asked"] += 1
        except ConfigError:
            assert len(house.knowledge.asked) == sent
            assert (await house.ask(again=True)).answer == "Yes."
            fates["told"] += 1
        assert (len(house.knowledge.names), len(house.knowledge.there["ks_0"])) == (1, 2)
        ledger = await house.ledger()
        assert len(ledger) >= len(house.knowledge.asked)
        assert sum(usd for usd, _ in ledger) >= 0.003 * len(house.knowledge.asked) - 1e-9

    for number, picture in enumerate(pictures):
        run_virtual(after(picture, number))
    assert set(fates) == {"kept", "asked", "told"}
    assert sum(fates.values()) > 20


HOSTILE = {
    "a foreign video": {**MOMENT, "video": "v9"},
    "no object": "v1",
    "a time that is text": {**MOMENT, "start": "0:03"},
    "a time that is true": {**MOMENT, "start": True},
    "an endless number": {**MOMENT, "end": 10**400},
    "backwards": {**MOMENT, "end": 1},
    "before the begin": {**MOMENT, "start": -1},
    "behind the end": {**MOMENT, "end": 62},
    "nothing": None,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_moment_that_cannot_be_is_left_out_and_counted(what: str) -> None:
    """One of many forms of nonsense, beside a good one."""

    async def scenario(house: House) -> None:
        reply = said("Yes.", MOMENT)
        form = json.loads(reply.text)
        form["citations"].append(HOSTILE[what])
        house.knowledge.replies = [said("x", text=json.dumps(form))]
        found = await house.ask()
        assert (len(found.moments), sum(found.dropped.values())) == (1, 1)

    lived(scenario)


def test_moments_without_end_are_bounded_and_a_fence_is_no_other_form() -> None:
    """Two hundred are kept of five thousand, the rest is counted."""
    videos = [AskedVideo("a", "asset-a", 60.0, "ksi_0", "v1")]
    many = [{**MOMENT, "quote": str(number)} for number in range(5_000)]
    reply = said("Yes.", *many)
    read = read_answer(replace(reply, text=f"```json\n{reply.text}\n```\n"), videos)
    assert (read.text, read.checked, len(read.moments)) == ("Yes.", True, 200)
    assert sum(read.dropped.values()) == 4_800


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The door opens twice [00:03-00:09].", "The door opens twice [00:03-00:09]."),
        ('{"answer": "It opens twice.", "citations": [{"video": "v1", "st', "It opens twice."),
        ('{"answer": 7, "citations": []}', '{"answer": 7, "citations": []}'),
        ('["answer"]', '["answer"]'),
        ("[" * 5000, "[" * 5000),
    ],
)
def test_an_answer_in_another_form_is_shown_without_checked_moments(text: str, shown: str) -> None:
    """It was paid for: what can be read of it is shown, and that nobody has checked it."""

    async def scenario(house: House) -> None:
        house.knowledge.replies = [said("x", text=text, state="incomplete")]
        found = await house.ask()
        assert (found.answer, found.checked, found.moments, found.cut) == (shown, False, [], True)

    lived(scenario)


def test_what_the_platform_cites_beside_its_text_counts_as_well() -> None:
    """Ranges, the whole of a video, a foreign item; each with the sentence that its marker stands behind; kept as well."""

    async def scenario(house: House) -> None:
        text = "It is late. The door opens [1]. Nobody is there [2]. Elsewhere it rains [3]."
        cited = [
            Citation("ksi_0", 3.0, 9.5, text.index("[1]")),
            Citation("ksi_1", None, None, text.index("[2]")),
            Citation("ksi_9", 1.0, 2.0, text.index("[3]")),
        ]
        house.knowledge.replies = [said("x", text=text, citations=cited)]
        found = await house.ask()
        assert (found.answer, found.checked, found.dropped) == (text, True, {"name no video that was asked about": 1})
        assert [(each.video.title, each.start, each.end, each.quote) for each in found.moments] == [
            ("Film a", 3.0, 9.5, "The door opens"),
            ("Film b", 0.0, 60.0, "Nobody is there"),
        ]
        assert (await house.ask()).moments == found.moments

    lived(scenario)


@pytest.mark.parametrize(
    ("cited", "found"),
    [
        ([(3603.0, 3609.0), (3650.0, 3660.5)], [(3.0, 9.0), (50.0, 60.0)]),  # by the clock inside the file
        ([(3.0, 9.0)], [(3.0, 9.0)]),  # as a player counts
        ([(3.0, 9.0), (3603.0, 3609.0)], [(3.0, 9.0)]),  # in no one way
    ],
)
def test_moments_are_on_the_players_clock(cited: list[tuple[float, float]], found: list[tuple[float, float]]) -> None:
    """Whatever the platform counts by, where one way fits all that it names in a video; kept answers are read the same."""
    video = AskedVideo("a", "asset-a", 60.0, "ksi_0", "v1", 3600.0)
    reply = said("Yes.", *({**MOMENT, "start": start, "end": end} for start, end in cited))
    note = AskedQuestion(text=reply.text, videos=[video])
    kept = AskedQuestion.from_json(json.loads(json.dumps(note.to_json())))
    for videos in (note.videos, kept.videos):
        read = read_answer(reply, videos)
        assert [(each.start, each.end) for each in read.moments] == found
        assert sum(read.dropped.values()) == len(cited) - len(found)


def test_an_answer_that_the_platform_gave_up_is_in_doubt() -> None:
    """What it used is settled; whether it is charged nobody can tell."""

    async def scenario(house: House) -> None:
        house.knowledge.replies = [said("x", text="", state="failed")]
        with pytest.raises(Ambiguous, match="gave up"):
            await house.ask()
        assert await house.ledger() == [(0.003, False)]
        with pytest.raises(ConfigError, match="may have been paid"):
            await house.ask()

    lived(scenario, prices=PRICED)


def test_a_usage_that_is_missing_leaves_what_was_reserved() -> None:
    """The most that was reserved for stays in the ledger, and is told as the price."""

    async def scenario(house: House) -> None:
        house.knowledge.replies = [said("Yes.", usage={})]
        assert (await house.ask()).usd == pytest.approx(0.6)
        assert await house.ledger() == [(0.6, False)]

    lived(scenario, prices=PRICED)


def test_nothing_to_ask_is_said_before_anything_is_opened() -> None:
    """No video that fits, too long a selection."""

    async def scenario(house: House) -> None:
        with pytest.raises(ConfigError, match="no video that fits"):
            await house.ask(tags=["none"])
        house.knowledge.replies = [said("Yes.")]
        await house.ask()
        with pytest.raises(ConfigError, match="too many beside a question"):
            await house.ask("why " * 2499, tags=["sea"])
        assert len(house.knowledge.asked) == 1

    lived(scenario)


def test_a_database_that_is_away_takes_no_paid_answer_away() -> None:
    """It is locked for a moment wherever the answer is kept and the ledger settled: that is waited for."""

    async def scenario(house: House) -> None:
        house.knowledge.replies = [said("Twice.", MOMENT)]
        failing = Failing(house, lambda: bool(house.knowledge.asked))
        found = await house.ask()
        assert (found.answer, failing.failed) == ("Twice.", ["save", "spends", "enter"])
        assert await house.ledger() == [(0.003, False)]
        assert (await house.ask()).kept

    lived(scenario, prices=PRICED)


def test_a_call_that_the_ledger_did_not_take_was_not_made() -> None:
    """The note does not say that it was sent, so nobody needs to ask once more for it."""

    async def scenario(house: House) -> None:
        house.knowledge.replies = [said("Twice.", MOMENT)]
        failing = Failing(
            house, lambda: not failing.failed, verbs=("enter",), error=StoreError("the database is damaged")
        )
        with pytest.raises(StoreError):
            await house.ask()
        assert not house.knowledge.asked
        assert (await house.ask()).answer == "Twice."

    lived(scenario, prices=PRICED)


class Failing:
    """Lets calls of a house's database fail, each once."""

    def __init__(
        self, house: House, when: Callable[[], bool], *, verbs: Sequence[str] = ("save", "spends", "enter"),
        error: ReelmillError | None = None,
    ) -> None:  # fmt: skip
        self.failed: list[str] = []
        error = error or DatabaseAway("the database is locked", code="database_locked")
        for verb in verbs:
            self._wrap(house.database, verb, when, error)

    def _wrap(self, database: Any, verb: str, when: Callable[[], bool], error: ReelmillError) -> None:
        inner = getattr(database, verb)

        async def call(*given: Any) -> Any:
            if verb not in self.failed and when():
                self.failed.append(verb)
                raise error
            return await inner(*given)

        setattr(database, verb, call)
