"""``search``, ``classify``, ``indexes``, ``videos``: one question to the platform, beside any run.

What is typed by hand is neither in the ledger nor under the budget: both belong to runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from random import Random

from pipeline.app.index.questions import QuestionRunner, check_query, no_classify
from pipeline.app.index.video_refs import VideoResolver
from pipeline.app.wiring.journals import NullJournal
from pipeline.app.wiring.platform import open_platform
from pipeline.app.wiring.run_plan import make_run_plan
from pipeline.app.wiring.state_folder import open_if_present
from pipeline.config.queries import StandingQuery
from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.core.errors import ConfigError, Permanent
from pipeline.ports.index_api import IndexApi, IndexedVideo, IndexInfo, IndexSpec, ListFilter
from pipeline.ports.store import Records
from pipeline.views import ClassifyView, IndexedView, IndexView, SearchView


@dataclass(frozen=True, slots=True)
class _IndexAccess:
    index_api: IndexApi
    questions: QuestionRunner
    resolver: VideoResolver


@asynccontextmanager
async def _open_index_api(settings: Settings) -> AsyncIterator[_IndexAccess]:
    """Open the platform (the embedded one is started where that is the choice) and our records, if there are any."""
    clock = SystemClock()
    plan = make_run_plan(settings)
    async with (
        open_if_present(settings.run.state) as database,
        open_platform(plan, NullJournal(), clock, Random()) as api,
    ):
        records: Records | None = database
        questions = QuestionRunner(plan, api.index_api, records, clock)
        with _typed():
            yield _IndexAccess(api.index_api, questions, VideoResolver(records, api.index_api, settings.run.output))


@contextmanager
def _typed() -> Iterator[None]:
    """Tell of a value that the platform refuses as what it is here: the user's, not ours."""
    try:
        yield
    except Permanent as error:
        trouble = error.trouble
        if not trouble.code.startswith("parameter_"):
            raise
        remedy = "correct what the platform names below"
        raise Permanent(trouble.message, code=trouble.code, remedy=remedy, detail=trouble.detail) from None


async def search(settings: Settings, ask: StandingQuery) -> SearchView:
    """Search an index. Paid.

    Raises:
        ConfigError: what the dialect cannot be asked.
        Permanent: what the platform refuses.
    """
    check_query(settings, ask)
    async with _open_index_api(settings) as access:
        return await access.questions.search(ask)


async def classify(settings: Settings, ask: StandingQuery) -> ClassifyView:
    """Sort the videos of an index, or named ones, into classes. Paid; v1.2 only.

    Raises:
        ConfigError: the dialect has no such call: the message shows the job that does it.
    """
    if settings.provider.api == "v1.3":
        raise no_classify(ask.classes)
    check_query(settings, ask)
    async with _open_index_api(settings) as access:
        return await access.questions.classify(ask)


async def indexes(settings: Settings, which: ListFilter) -> list[IndexInfo]:
    """Return the account's indexes."""
    async with _open_index_api(settings) as access:
        return [index async for index in access.index_api.indexes(which)]


async def create_index(settings: Settings, spec: IndexSpec) -> IndexInfo:
    """Make an index, or find the one of that name."""
    async with _open_index_api(settings) as access:
        return await access.index_api.index(await access.index_api.create_index(spec))


async def delete_index(settings: Settings, name: str, agreed: Callable[[IndexInfo], bool]) -> IndexInfo | None:
    """Delete an index with the videos in it, if ``agreed`` says so; return it, or None if not."""
    async with _open_index_api(settings) as access:
        index = await access.questions.index(name)
        if not agreed(index):
            return None
        await access.index_api.delete_index(index.id)
        return index


async def videos(settings: Settings, name: str, which: ListFilter, *, limit: int) -> IndexView:
    """Return the first videos of an index that fit, with what we know of each.

    Raises:
        ConfigError: no index is named.
    """
    if not (name or settings.index_name):
        raise ConfigError(
            "videos: no index is named", remedy="set [index] name, or name one with --index; see `reelmill indexes`"
        )
    async with _open_index_api(settings) as access:
        index = await access.questions.index(name)
        found: list[IndexedVideo] = []
        async for video in access.index_api.videos(index.id, which):
            if len(found) == limit:
                break
            found.append(video)
        refs = await access.resolver.resolve((video.id for video in found), None)
        return IndexView(index, [IndexedView(video, refs[video.id]) for video in found])
