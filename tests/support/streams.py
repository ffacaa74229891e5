"""What a video site has besides whole films, made on the spot: sound alone, pieces of a stream, pictures."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image


def sound_bytes(seconds: float) -> bytes:
    """Return an M4A of silence."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream: Any = container.add_stream("aac", rate=16_000)
        for number in range(round(seconds * 16_000 / 1024)):
            quiet = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            quiet.sample_rate, quiet.pts = 16_000, number * 1024
            container.mux(stream.encode(quiet))
        container.mux(stream.encode())
    return target.getvalue()


def picture_bytes(form: str = "JPEG", size: tuple[int, int] = (320, 180)) -> bytes:
    """Return a picture's file."""
    target = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(target, form)
    return target.getvalue()


def segments(
    folder: Path, seconds: float, *, picture: bool = True, sound: bool = True, busy: bool = True
) -> list[tuple[float, bytes]]:
    """Return (length in seconds, bytes) of the pieces of an HLS stream, made by the muxer itself; ``busy``: of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {"hls_time": "1", "hls_playlist_type": "vod", "hls_segment_filename": str(folder / "%03d.ts")}
    with av.open(str(folder / "index.m3u8"), "w", format="hls", options=options) as container:
        stream: Any = container.add_stream("libx264", rate=4) if picture else None
        audio: Any = container.add_stream("aac", rate=16_000) if sound else None
        if stream is not None:
            stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
            stream.options = {"g": "4", "keyint_min": "4", "sc_threshold": "0", "preset": "ultrafast"}
        noise = np.random.default_rng(7)
        spoken = 0
        for number in range(round(seconds * 4)):
            while audio is not None and spoken * 1024 < (number + 1) * 4000:
                quiet = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                quiet.sample_rate, quiet.pts = 16_000, spoken * 1024
                container.mux(audio.encode(quiet))
                spoken += 1
            if stream is not None:
                pixels = noise.integers(0, 255, (360, 640, 3) if busy else (1, 1, 3), dtype=np.uint8)
                pixels = np.ascontiguousarray(np.broadcast_to(pixels, (360, 640, 3)))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        for each in filter(None, (stream, audio)):
            container.mux(each.encode())
    lengths = [float(each) for each in re.findall(r"#EXTINF:([\d.]+)", (folder / "index.m3u8").read_text())]
    return [(length, (folder / f"{number:03}.ts").read_bytes()) for number, length in enumerate(lengths)]
