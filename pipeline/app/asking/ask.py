"""``ask``: one question across many videos, paid once.

The note of the question is written before its call, with its place in the ledger. A second ``ask`` in the same words shows
the answer that is kept; where none came back, it says that the first may have been paid, and asks again only on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol

from pipeline.app.asking.citations import SCHEMA, AskedVideo, read_answer, write_instructions
from pipeline.app.asking.knowledge import Prepared, StoreKeeper
from pipeline.app.asking.payment import AnswerPayment
from pipeline.app.asking.records import AskedNotes, AskedQuestion, QuestionNote, name_question
from pipeline.app.asking.selection import Selected, select_videos
from pipeline.app.index.video_refs import VideoResolver
from pipeline.app.wiring.database import open_alone
from pipeline.app.wiring.platform import ProviderClient, open_platform
from pipeline.app.wiring.run_plan import RunPlan, make_run_plan
from pipeline.config.settings import Settings
from pipeline.core.clock import Clock, SystemClock, iso
from pipeline.core.errors import Ambiguous, ConfigError, OverBudget, Permanent
from pipeline.core.model import ItemFilter
from pipeline.core.retry import AwayPatience, retry
from pipeline.ports.knowledge_api import MOST_QUESTION, CrossQuestion, KnowledgeApi
from pipeline.ports.store import Database
from pipeline.views import AnswerView, CitedMoment, VideoRef

_TOKEN = 12  #: characters of a selection's token in the question


class Talk(Protocol):
    """Whoever asks."""

    def tell(self, text: str) -> None:
        """Take note of a sentence."""
        ...

    def agree(self, question: str) -> bool | None:
        """Answer yes or no; None: nobody is there to be asked."""
        ...


async def ask(settings: Settings, text: str, which: ItemFilter, talk: Talk, *, again: bool = False) -> AnswerView:
    """Ask the videos that fit, or show the answer that is there. Paid.

    ``again``: pay once more for what is answered, or may be.

    Raises:
        Ambiguous: nobody can tell whether it was answered, and paid.
        Busy: a run is in progress.
        ConfigError: no video fits; or it was sent before, and its answer never came.
        NotYet: the platform has not read all videos.
        OverBudget: a limit forbids it, or cannot be kept.
        Permanent: the platform refuses it, or does not answer such questions.
    """
    text = text.strip()
    if not text:
        remedy = 'reelmill ask "When does someone open the door?"'
        raise ConfigError("ask: say what you want to know: TEXT", remedy=remedy)
    if len(text) > MOST_QUESTION:
        raise ConfigError(
            f"ask: the question has {len(text):,} characters", remedy=f"the platform takes {MOST_QUESTION:,}"
        )
    plan = make_run_plan(settings)
    if settings.provider.api != "v1.3":
        raise not_offered()
    async with open_alone(settings) as database:
        clock, rng = SystemClock(), Random()
        asking = Asking(plan, database, clock, rng, talk)
        kept = await asking.look(text, which, again=again)
        if kept is not None:
            return await asking.show(kept, kept=True)
        async with open_platform(plan, database, clock, rng) as api:
            return await asking.ask(api)


def not_offered() -> Permanent:
    """Return the error of a platform that has no such call."""
    return Permanent(
        "this platform does not answer questions across videos",
        code="no_questions_across",
        remedy='that is [provider] api = "v1.3"; or ask each video by a job (job = "ask")',
    )


class Asking:
    """One question, from the videos it is about to its answer."""

    def __init__(self, plan: RunPlan, database: Database, clock: Clock, rng: Random, talk: Talk) -> None:
        self._plan = plan
        self._database = database
        self._clock = clock
        self._talk = talk
        self._notes = AskedNotes(database)
        run_id = f"ask-{iso(clock.now()).translate(str.maketrans('', '', '-:'))}-{rng.getrandbits(32):08x}"
        self._payment = AnswerPayment(plan, database, clock, rng, run_id)
        self._text = self._name = ""
        self._selected = Selected(())
        self._before: AskedQuestion | None = None

    async def look(self, text: str, which: ItemFilter, *, again: bool) -> AskedQuestion | None:
        """Find the videos; return the answer that is there and wanted, else None.

        Raises:
            ConfigError: no video fits; or the question was sent before, and its answer never came.
        """
        identity = self._plan.platform.identity
        self._text, self._selected = text, await select_videos(self._database, which, identity)
        self._name = name_question(identity, text, [video.key for video in self._selected.videos])
        self._before = before = await self._notes.load(self._name)
        if before is None or again:
            return None
        lost = "the answer of an earlier call never came"
        if before.text:
            if before.state == "asked":
                self._talk.tell(f"{lost}; this is the answer before that")
            return before
        if self._plan.prices.free:
            self._talk.tell(f"{lost}; this platform charges nothing, so it is asked again")
            return None
        raise ConfigError(
            f"ask: this was sent {iso(before.sent)}, its answer never came, and it may have been paid",
            code="answer_lost",
            remedy="--again asks once more, and may pay twice; the platform has no list of its answers to look into",
        )

    async def ask(self, api: ProviderClient) -> AnswerView:
        """Give the videos their place, ask, keep the answer."""
        if api.knowledge is None:
            raise not_offered()
        keeper = StoreKeeper(api.knowledge, self._database, self._clock, self._plan.settings.limits.patience)
        missing = await keeper.look(self._selected.videos)
        await self._settle_price(len(missing))
        prepared = await keeper.prepare(self._selected.videos, missing, self._talk.tell)
        if not prepared.videos:
            raise Permanent(
                "the platform could read none of these videos", code="nothing_readable",
                remedy="`reelmill doctor` and the log say more; ask about others",
            )  # fmt: skip
        question = _build_question(self._text, prepared)
        asked = await self._send(api.knowledge, question, prepared.videos)
        return await self.show(asked, unread=prepared.failed)

    async def _settle_price(self, missing: int) -> None:
        """Say what nobody knows of the price; a limit needs an agreement.

        Raises:
            OverBudget: nobody agrees.
        """
        if self._plan.prices.free:
            return
        if missing:
            self._talk.tell(
                f"{missing} videos get a place in the knowledge store; whether that is paid for, the vendor does not say"
            )
        if self._plan.prices.response(0, 0) is not None:
            return
        unknown = "the vendor publishes no price for this: nobody can tell what the question costs"
        budget = self._plan.settings.budget
        if all(each is None for each in (budget.max_usd_per_run, budget.max_usd_per_day, budget.max_usd_per_month)):
            self._talk.tell(unknown)
            return
        if not self._talk.agree(f"{unknown}, so no spending limit can hold it back. Ask it? [y/N]"):
            raise OverBudget(
                f"{unknown}, and a spending limit is set",
                remedy="--yes asks all the same; or set [prices] response_input_million_tokens and "
                "response_output_million_tokens: then it counts against the limit",
            )

    async def _send(
        self, knowledge: KnowledgeApi, question: CrossQuestion, videos: Sequence[AskedVideo]
    ) -> AskedQuestion:
        """Make the paid call, and keep what came of it.

        Raises:
            Ambiguous: nobody can tell whether it was answered, or whether it is paid.
        """
        if not self._plan.platform.local:
            self._talk.tell("asking: the platform may think for minutes")
        note = QuestionNote(self._notes, self._name, self._before, self._clock)
        reply = await self._payment.ask(self._name, lambda: knowledge.ask(question), note)
        if reply.state == "failed":
            await self._payment.settle(reply)
            raise Ambiguous(
                "the platform gave up on the answer, and does not say whether it charges for that",
                remedy="--again asks once more",
            )
        patience = AwayPatience(self._plan.settings.store.patience)  # nobody can fetch the answer a second time
        price = self._payment.price(reply)
        answered = await retry(lambda: note.answer(reply, price, videos), patience, self._clock)
        await self._payment.settle(reply)
        return answered

    async def show(self, asked: AskedQuestion, *, kept: bool = False, unread: int = 0) -> AnswerView:
        """Return an answer with what can be believed of it."""
        read = read_answer(asked.reply, asked.videos)
        keys = {moment.key for moment in read.moments}
        refs = await VideoResolver(self._database, None, self._plan.settings.run.output).by_keys(keys)
        return AnswerView(
            question=self._text,
            provider=self._plan.platform.identity,
            answer=read.text,
            checked=read.checked,
            moments=[
                CitedMoment(refs.get(each.key) or VideoRef("", each.key, each.key), each.start, each.end, each.quote)
                for each in read.moments
            ],
            dropped=read.dropped,
            videos=len(asked.videos),
            absent=self._selected.absent,
            unread=unread,
            cut=asked.end == "incomplete",
            usage=asked.usage,
            usd=asked.usd,
            at=asked.at,
            kept=kept,
        )


def _build_question(text: str, prepared: Prepared) -> CrossQuestion:
    """Return the question; items are selected where the store holds others, too.

    Raises:
        ConfigError: so many are selected that their tokens leave no room for the question.
    """
    selected = () if prepared.whole else [video.item_id for video in prepared.videos]
    if len(text) + _TOKEN * len(selected) > MOST_QUESTION:
        most = (MOST_QUESTION - len(text)) // _TOKEN
        raise ConfigError(
            f"ask: {len(selected)} videos are too many beside a question of {len(text):,} characters",
            remedy=f"narrow them to {most} with --in, --tag or --source; or ask about all that are on the platform",
        )
    return CrossQuestion(prepared.store_id, text, write_instructions(prepared.videos), selected, SCHEMA)
