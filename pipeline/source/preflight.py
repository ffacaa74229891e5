"""Preflight: will the platform take a file? Decided before a byte moves. Pure."""

from __future__ import annotations

from pipeline.core.model import Trouble
from pipeline.ports.source import MediaFacts
from pipeline.ports.video_api import Ceilings


def check(facts: MediaFacts, ceilings: Ceilings) -> Trouble | None:
    """Return why the platform would refuse this file as shown, or None."""
    return _length(facts, ceilings) or _picture(facts, ceilings) or _size(facts, ceilings)


def _length(facts: MediaFacts, ceilings: Ceilings) -> Trouble | None:
    has = f"The video is {_span(facts.seconds)} long; the platform takes"
    if facts.seconds < ceilings.min_seconds:
        return Trouble("video_too_short", f"{has} {_span(ceilings.min_seconds)} or more.", "leave it out, or join it")
    if facts.seconds > ceilings.max_seconds:
        return Trouble("video_too_long", f"{has} {_span(ceilings.max_seconds)} at most.", "cut it into parts")
    return None


def _picture(facts: MediaFacts, ceilings: Ceilings) -> Trouble | None:
    short, long = sorted((facts.width, facts.height))
    has = f"The picture is {facts.width}×{facts.height} pixels; the platform takes"
    if short < ceilings.min_side:
        message = f"{has} {ceilings.min_side}×{ceilings.min_side} or more."
        return Trouble("resolution_too_low", message, "use a version with more pixels")
    if long > ceilings.max_width or short > ceilings.max_height:
        message = f"{has} {ceilings.max_width}×{ceilings.max_height} at most."
        return Trouble("resolution_too_high", message, "scale it down")
    if facts.width * facts.height > ceilings.max_pixels:
        message = f"{has} {ceilings.max_pixels / 1e6:g} million pixels at most."
        return Trouble("resolution_too_high", message, "scale it down")
    if facts.aspect > ceilings.max_aspect:
        message = f"The picture's sides are {facts.aspect:.2f}:1; the platform takes {ceilings.max_aspect:g}:1 at most."
        return Trouble("aspect_ratio", message, "crop it or add bars")
    return None


def _size(facts: MediaFacts, ceilings: Ceilings) -> Trouble | None:
    most = max(ceilings.direct_bytes, ceilings.multipart_bytes)
    if facts.size <= most:
        return None
    message = f"The file has {facts.size / 1e9:.3g} GB; the platform takes {most / 1e9:.3g} GB at most."
    return Trouble("file_too_large", message, "encode it with a lower bit rate, or cut it into parts")


def describe(ceilings: Ceilings) -> str:
    """Return what a platform takes, in one line.

    >>> describe(Ceilings())
    '1 s to 240 min, 360×360 to 5184×2160 pixels, sides of 2.4:1 at most, up to 10 GB'
    """
    size = max(ceilings.direct_bytes, ceilings.multipart_bytes) / 1e9
    sides = f"{ceilings.min_side}×{ceilings.min_side} to {ceilings.max_width}×{ceilings.max_height} pixels"
    return (
        f"{_span(ceilings.min_seconds)} to {_span(ceilings.max_seconds)}, {sides}, "
        f"sides of {ceilings.max_aspect:g}:1 at most, up to {size:.3g} GB"
    )


def _span(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.4g} min"
