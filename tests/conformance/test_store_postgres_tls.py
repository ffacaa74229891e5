"""PostgreSQL over TLS: what a connection demands of who answers. The server of the tests speaks none: a front does.

``tests/fixtures/tls`` holds an authority and a certificate of it for ``localhost``, both for a hundred years.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.config.database_address import DatabaseAddress, TlsMode
from pipeline.core.errors import StoreError
from tests.conformance.postgres_kit import opened
from tests.conformance.store_kit import placed
from tests.support.postgres import PASSWORD, Databases

FILES = Path(__file__).parents[1] / "fixtures" / "tls"
ROOT = FILES / "root.pem"


class TlsFront:
    """Ends TLS before a server, in the words of PostgreSQL's protocol."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(FILES / "server.pem")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve on a free port; give it."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(8)  # SSLRequest
            writer.write(b"S")
            await writer.start_tls(self._context)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65_536):
                target.write(data)

        both = [asyncio.ensure_future(pass_on(*each)) for each in ((reader, back), (there, writer))]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for each in both:
            each.cancel()
        writer.close()
        back.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("host", "tls", "root", "let_in"),
    [
        ("localhost", "verify-full", ROOT, True),
        ("localhost", "verify-full", None, False),
        ("127.0.0.1", "verify-full", ROOT, False),
        ("127.0.0.1", "verify-ca", ROOT, True),
        ("127.0.0.1", "verify-ca", None, False),
        ("127.0.0.1", "require", None, True),
    ],
)
async def test_who_cannot_prove_its_name_is_refused(
    address: DatabaseAddress, databases: Databases, host: str, tls: TlsMode, root: Path | None, let_in: bool
) -> None:
    """By default with an authority that is known and the right name; less only where the address says so."""
    async with TlsFront(databases.server.port).serving() as port:
        asked = replace(address, hosts=((host, port),), tls=tls, root_certificate=root, password=SecretStr(PASSWORD))
        if let_in:
            async with opened(asked) as database:
                assert await database.submit([placed()], 0.0) == 1
        else:
            with pytest.raises(StoreError) as caught:
                async with opened(asked):
                    pass
            assert caught.value.trouble.code == "database_tls"
