"""``service``: from the configuration to what runs it by itself."""

from __future__ import annotations

import math
import os
import pwd
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import platformdirs

from pipeline.app.wiring.components import is_elsewhere, is_shared
from pipeline.app.wiring.database import check_one_platform
from pipeline.app.wiring.state_folder import platform_folder
from pipeline.config.secrets import POST_HEADER
from pipeline.config.settings import Settings
from pipeline.core.errors import ConfigError
from pipeline.service.compose import compose_file
from pipeline.service.container import container_file
from pipeline.service.cron import cron_file
from pipeline.service.kubernetes import kubernetes_file
from pipeline.service.systemd import systemd_files, worker_files
from pipeline.service.values import Deployment, ServiceFile

ServiceKind = Literal["systemd", "cron", "container", "worker", "compose", "kubernetes"]
_SHARED = ("worker", "compose", "kubernetes")  #: what makes sense on a database that hosts share
_TOOLS = ("ffmpeg", "tesseract", "deno", "node")
_ROUNDING_UP = 60  #: seconds for results, page and what else the end of a run takes
#: A setting from the environment, as ``config.example.toml`` has it.
_SETTING = re.compile(r"REELMILL_[A-Z]+__")


def make_service(
    settings: Settings, kind: ServiceKind, at: str, *, user: bool = False, into: Path | None = None
) -> Sequence[ServiceFile]:
    """Return the files; with ``into``, write them there.

    Raises:
        ConfigError: the configuration would not run by itself, or a file cannot be written.
    """
    if user and kind not in ("systemd", "worker"):
        raise ConfigError(
            "service: --user is for systemd", remedy="leave it away: cron and containers are the user's own"
        )
    if kind in _SHARED:
        _check_sharing(settings, kind)
    it = _deployment(settings, at, user=user, feeds=kind not in _SHARED)
    files = _files(settings, it, kind, user=user)
    if into is not None:
        for file in files:
            _write(into.expanduser(), file)
    return files


def _files(settings: Settings, it: Deployment, kind: ServiceKind, *, user: bool) -> Sequence[ServiceFile]:
    match kind:
        case "systemd":
            return systemd_files(it, user=user)
        case "worker":
            return worker_files(it, user=user)
        case "cron":
            return [cron_file(it)]
        case "compose":
            return [compose_file(it)]
        case "kubernetes":
            return [kubernetes_file(it)]
        case "container":
            database = "distributed" if settings.store.engine == "pgqueuer" else "postgres"
            extras = ",".join(["youtube", database, *(["notify"] if settings.watch.notify else [])])
            return [container_file(it, pace=str(_pace_folder(settings, it.home)), extras=extras)]


def _check_sharing(settings: Settings, kind: str) -> None:
    """Refuse workers that could not work together.

    Raises:
        ConfigError: no database is shared, or each would have a platform of its own.
    """
    if kind == "compose":  # which brings the database
        own = settings.store.model_copy(update={"url": "postgresql://reelmill@postgres/reelmill"})
        settings = settings.model_copy(update={"store": own})
    if not settings.store.url:
        raise ConfigError(
            f"service {kind}: workers share a database, and [store] url names none",
            remedy='set [store] url = "postgresql://…", or print what runs one machine: reelmill service systemd',
        )
    check_one_platform(settings)
    if kind != "worker":  # containers come and go
        _check_folders(settings)


def _check_folders(settings: Settings) -> None:
    """Refuse films that would wait for a host of a moment.

    Raises:
        ConfigError: [run] manifests names a folder that is not one of those that all hosts have.
    """
    for source in settings.run.manifests:
        folder = str(_real(Path(source)))
        if not is_elsewhere(source) and os.path.isdir(folder) and not is_shared(folder, settings.source.shared):
            raise ConfigError(
                f"{settings.origin}: [run] manifests names {source}, which is not below [source] shared: its films would wait"
                " for the container that was given them",
                remedy=f'add it: [source] shared = ["{folder}"]',
            )


def _deployment(settings: Settings, at: str, *, user: bool, feeds: bool) -> Deployment:
    config = _config(settings, feeds=feeds)
    hour, minute = _time(at)
    owner = _owner(settings, config)
    writes = list(dict.fromkeys(_writes(settings, Path(owner.pw_dir))))
    key = _key_file(settings, user=user, home=Path(owner.pw_dir))
    program = _program()
    return Deployment(
        name=_name(config),
        program=program,
        config=config,
        writes=writes,
        missing=[folder for folder in writes if not folder.is_dir()],
        reads=list(dict.fromkeys(_reads(settings))),
        search=_search_path(program[0]),
        hour=hour,
        minute=minute,
        stop_seconds=_stop_seconds(settings),
        user=owner.pw_name,
        home=Path(owner.pw_dir),
        key_file=key,
        key_there=key is not None and key.is_file(),
        own=[_real(folder) for folder in (settings.run.state, _pace_folder(settings, Path(owner.pw_dir)))],
        password_file=_password_file(settings),
        feeds=bool(settings.run.manifests),
    )


def _config(settings: Settings, *, feeds: bool) -> Path:
    """Return the configuration file, if a run needs nothing else.

    ``feeds``: the run has its lists from it.

    Raises:
        ConfigError: it does.
    """
    if settings.origin is None:
        raise ConfigError(
            "service: a run that nobody starts needs a configuration file",
            remedy="write reelmill.toml with [run] manifests, or name one with --config",
        )
    if (feeds and not settings.run.manifests) or "-" in settings.run.manifests:
        raise ConfigError(
            f"{settings.origin}: [run] manifests names nothing that a run by itself can read",
            remedy='name what it ingests: manifests = ["nightly.csv", "films/"]',
        )
    lost = sorted(name for name in os.environ if _SETTING.match(name))
    if lost:
        raise ConfigError(
            f"service: {', '.join(lost)} {'is' if len(lost) == 1 else 'are'} set here, and a service would not have it",
            remedy=f"write it into {settings.origin}, and unset it here",
        )
    header = next((name for name in (POST_HEADER, f"{POST_HEADER}_FILE") if os.environ.get(name, "").strip()), None)
    if header is not None and settings.post_header is not None:
        raise ConfigError(
            f"service: {header} is set here, and a service would not have it",
            remedy="name a file that holds the header in [watch] post_header_file, and unset it here",
        )
    return settings.origin.absolute()


def _time(at: str) -> tuple[int, int]:
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", at, re.ASCII)
    if found is None:
        raise ConfigError(f"--at {at!r}: should be a time of the day", remedy="--at 03:15")
    return int(found[1]), int(found[2])


def _name(config: Path) -> str:
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", config.stem).strip("-.")
    return "reelmill" if stem in ("", "reelmill") else f"reelmill-{stem}"


def _program() -> list[str]:
    """Return what starts us, wherever one stands."""
    beside = Path(sys.executable).with_name("reelmill")
    return [str(beside)] if beside.is_file() else [sys.executable, "-m", "pipeline"]


def _search_path(program: str) -> str:
    found = [tool for name in _TOOLS if (tool := shutil.which(name)) is not None]
    folders = [*(str(Path(each).parent) for each in (program, *found)), "/usr/local/bin", "/usr/bin", "/bin"]
    return ":".join(dict.fromkeys(folders))


def _writes(settings: Settings, home: Path) -> Iterator[Path]:
    """Yield the folders that a run writes to, behind all links."""
    yield _real(settings.run.state)
    yield _real(settings.run.output)
    yield _real(_pace_folder(settings, home))
    if settings.provider_kind == "local" and not _real(platform_folder(settings)).is_relative_to(
        _real(settings.run.state)
    ):
        yield _real(platform_folder(settings))
    if settings.watch.textfile is not None:
        yield _real(settings.watch.textfile.parent)


def _password_file(settings: Settings) -> Path | None:
    """Return the file of the database's password, if it needs one; never the password."""
    if settings.store_password is None or not settings.store.url:
        return None
    named = os.environ.get("REELMILL_STORE_PASSWORD_FILE", "").strip()
    if named:
        return Path(named).expanduser().absolute()
    return (settings.store.password_file or Path("/etc/reelmill.store-password")).absolute()


def _reads(settings: Settings) -> Iterator[Path]:
    yield from (_real(Path(folder)) for folder in settings.source.shared)
    for source in settings.run.manifests:
        if not is_elsewhere(source):
            yield _real(Path(source))


def _pace_folder(settings: Settings, home: Path) -> Path:
    """Return YouTube's folder, as the owner's own run would name it."""
    if home == Path.home():
        return settings.youtube.pace_folder or platformdirs.user_state_path("reelmill", appauthor=False)
    return settings.youtube.pace_folder or home / ".local/state/reelmill"


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path.expanduser()))


def _owner(settings: Settings, config: Path) -> pwd.struct_passwd:
    """Return whose state folder it is, else whose configuration."""
    for place in (settings.run.state, config):
        try:
            return pwd.getpwuid(place.stat().st_uid)
        except (OSError, KeyError):
            continue
    return pwd.getpwuid(os.getuid())


def _key_file(settings: Settings, *, user: bool, home: Path) -> Path | None:
    """Return the key's file, if runs need one; never the key."""
    if settings.api_key is None or settings.provider_kind == "local":
        return None
    named = os.environ.get("TWELVELABS_API_KEY_FILE", "").strip()
    if named:
        return Path(named).expanduser().absolute()
    if settings.provider.key_file is not None:
        return settings.provider.key_file.absolute()
    return home / ".config/reelmill.key" if user else Path("/etc/reelmill.key")


def _stop_seconds(settings: Settings) -> int:
    """Return how long a run may take to end after one signal."""
    watch = settings.watch
    told = (
        2 * watch.timeout
        + (watch.on_end_timeout if watch.on_end else 0)
        + (watch.notify_timeout if watch.notify else 0)
    )
    return math.ceil(settings.run.stop_grace + told + _ROUNDING_UP)


def _write(folder: Path, file: ServiceFile) -> None:
    """Write a file whole; what somebody changed there is not replaced.

    Raises:
        ConfigError: it cannot be written, or another is there.
    """
    path = folder / file.name
    try:
        if path.exists() and path.read_text(encoding="utf-8") != file.content:
            raise ConfigError(
                f"{path} is there and says something else", remedy="compare and remove it, then do this again"
            )
        folder.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(file.content, encoding="utf-8")
        beside.replace(path)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(f"{path}: cannot be written: {reason}", remedy="name another folder with --into") from None
