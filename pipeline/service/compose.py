"""A Compose file: PostgreSQL, its tables, and as many workers as are wanted."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence

from pipeline.core.errors import ConfigError
from pipeline.service.values import PACE, PASSWORD, SECRETS, SHARED_ONLY, STATE, Deployment, ServiceFile

_FEED = "#   docker compose run --rm submit         # puts what the configuration names into the queue; for cron"
_DATABASE = "postgresql://reelmill@postgres/reelmill?sslmode=disable"


def compose_file(it: Deployment, *, workers: int = 2) -> ServiceFile:
    """Return the Compose file, which builds its image from the Containerfile beside it.

    Raises:
        ConfigError: a folder cannot be mounted.
    """
    config = shlex.quote(str(it.config))
    lines = [
        f"# Reelmill for {it.config}, on a PostgreSQL of its own: [store] url of the configuration does not count here.",
        *(f"#   mkdir -p {shlex.quote(str(folder))}" for folder in it.missing if folder not in it.own),
        f"#   reelmill service container --config {config} > Containerfile     # in a checkout, with this file",
        "#   (umask 077; openssl rand -hex 24 > store-password)     # inside, user 1000 reads it and writes the results",
        *(
            [f"#   (write the API key, and nothing else, into {it.key_file})"]
            if it.key_file and not it.key_there
            else []
        ),
        "#   docker compose up --build --detach     # again after an update: it brings the tables up to date first",
        *([_FEED] if it.feeds else []),
        "#   docker compose run --rm status         # and `up --scale worker=4` for more of them",
        SHARED_ONLY,
        f"name: {_text(it.name)}",
        "",
        "x-reelmill: &reelmill",
        *_indented(_image(it)),
        "",
        "services:",
        *_indented(_postgres()),
        *_indented(_service(it, "migrate", ["migrate"], after="postgres: {condition: service_healthy}")),
        *_indented(_service(it, "worker", ["work"])),
        f"    deploy: {{replicas: {workers}}}",
        "    restart: on-failure",
        "    # Each worker is a host of its own; its folder goes with it, and what it had fetched is fetched again elsewhere.",
        f"    stop_grace_period: {it.stop_seconds}s",
        *(_indented(_service(it, "submit", ["run", "--submit"], wanted=False, state="submit")) if it.feeds else []),
        *_indented(_service(it, "status", ["status"], wanted=False)),
        "",
        "secrets:",
        f"  {PASSWORD}: {{file: ./store-password}}",
        *([f"  twelvelabs: {{file: {_text(str(it.key_file))}}}"] if it.key_file is not None else []),
        "",
        "volumes:",
        "  database:",
        "  pace:",
        *(["  submit:  # the folder of what feeds the queue, so that it is one host each time"] if it.feeds else []),
    ]
    return ServiceFile("compose.yaml", "a checkout of Reelmill", "\n".join(lines) + "\n")


def _image(it: Deployment) -> Iterator[str]:
    """Yield what all of our own services share."""
    yield f"image: {_text(it.name)}"
    yield "build: {context: ., dockerfile: Containerfile}"
    yield "init: true"
    yield f"working_dir: {_text(str(it.config.parent))}"
    yield "environment:"
    for name, value in _environment(it).items():
        yield f"  {name}: {_text(value)}"
    yield f"secrets: [{', '.join([PASSWORD, *(['twelvelabs'] if it.key_file is not None else [])])}]"


def _environment(it: Deployment) -> Mapping[str, str]:
    found = {
        "REELMILL_RUN__STATE": STATE,
        "REELMILL_YOUTUBE__PACE_FOLDER": PACE,  # all have one address
        "REELMILL_STORE__URL": _DATABASE,
        "REELMILL_STORE__INSECURE": "true",  # within a network that nobody else is in
        "REELMILL_STORE_PASSWORD_FILE": f"{SECRETS}/{PASSWORD}",
    }
    if it.key_file is not None:
        found["TWELVELABS_API_KEY_FILE"] = f"{SECRETS}/twelvelabs"
    return found


def _postgres() -> list[str]:
    return [
        "postgres:",
        "  image: docker.io/library/postgres:18",
        "  environment:",
        "    POSTGRES_USER: reelmill",
        "    POSTGRES_DB: reelmill",
        f"    POSTGRES_PASSWORD_FILE: {SECRETS}/{PASSWORD}",
        f"  secrets: [{PASSWORD}]",
        "  volumes:",
        "    - {type: volume, source: database, target: /var/lib/postgresql}",
        "  healthcheck:",
        '    test: ["CMD", "pg_isready", "--username=reelmill"]',
        "    interval: 5s",
        "    retries: 12",
        "  restart: unless-stopped",
    ]


def _service(
    it: Deployment,
    name: str,
    words: Sequence[str],
    *,
    after: str = "migrate: {condition: service_completed_successfully}",
    wanted: bool = True,
    state: str = "",
) -> Iterator[str]:
    """Yield one of our services.

    ``after``: what it waits for; ``state``: the volume of its state folder, else one that goes with each container.
    """
    yield f"{name}:"
    yield "  <<: *reelmill"
    yield f"  command: {json.dumps([*words, '--config', _plain(str(it.config))], ensure_ascii=False)}"
    yield f"  depends_on: {{{after}}}"
    yield "  volumes:"
    yield f"    - {{type: volume, {f'source: {state}, ' if state else ''}target: {STATE}}}"
    yield f"    - {{type: volume, source: pace, target: {PACE}}}"
    for path in it.shared_writes:
        yield f"    - {_bind(str(path))}"
    for path in it.shared_reads:
        yield f"    - {_bind(str(path), read_only=True)}"
    if not wanted:
        yield f"  profiles: [{name}]"


def _bind(path: str, *, read_only: bool = False) -> str:
    ends = ", read_only: true" if read_only else ""
    return f"{{type: bind, source: {_text(path)}, target: {_text(path)}{ends}}}"


def _indented(lines: Iterator[str] | Sequence[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _text(text: str) -> str:
    """Return a text as YAML holds it; what JSON holds, it does."""
    return json.dumps(_plain(text), ensure_ascii=False)


def _plain(text: str) -> str:
    """Return a text of which Compose reads no variable."""
    if "\n" in text:
        raise ConfigError(f"{text!a}: a line end cannot stand here", remedy="rename it")
    return text.replace("$", "$$")
