"""Settings: flags over environment over TOML over defaults, checked once and frozen.

Every key is explained in ``config.example.toml``. Any scalar key can come from the environment as
``REELMILL_<SECTION>__<KEY>``, e.g. ``REELMILL_PROVIDER__KIND=local``. The API key comes only from
``TWELVELABS_API_KEY`` or from the file that ``TWELVELABS_API_KEY_FILE`` or ``[provider] key_file`` names.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from pipeline.config.diagnostics import Layers, explain
from pipeline.config.durations import Seconds
from pipeline.config.local_model import ModelSection, read_model_key
from pipeline.config.queries import StandingQuery
from pipeline.config.secrets import read_key, read_post_header, read_store_password
from pipeline.config.source import SourceSection
from pipeline.config.store import ClusterSection, StoreSection
from pipeline.config.watch import WatchSection
from pipeline.config.youtube import LISTS, FetchSection, Section, YouTubeSection
from pipeline.core.errors import ConfigError
from pipeline.core.youtube_address import is_address, is_video_id


class RunSection(Section):
    """Where things are, and how strict a run is."""

    state: Path = Path(".reelmill")
    output: Path = Path("out")
    manifests: tuple[str, ...] = ()
    strict: bool = False
    stop_grace: Seconds = Field(default=20.0, ge=0, le=3600)
    #: A run takes nothing more on after so long, and ends as after a first signal (exit 6). None = no limit.
    max_time: Seconds | None = Field(default=None, gt=0)


class ProviderSection(Section):
    """Which platform, and how it is spoken to."""

    kind: Literal["auto", "local", "twelvelabs"] = "auto"
    api: Literal["v1.2", "v1.3"] = "v1.3"
    base_url: str = ""
    key_file: Path | None = None
    model: str = "pegasus1.5"
    unlisted_model: bool = False
    temperature: float = Field(default=0.2, ge=0, le=1)
    connections: int = Field(default=20, ge=1, le=200)
    timeout: Seconds = Field(default=60.0, gt=0, le=600)
    in_hand: int = Field(default=200, ge=1, le=100_000)
    poll_spacing: Seconds = Field(default=10.0, gt=0, le=600)
    poll_requests_per_minute: int = Field(default=60, ge=1, le=6000)
    chunk_parallel: int = Field(default=4, ge=1, le=32)

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://")):
            raise ValueError("must start with https:// (or http:// on this machine)")
        return value.rstrip("/")


class IndexSection(Section):
    """The index that videos go into: on v1.3 only if a name is given."""

    name: str = ""
    models: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    addons: tuple[str, ...] = ()


class LanesSection(Section):
    """How many steps of each lane run at once."""

    fetch: int = Field(default=4, ge=1, le=64)
    download: int = Field(default=2, ge=1, le=8)
    upload: int = Field(default=4, ge=1, le=64)
    poll: int = Field(default=16, ge=1, le=256)
    analyze: int = Field(default=8, ge=1, le=256)
    write: int = Field(default=4, ge=1, le=64)


class JobsSection(Section):
    """Which jobs every video gets, and their parameters by instance name."""

    enabled: tuple[str, ...] = ("gist", "summary", "chapters", "highlights")
    fuse: bool = True
    transcripts: bool = False
    settings: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)


class BucketSection(Section):
    """Limits of one endpoint group; None = not limited here."""

    requests_per_minute: float | None = Field(default=None, gt=0)
    requests_per_hour: float | None = Field(default=None, gt=0)
    requests_per_day: float | None = Field(default=None, gt=0)
    minutes_per_minute: float | None = Field(default=None, gt=0)
    minutes_per_hour: float | None = Field(default=None, gt=0)
    minutes_per_day: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_hour: float | None = Field(default=None, gt=0)
    tokens_per_day: float | None = Field(default=None, gt=0)


class LimitsSection(Section):
    """Rate limits per endpoint group. The vendor publishes none, so these start low."""

    assets: BucketSection = BucketSection(requests_per_minute=60)
    analyze: BucketSection = BucketSection(requests_per_minute=10)
    index: BucketSection = BucketSection(requests_per_minute=10)
    search: BucketSection = BucketSection(requests_per_minute=10)
    read: BucketSection = BucketSection(requests_per_minute=120)
    #: A wait up to this many seconds is waited for; a longer one parks the lane and ends the run (exit 6).
    patience: Seconds = Field(default=600.0, ge=1, le=86_400)


class BudgetSection(Section):
    """Spending limits, USD by the configured prices. None = no limit."""

    max_usd_per_run: float | None = Field(default=None, ge=0)
    max_usd_per_day: float | None = Field(default=None, ge=0)
    max_usd_per_month: float | None = Field(default=None, ge=0)


class ModelPrices(Section):
    """What one model costs, USD. None = as in ``[prices]``."""

    as_of: date | None = None
    analyze_minute: float | None = Field(default=None, ge=0)
    output_1000_tokens: float | None = Field(default=None, ge=0)
    index_minute: float | None = Field(default=None, ge=0)
    search_1000_queries: float | None = Field(default=None, ge=0)


class PricesSection(Section):
    """What the platform charges, USD; set your contract's numbers here."""

    as_of: date = date(2026, 6, 20)
    analyze_minute: float = Field(default=0.0292, ge=0)
    output_1000_tokens: float = Field(default=0.0075, ge=0)
    index_minute: float = Field(default=0.042, ge=0)
    search_1000_queries: float = Field(default=4.0, ge=0)
    #: Of ``reelmill ask``; the vendor publishes no price.
    response_input_million_tokens: float | None = Field(default=None, ge=0)
    response_output_million_tokens: float | None = Field(default=None, ge=0)
    #: What an analysis costs in a batch, beside one alone: 0.5 is half.
    batch_factor: float = Field(default=1.0, ge=0, le=1)
    #: By the model's name; in the file each is a table ``[prices."<model>"]``.
    models: Mapping[str, ModelPrices] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole_answers(self) -> PricesSection:
        if (self.response_input_million_tokens is None) != (self.response_output_million_tokens is None):
            raise ValueError("response_input_million_tokens and response_output_million_tokens go together: set both")
        return self


class PolicySection(Section):
    """What to do about lost answers of paid calls, and how long to retry."""

    on_ambiguous_create: Literal["look", "hold", "resubmit"] = "look"
    on_ambiguous_ask: Literal["resubmit", "hold"] = "resubmit"
    attempts: int = Field(default=8, ge=1, le=1000)
    stage_hours: float = Field(default=24.0, gt=0, le=24 * 60)
    retry_first: Seconds = Field(default=5.0, gt=0, le=3600)
    retry_most: Seconds = Field(default=900.0, gt=0, le=86_400)
    lease: Seconds = Field(default=120.0, ge=1, le=3600)


class BatchesSection(Section):
    """When analyses are asked by the batch (API v1.3)."""

    mode: Literal["auto", "off", "always"] = "auto"
    min_analyses: int = Field(default=50, ge=1, le=100_000)
    hours_each: float = Field(default=1.5, gt=0, le=24)
    deadline_hours: float = Field(default=24.0, gt=0, le=24 * 60)


class PlatformSection(Section):
    """The embedded local platform."""

    state: Path | None = None
    media: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65_535)
    workers: int = Field(default=1, ge=1, le=64)
    meaning: str = Field(default="auto", min_length=1)
    model: ModelSection = ModelSection()


class GallerySection(Section):
    """The page over the results."""

    enabled: bool = True
    paths: Literal["relative", "absolute"] = "relative"
    posters: bool = True


class LogSection(Section):
    """The log on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    progress: Literal["auto", "plain", "none"] = "auto"


class Settings(Section):
    """Everything that can be configured."""

    run: RunSection = RunSection()
    provider: ProviderSection = ProviderSection()
    index: IndexSection = IndexSection()
    lanes: LanesSection = LanesSection()
    jobs: JobsSection = JobsSection()
    limits: LimitsSection = LimitsSection()
    budget: BudgetSection = BudgetSection()
    prices: PricesSection = PricesSection()
    policy: PolicySection = PolicySection()
    store: StoreSection = StoreSection()
    cluster: ClusterSection = ClusterSection()
    batches: BatchesSection = BatchesSection()
    source: SourceSection = SourceSection()
    fetch: FetchSection = FetchSection()
    youtube: YouTubeSection = YouTubeSection()
    queries: tuple[StandingQuery, ...] = ()
    watch: WatchSection = WatchSection()
    platform: PlatformSection = PlatformSection()
    gallery: GallerySection = GallerySection()
    log: LogSection = LogSection()

    #: Never in a file, a log, the database or a result.
    api_key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    store_password: SecretStr | None = Field(default=None, exclude=True, repr=False)
    #: The header of the webhook, ``Name: value``; kept like the key.
    post_header: SecretStr | None = Field(default=None, exclude=True, repr=False)
    model_key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    #: The file these came from, for messages; None if there was none.
    origin: Path | None = Field(default=None, exclude=True, repr=False)

    @field_validator("queries")
    @classmethod
    def _told_apart(cls, value: tuple[StandingQuery, ...]) -> tuple[StandingQuery, ...]:
        names = [query.name for query in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two queries are called '{name}': each writes a file of its own")
        return value

    @property
    def index_name(self) -> str:
        """The index to use; v1.2 needs one and defaults to ``reelmill``. Empty: none."""
        return self.index.name or ("reelmill" if self.provider.api == "v1.2" else "")

    @property
    def longest_wait(self) -> float:
        """Seconds that a run waits for a lane or an item at most.

        What takes longer is left to the next run.
        """
        return max(self.limits.patience, self.policy.retry_most)

    @property
    def provider_kind(self) -> Literal["local", "twelvelabs"]:
        """``auto`` decided: the vendor's platform if there is a key, else the local one."""
        if self.provider.kind != "auto":
            return self.provider.kind
        return "twelvelabs" if self.api_key is not None else "local"


def load(
    path: Path | None,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    options: Mapping[str, str] | None = None,
) -> Settings:
    """Read and check the settings. ``flags`` is nested as the file is.

    ``options`` names the options of the command line by their dotted keys, for messages.
    Relative paths in the file count from the file's folder.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or a key or value is wrong; names file, key and remedy.
    """
    env = os.environ if env is None else env
    raw = _read(path) if path is not None else {}
    if path is not None:
        _anchor(raw, path.parent)
    _fold_jobs(raw)
    _fold_prices(raw)
    layers = Layers(path, _from_env(env), flags or {}, raw, options or {})
    merged = _merge(_merge(raw, layers.env), layers.flags)
    for section, table in [("", merged), *merged.items()]:
        if isinstance(table, Mapping) and "api_key" in table:
            place = layers.place([section, "api_key"] if section else ["api_key"])
            raise ConfigError(
                f"{place}: the API key does not belong into the configuration",
                remedy="export TWELVELABS_API_KEY, or name a file in [provider] key_file",
            )
    if any(_asks_for_nothing(layer) for layer in (layers.env, layers.flags)):
        raise ConfigError(
            f"{layers.place(['jobs', 'enabled'])}: [jobs] enabled (--jobs) names no job",
            remedy="name at least one, e.g. --jobs gist,summary, or leave the option away",
        )
    try:
        settings = Settings.model_validate({**merged, "origin": path})
    except ValidationError as error:
        raise explain(error, layers, Settings) from None
    secrets = {
        "api_key": read_key(env, settings.provider.key_file),
        "post_header": read_post_header(env, settings.watch),
        "store_password": read_store_password(env, settings.store.password_file),
        "model_key": read_model_key(env, settings.platform.model),
    }
    return settings.model_copy(update=secrets)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a byte order mark there
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file", remedy="check --config") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}", remedy="check --config") from None
    except tomllib.TOMLDecodeError as error:
        said = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", str(error))
        place, what = (f"{path}, line {said[2]}", said[1]) if said else (str(path), str(error))
        raise ConfigError(
            f"{place}: not valid TOML: {what}", remedy="text needs quotes; see config.example.toml"
        ) from None
    except (RecursionError, ValueError) as error:
        what = "is nested too deeply" if isinstance(error, RecursionError) else "holds a number of too many digits"
        raise ConfigError(f"{path}: {what}", remedy="see config.example.toml") from None


_PATHS = (
    ("run", "state"), ("run", "output"), ("provider", "key_file"), ("platform", "state"), ("platform", "media"),
    ("platform", "meaning"), ("youtube", "python"), ("youtube", "ffmpeg"), ("youtube", "cookies"),
    ("youtube", "pace_folder"), ("watch", "post_header_file"), ("watch", "textfile"),
    ("store", "password_file"),
)  # fmt: skip
_NO_PATHS = {("platform", "meaning"): ("auto", "none", "")}  #: what may stand in place of a path


def _anchor(raw: dict[str, Any], folder: Path) -> None:
    for section, key in _PATHS:
        table = raw.get(section)
        given = table.get(key) if isinstance(table, dict) else None
        if isinstance(given, str) and given not in _NO_PATHS.get((section, key), ()):
            raw[section][key] = str(folder / os.path.expanduser(given))
    run = raw.get("run")
    if isinstance(run, dict) and isinstance(run.get("manifests"), list):
        run["manifests"] = [_anchored(entry, folder) for entry in run["manifests"]]
    queries = raw.get("queries")
    for query in queries if isinstance(queries, list) else ():
        if isinstance(query, dict) and isinstance(query.get("images"), list):
            query["images"] = [_anchored(entry, folder) for entry in query["images"]]


def _anchored(entry: object, folder: Path) -> object:
    if not isinstance(entry, str) or entry == "-" or is_address(entry):
        return entry
    path = folder / os.path.expanduser(entry)
    return entry if is_video_id(entry) and not os.path.lexists(path) else str(path)


def _fold_jobs(raw: dict[str, Any]) -> None:
    """Move ``[jobs.<name>]`` tables under ``jobs.settings``, where any name is allowed."""
    jobs = raw.get("jobs")
    if isinstance(jobs, dict):
        tables = {name: value for name, value in jobs.items() if isinstance(value, dict) and name != "settings"}
        rest = {name: value for name, value in jobs.items() if name not in tables}
        if isinstance(rest.setdefault("settings", {}), dict):
            raw["jobs"] = {**rest, "settings": {**tables, **rest["settings"]}}


def _fold_prices(raw: dict[str, Any]) -> None:
    """Move ``[prices.<model>]`` tables under ``prices.models``; dots need no quotes."""
    prices = raw.get("prices")
    if isinstance(prices, dict):
        tables = {name: value for name, value in prices.items() if isinstance(value, dict) and name != "models"}
        models = dict(pair for name, value in tables.items() for pair in _model_tables(name, value))
        rest = {name: value for name, value in prices.items() if name not in tables}
        if isinstance(rest.setdefault("models", {}), dict):
            raw["prices"] = {**rest, "models": {**models, **rest["models"]}}


def _model_tables(name: str, table: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (model, prices): TOML takes an unquoted ``pegasus1.6`` for a table in a table."""
    own = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if own or not table:
        yield name, own
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _model_tables(f"{name}.{key}", value)


#: Lists, which the environment gives separated by commas.
_MANY = frozenset({
    ("run", "manifests"), ("index", "addons"), ("jobs", "enabled"), ("source", "extensions"), ("source", "shared"), *LISTS,
    ("watch", "ping_ok"), ("watch", "on_end"), ("watch", "notify"),
})  # fmt: skip


def _from_env(env: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in env.items():
        *sections, key = name.removeprefix("REELMILL_").lower().split("__")
        if name.startswith("REELMILL_") and sections:
            table = found
            for section in sections:
                if not isinstance(table.get(section), dict):
                    table[section] = {}
                table = table[section]
            many = (sections[0], key) in _MANY
            table[key] = [v.strip() for v in value.split(",") if v.strip()] if many else value
    return found


def _asks_for_nothing(layer: Mapping[str, Any]) -> bool:
    """Return True for an empty list of jobs: a slip, like an unset variable."""
    jobs = layer.get("jobs")
    return isinstance(jobs, Mapping) and jobs.get("enabled") == []


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged
