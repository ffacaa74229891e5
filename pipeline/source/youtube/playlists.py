"""YouTube's playlists, channels and handles: one flat listing each, no request per video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.youtube_address import YouTubeAddress, parse_youtube_address
from pipeline.ports.playlists import Playlist, PlaylistEntry
from pipeline.ports.source import Item
from pipeline.source.youtube import options
from pipeline.source.youtube.client import YouTubeClient

_PAGE = 60.0  #: seconds that a page of a list may take, over what a single request may


class YouTubeLister:
    """``ports.PlaylistLister`` over the client of the downloads."""

    def __init__(self, client: YouTubeClient) -> None:
        self._client = client

    async def list(self, item: Item, channel: str, most: int) -> Playlist:
        cookies = await self._client.cookies()
        pages: list[dict[str, Any]] = []
        request = {
            "url": choose_list_address(item, channel),
            "most": most,
            "params": options.listing(self._client.rules, most),
            "cookies": cookies,
        }
        async with self._client.worker() as worker:
            event = await self._client.ask(
                worker, "list", request, wait=_PAGE, seen=lambda page: pages.extend(page.get("entries") or ())
            )
            await self._client.record_success()
        return parse_playlist(pages, event.get("about") or {})


def choose_list_address(item: Item, channel: str) -> str:
    """Return the address to list: a known channel's playlist of uploads."""
    identity = item.key.removeprefix("youtube:channel:") if item.key.startswith("youtube:channel:") else channel
    if identity.startswith("UC"):
        return f"https://www.youtube.com/playlist?list=UU{identity[2:]}"
    return item.locator


def parse_playlist(pages: list[dict[str, Any]], about: Mapping[str, Any]) -> Playlist:
    """Return the list, entries named by our rules, others counted."""
    found = [parse_entry(each) for each in pages]
    entries = [entry for entry in found if entry is not None]
    return Playlist(
        entries,
        title=str(about.get("title") or "")[:500],
        channel=str(about.get("channel_id") or ""),
        foreign=len(found) - len(entries),
    )


def parse_entry(data: Mapping[str, Any]) -> PlaylistEntry | None:
    """Return one entry, by address or id, or None for no video."""
    meaning = parse_youtube_address(str(data.get("url") or "")) or parse_youtube_address(str(data.get("id") or ""))
    if not isinstance(meaning, YouTubeAddress) or meaning.kind != "youtube":
        return None
    return PlaylistEntry(
        id=meaning.video_id,
        key=meaning.key,
        address=meaning.address,
        title=str(data.get("title") or ""),
        seconds=_number(data.get("duration")),
        when=_number(data.get("timestamp")),
        live=str(data.get("live_status") or ""),
        availability=str(data.get("availability") or ""),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
