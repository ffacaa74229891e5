"""Identity of addresses and paths: normal forms for media links, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.model import Trouble
from pipeline.core.net import is_private
from pipeline.core.youtube_address import YouTubeAddress
from pipeline.source.identity import SourceIdentity, identify, identify_url, redact_source

V = "dQw4w9WgXcQ"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("HTTP://Example.COM:80/a.mp4#t=3", "url:http://example.com/a.mp4"),
        ("https://example.com:443", "url:https://example.com/"),
        ("https://example.com:8443/a b.mp4".replace(" ", "%20"), "url:https://example.com:8443/a%20b.mp4"),
        ("https://example.com./ä.mp4?x=1", "url:https://example.com/%C3%A4.mp4?x=1"),
        ("https://bücher.example/a.mp4", "url:https://xn--bcher-kva.example/a.mp4"),
        ("https://[2606:4700::1111]/a.mp4", "url:https://[2606:4700::1111]/a.mp4"),
    ],
)
def test_media_links_have_one_normal_form(text: str, key: str) -> None:
    """Host case, default ports, fragments and letters outside ASCII do not make another video."""
    found = identify(text)
    assert isinstance(found, SourceIdentity)
    assert found.key == key
    again = identify(found.address)
    assert isinstance(again, SourceIdentity)
    assert again.key == key


def test_a_new_signature_is_not_a_new_video() -> None:
    """Signing parameters are part of the address that is fetched, never of the key that is stored."""
    one = identify_url("https://b.s3.amazonaws.com/a.mp4?v=2&X-Amz-Date=1&X-Amz-Signature=secret1")
    two = identify_url("https://b.s3.amazonaws.com/a.mp4?v=2&X-Amz-Date=9&X-Amz-Signature=secret2")
    assert isinstance(one, SourceIdentity)
    assert isinstance(two, SourceIdentity)
    assert one.key == two.key == "url:https://b.s3.amazonaws.com/a.mp4?v=2"
    assert "secret1" in one.address
    plain = identify_url("https://example.com/a.mp4?st=10&expires=never")
    assert isinstance(plain, SourceIdentity)
    assert plain.key.endswith("?st=10&expires=never")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ftp://example.com/a.mp4", "unsupported_url"),
        ("file:///a.mp4", "unsupported_url"),
        ("https://user:pw@example.com/a.mp4", "url_credentials"),
        ("https:///a.mp4", "bad_url"),
        ("https://example.com:99999/a.mp4", "bad_url"),
        ("https://[::1/a.mp4", "bad_url"),
        ("https://example.com/a b.mp4", "bad_url"),
        ("http://localhost/a.mp4", "private_url"),
    ],
)
def test_addresses_that_cannot_be_used_say_why(text: str, code: str) -> None:
    """Each kind of bad address has its own code and a remedy, and repeats no password."""
    found = identify(text)
    assert isinstance(found, Trouble)
    assert found.code == code
    assert found.remedy
    assert "pw" not in found.message + redact_source(text)


@pytest.mark.parametrize(
    "host",
    ["localhost", "a.localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "10.1.2.3", "192.168.0.1",
     "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0",
     "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "nas", "nas.local", "db.internal"],
)  # fmt: skip
def test_private_hosts_are_seen_through_every_disguise(host: str) -> None:
    """Loopback, private, link-local and single-label hosts are private, however the number is written."""
    assert is_private(host)


@pytest.mark.parametrize("host", ["example.com", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "3com.example"])
def test_public_hosts_are_public(host: str) -> None:
    """Nothing public is refused by mistake."""
    assert not is_private(host)


def test_private_links_can_be_allowed() -> None:
    """The setting opens exactly this door."""
    assert isinstance(identify_url("http://127.0.0.1:8000/a.mp4", private=True), SourceIdentity)


def test_what_is_shown_of_an_address_holds_no_secret() -> None:
    """Queries and credentials are hidden in messages; a YouTube address stays readable."""
    assert redact_source("https://u:p@example.com/a.mp4?X-Amz-Signature=s3cret") == "https://***@example.com/a.mp4?***"
    assert redact_source(f"https://youtu.be/watch?v={V}") == f"https://youtu.be/watch?v={V}"
    assert len(redact_source("x" * 1000)) == 200
    assert redact_source("a\x1b[31m\nb") == "a b"


@given(st.text(max_size=300))
def test_any_text_means_something_or_is_refused(text: str) -> None:
    """No text makes it raise, and a YouTube key always holds a whole id."""
    found = identify(text)
    assert isinstance(found, SourceIdentity | YouTubeAddress | Trouble)
    if isinstance(found, YouTubeAddress) and found.kind == "youtube":
        assert len(found.key) == len("youtube:video:") + 11


@given(st.text(alphabet="htps:/.[]@?&=#%youtbecmwach-v 1\\\u0661", max_size=80))
def test_text_that_looks_like_an_address_does_not_crash_it(text: str) -> None:
    """The same for texts made of the characters that parsers trip over."""
    for head in ("", "https://", "https://youtube.com/", "https://youtu.be/"):
        assert isinstance(identify(head + text), SourceIdentity | YouTubeAddress | Trouble)
        redact_source(head + text)
