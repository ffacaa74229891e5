"""Puts a run together: desk, kinds, pool. No adapter knows another; they meet here."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from pipeline.app.memory import HashMemory
from pipeline.app.platforms import Provider, choose, platform_folder
from pipeline.backoff import Backoff
from pipeline.budget.estimate import pricer
from pipeline.budget.purse import Purse
from pipeline.catalog import IndexSpec
from pipeline.config import Settings
from pipeline.engine.pool import Pool, PoolOptions
from pipeline.errors import ConfigError
from pipeline.ingest.analysis import AnalysisKind, AnalysisOptions, Price
from pipeline.ingest.indexing import IndexDoor, IndexingKind
from pipeline.ingest.item import ItemKind, Preflight, ReadCaptions, ReadPicture, Release
from pipeline.ingest.listing import ListingKind
from pipeline.ingest.publish import PublishKind
from pipeline.ingest.video import VideoKind
from pipeline.ingest.wishes import Desk
from pipeline.kit import Job, Kinds, Policy
from pipeline.listings import Lister
from pipeline.model import Lane
from pipeline.ports import Ceilings, Clock, Database, Item, Sink, Source
from pipeline.views import BadLine

if TYPE_CHECKING:
    from pipeline.source.youtube import Asker

JOB_PACKAGE = "jobs"


def load_jobs(package: str = JOB_PACKAGE) -> tuple[Job, ...]:
    """Load the job package by name, so that ``pipeline`` never imports it.

    Raises:
        ConfigError: there is no such package, or it has no tuple ``JOBS``.
    """
    try:
        jobs: tuple[Job, ...] = importlib.import_module(package).JOBS
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"The job package '{package}' cannot be loaded: {error}", remedy="install reelmill again"
        ) from None
    return jobs


def desk_of(settings: Settings) -> Desk:
    """Return the desk for these settings."""
    decides = [choose(settings).identity, settings.provider.model, settings.provider.temperature]
    # On v1.2 a video is uploaded into its index: another one would need another upload.
    index = settings.index_name if settings.provider.api != "v1.2" else ""
    return Desk(load_jobs(), settings.jobs, decides, index)


def entries_of(settings: Settings, sources: Sequence[str], desk: Desk) -> Iterator[Item | BadLine]:
    """Return every item and bad line of the sources, lazily. Reads stdin for ``-``."""
    from pipeline.source.expand import expand
    from pipeline.source.listening import listening
    from pipeline.source.manifest import read_lines

    state = settings.run.state  # with its parts: it may be a folder that is named itself
    ours = [settings.run.output, state, state / "work", platform_folder(settings)]
    lines = read_lines(
        sources,
        stdin=listening(sys.stdin),
        cwd=Path.cwd(),
        known_job=desk.known,
        extensions=settings.source.extensions,
    )
    for line in lines:
        if isinstance(line, BadLine):
            yield line
        else:
            yield from expand(line, settings.source, ours)


def price_of(settings: Settings) -> Price:
    """Return what an analysis costs on the chosen platform."""
    return pricer(settings.prices, free=choose(settings).local)


@dataclass(slots=True)
class House:
    """Everything a run needs, put together."""

    pool: Pool
    desk: Desk
    purse: Purse
    analysis: AnalysisKind
    publish: PublishKind
    sink: Sink
    outside: Outside
    listing: ListingKind


def build(
    settings: Settings,
    database: Database,
    api: Provider,
    clock: Clock,
    rng: Random,
    owner: str,
    outside: Outside,
) -> House:
    """Put a run together; nothing is opened or started."""
    desk = desk_of(settings)
    purse = Purse(settings.budget, clock)
    policy = policy_of(settings)
    index = IndexDoor(api.catalog, index_spec(settings)) if settings.index_name else None
    item = ItemKind(
        outside.sources,
        api.ceilings,
        outside.preflight,
        settings.run.state / "work",
        external="external" in api.features,
        records=database,
        clock=clock,
        read_captions=outside.read_captions,
        read_picture=outside.read_picture,
        release=outside.release,
    )
    video = VideoKind(
        api,
        database,
        desk,
        clock,
        rng,
        model=settings.provider.model,
        temperature=settings.provider.temperature,
        tries=settings.policy.attempts,
        on_ambiguous=settings.policy.on_ambiguous_create,
        index=index,
        read_captions=outside.read_captions if choose(settings).local else None,
        release=outside.release,
    )
    analysis = AnalysisKind(
        api,
        database,
        desk,
        clock,
        rng,
        price=price_of(settings),
        admit=purse.admit,
        options=AnalysisOptions(settings.policy.attempts, settings.policy.on_ambiguous_ask),
    )
    publish = PublishKind(database, desk, outside.sink, api.identity)
    indexing = _indexing(settings, api, clock, rng, purse)
    listing = ListingKind(outside.lister, settings.youtube.lists)
    kinds = Kinds([kind.kind(policy) for kind in (item, listing, video, analysis, publish, indexing)])
    pool = Pool(database, kinds, clock, rng, _options(settings, owner))
    return House(pool, desk, purse, analysis, publish, outside.sink, outside, listing)


def _indexing(settings: Settings, api: Provider, clock: Clock, rng: Random, purse: Purse) -> IndexingKind:
    local = choose(settings).local
    return IndexingKind(
        api.catalog,
        clock,
        rng,
        price=lambda minutes: 0.0 if local else minutes * settings.prices.index_minute,
        admit=lambda usd, minutes: purse.admit(usd, minutes, "indexing"),
        tries=settings.policy.attempts,
        grace=api.grace,
        spacing=1.0 if local else 2 * settings.provider.poll_spacing,
    )


def index_spec(settings: Settings) -> IndexSpec:
    """Return the index that the settings want."""
    return IndexSpec(settings.index_name, tuple(settings.index.models.items()), settings.index.addons)


@dataclass(frozen=True, slots=True)
class Outside:
    """What a run touches besides the platform and the database."""

    sources: Mapping[str, Source]
    sink: Sink
    preflight: Preflight
    read_captions: ReadCaptions
    release: Release | None = None  #: removes a fetched file
    lister: Lister | None = None  #: of playlists and channels
    read_picture: ReadPicture | None = None


def real_outside(settings: Settings, database: Database, asker: Asker, clock: Clock, ceilings: Ceilings) -> Outside:
    """Return the real files of this machine, and what is fetched from sites by the one who asks them."""
    from pipeline.app.downloads import release_of, youtube_of
    from pipeline.sink.disk import DiskSink
    from pipeline.source.files import FileSource
    from pipeline.source.pictures import read_picture
    from pipeline.source.preflight import check
    from pipeline.source.sidecars import read_captions
    from pipeline.source.youtube_list import YouTubeLister

    files = FileSource(clock, HashMemory(database) if settings.source.hash_cache else None)
    site = youtube_of(settings, asker, clock, ceilings)
    sources: dict[str, Source] = {files.kind: files, site.kind: site}
    sink = DiskSink(settings.run.output)
    lister = YouTubeLister(asker)
    return Outside(sources, sink, check, read_captions, release_of(settings), lister, read_picture)


def policy_of(settings: Settings) -> Policy:
    """Return how patient every stage is."""
    rules = settings.policy
    return Policy(rules.attempts, rules.stage_hours * 3600, Backoff(rules.retry_first, rules.retry_most))


def _options(settings: Settings, owner: str) -> PoolOptions:
    lanes = settings.lanes
    widths = {
        Lane.FETCH: lanes.fetch,
        Lane.DOWNLOAD: lanes.download,
        Lane.UPLOAD: lanes.upload,
        Lane.POLL: lanes.poll,
        Lane.ANALYZE: lanes.analyze,
        Lane.WRITE: lanes.write,
    }
    return PoolOptions(
        owner=owner,
        widths=widths,
        lease=settings.policy.lease,
        in_hand=settings.provider.in_hand,
        patience=settings.limits.patience,
        horizon=max(settings.limits.patience, settings.policy.retry_most),
        stop_grace=settings.run.stop_grace,
    )


def output_folder(settings: Settings) -> Path:
    """Return the results folder, absolute."""
    return settings.run.output.absolute()
