"""The local platform's door: this machine only, by its own names only, with the token only, and no way past the routes."""

from __future__ import annotations

import stat
from pathlib import Path

import anyio
import httpx
import pytest

from pipeline.app.operator.platform import platform as serve
from pipeline.app.wiring.state_folder import platform_folder
from pipeline.config.settings import Settings
from pipeline.core.clock import SystemClock
from pipeline.local.platform import LocalPlatform
from tests.contract.platform_double import SMALL, TOKEN, platform
from tests.security.hostile_text import PATHS

ROUTES = (
    ("GET", "/v1.3/assets"),
    ("POST", "/v1.3/assets/multipart-uploads"),
    ("GET", "/v1.3/analyze/tasks"),
    ("GET", "/v1.2/indexes"),
    ("DELETE", "/v1.3/assets/x"),
    ("POST", "/v1.3/search"),
    ("GET", "/p/v1.2/tasks"),
    ("GET", "/_platform/ledger"),
    ("POST", "/_platform/faults"),
    ("GET", "/"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("OPTIONS", "/v1.3/assets"),
    ("TRACE", "/v1.3/assets"),
    ("HEAD", "/v1.3/assets"),
)


@pytest.mark.asyncio
async def test_a_platform_for_all_says_an_address_that_can_be_called(tmp_path: Path) -> None:
    """What it prints is given to a reelmill in another terminal, which sends its key over plain HTTP to this machine only."""
    async with LocalPlatform(tmp_path, token=TOKEN, clock=SystemClock(), host="0.0.0.0") as served:
        assert served.base_url.startswith("http://127.0.0.1:")
        async with httpx.AsyncClient(base_url=served.base_url, headers={"x-api-key": TOKEN}) as client:
            assert (await client.get("/v1.3/assets")).status_code == 200


@pytest.mark.asyncio
async def test_strangers_at_the_door_take_no_memory(tmp_path: Path) -> None:
    """Any number of paths and methods, and long ones, are counted in a bounded number of names."""
    async with platform(tmp_path) as (served, client), httpx.AsyncClient(base_url=served.base_url) as stranger:
        await stranger.get("/" + "/x" * 2000)
        for number in range(600):
            assert (await stranger.request(f"M{number % 7}", f"/{number}")).status_code == 401
        await client.get("/assets")
        names = served.counters.routes
        assert len(names) <= 501
        assert max(map(len, names)) <= 200
        assert names.total() == 602


@pytest.mark.asyncio
async def test_without_the_token_nothing_is_answered(tmp_path: Path) -> None:
    """No key, an empty one, another one, the right one with a letter more, in another header, in the query: 401 everywhere."""
    wrong: tuple[dict[str, str], ...] = (
        {}, {"x-api-key": ""}, {"x-api-key": TOKEN + "x"}, {"x-api-key": TOKEN[:-1]}, {"authorization": f"Bearer {TOKEN}"},
        {"x-api-key": "\xe9"}, {"cookie": f"x-api-key={TOKEN}"},
    )  # fmt: skip
    async with platform(tmp_path) as (served, _), httpx.AsyncClient(base_url=served.base_url) as plain:
        for method, path in ROUTES:
            for headers in wrong:
                sent = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
                answer = await plain.request(method, f"{path}?x-api-key={TOKEN}", headers=sent)
                assert answer.status_code == 401, (method, path, headers)
                assert TOKEN not in answer.text
        assert served.ledger.entries() == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("localhost", 200), ("LOCALHOST:1", 200), ("[::1]:80", 200), ("127.0.0.1:9", 200),
        ("evil.example.com", 421), ("evil.example.com:80", 421), ("localhost.evil.com", 421), ("127.0.0.1.evil.com", 421),
        ("", 421), ("127.0.0.1@evil.com", 421), ("[evil]", 421), ("a b", 421),
    ],
)  # fmt: skip
async def test_a_foreign_name_is_refused_even_with_the_token(tmp_path: Path, host: str, status: int) -> None:
    """DNS rebinding: a page in the browser has its own name lead to loopback. Presigned addresses are guarded as well."""
    async with platform(tmp_path, limits=SMALL) as (_, client):
        answer = await client.get("/assets", headers={"host": host})
        assert answer.status_code == status, answer.text
        opened = {"filename": "film.mp4", "type": "video", "total_size": 900}
        url = (await client.post("/assets/multipart-uploads", json=opened)).json()["upload_urls"][0]["url"]
        async with httpx.AsyncClient() as plain:
            put = await plain.put(url, content=b"x" * 900, headers={"host": host})
        assert put.status_code == status
        assert "access-control-allow-origin" not in {*answer.headers, *put.headers}


@pytest.mark.asyncio
async def test_it_listens_on_loopback_and_keeps_its_token_to_itself(tmp_path: Path) -> None:
    """Without a word about it: 127.0.0.1, a token in a file that only its owner reads, made again if it is empty."""
    settings = Settings.model_validate({"run": {"state": tmp_path / "state"}})
    told: list[tuple[str, str]] = []

    async def once() -> tuple[str, str]:
        async with anyio.create_task_group() as group:

            def ready(base_url: str, token: str) -> None:
                told.append((base_url, token))
                group.cancel_scope.cancel()

            async def run() -> None:
                await serve(settings, host=None, port=0, faults=None, ready=ready)

            group.start_soon(run)
        return told[-1]

    base_url, token = await once()
    path = platform_folder(settings) / "token"
    assert base_url.startswith("http://127.0.0.1:")
    assert len(token) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert (await once())[1] == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("", encoding="utf-8")
    assert len((await once())[1]) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.asyncio
async def test_no_id_in_a_path_leads_out_of_the_folder(tmp_path: Path) -> None:
    """Assets, sessions, chunks, pictures by names that climb: refused, nothing is written beside the platform's own files."""
    there = tmp_path / "a" / "b" / "there"
    (tmp_path / "secret.bin").write_bytes(b"secret")
    async with platform(there, limits=SMALL) as (served, client), httpx.AsyncClient() as plain:
        for name in [*PATHS, "../../../secret", "..%2f..%2f..%2fsecret", "%2e%2e/%2e%2e/%2e%2e/secret"]:
            raw = "".join(f"%{byte:02x}" for byte in name.encode("utf-8", "surrogatepass"))[:6000]
            for path in (
                f"assets/{raw}",
                f"assets/multipart-uploads/{raw}",
                f"analyze/tasks/{raw}",
                f"indexes/{raw}/videos",
            ):
                answer = await client.get(f"{served.base_url}/v1.3/{path}")
                assert answer.status_code in (200, 400, 404, 405, 307), (path, answer.status_code)
                assert answer.content != b"secret"
            for path in (f"_storage/assets/{raw}", f"_storage/uploads/{raw}/1", f"_storage/thumbnails/{raw}/1"):
                for method in ("GET", "PUT"):
                    answer = await plain.request(method, f"{served.base_url}/{path}?expires=9999999999&signature=x")
                    assert answer.status_code in (403, 404, 405), (path, answer.status_code)
        made = await client.post(
            "/assets",
            data={"method": "direct", "filename": "../../../../x.mp4"},
            files={"file": ("../../../y.mp4", b"film")},
        )
        assert made.status_code in (201, 400), made.text
    assert outside(tmp_path, there) == {tmp_path / "secret.bin"}


def outside(folder: Path, there: Path) -> set[Path]:
    """Return the files of a folder that are not in the platform's own."""
    return {path for path in folder.rglob("*") if path.is_file() and there not in path.parents}
