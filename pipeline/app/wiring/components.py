"""Puts a run together: task types, pool, budget. No adapter knows another."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from pipeline.app.wiring.journals import JournalHashCache
from pipeline.app.wiring.platform import ProviderClient
from pipeline.app.wiring.run_plan import RunPlan
from pipeline.app.wiring.state_folder import platform_folder
from pipeline.budget.limits import SpendingLimits
from pipeline.config.settings import Settings
from pipeline.core.clock import Clock
from pipeline.core.errors import ConfigError
from pipeline.core.model import Lane
from pipeline.core.task_types import TaskTypes
from pipeline.core.youtube_address import is_address, parse_youtube_address
from pipeline.engine.hosts import RUN, Duty
from pipeline.engine.pool import Pool, PoolOptions
from pipeline.ingest.adoption import Adoption
from pipeline.ingest.batches.coordinator import BatchCoordinator
from pipeline.ingest.batches.lane import BatchRules
from pipeline.ingest.ending.recalls import Recalls
from pipeline.ingest.job_requests import JobPlanner
from pipeline.ingest.look_schedule import LookSchedule
from pipeline.ingest.paid_call import Billing, CallPolicy
from pipeline.ingest.services import Services
from pipeline.ingest.tasks.analysis import AnalysisOptions, AnalysisTaskType
from pipeline.ingest.tasks.batch import BatchTaskType
from pipeline.ingest.tasks.indexing import ConfiguredIndex, IndexingTaskType
from pipeline.ingest.tasks.item import ItemTaskType, Preflight, ReadCaptions, ReadPicture, Release
from pipeline.ingest.tasks.playlist import PlaylistTaskType
from pipeline.ingest.tasks.publish import PublishTaskType
from pipeline.ingest.tasks.video import VideoOptions, VideoTaskType
from pipeline.ingest.transcripts.task import TranscriptTaskType
from pipeline.ports.batch_api import BatchApi
from pipeline.ports.index_api import IndexSpec
from pipeline.ports.playlists import PlaylistLister
from pipeline.ports.sink import Sink
from pipeline.ports.source import CaptionLook, Item, Source
from pipeline.ports.store import Database
from pipeline.ports.video_api import Ceilings
from pipeline.source.identity import host_file_key
from pipeline.views import BadLine, MissingFile

if TYPE_CHECKING:
    from pipeline.source.youtube.client import YouTubeClient


def named_sources(settings: Settings, given: Sequence[str]) -> list[str]:
    """Return the sources of a command: those given, else the configured manifests.

    Raises:
        ConfigError: a configured manifest is not there.
    """
    if given:
        return list(given)
    for source in settings.run.manifests:
        path = Path.cwd() / Path(source).expanduser()
        if not is_elsewhere(source) and not os.path.lexists(path):
            raise ConfigError(
                f"{source}: this manifest, which [run] manifests names, is not there",
                remedy="write it again, or correct [run] manifests; nothing was started",
            )
    return list(settings.run.manifests)


def is_elsewhere(source: str) -> bool:
    """Return True for what is no path: an address, a pattern, stdin."""
    from pipeline.source.manifest.expand import is_pattern

    address = is_address(source) or parse_youtube_address(source) is not None
    return not source.strip() or source.strip() == "-" or address or is_pattern(source)


def read_entries(
    settings: Settings, sources: Sequence[str], planner: JobPlanner, host: str = ""
) -> Iterator[Item | BadLine]:
    """Return the items and bad lines of the sources, lazily. ``-`` is stdin.

    ``host``: this one's name, where several work on the database: files that only it has carry it.
    """
    from pipeline.source.manifest.expand import expand
    from pipeline.source.manifest.reader import read_lines
    from pipeline.source.manifest.stdin import open_stdin

    state = settings.run.state  # with its parts: it may be a folder that is named itself
    ours = [settings.run.output, state, state / "work", platform_folder(settings)]
    lines = read_lines(
        sources,
        stdin=open_stdin(sys.stdin),
        cwd=Path.cwd(),
        known_job=planner.knows,
        extensions=settings.source.extensions,
    )
    for line in lines:
        if isinstance(line, BadLine):
            yield line
        else:
            for entry in expand(line, settings.source, ours):
                yield _on_host(entry, host, settings.source.shared) if host else entry


def _on_host(entry: Item | BadLine, host: str, shared: Sequence[str]) -> Item | BadLine:
    """Return an entry as this host's, unless all hosts have its file."""
    if isinstance(entry, MissingFile):
        return replace(entry, item=_own(entry.item, host, shared))
    return entry if isinstance(entry, BadLine) else _own(entry, host, shared)


def _own(item: Item, host: str, shared: Sequence[str]) -> Item:
    if item.kind != "file" or is_shared(item.locator, shared):
        return item
    return replace(item, key=host_file_key(host, item.locator), host=host)


def is_shared(path: str, shared: Sequence[str]) -> bool:
    """Tell whether a path is in one of the folders that all hosts have."""
    path = os.path.normpath(path)
    return any(path == each or path.startswith(f"{each.rstrip('/')}/") for each in shared)


@dataclass(slots=True)
class Components:
    """Everything a run needs, put together."""

    plan: RunPlan
    pool: Pool
    spending: SpendingLimits
    looks: LookSchedule
    analysis: AnalysisTaskType
    recalls: Recalls
    entries: Billing  #: of videos put into an index
    publish: PublishTaskType
    sink: Sink
    adapters: Adapters
    playlists: PlaylistTaskType
    steps: Mapping[tuple[str, str], Lane]  #: that this release knows: (task type, stage)


def compose(
    plan: RunPlan,
    database: Database,
    api: ProviderClient,
    clock: Clock,
    rng: Random,
    owner: str,
    adapters: Adapters,
    run_id: str = "",
    family: str = "",
    duty: Duty = RUN,
) -> Components:
    """Put a run together; nothing is opened or started.

    ``family``: see ``PoolOptions``.
    """
    settings, planner = plan.settings, plan.planner
    spending = SpendingLimits(settings.budget, clock, run_id, shared=bool(family))
    index = ConfiguredIndex(api.index_api, index_spec(settings)) if settings.index_name else None
    looks = LookSchedule(api.grace, clock, database, api.identity)
    services = Services(api, database, clock, rng, looks, family.rstrip(":"))
    adoption = Adoption(api.inventory)
    item = _item_type(settings, services, adapters)

    def billing() -> Billing:
        return Billing(spending, database, clock, run_id, patience=settings.store.patience)

    entries = billing()
    video = VideoTaskType(
        services,
        planner,
        _video_options(settings),
        index=index,
        read_captions=adapters.read_captions if plan.platform.local else None,
        release=adapters.release,
        # An upload of v1.2 is an entry in the index; one of v1.3 costs nothing.
        billing=entries if "index_first" in api.features else billing(),
        price=plan.prices.indexing,
        adoption=adoption,
    )
    coordinator = _coordinator(settings, services, api.batches)
    analysis = AnalysisTaskType(
        services,
        planner,
        _analysis_options(settings, api),
        price=plan.prices.analysis,
        billing=billing(),
        adoption=adoption,
        coordinator=coordinator,
    )
    indexing = _indexing_type(plan, services, api, entries)
    publish = PublishTaskType(services, planner, adapters.sink)
    playlists = PlaylistTaskType(adapters.lister, settings.youtube.lists)
    parts = (item, playlists, video, analysis, publish, indexing, TranscriptTaskType(services))
    types = [each.task_type(plan.policy) for each in parts]
    batches = _batches(settings, services, coordinator, analysis, spending)
    kinds = TaskTypes([*types, *(each.task_type(plan.policy) for each in batches)])
    pool = Pool(database, kinds, clock, rng, _options(settings, owner, family, duty), spending.guard)
    recalls = Recalls(api, api.batches, analysis.costs, database, looks, clock, spending.entered)
    sink = adapters.sink
    return Components(
        plan, pool, spending, looks, analysis, recalls, entries, publish, sink, adapters, playlists, kinds.steps
    )


def _indexing_type(plan: RunPlan, services: Services, api: ProviderClient, billing: Billing) -> IndexingTaskType:
    """Return the type of task that puts a video into an index."""
    policy = plan.settings.policy
    return IndexingTaskType(
        services,
        api.index_api,
        price=plan.prices.indexing,
        billing=billing,
        policy=CallPolicy(policy.attempts, policy.on_ambiguous_create),
    )


def _item_type(settings: Settings, services: Services, adapters: Adapters) -> ItemTaskType:
    """Return the type of task that finds, hashes and probes a line."""
    return ItemTaskType(
        services,
        adapters.sources,
        adapters.preflight,
        settings.run.state / "work",
        read_captions=adapters.read_captions,
        read_picture=adapters.read_picture,
        release=adapters.release,
    )


def _coordinator(settings: Settings, services: Services, api: BatchApi | None) -> BatchCoordinator | None:
    """Return the coordinator of batches; None where the API has none."""
    if api is None:
        return None
    limit = settings.limits.analyze.requests_per_minute if settings.provider_kind != "local" else None
    return BatchCoordinator(api, services, batch_rules(settings), limit)


def _video_options(settings: Settings) -> VideoOptions:
    provider, policy = settings.provider, settings.policy
    return VideoOptions(provider.model, provider.temperature, policy.attempts, policy.on_ambiguous_create)


def _batches(
    settings: Settings,
    services: Services,
    coordinator: BatchCoordinator | None,
    analysis: AnalysisTaskType,
    spending: SpendingLimits,
) -> list[BatchTaskType]:
    """Return the type of task of batches, where the API has them."""
    if coordinator is None:
        return []
    patience = settings.store.patience
    billing = Billing(spending, services.records, services.clock, patience=patience)  # books nothing: its analyses have
    attempts = settings.policy.attempts
    return [BatchTaskType(services, coordinator, analysis.costs, billing, attempts, is_wanted=analysis.is_wanted)]


def batch_rules(settings: Settings) -> BatchRules:
    """Return when analyses are asked by the batch."""
    said, limits = settings.batches, settings.limits.analyze
    minutes = (limits.minutes_per_minute, limits.minutes_per_hour, limits.minutes_per_day)
    return BatchRules(
        said.mode,
        said.min_analyses,
        said.hours_each,
        said.deadline_hours,
        settings.prices.batch_factor,
        # The limits let pass what is larger than they are, for a single long film.
        most_seconds=min((60 * each for each in minutes if each is not None), default=inf),
    )


def _analysis_options(settings: Settings, api: ProviderClient) -> AnalysisOptions:
    """Return how analyses are made: kept tasks on v1.3, single questions on v1.2."""
    policy = settings.policy
    return AnalysisOptions(
        policy.attempts, policy.on_ambiguous_create if "fuse" in api.features else policy.on_ambiguous_ask
    )


def index_spec(settings: Settings) -> IndexSpec:
    """Return the index that the settings want."""
    return IndexSpec(settings.index_name, tuple(settings.index.models.items()), settings.index.addons)


@dataclass(frozen=True, slots=True)
class Adapters:
    """What a run touches besides the platform and the database."""

    sources: Mapping[str, Source]
    sink: Sink
    preflight: Preflight
    read_captions: ReadCaptions
    release: Release | None = None  #: removes a fetched file
    lister: PlaylistLister | None = None  #: of playlists and channels
    read_picture: ReadPicture | None = None
    captions: CaptionLook | None = None  #: beside files; None where the platform does not read them


def disk_adapters(
    settings: Settings, database: Database, youtube: YouTubeClient, clock: Clock, ceilings: Ceilings, host: str = ""
) -> Adapters:
    """Return the files of this machine, and YouTube as a source."""
    from pipeline.app.wiring.downloads import file_releaser, youtube_source
    from pipeline.sink.disk import DiskSink
    from pipeline.source.caption_files import CaptionFiles
    from pipeline.source.captions import read_captions
    from pipeline.source.files import FileSource
    from pipeline.source.preflight import check
    from pipeline.source.thumbnails import read_thumbnail
    from pipeline.source.youtube.playlists import YouTubeLister

    heard = settings.provider_kind == "local"  # the vendor hears for itself: nothing of ours depends on captions there
    files = FileSource(clock, JournalHashCache(database, host) if settings.source.hash_cache else None, captions=heard)
    site = youtube_source(settings, youtube, clock, ceilings)
    sources: dict[str, Source] = {files.kind: files, site.kind: site}
    sink = DiskSink(settings.run.output)
    lister = YouTubeLister(youtube)
    beside = CaptionFiles() if heard else None
    release = file_releaser(keep=settings.fetch.keep)
    return Adapters(sources, sink, check, read_captions, release, lister, read_thumbnail, beside)


def _options(settings: Settings, owner: str, family: str, duty: Duty) -> PoolOptions:
    lanes = settings.lanes
    widths = {
        Lane.FETCH: lanes.fetch,
        Lane.DOWNLOAD: lanes.download,
        Lane.UPLOAD: lanes.upload,
        Lane.POLL: lanes.poll,
        Lane.BATCH: lanes.poll,
        Lane.ANALYZE: lanes.analyze,
        Lane.WRITE: lanes.write,
    }
    return PoolOptions(
        owner=owner,
        widths={lane: width if lane in duty.lanes else 0 for lane, width in widths.items()},
        lease=settings.policy.lease,
        in_hand=settings.provider.in_hand,
        patience=settings.limits.patience,
        horizon=settings.longest_wait,
        stop_grace=settings.run.stop_grace,
        store_patience=settings.store.patience,
        family=family,
        gone_after=settings.cluster.gone_after,
        stays=duty.stays,
    )
