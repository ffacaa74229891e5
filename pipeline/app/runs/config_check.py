"""``config check``, and the first step of every run: refuse before anything is made."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from pipeline.app.index.questions import check_queries
from pipeline.app.wiring.components import named_sources
from pipeline.app.wiring.database import check_shared
from pipeline.app.wiring.run_plan import RunPlan, make_run_plan
from pipeline.config.settings import Settings
from pipeline.core.errors import ConfigError

#: Models that analyse on v1.3; v1.2 has one per index.
MODELS = ("pegasus1.5", "pegasus1.6")


def check_config(settings: Settings) -> Sequence[str]:
    """Check all that a run without sources checks; return what is worth a word.

    Nothing is made.

    Raises:
        ConfigError: the first thing that is wrong.
    """
    named_sources(settings, ())
    plan = check_settings(settings)
    check_output(settings.run.output.absolute(), make=False)
    return plan.price_notes


def check_output(folder: Path, *, make: bool) -> None:
    """Make sure that results can be written before anything is paid.

    Without ``make`` the nearest folder that is there is tried.

    Raises:
        ConfigError: they cannot.
    """
    try:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        place = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
        with tempfile.TemporaryFile(dir=place):
            pass
    except (FileExistsError, NotADirectoryError):
        taken = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
        raise ConfigError(
            f"{folder}: results cannot be written there: {taken} is a file, not a folder",
            remedy="choose a folder with --output or [run] output",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{folder}: the output folder cannot be written ({error.strerror or error})",
            remedy="mend its rights, or choose another with --output or [run] output",
        ) from None


def check_settings(settings: Settings) -> RunPlan:
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
        if settings.api_key is None:
            raise ConfigError(
                "[provider] base_url needs an API key: the platform there refuses every call without one",
                remedy="export TWELVELABS_API_KEY, or leave base_url away to try without an account",
            )
        check_key(settings.api_key.get_secret_value())
    check_shared(settings)
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
