"""Questions to an index, typed or configured: checked, asked, and named in our words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from pipeline.app.index.video_refs import VideoResolver
from pipeline.app.wiring.database import open_if_present
from pipeline.app.wiring.journals import NullJournal
from pipeline.app.wiring.platform import open_platform
from pipeline.app.wiring.run_plan import RunPlan, make_run_plan
from pipeline.config.queries import StandingQuery
from pipeline.config.settings import Settings
from pipeline.core.clock import Clock, SystemClock
from pipeline.core.errors import ConfigError, Permanent
from pipeline.core.model import Json
from pipeline.core.youtube_address import without_query
from pipeline.ports.index_api import ClassifyQuery, ClassSpec, IndexApi, IndexInfo, SearchQuery
from pipeline.ports.store import Records
from pipeline.views import Asked, ClassifyView, SearchView, VideoClasses

#: What may be asked for, per dialect.
OPTIONS: Mapping[str, Sequence[str]] = {
    "v1.2": ("visual", "conversation", "text_in_video", "logo"),
    "v1.3": ("visual", "audio", "transcription"),
}
#: What v1.2 sorts by: it finds brands, but sorts by none.
_SORTED_BY = OPTIONS["v1.2"][:3]
SPEECH: Mapping[str, Sequence[str]] = {"v1.2": ("semantic", "exact_match"), "v1.3": ("lexical", "semantic")}
#: What the local platform can answer of that: it reads words, it sees and hears nothing else.
_READABLE = ("conversation", "text_in_video", "transcription")
_PROMPTS = 100  #: of a classification, all classes together


def check_query(settings: Settings, ask: StandingQuery) -> None:
    """Refuse what this dialect cannot be asked, before anything is paid.

    Raises:
        ConfigError: an unknown word, something of the other dialect, or no index.
    """
    api = settings.provider.api
    where = f"'{ask.name}'"
    options = _SORTED_BY if ask.classes and api == "v1.2" else OPTIONS[api]
    for what, words, known in (("option", ask.options, options), ("speech match", ask.speech, SPEECH[api])):
        for word in words:
            if word not in known:
                raise ConfigError(f"{where}: API {api} has no {what} '{word}'", remedy=f"it has {', '.join(known)}")
    if api == "v1.2" and len(ask.speech) > 1:
        raise ConfigError(f"{where}: API v1.2 takes one kind of speech match", remedy="semantic or exact_match")
    if not ask.index and not settings.index_name and not ask.videos:
        raise ConfigError(
            f"{where}: no index is named",
            remedy="set [index] name, or name one with --index; `reelmill indexes` lists them",
        )
    for place in ask.images:
        if "://" not in place and not Path(place).is_file():
            raise ConfigError(f"{where}: {place}: no such picture", remedy="name a file, or an https address")
    _check_dialect(api, where, ask)


def check_queries(settings: Settings) -> Sequence[StandingQuery]:
    """Return the configured standing queries, each one askable.

    Raises:
        ConfigError: one cannot be asked of this dialect, or names no index.
    """
    for query in settings.queries:
        check_query(settings, query)
    return settings.queries


def _check_dialect(api: str, where: str, ask: StandingQuery) -> None:
    if api == "v1.2" and ask.images:
        raise ConfigError(f"{where}: API v1.2 cannot be asked with pictures", remedy='that is [provider] api = "v1.3"')
    if api == "v1.3" and ask.classes:
        raise no_classify(ask.classes)
    if api == "v1.3" and (ask.threshold != "" or ask.sort):
        raise ConfigError(
            f"{where}: API v1.3 has no {'threshold' if ask.threshold != '' else 'sort'}: its hits carry a rank, no score",
            remedy="leave it out; limit takes the best ones",
        )
    prompts = sum(map(len, ask.classes.values()))
    if prompts > _PROMPTS:
        raise ConfigError(f"{where}: {prompts} prompts; the platform takes {_PROMPTS}", remedy="ask in several parts")


def no_classify(classes: Mapping[str, Sequence[str]]) -> ConfigError:
    """Return the error for v1.3: how the job classifies, with the user's own classes."""
    told = ", ".join(f'"{_quoted(name)}" = "{_quoted(", ".join(prompts))}"' for name, prompts in classes.items())
    return ConfigError(
        "API v1.3 has no classification of an index: the vendor retired it with v1.2",
        remedy="let every video be classified by the job of that name: put 'classify' into [jobs] enabled, and "
        f"[jobs.classify] classes = {{ {told} }}; then `reelmill run` writes classify.json beside the other results",
    )


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


class QuestionRunner:
    """Asks an index. The caller has checked the question and paid for it."""

    def __init__(self, plan: RunPlan, index_api: IndexApi, records: Records | None, clock: Clock) -> None:
        self._plan = plan
        self._settings = plan.settings
        self._index_api = index_api
        self._clock = clock
        self._resolver = VideoResolver(records, index_api, plan.settings.run.output)
        self._indexes: dict[str, IndexInfo] = {}

    async def index(self, name: str = "") -> IndexInfo:
        """Return the index of that name or id; without one, the configured index.

        Raises:
            Permanent: ``resource_not_exist``.
        """
        name = name or self._settings.index_name
        if name not in self._indexes:
            try:
                self._indexes[name] = await self._index_api.index(name)
            except Permanent as error:
                if error.trouble.code != "resource_not_exist":
                    raise
                raise Permanent(
                    f"the platform has no index '{name}'",
                    code=error.trouble.code,
                    remedy="`reelmill indexes` lists what there is; the configured one is made by the first run",
                    detail=error.trouble.detail,
                ) from None
        return self._indexes[name]

    async def search(self, ask: StandingQuery) -> SearchView:
        """Search and name what was found. Paid."""
        index = await self.index(ask.index)
        query = SearchQuery(
            index_id=index.id,
            text=ask.text,
            images=[_image(place) for place in ask.images],
            options=ask.options or self._everywhere(index, OPTIONS[self._settings.provider.api]),
            speech=ask.speech,
            operator=ask.operator,
            group_by=ask.group_by,
            threshold=str(ask.threshold),
            sort=ask.sort,
            filter=ask.filter,
            limit=ask.limit,
        )
        try:
            found = await self._index_api.search(query)
        except Permanent as error:
            if ask.options or not self._plan.platform.local or error.trouble.code != "search_option_not_supported":
                raise
            raise _nothing_to_search(error.trouble.code) from None
        unread = max(0, index.videos - found.pool_videos) if self._plan.platform.local else 0
        replaced = await self._resolver.replaced(hit.video_id for hit in found.hits)
        hits = [hit for hit in found.hits if hit.video_id not in replaced]
        return SearchView(
            asked=self._asked(ask, index, query.options),
            hits=hits,
            videos=await self._resolver.resolve((hit.video_id for hit in hits), index),
            total=found.total - (len(found.hits) - len(hits)),
            pool_videos=found.pool_videos,
            pool_seconds=found.pool_seconds,
            unread_videos=unread,
        )

    async def classify(self, ask: StandingQuery) -> ClassifyView:
        """Sort the videos of an index, or named ones, into classes. Paid."""
        index = None if ask.videos and not (ask.index or self._settings.index_name) else await self.index(ask.index)
        options = tuple(ask.options) or (self._everywhere(index, _SORTED_BY) if index is not None else _READABLE[:2])
        sorting = ClassifyQuery(
            classes=[ClassSpec(name, prompts) for name, prompts in ask.classes.items()],
            index_id=index.id if index is not None and not ask.videos else "",
            video_ids=ask.videos,
            options=options,
            speech=next(iter(ask.speech), ""),
            threshold=None if ask.threshold == "" else ask.threshold,
            clips=ask.clips,
            detailed=ask.detailed,
            limit=ask.limit,
        )
        found = await self._index_api.classify(sorting)
        videos = await self._resolver.resolve((entry.video_id for entry in found), index)
        rows = [VideoClasses(videos[entry.video_id], entry.classes) for entry in found]
        return ClassifyView(self._asked(ask, index, options), rows)

    def _everywhere(self, index: IndexInfo, known: Sequence[str]) -> tuple[str, ...]:
        """Return the ``known`` options that index and platform can answer."""
        made = {option for name, options in index.models if "marengo" in name.lower() for option in options}
        made = made or {option for _, options in index.models for option in options}
        if "audio" in made:
            made.add("transcription")
        known = [option for option in known if option in made]
        readable = [option for option in known if option in _READABLE] if self._plan.platform.local else known
        return tuple(readable or known)

    def _asked(self, ask: StandingQuery, index: IndexInfo | None, options: Sequence[str]) -> Asked:
        given: dict[str, Json] = {**ask.model_dump(mode="json", exclude_defaults=True), "options": list(options)}
        given = {key: value for key, value in given.items() if key not in ("index", "name")}
        if ask.images:  # an address may carry a signature that opens it
            given["images"] = [without_query(place) for place in ask.images]
        return Asked(
            provider=self._index_api.identity,
            index_id=index.id if index is not None else "",
            index_name=index.name if index is not None else "",
            query=given,
            at=self._clock.now(),
            usd=self._plan.prices.query(),
        )


def _nothing_to_search(code: str) -> Permanent:
    return Permanent(
        "no video of this index has speech or text that can be searched",
        code=code,
        remedy="the local platform reads captions (.srt, .vtt or .ass of the same name beside a video, "
        "or inside it), and text in the pictures where tesseract is installed",
    )


def _image(place: str) -> Path | str:
    return place if "://" in place else Path(place)


@dataclass(frozen=True, slots=True)
class IndexAccess:
    """An open platform with our records beside it."""

    index_api: IndexApi
    questions: QuestionRunner
    resolver: VideoResolver


@asynccontextmanager
async def open_index_access(settings: Settings) -> AsyncIterator[IndexAccess]:
    """Open the platform, and our records if there are any."""
    clock = SystemClock()
    plan = make_run_plan(settings)
    async with (
        open_if_present(settings) as database,
        open_platform(plan, NullJournal(), clock, Random()) as api,
    ):
        records: Records | None = database
        questions = QuestionRunner(plan, api.index_api, records, clock)
        with _typed():
            yield IndexAccess(api.index_api, questions, VideoResolver(records, api.index_api, settings.run.output))


@contextmanager
def _typed() -> Iterator[None]:
    """Blame a value that the platform refuses on the user who typed it."""
    try:
        yield
    except Permanent as error:
        trouble = error.trouble
        if not trouble.code.startswith("parameter_"):
            raise
        remedy = "correct what the platform names below"
        raise Permanent(trouble.message, code=trouble.code, remedy=remedy, detail=trouble.detail) from None
