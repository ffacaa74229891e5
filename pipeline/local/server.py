"""Listening and serving inside a running event loop, without signal handlers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

import anyio
from anyio.abc import TaskStatus
from starlette.types import ASGIApp

from pipeline.core.errors import ConfigError
from pipeline.local.connections import Connections

_BACKLOG = 1024


class EmbeddedServer:
    """Listens from :meth:`bind` on, and serves while :meth:`run` runs.

    ``headers`` go with every answer, ``setting`` names what chooses the port, ``close`` ends the requests in progress.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        headers: Sequence[tuple[str, str]] = (),
        setting: str = "[platform] port",
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._host = host
        self._port = port
        self._setting = setting
        self._close = close
        self._socket: socket.socket | None = None
        self._connections = Connections(app, list(headers))
        self._stop = anyio.Event()
        self._ended = anyio.Event()

    def bind(self) -> str:
        """Take the port and return the base URL.

        Raises:
            ConfigError: the address cannot be bound.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # The protocol is named because asyncio turns off Nagle's delay (40 ms an answer) only where it is.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._port))
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise ConfigError(
                f"{self._host}:{self._port}: cannot listen there ({error.strerror})",
                remedy=f"choose another {self._setting}, or 0 for any free one",
            ) from None
        listener.setblocking(False)
        self._socket = listener
        wild = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - all addresses, and one that can be called
        host = wild.get(self._host, self._host)
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{listener.getsockname()[1]}"

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until :meth:`stop`; started once requests are answered."""
        assert self._socket is not None, "bind first"
        make = self._connections.make
        server = await asyncio.get_running_loop().create_server(make, sock=self._socket, backlog=_BACKLOG)
        try:
            task_status.started()
            while not self._stop.is_set():
                self._connections.refresh_date()
                with anyio.move_on_after(1):
                    await self._stop.wait()
            server.close()
            self._close()
            await self._connections.aclose()
        finally:
            server.close()
            self._connections.abort()
            self._ended.set()

    async def stop(self) -> None:
        """End :meth:`run`, dropping what is still in progress, and wait for it."""
        self._stop.set()
        await self._ended.wait()

    def close(self) -> None:
        """Release the port. Idempotent."""
        if self._socket is not None:
            self._socket.close()
