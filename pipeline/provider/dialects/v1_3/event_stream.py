"""Server-sent events, read from a whole answer. Pure.

The transport has bounded the bytes and the time; https://html.spec.whatwg.org/multipage/server-sent-events.html is the form.
"""

from __future__ import annotations

from collections.abc import Iterator

_FIELD = "data"


def read_events(body: bytes) -> Iterator[str]:
    """Yield the data of each event that came whole.

    Lines end with CR, LF or both. Comments and other fields than ``data`` are passed over; what no empty line ends is
    no event.

    >>> list(read_events(b'event: a\\ndata: {\\ndata: }\\n\\n: ping\\n\\ndata: cut'))
    ['{\\n}']
    """
    lines: list[str] = []
    text = body.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    *whole, _cut = text.split("\n")
    for line in whole:
        if not line:
            if lines:
                yield "\n".join(lines)
            lines = []
            continue
        name, _, value = line.partition(":")
        if name == _FIELD:
            lines.append(value.removeprefix(" "))
