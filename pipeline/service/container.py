"""A Containerfile, with the commands that build and run it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from pipeline.core.errors import ConfigError
from pipeline.service.values import PACE, STATE, Deployment, ServiceFile

_SECRET = "/run/secrets/twelvelabs"  # noqa: S105 - a place, not a secret
_PACE = "REELMILL_YOUTUBE__PACE_FOLDER"


def container_file(it: Deployment, *, pace: str, extras: str) -> ServiceFile:
    """Return the Containerfile. ``pace``: YouTube's folder; ``extras``: of the package.

    Raises:
        ConfigError: a folder cannot be mounted.
    """
    lines = [
        f"# Reelmill for {it.config}. Build it in a checkout of Reelmill; folders keep their names inside, so that the",
        "# configuration fits as it is. What lists, [watch] and [youtube] name elsewhere needs a --volume of its own.",
        *(f"#   mkdir -p {shlex.quote(str(folder))}" for folder in it.missing),
        f"#   podman build --tag {it.name} --file Containerfile .",
        *(f"#   {line}" for line in _run(it, pace)),
        "# Docker takes the same, with --user $(id -u):$(id -g) in place of --userns=keep-id.",
        "FROM docker.io/library/python:3.13-slim",
        "",
        "# ffmpeg joins picture and sound, tesseract reads text in pictures.",
        "RUN apt-get update \\",
        " && apt-get install --yes --no-install-recommends ffmpeg tesseract-ocr \\",
        " && rm -rf /var/lib/apt/lists/*",
        "",
        "# The extra `youtube` brings yt-dlp with its challenge solver and Deno, the JavaScript runtime that it asks for.",
        "COPY pyproject.toml README.md LICENSE /usr/src/reelmill/",
        "COPY pipeline /usr/src/reelmill/pipeline",
        "COPY jobs /usr/src/reelmill/jobs",
        f'RUN pip install --no-cache-dir "/usr/src/reelmill[{extras}]" && rm -rf /usr/src/reelmill',
        "",
        "# The folders that a worker on a shared database has for itself.",
        f"RUN install --directory --owner=1000 --group=1000 --mode=0700 {STATE} {PACE}",
        "",
        "# No root inside; whoever runs it names the user whose files these are.",
        "USER 1000:1000",
        "ENV HOME=/tmp PYTHONUNBUFFERED=1",
        "STOPSIGNAL SIGTERM",
        'ENTRYPOINT ["reelmill"]',
        'CMD ["--help"]',
    ]
    return ServiceFile("Containerfile", "a checkout of Reelmill", "\n".join(lines) + "\n")


def _run(it: Deployment, pace: str) -> Iterator[str]:
    """Yield the lines of the command that starts a run."""
    yield "podman run --rm --init --userns=keep-id \\"
    yield f"  --stop-timeout {it.stop_seconds} \\"
    readable = [path for path in (it.config.parent, *it.reads) if not any(path.is_relative_to(up) for up in it.writes)]
    for path in it.writes:
        yield f"  --volume {_mount(str(path), '')} \\"
    for each in dict.fromkeys(map(str, readable)):
        yield f"  --volume {_mount(each, ':ro')} \\"
    if it.key_file is not None:
        yield f"  --volume {_mount(str(it.key_file), ':ro', _SECRET)} \\"
        yield f"  --env TWELVELABS_API_KEY_FILE={_SECRET} \\"
    yield f"  --env {shlex.quote(f'{_PACE}={pace}')} \\"
    yield f"  --workdir {shlex.quote(str(it.config.parent))} \\"
    yield f"  {it.name} run --config {shlex.quote(str(it.config))}"


def _mount(path: str, mode: str, inside: str = "") -> str:
    if ":" in path:
        raise ConfigError(f"{path}: a container cannot mount a folder with a colon", remedy="rename it")
    return shlex.quote(f"{path}:{inside or path}{mode}")
