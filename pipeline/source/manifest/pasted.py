"""Lines as people paste them from chats, cleaned around an address. Pure."""

from __future__ import annotations

import re

from pipeline.core.youtube_address import YouTubeAddress, is_address, parse_youtube_address

#: Characters that nobody sees and nobody means: of zero width, direction marks, soft hyphens, byte order marks.
_UNSEEN = "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\u00ad"
_ENDS = re.compile(rf"^[\s{_UNSEEN}]+|[\s{_UNSEEN}]+$")
_UNSEEN_ANYWHERE = re.compile(f"[{_UNSEEN}]")
_BEFORE = re.compile(r"""^(?:(?:[-*+•‣–—]|\d{1,5}[.)])\s+)?(?:\[[^\]]{0,200}\]\()?[<(\["'“‘«]{0,3}""")
_AFTER = re.compile(r"""[\s,.;!>\])"'”’»]+$""")
_WEB = re.compile(r"https?://\S+", re.IGNORECASE)
_BULLET = re.compile(r"^(?:[-*+•‣–—]|\d{1,5}[.)])\s+")
_NOTE_BEHIND = re.compile(r"\s+(?:#|//|;)\s.*$")
#: What begins a note behind any address; behind one of YouTube, which holds no blank, everything is one.
_NOTE = re.compile(r"(?:#|;|//|\||–|—|-\s|\()")


def clean_source(text: str) -> str:
    """Return what a person meant to name.

    Of a path only unseen characters at its ends are taken away.

    >>> clean_source("<https://youtu.be/dQw4w9WgXcQ>, # a note")
    'https://youtu.be/dQw4w9WgXcQ'
    """
    text = strip_unseen(text)
    bare = _BEFORE.sub("", _UNSEEN_ANYWHERE.sub("", text), count=1)
    if not is_address(bare):
        found = _WEB.findall(text)  # "Watch this: https://…": what is said around an address is no path
        return clean_source(found[0]) if len(found) == 1 else text
    head, *rest = re.split(r"\s+", bare, maxsplit=1)
    note = rest[0] if rest else ""
    head = _without_marks(head)
    if not note or _NOTE.match(note) or isinstance(parse_youtube_address(head), YouTubeAddress):
        return head
    return bare


def pasted_paths(text: str) -> list[str]:
    """Return what a line may mean that is no path as it stands.

    Without a list's bullet, a note, or a sentence's marks.
    """
    bare = _BULLET.sub("", text)
    return [each for each in (text.rstrip(",;."), bare, _NOTE_BEHIND.sub("", bare).rstrip(",;.")) if each != text]


def strip_unseen(text: str) -> str:
    """Return a text without white space and unseen characters at its ends."""
    return _ENDS.sub("", text)


def split_addresses(text: str) -> list[str]:
    """Return the addresses of a line of several; else the line itself."""
    words = [word for word in re.split(r"[\s,;]+(?=\S)", strip_unseen(text)) if word]
    return words if len(words) > 1 and all(is_address(_UNSEEN_ANYWHERE.sub("", word)) for word in words) else [text]


def _without_marks(address: str) -> str:
    """Drop the sentence's own marks behind an address.

    A bracket that it opens itself is its own.
    """
    bare = _AFTER.sub("", address)
    return bare + ")" if bare.count("(") > bare.count(")") and address[len(bare) :].startswith(")") else bare
