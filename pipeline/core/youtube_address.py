"""The one reader of YouTube addresses: video, playlist or channel. Pure.

What is not certain is refused with a reason, never guessed at.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

from pipeline.core.model import Trouble

VIDEO_PREFIX = "youtube:video:"  #: of the keys of videos
_VIDEO_ID = re.compile(r"[0-9A-Za-z_-]{11}")
_PLAYLIST_ID = re.compile(r"[0-9A-Za-z_-]{12,64}")
_CHANNEL_ID = re.compile(r"UC[0-9A-Za-z_-]{22}")
_NAME = re.compile(r"[^\s/?#&\x00-\x1f\x7f-\x9f]{1,100}")
_LONGEST = 4000  #: characters of an address; Python refuses to read character numbers of more digits
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_BARE_HOST = re.compile(r"(?i)(?://)?(?:(?:www|m|music)\.)?(?:youtube\.com|youtu\.be)(?:/|$)")
_HOSTS = frozenset({
    "youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "gaming.youtube.com", "studio.youtube.com",
    "consent.youtube.com", "www.youtube-nocookie.com", "youtube-nocookie.com", "youtu.be", "www.youtu.be",
    "youtubekids.com", "www.youtubekids.com",
})  # fmt: skip
_VIDEO_PATHS = frozenset({"watch", "shorts", "live", "embed", "v", "e", "video"})
_PERSONAL = frozenset({"WL", "LL", "LM", "HL"})
#: Pages of a channel that are not the channel: what they mean is another thing tomorrow, or a small part of it.
_TABS = {
    "live": (
        "This is whatever the channel broadcasts now.",
        "give the stream's own address, or the channel without /live",
    ),
    "search": ("A search inside a channel is no list.", "give the channel, and the words as metadata.include"),
}


@dataclass(frozen=True, slots=True)
class YouTubeAddress:
    """What an address means: a video (kind ``youtube``), or a playlist or channel (``youtube_list``)."""

    kind: Literal["youtube", "youtube_list"]
    key: str  #: what the database knows it by
    address: str  #: in its normal form
    within: str = ""  #: id of the playlist in which a video was named; not part of its identity

    @property
    def video_id(self) -> str:
        """The id of a video; empty for a list."""
        return self.key.removeprefix(VIDEO_PREFIX) if self.kind == "youtube" else ""


YouTubeMeaning: TypeAlias = YouTubeAddress | Trouble


def is_address(text: str) -> bool:
    """True for a text with a scheme, or for YouTube without one.

    A bare video id is no address.
    """
    return bool(_SCHEME.match(text) or _BARE_HOST.match(text))


def is_video_id(text: str) -> bool:
    """True for eleven characters that may be a video's id."""
    return bool(_VIDEO_ID.fullmatch(text))


def without_query(locator: str) -> str:
    """Return an address without its query, which may be a secret.

    A path stays whole; so does a YouTube address, whose query only names the video.

    >>> without_query("https://example.org/a.mp4?sig=x"), without_query("films/why?.mp4")
    ('https://example.org/a.mp4', 'films/why?.mp4')
    """
    secret = is_address(locator) and parse_youtube_address(locator) is None
    return locator.partition("?")[0] if secret else locator


def file_name(locator: str) -> str:
    """Return a path's or address's file name; of YouTube, the id.

    >>> file_name("https://example.org/a.mp4?sig=x"), file_name("https://www.youtube.com/watch?v=DXB4MApF4Lo")
    ('a.mp4', 'DXB4MApF4Lo')
    """
    meaning = parse_youtube_address(locator) if is_address(locator) else None
    if isinstance(meaning, YouTubeAddress):
        return meaning.key.rpartition(":")[2]
    return without_query(locator).rstrip("/").rpartition("/")[2]


def find_video_id(address: str) -> str | None:
    """Return the video id in a web address with a scheme, or None.

    >>> find_video_id("https://www.youtube.com/watch?v=DXB4MApF4Lo"), find_video_id("https://youtu.be/nhY1s6CZziE?si=x")
    ('DXB4MApF4Lo', 'nhY1s6CZziE')
    """
    meaning = parse_youtube_address(address) if _SCHEME.match(address.strip()) else None
    return meaning.video_id or None if isinstance(meaning, YouTubeAddress) else None


@lru_cache(maxsize=256)  # of one source it is asked several times
def parse_youtube_address(text: str, *, depth: int = 0) -> YouTubeMeaning | None:
    """Return what an address means on YouTube, or None for another site.

    ``v`` together with ``list`` means the video. Eleven characters of a video id alone count as a video.
    """
    text = text.strip()
    if len(text) <= _LONGEST:
        text = html.unescape(html.unescape(text))  # some pages escape what is escaped already
    if _VIDEO_ID.fullmatch(text):
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
    if host not in _HOSTS or parts.scheme.lower() not in ("http", "https"):
        return None
    if parts.username is not None:
        return Trouble("url_credentials", "The address holds a user name or a password.", "use a link without them")
    steps = [unquote(step) for step in parts.path.split("/") if step]
    onward = {"attribution_link": query.get("u"), "m": query.get("continue"), "redirect": None}
    if depth < 2 and steps and (target := onward.get(steps[0])) is not None:
        return parse_youtube_address(urljoin("https://www.youtube.com/", target), depth=depth + 1) or _unknown()
    if host.endswith("youtu.be"):
        return _video(steps[0] if len(steps) == 1 else "", query.get("list", ""))
    return _path(steps, query)


def _path(steps: Sequence[str], query: dict[str, str]) -> YouTubeMeaning:
    head, rest = (steps[0].lower(), steps[1:]) if steps else ("", [])
    listed = query.get("list", "")
    if head in ("watch", "watch_popup") and not rest and ("v" in query or not listed):
        return _video(query.get("v", ""), listed)
    if (head in ("watch", "playlist") and not rest) or (head == "embed" and rest == ["videoseries"]):
        return _playlist(listed)
    if head in _VIDEO_PATHS and rest:
        return _video(rest[0], listed)
    return _channel(steps, query)


def _channel(steps: Sequence[str], query: dict[str, str]) -> YouTubeMeaning:
    head, name = (steps[0], steps[1] if len(steps) > 1 else "") if steps else ("", "")
    if head == "feeds":
        head, name = "channel", query.get("channel_id", "")
    elif len(steps) > (1 if head.startswith("@") else 2) and steps[-1].lower() in _TABS:
        message, remedy = _TABS[steps[-1].lower()]
        return Trouble("youtube_page", message, remedy)
    if head == "channel" and _CHANNEL_ID.fullmatch(name):
        return _many("channel", name, f"channel/{name}")
    if head.startswith("@") and _NAME.fullmatch(head) and len(head) > 1:
        return _many("handle", head.lower(), head)
    if head in ("user", "c") and _NAME.fullmatch(name):
        return _many("user" if head == "user" else "custom", name.lower(), f"{head}/{name}")
    if head in ("results", "clip", "hashtag"):
        return Trouble(
            "youtube_page", f"A YouTube page of type '{head}' names no video.", "give the video's own address"
        )
    return _unknown()


def _video(video: str, listed: str = "") -> YouTubeMeaning:
    video = re.split("[?&]", video, maxsplit=1)[0]  # a second ?, or & for ?: written by hand, and in embeds of old
    if not _VIDEO_ID.fullmatch(video):
        message = "A YouTube video id has 11 letters, digits, - or _; this one does not."
        return Trouble("youtube_bad_id", message, "copy the address again from the browser")
    within = listed if _PLAYLIST_ID.fullmatch(listed) and not listed.startswith("RD") else ""
    return YouTubeAddress("youtube", f"{VIDEO_PREFIX}{video}", f"https://www.youtube.com/watch?v={video}", within)


def _playlist(listed: str) -> YouTubeMeaning:
    if listed in _PERSONAL or listed.startswith("RD"):
        what = "an endless mix" if listed.startswith("RD") else "a personal list"
        return Trouble("youtube_list", f"This YouTube list is {what}.", "name the videos, or a public playlist")
    if not _PLAYLIST_ID.fullmatch(listed):
        return Trouble("youtube_list", "The playlist id cannot be read.", "copy the address again from the browser")
    return _many("playlist", listed, f"playlist?list={listed}")


def _many(what: str, name: str, path: str) -> YouTubeAddress:
    return YouTubeAddress("youtube_list", f"youtube:{what}:{name}", f"https://www.youtube.com/{path}")


def _unknown() -> Trouble:
    return Trouble("youtube_page", "This YouTube address names no video or list.", "give the video's own address")
