"""``config check``, and the first step of every run: refuse before anything is made."""

from __future__ import annotations

from difflib import get_close_matches

from pipeline.app.index.questions import check_queries
from pipeline.app.wiring.run_plan import RunPlan, make_run_plan
from pipeline.config.settings import Settings
from pipeline.core.errors import ConfigError

#: Models that analyse on v1.3; v1.2 has one per index.
MODELS = ("pegasus1.5", "pegasus1.6")


def check_config(settings: Settings) -> RunPlan:
    """Check platform, model, jobs, queries and download options; return what they decide.

    Raises:
        ConfigError: the first thing that is wrong.
    """
    from pipeline.source.youtube.options import checked

    check_queries(settings)
    _check_model(settings)
    plan = make_run_plan(settings)
    if plan.platform.base_url:
        from pipeline.provider.http.transport import check_address, check_key

        check_address(plan.platform.base_url)
        check_key(settings.api_key.get_secret_value() if settings.api_key is not None else "")
    plan.planner.names()  # reads the configured jobs
    checked(settings.youtube.options)
    return plan


def _check_model(settings: Settings) -> None:
    model, provider = settings.provider.model, settings.provider
    if provider.api != "v1.3" or model in MODELS or provider.unlisted_model:
        return
    close = get_close_matches(model, MODELS, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ConfigError(
        f"[provider] model: {model!r} is no model that this release knows ({', '.join(MODELS)})",
        remedy=f"{hint}if the platform has a newer one, set [provider] unlisted_model = true",
    )
