"""What the settings decide, decided once: platform, jobs, prices, patience."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from pipeline.budget.prices import PriceList, own_model_rates
from pipeline.config.local_model import ModelSection
from pipeline.config.settings import Settings
from pipeline.core.backoff import Backoff
from pipeline.core.errors import ConfigError
from pipeline.core.lifecycle import Policy
from pipeline.core.net import is_private
from pipeline.ingest.job_requests import JobPlanner
from pipeline.kit.job import Job
from pipeline.ports.video_api import Ceilings

JOB_PACKAGE = "jobs"
_VENDOR = "https://api.twelvelabs.io"


@dataclass(frozen=True, slots=True)
class PlatformChoice:
    """The platform as configured, before anything is opened."""

    identity: str
    local: bool  #: ours: free of charge, no limits, captions may be handed over
    base_url: str  #: empty: start the embedded one


@dataclass(frozen=True)
class RunPlan:
    """The settings with everything they decide. Made by :func:`make_run_plan` only."""

    settings: Settings
    platform: PlatformChoice
    prices: PriceList
    policy: Policy

    @property
    def ceilings(self) -> Ceilings:
        """What the platform takes, as a run will ask its client."""
        from pipeline.provider.ceilings import platform_ceilings

        return platform_ceilings(self.settings.provider_kind, self.settings.provider.api)

    @property
    def vendor_ceilings(self) -> Ceilings:
        """What the vendor takes over its current API."""
        from pipeline.provider.ceilings import platform_ceilings

        return platform_ceilings("twelvelabs", "v1.3")

    @property
    def model(self) -> str:
        """The model that writes: the user's own, where it does."""
        return (self.settings.platform.model.name if self.platform.local else "") or self.settings.provider.model

    @property
    def price_notes(self) -> Sequence[str]:
        """Sentences about models in use that have no price, or are the user's own."""
        if self.platform.local:
            return own_model_notes(self.settings.platform.model)
        if self.settings.provider.api == "v1.2":  # its models are the index's, and are not sold any more
            return ()
        indexing = _index_models(self.settings) if self.settings.index_name else ()
        return self.prices.unknown([self.settings.provider.model, *indexing])

    @cached_property
    def planner(self) -> JobPlanner:
        """The configured jobs, read at first use: a search works where one is wrong.

        Raises:
            ConfigError: a job or its parameters are wrong.
        """
        provider = self.settings.provider
        decides = [self.platform.identity, provider.model, provider.temperature]
        if self.platform.local and (own := self.settings.platform.model).base_url:
            decides += [own.name, own.images]
        # On v1.2 a video is uploaded into its index: another one would need another upload.
        index = self.settings.index_name if provider.api != "v1.2" else ""
        return JobPlanner(
            load_jobs(), self.settings.jobs, decides, index,
            captions=self.platform.local, windows=provider.api != "v1.2",
        )  # fmt: skip


def make_run_plan(settings: Settings) -> RunPlan:
    """Decide everything that the settings decide.

    Raises:
        ConfigError: the vendor's platform is wanted and there is no key.
    """
    platform, rules = choose_platform(settings), settings.policy
    policy = Policy(rules.attempts, rules.stage_hours * 3600, Backoff(rules.retry_first, rules.retry_most))
    searching = next((name for name in _index_models(settings) if name.startswith("marengo")), "")
    own = settings.platform.model
    if platform.local and own.base_url and own.priced:
        prices = PriceList(own_model_rates(own))
    else:
        prices = PriceList(settings.prices, platform.local, searching)
    return RunPlan(settings, platform, prices, policy)


def own_model_notes(own: ModelSection) -> Sequence[str]:
    """Return who else is asked about each video, and what that costs."""
    host = urlsplit(own.base_url).hostname or ""
    if not own.base_url or (is_private(host) and not own.priced):
        return []
    sent = "captions, on-screen text and pictures" if own.images else "captions and on-screen text"
    cost = (
        "its tokens are in this price, those of the evidence by an estimate"
        if own.priced
        else "which may bill them; set [platform.model] input_million_tokens and output_million_tokens to have them counted"
    )
    return [f"the model {own.name} at {host} gets {sent} of each video: {cost}"]


def _index_models(settings: Settings) -> Sequence[str]:
    """Return the models of the configured index, the dialect's own without any."""
    return list(settings.index.models) or ["marengo3.0"]


def choose_platform(settings: Settings) -> PlatformChoice:
    """Return the configured platform.

    Raises:
        ConfigError: the vendor's platform is wanted and there is no key.
    """
    local = settings.provider_kind == "local"
    if not local and settings.api_key is None:
        raise ConfigError(
            'provider.kind = "twelvelabs" needs an API key',
            remedy='export TWELVELABS_API_KEY, or set [provider] kind = "local" to try without an account',
        )
    base = settings.provider.base_url or ("" if local else _VENDOR)
    return PlatformChoice(f"{settings.provider_kind}/{settings.provider.api}", local, base)


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
