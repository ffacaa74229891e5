"""The settings in force."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from pipeline.config.settings import Settings
from pipeline.present.formatting import clean, money
from pipeline.present.tables.layout import pair_table


def config_check_table(value: Settings, notes: Sequence[str] = ()) -> RenderableType:
    """Show the main settings. Of the key only whether it is set."""
    run, limit = value.run, value.budget.max_usd_per_run
    rows = [
        ("file", str(value.origin) if value.origin is not None else "none: defaults, environment and flags"),
        ("state", str(run.state)),
        ("output", str(run.output)),
        ("manifests", ", ".join(run.manifests) or "none named"),
        ("platform", f"{value.provider_kind} ({value.provider.api}, {value.provider.model})"),
        ("api key", "set" if value.api_key is not None else "not set"),
        ("jobs", ", ".join(value.jobs.enabled) or "none"),
        ("budget", f"{money(limit)} per run" if limit is not None else "no limit per run"),
        ("prices", f"of {value.prices.as_of.isoformat()}"),
        *(("", note) for note in notes),
        ("", "the configuration is usable"),
    ]
    return pair_table((name, Text(clean(text))) for name, text in rows)
