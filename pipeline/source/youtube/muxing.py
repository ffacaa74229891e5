"""Muxes streams of one or two files into one MP4, without encoding."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av

from pipeline.core.errors import Transient
from pipeline.media.container import UnreadableMedia, open_media

_TS_PACKET = 188  #: bytes of one packet of a transport stream; each begins with the same byte
_TS_SYNC = b"G"


def is_transport_stream(path: Path) -> bool:
    """True for MPEG-TS by content, which HLS names MP4. Blocks."""
    with path.open("rb") as stream:
        head = stream.read(4 * _TS_PACKET + 1)
    return len(head) > _TS_PACKET and set(head[::_TS_PACKET]) == set(_TS_SYNC)


def mux(parts: Sequence[Path], target: Path, checkpoint: Callable[[], None]) -> None:
    """Write these files' first video and audio streams into ``target``. Blocks.

    Time begins at 0 in it. ``checkpoint`` is called now and then and may raise to stop it; a half-written target is then
    left to the caller.

    Raises:
        Transient: a part cannot be read, or the target not be written; code ``merge_failed``.
    """
    try:
        _mux(parts, target, checkpoint)
    except (UnreadableMedia, av.FFmpegError, OSError, ValueError) as error:
        raise Transient(
            "Picture and sound could not be put together.",
            code="merge_failed",
            remedy="it is fetched anew by itself; if it happens again, install ffmpeg",
            detail=str(error.__cause__ or error),
        ) from None


def _mux(parts: Sequence[Path], target: Path, checkpoint: Callable[[], None]) -> None:
    with ExitStack() as stack:
        out = stack.enter_context(av.open(str(target), "w", options={"movflags": "+faststart"}))
        inputs: list[Any] = [stack.enter_context(open_media(part)) for part in parts]
        into: dict[tuple[int, int], Any] = {}  # (input, index of its stream) -> stream of the output
        for number, container in enumerate(inputs):
            for stream in (*container.streams.video[:1], *container.streams.audio[:1]):
                if all(stream.type != made.type for made in into.values()):
                    into[number, stream.index] = out.add_stream_from_template(stream)
        begin = _begin(inputs)
        packets = heapq.merge(*(_packets(number, each, into) for number, each in enumerate(inputs)), key=_when)
        for count, (number, packet) in enumerate(packets):
            if count % 256 == 0:
                checkpoint()
            made = into[number, packet.stream.index]
            _shift(packet, begin)
            packet.stream = made
            out.mux(packet)


def _packets(number: int, container: Any, into: Container[tuple[int, int]]) -> Iterator[tuple[int, Any]]:
    """Yield a part's packets in one pass: two passes would take each other's."""
    streams = [stream for stream in container.streams if (number, stream.index) in into]
    if streams:
        yield from ((number, packet) for packet in container.demux(*streams) if packet.dts is not None)


def _begin(inputs: Sequence[Any]) -> float:
    """Return the second at which the earliest part begins: a transport stream starts anywhere."""
    starts = [each.start_time / av.time_base for each in inputs if each.start_time is not None]
    return max(0.0, min(starts, default=0.0))


def _shift(packet: Any, begin: float) -> None:
    back = round(begin / packet.time_base)
    packet.dts -= back
    if packet.pts is not None:
        packet.pts -= back


def _when(numbered: tuple[int, Any]) -> float:
    packet = numbered[1]
    return float(packet.dts * packet.time_base)
