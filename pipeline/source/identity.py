"""A source's identity: one key for one video. Pure, no network.

However its address is written.
What is not certain is refused with a reason, never guessed at.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from pipeline.core.model import Trouble
from pipeline.core.net import is_private
from pipeline.core.text import cut, plain
from pipeline.core.youtube_address import YouTubeAddress, is_address, parse_youtube_address


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """A certain identity: ``kind`` says who fetches it; ``key`` is the database's."""

    kind: Literal["file", "url"]
    key: str
    address: str  #: path, or the address in its normal form


#: What a source means, or why it means nothing certain.
Identification: TypeAlias = SourceIdentity | YouTubeAddress | Trouble
#: What signs a link to stored media changes with every signature, so it cannot be part of a video's name.
_SIGNATURES = frozenset({"sig", "signature", "x-amz-signature", "x-goog-signature", "hdnts", "hdnea"})
_SIGNED = _SIGNATURES | {
    "awsaccesskeyid", "googleaccessid", "expires", "policy", "key-pair-id",
    "se", "sp", "sv", "sr", "st", "spr", "skoid", "sktid", "skt", "ske", "sks", "skv",
}  # fmt: skip
_PORTS = {"http": 80, "https": 443}


def identify(text: str, *, private: bool = False) -> Identification:
    """Return what a manifest's source means.

    Anything without a scheme that is not YouTube is a path (make it absolute).
    ``private`` allows addresses of this machine and of private networks.
    """
    text = text.strip()
    found = parse_youtube_address(text)
    if found is not None:
        return found
    if is_address(text):
        return identify_url(text, private=private)
    return SourceIdentity("file", f"file:{posixpath.normpath(text)}", text)


def host_file_key(host: str, path: str) -> str:
    """Return the key of a file on the disk of one host among several."""
    return f"file://{host}{posixpath.normpath(path)}"


def path_of_key(key: str) -> str:
    """Return the path that a file's key names; another key as it is.

    >>> path_of_key("file:/films/a.mp4"), path_of_key("file://mill-1/films/a.mp4")
    ('/films/a.mp4', '/films/a.mp4')
    """
    path = key.removeprefix("file:")
    if not path.startswith("//"):
        return path
    return f"/{path.removeprefix('//').partition('/')[2]}"


def identify_url(text: str, *, private: bool = False) -> Identification:
    """Return a direct media link in its normal form, or why it is refused.

    Host in lower case, no default port, no fragment. The key leaves signatures out; the address keeps them to be fetched.
    """
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return Trouble("bad_url", "The address cannot be read.", "check it in a browser")
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        remedy = "give a direct http(s) link, or download the file first"
        if scheme == "file":
            remedy = f"write the path itself: {unquote(parts.path) or '/path/to/film.mp4'}"
        return Trouble("unsupported_url", f"Addresses of type {scheme}:// are not supported.", remedy)
    if problem := _problem(text, parts, host):
        return problem
    try:
        name = host if ":" in host or host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return Trouble("bad_url", "The host name cannot be read.", "check the address in a browser")
    if not private and (is_private(host) or is_private(name)):  # wide letters and dots become plain ones only there
        remedy = "set [source] allow_private_urls = true if you mean it"
        return Trouble("private_url", f"{host} is an address of this machine or of a private network.", remedy)
    where = f"[{name}]" if ":" in name else name
    netloc = where if port in (None, _PORTS[scheme]) else f"{where}:{port}"
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]")
    address = urlunsplit((scheme, netloc, path, query, ""))
    return SourceIdentity("url", f"url:{urlunsplit((scheme, netloc, path, _unsigned(query), ''))}", address)


def _unsigned(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    if not any(name.lower() in _SIGNATURES for name, _ in pairs):
        return query
    gone = ("x-amz-", "x-goog-")
    return urlencode(
        [pair for pair in pairs if pair[0].lower() not in _SIGNED and not pair[0].lower().startswith(gone)]
    )


def redact_source(source: str) -> str:
    """Sanitize a source for messages: no credentials, no query, 200 characters."""
    if is_address(source):
        source = re.sub(r"//[^/@?#]*@", "//***@", source)
        head, mark, _ = source.partition("?")
        source = f"{head}?***" if mark and parse_youtube_address(source) is None else source
    return cut(plain(source), 200)


def _problem(text: str, parts: SplitResult, host: str) -> Trouble | None:
    if any(ord(char) <= 32 or ord(char) == 127 for char in text) or "\\" in parts.netloc:
        return Trouble("bad_url", "The address holds blanks or control characters.", "write blanks as %20")
    if parts.username is not None or parts.password is not None:
        return Trouble("url_credentials", "The address holds a user name or a password.", "use a link without them")
    if not host or len(host) > 253:
        return Trouble("bad_url", "The address names no host.", "check it in a browser")
    return None
