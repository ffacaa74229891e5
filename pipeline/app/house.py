"""Puts a run together: desk, kinds, pool. No adapter knows another; they meet here."""

from __future__ import annotations

import importlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from pipeline.app.platforms import choose
from pipeline.backoff import Backoff
from pipeline.budget.estimate import pricer
from pipeline.budget.purse import Purse
from pipeline.config import Settings
from pipeline.engine.pool import Pool, PoolOptions
from pipeline.errors import ConfigError
from pipeline.ingest.analysis import AnalysisKind, AnalysisOptions, Price
from pipeline.ingest.item import ItemKind
from pipeline.ingest.publish import PublishKind
from pipeline.ingest.video import VideoKind
from pipeline.ingest.wishes import Desk
from pipeline.kit import Job, Kinds, Policy
from pipeline.model import Lane
from pipeline.ports import Clock, Database, Item, Sink, VideoApi
from pipeline.views import BadLine

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
    return Desk(load_jobs(), settings.jobs, decides)


def entries_of(settings: Settings, sources: Sequence[str], desk: Desk) -> Generator[Item | BadLine, None, None]:
    """Return every item and bad line of the sources, lazily. Reads stdin for ``-``."""
    from pipeline.source.entries import read_entries

    return read_entries(sources, settings, known_job=desk.known)


def price_of(settings: Settings) -> Price:
    """Return what an analysis costs on the chosen platform."""
    return pricer(settings.prices, free=choose(settings).local)


@dataclass(slots=True)
class House:
    """Everything a run needs, put together."""

    pool: Pool
    desk: Desk
    purse: Purse
    publish: PublishKind
    sink: Sink


def build(settings: Settings, database: Database, api: VideoApi, clock: Clock, rng: Random, owner: str) -> House:
    """Put a run together; nothing is opened or started."""
    from pipeline.sink.disk import DiskSink

    desk = desk_of(settings)
    purse = Purse(settings.budget, clock)
    sink = DiskSink(settings.run.output)
    publish = PublishKind(database, desk, sink, api.identity)
    kinds = _kinds(settings, database, api, clock, rng, desk, purse, publish)
    pool = Pool(database, kinds, clock, rng, _options(settings, owner))
    return House(pool, desk, purse, publish, sink)


def policy_of(settings: Settings) -> Policy:
    """Return how patient every stage is."""
    rules = settings.policy
    return Policy(rules.attempts, rules.stage_hours * 3600, Backoff(rules.retry_first, rules.retry_most))


def _kinds(
    settings: Settings,
    database: Database,
    api: VideoApi,
    clock: Clock,
    rng: Random,
    desk: Desk,
    purse: Purse,
    publish: PublishKind,
) -> Kinds:
    from pipeline.source.files import FileSource
    from pipeline.source.preflight import check
    from pipeline.source.sidecars import read_captions

    policy = policy_of(settings)
    local = choose(settings).local
    files = FileSource(database if settings.source.hash_cache else None)
    item = ItemKind({files.kind: files}, api.ceilings, check, settings.run.state / "work")
    video = VideoKind(
        api,
        database,
        desk,
        clock,
        rng,
        model=settings.provider.model,
        temperature=settings.provider.temperature,
        tries=settings.policy.attempts,
        read_captions=read_captions if local else None,
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
    return Kinds([item.kind(policy), video.kind(policy), analysis.kind(policy), publish.kind(policy)])


def _options(settings: Settings, owner: str) -> PoolOptions:
    lanes = settings.lanes
    widths = {
        Lane.FETCH: lanes.fetch,
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
        stop_grace=settings.run.stop_grace,
    )


def output_folder(settings: Settings) -> Path:
    """Return the results folder, absolute."""
    return settings.run.output.absolute()
