"""Addresses that lead inside: refused when they are read, refused when they are fetched, whatever they are written like."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.config.settings import SourceSection
from pipeline.core.net import is_private, is_public
from pipeline.local.analysis.protocol import AnalysisRefused
from pipeline.local.errors import ApiError
from pipeline.local.jobs.url_fetch import UrlPolicy, download
from pipeline.ports.source import Item, ManifestLine
from pipeline.source.manifest.expand import expand
from pipeline.views import BadLine
from tests.unit.test_provider_http import reply, scripted

#: One machine by many names, and other places where no public video is.
INSIDE = (
    "127.0.0.1",
    "127.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "0",
    "0.0.0.0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fc00::1]",
    "[fd12::1]",
    "[ff02::1]",
    "[::ffff:10.0.0.1]",
    "[2002:a00:1::]",
    "[64:ff9b::a9fe:a9fe]",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "100.64.0.1",
    "192.0.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "metadata.google.internal",
    "printer.local",
    "intranet",
    "nas.lan",
    "router.home.arpa",
    "127.0.0.1.",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "10.0.0.0x１",
    "a.b。localhost",
    "metadata.google。internal",
    "printer.ｌocal",
)
OUTSIDE = ("93.184.216.34", "example.com", "[2606:2800:220:1::1]", "cdn.example.co.uk", "172.32.0.1", "11.0.0.1")
TRICKS = (
    "http://example.com@127.0.0.1/x.mp4",
    "http://example.com:80@127.0.0.1/x.mp4",
    "http://127.0.0.1\\@example.com/x.mp4",
    "http://example.com\\@127.0.0.1/x.mp4",
    "http://user:pass@example.com/x.mp4",
    "http://127.0.0.1#@example.com/x.mp4",
    "http://127.0.0.1?@example.com/x.mp4",
    "http://\t127.0.0.1/x.mp4",
    "http://127.0.0.1 /x.mp4",
    "http:///x.mp4",
    "http://[::1/x.mp4",
    "http://127.0.0.1:99999/x.mp4",
    "file:///etc/passwd",
    "gopher://127.0.0.1/x",
    "ftp://127.0.0.1/x",
    "dict://127.0.0.1:11211/",
    "http://127.0.0.1%2f@example.com/",
    "//127.0.0.1/x.mp4",
    "jar:http://127.0.0.1!/x",
    "http://example.com:80:80/",
    "http://%31%32%37.0.0.1/x.mp4",
    "data:video/mp4;base64,AAAA",
    "http://127.0.0.1%00.example.com/x",
)


#: How an IPv6 address carries an IPv4 one: mapped, compatible, 6to4, NAT64, Teredo.
EMBEDDINGS = ("::ffff:0:0", "::", "2002::", "64:ff9b::", "64:ff9b:1::", "2001:0:4136:e378:8000::")


def embedded(inner: ipaddress.IPv4Address, prefix: str) -> ipaddress.IPv6Address:
    """Return the IPv6 address that stands for an IPv4 one behind a prefix."""
    shift = 80 if prefix == "2002::" else 0
    return ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(inner) << shift)


def named(source: str, *, private: bool = False) -> list[Item | BadLine]:
    """Return what a manifest's line with this source names."""
    return list(expand(ManifestLine(source, "list.txt:1"), SourceSection(allow_private_urls=private)))


@pytest.mark.parametrize("host", INSIDE)
def test_an_address_inside_is_a_bad_line(host: str) -> None:
    """Private, loopback, link-local, mapped, decimal, octal, hexadecimal: with its place and a remedy; never an item."""
    for address in (f"http://{host}/film.mp4", f"https://{host}:8443/film.mp4", f"HTTP://{host}"):
        (found,) = named(address)
        assert isinstance(found, BadLine), address
        assert found.trouble.code in ("private_url", "bad_url"), found
        assert found.trouble.remedy


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_names_no_item(trick: str) -> None:
    """User names, backslashes, other schemes, broken ports: none of it is guessed at."""
    for found in named(trick):
        assert isinstance(found, BadLine), found


@pytest.mark.parametrize("host", OUTSIDE)
def test_the_internet_is_not_refused(host: str) -> None:
    """What is public stays usable; what is private is, once it is allowed."""
    (found,) = named(f"https://{host}/film.mp4")
    assert isinstance(found, Item)
    (allowed,) = named("http://127.0.0.1/film.mp4", private=True)
    assert isinstance(allowed, Item)


@given(st.ip_addresses() | st.builds(embedded, st.ip_addresses(v=4), st.sampled_from(EMBEDDINGS)))
@example(ipaddress.IPv6Address("::ffff:169.254.169.254"))
@example(ipaddress.IPv6Address("2001:0:4136:e378:8000:63bf:3fff:fdd2"))  # Teredo
@example(ipaddress.IPv6Address("fec0::1"))
@example(ipaddress.IPv6Address("64:ff9b:1::7f00:1"))
@example(ipaddress.IPv6Address("::8.8.8.8"))
def test_both_readers_agree_on_every_number(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """One rule: what the manifest refuses, the platform does not fetch; nothing that is not global passes anywhere."""
    text = str(address)
    assert is_public(text) is not is_private(text), text
    if not address.is_global and not getattr(address, "ipv4_mapped", None):
        assert not is_public(text)
    if isinstance(address, ipaddress.IPv6Address):
        assert not (is_public(text) and (address.teredo or address.is_site_local or address.is_multicast)), text
        for inner in (address.ipv4_mapped, address.sixtofour):
            assert inner is None or is_public(text) is is_public(str(inner)), text


@given(st.ip_addresses(v=4))
def test_no_spelling_of_an_inner_number_passes(address: ipaddress.IPv4Address) -> None:
    """Decimal, hexadecimal, octal, shortened, mapped, 6to4, NAT64: refused where the plain spelling is."""
    number, parts = int(address), str(address).split(".")
    for spelling in (
        str(number), hex(number), ".".join(hex(int(part)) for part in parts), f"{parts[0]}.{number & 0xFFFFFF}",
        ".".join(f"0{int(part):o}" for part in parts),
    ):  # fmt: skip
        assert is_private(spelling), spelling  # no public site is named by such a number
    high, low = number >> 16, number & 0xFFFF
    hidden = address.packed.translate(bytes(255 - byte for byte in range(256))).hex(":", 2)  # as Teredo writes it
    assert not is_public(f"2001:0:4136:e378:8000:63bf:{hidden}")
    for six in (f"::ffff:{high:x}:{low:x}", f"2002:{high:x}:{low:x}::", f"64:ff9b::{high:x}:{low:x}"):
        if not address.is_global or address.is_multicast:
            assert is_private(six), six
            assert not is_public(six), six


# ------------------------------------------------------------------------------------------------------- while fetching


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Let every name mean these addresses, as a name server of the enemy's would say."""

    def lookup(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in answers
        ]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


async def fetched(url: str, folder: Path, allow: Any = "public") -> bytes:
    """Let the local platform fetch an address."""
    target = folder / "film"
    await download(url, target, UrlPolicy(allow, timeout=5), 1_000_000)
    return target.read_bytes()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "inner", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1"]
)
async def test_a_public_name_of_a_private_place_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    """The name passes every reader; the number behind it does not, even beside a public one."""
    resolving(monkeypatch, "93.184.216.34", inner)
    with pytest.raises(AnalysisRefused) as caught:
        await fetched("https://innocent.example.com/film.mp4", tmp_path)
    assert "private network" in caught.value.message


@pytest.mark.asyncio
async def test_a_redirect_inside_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a public place to a private one: each hop is judged anew, also by scheme; the inner server hears nothing."""
    async with scripted(reply(200, b"secret")) as inner:
        for target in (
            f"http://127.0.0.1:{inner.port}/x", f"http://2130706433:{inner.port}/x", f"//127.0.0.1:{inner.port}/x",
            f"http://[::ffff:127.0.0.1]:{inner.port}/x", "file:///etc/passwd", "ftp://127.0.0.1/x", "http:///x", "",
        ):  # fmt: skip
            async with scripted(reply(302, b"", f"Location: {target}")) as outer:
                monkeypatch.setattr("pipeline.local.jobs.url_fetch.is_public", first_only())
                with pytest.raises((AnalysisRefused, ApiError)):
                    await fetched(f"http://127.0.0.1:{outer.port}/film", tmp_path)
                assert len(outer.heard) == 1
        assert inner.heard == []


def first_only() -> Any:
    """Take the first place that is connected to for public, and judge all others as ever."""
    first = iter([True])
    return lambda address: next(first, None) or is_public(address)


@pytest.mark.asyncio
async def test_the_name_is_not_looked_up_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that means something public when it is checked and something private when it is used: used is what was checked."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def changing(host: str, port: int, *rest: Any, **more: Any) -> Any:
        if host == "rebound.example.com":
            asked.append(host)
            return real("93.184.216.34" if len(asked) == 1 else "127.0.0.1", port, *rest, **more)
        return real(host, port, *rest, **more)

    connected: list[str] = []

    def connect(place: tuple[str, int], *_: Any, **__: Any) -> Any:
        connected.append(place[0])
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(AnalysisRefused):
        await fetched("http://rebound.example.com/film.mp4", tmp_path)
    assert (asked, connected) == (["rebound.example.com"], ["93.184.216.34"])


@pytest.mark.asyncio
async def test_allowed_places_are_fetched(tmp_path: Path) -> None:
    """With ``any`` the loopback works: the tests above refuse for their reason, not because nothing ever works."""
    async with scripted(reply(200, b"film", "Content-Type: video/mp4")) as script:
        assert await asyncio.wait_for(fetched(f"http://127.0.0.1:{script.port}/film", tmp_path, "any"), 20) == b"film"
