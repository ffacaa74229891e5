"""A crontab line that needs nothing of its surroundings."""

from __future__ import annotations

import shlex

from pipeline.core.errors import ConfigError
from pipeline.service.values import Deployment, ServiceFile

_LONGEST = 990  #: characters of a line that every cron takes


def cron_file(it: Deployment) -> ServiceFile:
    """Return the crontab entry, with what it does as comments.

    Raises:
        ConfigError: the line would be cut off.
    """
    words = [f"PATH={shlex.quote(it.search)}"]
    if it.key_file is not None:
        words.append(f"TWELVELABS_API_KEY_FILE={shlex.quote(str(it.key_file))}")
    run = shlex.join([*it.run, "--quiet"])
    command = f"cd {shlex.quote(str(it.config.parent))} && {' '.join(words)} nice -n 10 {run}"
    line = f"{it.minute} {it.hour} * * * {escaped(command)}"
    if len(line) > _LONGEST:
        raise ConfigError(
            f"service: the line would have {len(line)} characters, and cron takes {_LONGEST}",
            remedy="shorten the paths, or put the command into a script",
        )
    needs_key = it.key_file is not None and not it.key_there
    lines = [
        f"# Reelmill with {it.config}: put this into the crontab of {it.user} (`crontab -e`).",
        *([f"# First write the API key, and nothing else, into {it.key_file}."] if needs_key else []),
        "# No mail after a good night (exit 0). After any other, one with the report: what came of the items, what is to do.",
        "# While an earlier run is still at work, this one ends at once (exit 75) and the mail says who is; nothing is done",
        "# twice. 3: some items failed. 6: a quota, an outage or the time limit; the next night goes on. The rest needs you.",
        line,
    ]
    return ServiceFile(it.name, "crontab -e", "\n".join(lines) + "\n")


def escaped(command: str) -> str:
    """Return a command as a crontab holds it: there, a bare % ends it."""
    return command.replace("%", r"\%")
