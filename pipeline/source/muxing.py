"""Picture and sound from two files into one, stream by stream, without encoding anything: what ffmpeg's merge does."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av

from pipeline.errors import Transient


def mux(parts: Sequence[Path], target: Path, checkpoint: Callable[[], None]) -> None:
    """Write the first picture and the first sound of these files into ``target``; blocks, for a worker thread.

    ``checkpoint`` is called now and then and may raise to stop it; a half-written target is then left to the caller.

    Raises:
        Transient: a part cannot be read, or the target not be written; code ``merge_failed``.
    """
    try:
        _mux(parts, target, checkpoint)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise Transient(
            "Picture and sound could not be put together.",
            code="merge_failed",
            remedy="it is fetched anew by itself; if it happens again, install ffmpeg",
            detail=str(error),
        ) from None


def _mux(parts: Sequence[Path], target: Path, checkpoint: Callable[[], None]) -> None:
    options = {"movflags": "+faststart"} if target.suffix == ".mp4" else {}
    inputs: list[Any] = []
    try:
        with av.open(str(target), "w", options=options) as out:
            pairs: list[tuple[Any, Any]] = []
            for part in parts:
                container = av.open(str(part))
                inputs.append(container)
                for stream in (*container.streams.video[:1], *container.streams.audio[:1]):
                    if all(stream.type != other.type for other, _ in pairs):
                        pairs.append((stream, out.add_stream_from_template(stream)))
            into = {id(stream): made for stream, made in pairs}
            for number, packet in enumerate(heapq.merge(*(_packets(s) for s, _ in pairs), key=_when)):
                if number % 256 == 0:
                    checkpoint()
                packet.stream = into[id(packet.stream)]
                out.mux(packet)
    finally:
        for container in inputs:
            container.close()


def _packets(stream: Any) -> Iterator[Any]:
    return (packet for packet in stream.container.demux(stream) if packet.dts is not None)


def _when(packet: Any) -> float:
    return float(packet.dts * packet.time_base)
