"""Foreign texts without secrets and without folders of this machine."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pipeline.core.log import build_spellings
from pipeline.core.text import cut, plain, sanitize
from pipeline.core.youtube_address import YouTubeAddress, file_name, is_address, parse_youtube_address, without_query
from pipeline.gallery.values import SourceKind
from pipeline.ingest.payloads import ItemData, PublishData

_KINDS: dict[str, SourceKind] = {"youtube": "youtube", "youtube_list": "youtube", "url": "url"}
#: The folders of an absolute path; what is left is its last part. Blanks inside end it: known folders are cut before.
_FOLDERS = re.compile(
    r"(?<![\w.:/\\~-])(?:file:(?://)?|~[\w.-]*|[A-Za-z]:)?[\\/](?:[^\s\\/'\"<>|]{1,255}[\\/])+(?=[^\s\\/])"
)
_CREDENTIALS = re.compile(r"//[^/@?#\s]{1,500}@")


#: An address in a text, up to its query and with it.
_QUERY = re.compile(r"([a-z][a-z0-9+.-]{1,20}://[^\s\"'<>?]+)\?[^\s\"'<>]*", re.IGNORECASE)


def _without_query(found: re.Match[str]) -> str:
    """Return an address without what may open it, unless it is YouTube's."""
    return found[0] if isinstance(parse_youtube_address(found[0]), YouTubeAddress) else f"{found[1]}?***"


class SafeWords:
    """Makes texts and addresses fit to be shown on the page.

    ``output`` is the folder that the page lies in, ``absolute`` allows paths of this machine, ``folders`` are those that
    are hidden wherever they are named, and ``secrets`` never appear.
    """

    def __init__(
        self, output: Path, *, absolute: bool = False, folders: Sequence[Path] = (), secrets: Collection[str] = ()
    ) -> None:
        self._parent, self._name = os.path.split(os.path.abspath(output))
        self._beside = lru_cache(maxsize=64)(self._find_beside)  # asked several times for each source
        self._absolute = absolute
        hidden = {
            os.path.abspath(each) for each in (output, output.absolute().parent, Path.cwd(), Path.home(), *folders)
        }
        self._folders = sorted((f"{folder}/" for folder in hidden if folder != "/"), key=len, reverse=True)
        spellings = [build_spellings(secret) for secret in secrets if len(secret) >= 4]
        self._secrets = re.compile("|".join(spellings)) if spellings else None

    def line(self, value: object, limit: int = 300, near: str = "") -> str:
        """Return one line; ``near`` is a path whose folders may be named in it."""
        return cut(plain(self._without_folders(self._shown(str(value)[: 8 * limit]), near)), limit)

    def block(self, value: object, limit: int = 2000) -> str:
        """Return a text that may have several lines."""
        return cut(sanitize(self._without_folders(self._shown(str(value)[: 8 * limit]), "")).strip(), limit)

    def _shown(self, text: str) -> str:
        if self._secrets is not None:
            text = self._secrets.sub("***", text)
        return _QUERY.sub(_without_query, _CREDENTIALS.sub("//", text)) if "://" in text else text

    def _without_folders(self, text: str, near: str) -> str:
        if self._absolute or ("/" not in text and "\\" not in text):
            return text
        own = [f"{os.path.dirname(near)}/"] if near.startswith("/") and os.path.dirname(near) != "/" else []
        for folder in (*own, *self._folders):
            text = text.replace(folder, "")
        return _FOLDERS.sub("", text)

    # ------------------------------------------------------------------------------------------------------ sources

    def label(self, item: ItemData) -> str:
        """Return a source's name, with its folders if they lie beside the page."""
        locator = item.locator or item.source
        if is_address(locator):
            return self.line(without_query(locator))
        shown = locator if self._absolute else self._beside(locator) or file_name(locator)
        return cut(plain(shown), 300)

    def title(self, item: ItemData) -> str:
        """Return what an item is called before it has results."""
        locator = item.locator or item.source
        return self.line(item.title, near=locator) or cut(plain(file_name(locator)), 300) or "video"

    def title_of(self, written: PublishData) -> str:
        """Return the title under which a video was published."""
        first: Any = next(iter(written.sources), None)
        near = first.get("locator") if isinstance(first, Mapping) else ""
        return (
            self.line(written.title, near=near if isinstance(near, str) else "") or written.folder.rpartition("--")[0]
        )

    def media(self, item: ItemData) -> str:
        """Return the address that plays a file from the page, or nothing."""
        if item.type != "file" or not item.locator.startswith("/"):
            return ""
        beside = self._beside(item.locator)
        try:
            if beside:
                own = f"{self._name}/"
                return quote(beside.removeprefix(own) if beside.startswith(own) else f"../{beside}")
            return f"file://{quote(item.locator)}" if self._absolute else ""
        except UnicodeEncodeError:  # half a character: a browser has no address for it
            return ""

    def url(self, item: ItemData) -> str:
        """Return the address of a source's page, if it may be shown."""
        meaning = parse_youtube_address(item.locator) if is_address(item.locator) else None
        address = meaning.address if isinstance(meaning, YouTubeAddress) else without_query(item.locator)
        try:
            parts = urlsplit(address)
        except ValueError:
            return ""
        safe = parts.scheme == "https" and parts.hostname and parts.username is None and parts.password is None
        return address.partition("#")[0] if safe and plain(address) == address else ""

    def name(self, item: ItemData) -> str:
        """Return a public name of an item that commands take, or nothing."""
        locator = item.locator or item.source
        if not locator.startswith("/"):
            return locator if self.line(locator, 2000) == locator else ""
        shown = locator if self._absolute else self._beside(locator)
        return shown if plain(shown) == shown else ""

    def _find_beside(self, path: str) -> str:
        """Return a path from the output folder's parent; empty if outside."""
        inside = self._parent if self._parent.endswith("/") else f"{self._parent}/"
        whole = os.path.normpath(path)
        return whole.removeprefix(inside) if whole.startswith(inside) else ""


def source_kind(item: ItemData) -> SourceKind:
    """Return what sort of source an item has."""
    return _KINDS.get(item.type, "file")


def shell_line(*words: str) -> str:
    """Return a command to copy.

    A word that looks like an option is none.
    """
    return shlex.join([*words[:2], *(["--"] if any(word.startswith("-") for word in words[2:]) else []), *words[2:]])
