"""One name for one thing: which video an address or a path means. Pure, no network.

The same video by two addresses has one key; what is not certain is refused with a reason, never guessed at.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import SplitResult, parse_qs, parse_qsl, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

from pipeline.core.model import Trouble
from pipeline.core.net import is_private
from pipeline.core.text import cut, plain


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """A certain identity. ``kind`` says who can fetch it; ``key`` is what the database knows it by."""

    kind: Literal["file", "url", "youtube", "youtube_list"]
    key: str
    address: str  #: path, or the address in its normal form
    within: str = ""  #: id of the playlist in which a video was named; not part of its identity


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a text names nothing that we can be sure of."""

    trouble: Trouble


Identification: TypeAlias = SourceIdentity | Refusal

_ID = re.compile(r"[0-9A-Za-z_-]{11}")

_LIST = re.compile(r"[0-9A-Za-z_-]{12,64}")

_CHANNEL = re.compile(r"UC[0-9A-Za-z_-]{22}")

_NAME = re.compile(r"[^\s/?#&\x00-\x1f\x7f-\x9f]{1,100}")

_LONGEST = 4000  #: characters of an address; Python refuses to read character numbers of more digits

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

_BARE_HOST = re.compile(r"(?i)(?://)?(?:(?:www|m|music)\.)?(?:youtube\.com|youtu\.be)(?:/|$)")

_YOUTUBE = frozenset({
    "youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "gaming.youtube.com", "studio.youtube.com",
    "consent.youtube.com", "www.youtube-nocookie.com", "youtube-nocookie.com", "youtu.be", "www.youtu.be",
    "youtubekids.com", "www.youtubekids.com",
})  # fmt: skip

_VIDEO_PATHS = frozenset({"watch", "shorts", "live", "embed", "v", "e", "video"})

_PERSONAL = frozenset({"WL", "LL", "LM", "HL"})
#: What signs a link to stored media changes with every signature, so it cannot be part of a video's name.
_SIGNATURES = frozenset({"sig", "signature", "x-amz-signature", "x-goog-signature", "hdnts", "hdnea"})

_SIGNED = _SIGNATURES | {
    "awsaccesskeyid", "googleaccessid", "expires", "policy", "key-pair-id",
    "se", "sp", "sv", "sr", "st", "spr", "skoid", "sktid", "skt", "ske", "sks", "skv",
}  # fmt: skip

_PORTS = {"http": 80, "https": 443}


def identify(text: str, *, private: bool = False) -> Identification:
    """Return what a manifest's source means. Anything without a scheme that is not YouTube is a path (make it absolute).

    ``private`` allows addresses of this machine and of private networks.
    """
    text = text.strip()
    found = youtube(text)
    if found is not None:
        return found
    if is_address(text):
        return identify_url(text, private=private)
    return SourceIdentity("file", f"file:{posixpath.normpath(text)}", text)


def is_address(text: str) -> bool:
    """True if this is written as an address: with a scheme, or as YouTube without one. A bare video id is not."""
    return bool(_SCHEME.match(text) or _BARE_HOST.match(text))


def identify_url(text: str, *, private: bool = False) -> Identification:
    """Return the normal form of a direct media link: host in lower case, no default port, no fragment.

    The key leaves signatures out; the address keeps them, because it is what is fetched.
    """
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return _refuse("bad_url", "The address cannot be read.", "check it in a browser")
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        remedy = (
            "write the path itself" if scheme == "file" else "give a direct http(s) link, or download the file first"
        )
        return _refuse("unsupported_url", f"Addresses of type {scheme}:// are not supported.", remedy)
    if problem := _problem(text, parts, host):
        return problem
    try:
        name = host if ":" in host or host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return _refuse("bad_url", "The host name cannot be read.", "check the address in a browser")
    if not private and (is_private(host) or is_private(name)):  # wide letters and dots become plain ones only there
        remedy = "set [source] allow_private_urls = true if you mean it"
        return _refuse("private_url", f"{host} is an address of this machine or of a private network.", remedy)
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
    """Return a source as messages may show it: at most 200 characters, no query (it may be a key), no credentials."""
    if is_address(source):
        source = re.sub(r"//[^/@?#]*@", "//***@", source)
        head, mark, _ = source.partition("?")
        source = f"{head}?***" if mark and youtube(source) is None else source
    return cut(plain(source), 200)


def _problem(text: str, parts: SplitResult, host: str) -> Refusal | None:
    if any(ord(char) <= 32 or ord(char) == 127 for char in text) or "\\" in parts.netloc:
        return _refuse("bad_url", "The address holds blanks or control characters.", "write blanks as %20")
    if parts.username is not None or parts.password is not None:
        return _refuse("url_credentials", "The address holds a user name or a password.", "use a link without them")
    if not host or len(host) > 253:
        return _refuse("bad_url", "The address names no host.", "check it in a browser")
    return None


def youtube(text: str, *, depth: int = 0) -> Identification | None:
    """Return what an address means on YouTube; None if it is not about YouTube at all.

    ``v`` together with ``list`` means the video. Eleven characters of a video id alone count as a video.
    """
    text = text.strip()
    if len(text) <= _LONGEST:
        text = html.unescape(html.unescape(text))  # some pages escape what is escaped already
    if _ID.fullmatch(text):
        return _video(text)
    if not is_address(text):
        return None
    full = text if _SCHEME.match(text) else "https://" + text.removeprefix("//")
    try:
        parts = urlsplit(full)
        host = (parts.hostname or "").rstrip(".")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    except ValueError:
        return None
    if host not in _YOUTUBE or parts.scheme.lower() not in _PORTS:
        return None
    if parts.username is not None:
        return _refuse("url_credentials", "The address holds a user name or a password.", "use a link without them")
    steps = [unquote(step) for step in parts.path.split("/") if step]
    onward = {"attribution_link": query.get("u"), "m": query.get("continue"), "redirect": None}
    if depth < 2 and steps and (target := onward.get(steps[0])) is not None:
        return youtube(urljoin("https://www.youtube.com/", target), depth=depth + 1) or _unknown()
    if host.endswith("youtu.be"):
        return _video(steps[0] if len(steps) == 1 else "", query.get("list", ""))
    return _path(steps, query)


#: Pages of a channel that are not the channel: what they mean is another thing tomorrow, or a small part of it.
_TABS = {
    "live": (
        "This is whatever the channel broadcasts now.",
        "give the stream's own address, or the channel without /live",
    ),
    "search": ("A search inside a channel is no list.", "give the channel, and the words as metadata.include"),
}


def _path(steps: Sequence[str], query: dict[str, str]) -> Identification:
    head, rest = (steps[0].lower(), steps[1:]) if steps else ("", [])
    listed = query.get("list", "")
    if head in ("watch", "watch_popup") and not rest and ("v" in query or not listed):
        return _video(query.get("v", ""), listed)
    if (head in ("watch", "playlist") and not rest) or (head == "embed" and rest == ["videoseries"]):
        return _playlist(listed)
    if head in _VIDEO_PATHS and rest:
        return _video(rest[0], listed)
    return _channel(steps, query)


def _channel(steps: Sequence[str], query: dict[str, str]) -> Identification:
    head, name = (steps[0], steps[1] if len(steps) > 1 else "") if steps else ("", "")
    if head == "feeds":
        head, name = "channel", query.get("channel_id", "")
    elif len(steps) > (1 if head.startswith("@") else 2) and steps[-1].lower() in _TABS:
        message, remedy = _TABS[steps[-1].lower()]
        return _refuse("youtube_page", message, remedy)
    if head == "channel" and _CHANNEL.fullmatch(name):
        return _many("channel", name, f"channel/{name}")
    if head.startswith("@") and _NAME.fullmatch(head) and len(head) > 1:
        return _many("handle", head.lower(), head)
    if head in ("user", "c") and _NAME.fullmatch(name):
        return _many("user" if head == "user" else "custom", name.lower(), f"{head}/{name}")
    if head in ("results", "clip", "hashtag"):
        return _refuse(
            "youtube_page", f"A YouTube page of type '{head}' names no video.", "give the video's own address"
        )
    return _unknown()


def _video(video: str, listed: str = "") -> Identification:
    video = re.split("[?&]", video, maxsplit=1)[0]  # a second ?, or & for ?: written by hand, and in embeds of old
    if not _ID.fullmatch(video):
        message = "A YouTube video id has 11 letters, digits, - or _; this one does not."
        return _refuse("youtube_bad_id", message, "copy the address again from the browser")
    within = listed if _LIST.fullmatch(listed) and not listed.startswith("RD") else ""
    return SourceIdentity("youtube", f"youtube:video:{video}", f"https://www.youtube.com/watch?v={video}", within)


def _playlist(listed: str) -> Identification:
    if listed in _PERSONAL or listed.startswith("RD"):
        what = "an endless mix" if listed.startswith("RD") else "a personal list"
        return _refuse("youtube_list", f"This YouTube list is {what}.", "name the videos, or a public playlist")
    if not _LIST.fullmatch(listed):
        return _refuse("youtube_list", "The playlist id cannot be read.", "copy the address again from the browser")
    return _many("playlist", listed, f"playlist?list={listed}")


def _many(what: str, name: str, path: str) -> SourceIdentity:
    return SourceIdentity("youtube_list", f"youtube:{what}:{name}", f"https://www.youtube.com/{path}")


def _unknown() -> Refusal:
    return _refuse("youtube_page", "This YouTube address names no video or list.", "give the video's own address")


def _refuse(code: str, message: str, remedy: str) -> Refusal:
    return Refusal(Trouble(code, message, remedy))
