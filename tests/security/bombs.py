"""Small files and texts that claim to be, or become, enormous."""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction
from typing import Any

import av


def png_film(width: int, height: int, frames: int = 3) -> bytes:
    """Return an AVI whose header says 64 by 48 and whose grey PNG pictures are larger, a thousandth of that in bytes."""
    picture = png_picture(width, height)
    out = io.BytesIO()
    with av.open(out, "w", format="avi") as container:
        stream: Any = container.add_stream("png", rate=2)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
        container.start_encoding()
        for number in range(frames):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 2)
            packet.is_keyframe = True
            container.mux(packet)
    return out.getvalue()


def png_picture(width: int, height: int) -> bytes:
    """Return a grey PNG, a thousandth of its pixels in bytes."""
    packed = zlib.compressobj(1)
    row = bytes(width + 1)
    pixels = b"".join([packed.compress(row) for _ in range(height)]) + packed.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def many_tracks(mp4: bytes, count: int) -> bytes:
    """Return an MP4 (``moov`` last) whose only track is written down ``count`` times."""
    at = mp4.rindex(b"moov") - 4
    inside = mp4[at + 8 :]
    found = inside.index(b"trak") - 4
    (size,) = struct.unpack(">I", inside[found : found + 4])
    track = inside[found : found + size]
    body = inside[:found] + track * count + inside[found + size :]
    return mp4[:at] + struct.pack(">I", len(body) + 8) + b"moov" + body
