"""A real PostgreSQL for tests: one server for all workers of a session, ended when the last of them is gone.

The server's programs come with the test extra; ``REELMILL_TEST_POSTGRES`` names the folder of other ones, with an
``initdb`` in it. Whoever uses the server holds a lock on a file, shared. A keeper process waits to hold it alone, which
the system gives it however the users end; then it stops the server and removes its files.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.app.cluster.private_postgres import ROLE, PrivatePostgres

#: Tests die of assertions, not of power cuts: whatever is written may be lost with the machine.
RECKLESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
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


class PostgresProcess(PrivatePostgres):
    """A server in a folder of its own; can be stopped hard and started again.

    ``primary``: one at work, of which this becomes a standby that lags: it stays as it was when it was made.
    """

    def __init__(
        self, folder: Path, settings: dict[str, str] | None = None, primary: PostgresProcess | None = None
    ) -> None:
        named = os.environ.get("REELMILL_TEST_POSTGRES")
        super().__init__(folder, settings, programs=Path(named) if named else None)
        self.server = Server(folder, self.port)
        if primary is None:
            self.make()
        else:
            self._copy(primary.server)

    def _copy(self, there: Server) -> None:
        where = ("-h", str(there.folder), "-p", str(there.port), "-U", ROLE)
        self.call("pg_basebackup", "-D", self.data, *where, "-c", "fast", "--no-sync")
        (Path(self.data) / "standby.signal").touch()


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
        process.start()
        server = process.server
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
