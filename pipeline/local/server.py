"""uvicorn inside a running event loop: no signal handlers, no waiting at the end, connections that can be cut."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskStatus
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.core.errors import ConfigError
from pipeline.local.api.http.gate import Gate
from pipeline.local.api.http.responses import VERSION

#: Longer than clients keep idle connections, so that the server is never the one to close while they send.
_KEEP_ALIVE = 120


class CuttableProtocol(H11Protocol):
    """HTTP/1.1 that gives each request, in ASGI's ``state``, a function to end its connection."""

    def __init__(self, config: Config, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, {**app_state, "drop": self.drop}, _loop)

    def drop(self, *, hard: bool) -> None:
        """Close the connection: hard with a TCP reset, else after what was written has left."""
        if self.transport.is_closing():
            return
        if not hard:
            self.transport.close()
            return
        connection = self.transport.get_extra_info("socket")
        if connection is not None:  # linger 0: the kernel sends RST instead of FIN
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class _QuietServer(Server):
    """The same server without its signal handlers and its tenth-of-a-second waits."""

    def __init__(self, config: Config, gate: Gate) -> None:
        super().__init__(config)
        self.up = anyio.Event()
        self.down = anyio.Event()
        self._gate = gate

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program around us."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        """Keep the Date header fresh until told to stop."""
        while not self.down.is_set():
            await self.on_tick(0)
            with anyio.move_on_after(1):
                await self.down.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, end what is in progress, close every connection; takes milliseconds."""
        for server in self.servers:
            server.close()
        self._gate.close()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=1)
        for connection in list(self.server_state.connections):
            if isinstance(connection, CuttableProtocol):
                connection.drop(hard=False)
        with anyio.move_on_after(0.2):
            while self.server_state.connections:
                await anyio.lowlevel.checkpoint()
        for connection in list(self.server_state.connections):
            if isinstance(connection, CuttableProtocol):
                connection.transport.abort()
        await anyio.lowlevel.checkpoint()


class EmbeddedServer:
    """Listens from :meth:`bind` on (early callers wait in the backlog) and serves while :meth:`run` runs."""

    def __init__(self, gate: Gate, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._socket: socket.socket | None = None
        self._ended = anyio.Event()
        config = Config(
            gate,
            http=CuttableProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            headers=[("X-Api-Version", VERSION)],
        )
        self._server = _QuietServer(config, gate)

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
            listener.listen(1024)
        except OSError as error:
            listener.close()
            raise ConfigError(
                f"{self._host}:{self._port}: cannot listen there ({error.strerror})",
                remedy="choose another [platform] port, or 0 for any free one",
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

        async def tell() -> None:
            await self._server.up.wait()
            task_status.started()

        async with anyio.create_task_group() as group:
            group.start_soon(tell)
            try:
                await self._server.serve([self._socket])
            finally:
                self._ended.set()
                group.cancel_scope.cancel()

    async def stop(self) -> None:
        """End :meth:`run`, dropping what is still in progress, and wait for it."""
        self._server.down.set()
        await self._ended.wait()

    def close(self) -> None:
        """Give the port free. Idempotent."""
        if self._socket is not None:
            self._socket.close()
