"""``config check``: what is in force."""

from __future__ import annotations

from pipeline import app
from pipeline.commands.shared.runner import Invocation, command
from pipeline.core.exit_codes import ExitCode


@command("state", "output", "provider", "jobs")
def config_check(given: Invocation) -> int:
    """Check the configuration and show what is in force.

    With --json, every setting but the key.
    """
    from pipeline.present.tables.config_check import config_check_table

    settings = given.settings()
    notes = app.check_config(settings)
    shown = {
        "file": settings.origin,
        "api_key_set": settings.api_key is not None,
        "platform": settings.provider_kind,
        "price_notes": notes,
        "settings": settings.model_dump(mode="json"),
    }
    given.show(shown, lambda: config_check_table(settings, notes))
    return ExitCode.DONE
