"""HTTP/1.1 connections by uvicorn, which a fault script can cut. Nothing else knows uvicorn.

uvicorn's ``Server`` handles signals, waits in tenths of a second and cannot cut a connection, so only its protocol is used:
the class, its ``transport``, and the state that its connections share. None of that is documented, hence the narrow range
of versions in ``pyproject.toml``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from email.utils import formatdate
from typing import Any

import anyio
import anyio.lowlevel
from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

#: Longer than clients keep idle connections, so that the server is never the one to close while they send.
_KEEP_ALIVE = 120


class CuttableProtocol(H11Protocol):
    """One connection; each request gets a function to end it."""

    def __init__(self, config: Config, shared: ServerState) -> None:
        app_state: dict[str, Any] = {"drop": self.drop}
        super().__init__(config, shared, app_state)

    def drop(self, *, hard: bool) -> None:
        """Close the connection: hard with a TCP reset, else after the last write."""
        if self.transport.is_closing():
            return
        if not hard:
            self.transport.close()
            return
        connection = self.transport.get_extra_info("socket")
        if connection is not None:  # linger 0: the kernel sends RST instead of FIN
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class Connections:
    """All connections to an application; each answer gets the headers and the date."""

    def __init__(self, app: ASGIApp, headers: list[tuple[str, str]]) -> None:
        self._config = Config(
            app,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            headers=headers,
        )
        self._config.load()
        self._shared = ServerState()
        self.refresh_date()

    def make(self) -> CuttableProtocol:
        """Return the protocol of a new connection."""
        return CuttableProtocol(self._config, self._shared)

    def refresh_date(self) -> None:
        """Set the ``Date`` header of coming answers; called once a second."""
        date = (b"date", formatdate(usegmt=True).encode())
        self._shared.default_headers = [date, *self._config.encoded_headers]

    async def aclose(self) -> None:
        """Let requests in progress end, then close every connection; takes milliseconds."""
        if self._shared.tasks:
            await asyncio.wait(self._shared.tasks, timeout=1)
        for connection in list(self._shared.connections):
            connection.transport.close()
        with anyio.move_on_after(0.2):
            while self._shared.connections:
                await anyio.lowlevel.checkpoint()
        self.abort()
        await anyio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Close every connection at once."""
        for connection in list(self._shared.connections):
            connection.transport.abort()
