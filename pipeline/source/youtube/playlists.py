"""YouTube's playlists, channels and handles: one flat listing each, no request per video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from pipeline.core.youtube_address import YouTubeAddress, parse_youtube_address
from pipeline.ports.playlists import Playlist, PlaylistEntry
from pipeline.ports.source import Item
from pipeline.source.youtube import options
from pipeline.source.youtube.source import RequestFailed, YouTubeClient
from pipeline.source.youtube.worker.pool import WorkerGone

_PAGE = 60.0  #: seconds that a page of a list may take, over what a single request may


class YouTubeLister:
    """``listings.Lister`` over the same workers and the same pace as the downloads."""

    def __init__(self, client: YouTubeClient) -> None:
        self._client = client

    async def list(self, item: Item, channel: str, most: int) -> Playlist:
        """Return at most ``most`` entries, newest first; a channel's tabs are one list.

        Raises:
            Throttled, Permanent, Transient: as for a video.
        """
        cookies = await self._client.cookies()
        turn = await self._client.throttle.acquire()
        pages: list[dict[str, Any]] = []
        request = {
            "url": choose_list_address(item, channel),
            "most": most,
            "params": options.listing(self._client.rules, most),
            "cookies": cookies,
        }
        try:
            async with self._client.workers.worker() as worker:
                event = await self._client.ask(
                    worker, "list", request, wait=_PAGE, seen=lambda page: pages.extend(page.get("entries") or ())
                )
                await self._client.record_success()
        except RequestFailed as failed:
            raise await self._client.handle_failure(failed.failure) from None
        except WorkerGone as gone:
            raise await self._client.handle_lost_worker(gone) from None
        finally:
            with anyio.CancelScope(shield=True):
                await self._client.throttle.release(turn)
        return parse_playlist(pages, event.get("about") or {})


def choose_list_address(item: Item, channel: str) -> str:
    """Return what to list: a channel's uploads as one playlist where its id is known, else the address itself."""
    identity = item.key.removeprefix("youtube:channel:") if item.key.startswith("youtube:channel:") else channel
    if identity.startswith("UC"):
        return f"https://www.youtube.com/playlist?list=UU{identity[2:]}"
    return item.locator


def parse_playlist(pages: list[dict[str, Any]], about: Mapping[str, Any]) -> Playlist:
    """Return the list; every entry is named by our own rules, and what is no video of the site is counted."""
    found = [parse_entry(each) for each in pages]
    entries = [entry for entry in found if entry is not None]
    return Playlist(
        entries,
        title=str(about.get("title") or "")[:500],
        channel=str(about.get("channel_id") or ""),
        foreign=len(found) - len(entries),
    )


def parse_entry(data: Mapping[str, Any]) -> PlaylistEntry | None:
    """Return one entry, or None if it is no video: Shorts come by an address of their own, some by an id alone."""
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
