"""How a video stands, by the rules of ``status``; the open items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

from pipeline.app.gallery.collect import StoredVideo
from pipeline.app.gallery.safe_words import SafeWords, shell_line, source_kind
from pipeline.app.operator.attention import NAMED, DoesCount, reason
from pipeline.core.errors import NO_RETRY
from pipeline.core.model import Selection, State, Task
from pipeline.core.text import TextSet
from pipeline.gallery.values import OpenItem, VideoState, WhyOpen
from pipeline.ingest.payloads import ItemData, PublishData
from pipeline.ingest.waiting import waiting_words
from pipeline.ports.store import Records, read_pages

_KINDS = (*NAMED, "video", "analysis", "indexing", "publish")
#: The gravest first. A running task waits like a pending one.
_ORDER: Sequence[tuple[State, VideoState]] = (
    (State.HELD, "held"), (State.FAILED, "failed"), (State.RUNNING, "waiting"), (State.PENDING, "waiting"),
    (State.CANCELLED, "cancelled"),
)  # fmt: skip
_PAGE = 500


class Standing:
    """Says how videos stand; ``counts`` says which stopped tasks are of consequence."""

    def __init__(self, words: SafeWords, counts: DoesCount, now: float) -> None:
        self._words = words
        self._counts = counts
        self._now = now

    def of_published(self, video: StoredVideo) -> tuple[VideoState, WhyOpen | None]:
        """Return the state of a video that has results, and what is open."""
        near = [*video.items, video.publish]
        for state, word in _ORDER[:-1]:
            for task in (*video.tasks, video.publish):
                stopped = task.state in (State.HELD, State.FAILED)
                if task.state is state and not (stopped and not self._counts(task, near)):
                    return "held" if word == "held" else "partial", self._why(task, video.written.folder)
        if video.written.missing:
            names = ", ".join(video.written.missing)
            return "partial", WhyOpen("missing", f"Not answered yet: {self._words.line(names)}.")
        return "done", None

    async def open_items(self, records: Records, limit: int) -> tuple[list[OpenItem], int]:
        """Return the first items without results, the gravest first, and how many there are."""
        found: list[OpenItem] = []
        seen = TextSet()
        async for word, task, near in self._open(records):
            known = task.subject or task.key
            if known in seen or any(PublishData.of(each).folder for each in near if each.kind == "publish"):
                continue
            if word in ("held", "failed") and not self._counts(task, near):
                continue
            seen.add(known)
            if len(found) < limit:
                found.append(self._item(word, task, near))
        return found, len(seen)

    async def _open(self, records: Records) -> AsyncIterator[tuple[VideoState, Task, Sequence[Task]]]:
        """Yield each open task with its video's items and publish task."""
        for state, word in _ORDER:
            for kind in NAMED if state is State.CANCELLED else _KINDS:
                async for page in read_pages(records, Selection((kind,), states=(state,), limit=_PAGE)):
                    near: defaultdict[str, list[Task]] = defaultdict(list)
                    subjects = tuple({task.subject for task in page if task.subject})
                    if subjects:
                        for each in await records.tasks(Selection(("item", "publish"), subjects=subjects)):
                            near[each.subject].append(each)
                    for task in page:
                        yield word, task, near[task.subject] if task.subject else [task]

    def _item(self, word: VideoState, task: Task, near: Sequence[Task]) -> OpenItem:
        named = next((each for each in (task, *near) if each.kind in NAMED), None)
        item = ItemData.of(named) if named is not None else ItemData(locator=task.key)
        name = self._words.name(item) or self._words.label(item)
        return OpenItem(
            title=self._words.title(item),
            state=word,
            source=source_kind(item),
            at=round(task.updated, 3),
            tags=[self._words.line(tag, 80) for tag in item.line.tags[:24]],
            seconds=item.seconds,
            why=self._why(task, name),
        )

    def _why(self, task: Task, name: str) -> WhyOpen:
        if task.state is State.CANCELLED:
            return WhyOpen("cancelled", "It was cancelled.", command=shell_line("reelmill", "retry", name))
        if task.state in (State.PENDING, State.RUNNING):
            until = task.wake_at if task.state is State.PENDING and (task.wake_at or 0.0) > self._now else None
            if task.trouble is not None:
                trouble = task.trouble
                return WhyOpen(trouble.code, self._words.line(trouble.message, 500), until_at=until)
            return WhyOpen("stage", f"It {waiting_words(task)}.", until_at=until)
        trouble = reason(task)
        again = "" if trouble.code in NO_RETRY else shell_line("reelmill", "retry", name)
        message, remedy = self._words.line(trouble.message, 500), self._words.line(trouble.remedy, 500)
        return WhyOpen(trouble.code, message, remedy, again)
