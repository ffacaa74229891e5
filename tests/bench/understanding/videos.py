"""Videos with known borders, made in code: decks of slides, and films of textures that drift."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Frame: TypeAlias = npt.NDArray[np.uint8]
Join: TypeAlias = Literal["cut", "dissolve", "fade"]
FPS = 25
SIZE = (640, 360)
SECONDS = 6.0  #: of a slide or shot
SLOW = {"cut": 0.0, "dissolve": 0.8, "fade": 1.2}  #: seconds that a border takes

_TOPICS = (
    ("Why rivers bend", ("Water is slower at the inner bank", "Sand settles where it is slow", "The outer bank wears away")),
    ("Reading a weather map", ("Lines join places of equal pressure", "Close lines mean strong wind", "Fronts bring rain")),
    ("How locks lift boats", ("Two gates and one chamber", "Water flows in from above", "The boat rises with it")),
    ("Growing good apples", ("Prune the tree in late winter", "Thin the fruit in June", "Pick when the stalk lets go")),
    ("The history of paper", ("Rags were beaten to a pulp", "A sieve made the sheet", "Wood came much later")),
    ("Tuning a piano", ("Begin with the middle octave", "Listen to the beats", "Octaves follow outwards")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """A video and its truth."""

    name: str
    path: Path
    borders: Sequence[float]  #: seconds, the middle of each
    slides: bool


def _slide(number: int, lines: int, *, dark: bool) -> Frame:
    heading, bullets = _TOPICS[number % len(_TOPICS)]
    paper, ink = ((24, 26, 40), (235, 235, 225)) if dark else ((250, 250, 246), (20, 20, 30))
    image = Image.new("RGB", SIZE, paper)
    draw = ImageDraw.Draw(image)
    draw.text((36, 26), heading, fill=ink, font=ImageFont.load_default(34))
    for line, bullet in enumerate(bullets[:lines]):
        draw.text((52, 110 + 58 * line), f"- {bullet}", fill=ink, font=ImageFont.load_default(22))
    draw.text((36, 334), "Evening school", fill=ink, font=ImageFont.load_default(12))
    return np.asarray(image)


def _texture(number: int, *, same: bool) -> Frame:
    """Return a picture larger than the frame; ``same``: of one palette, whatever its pattern."""
    rng = np.random.default_rng(number)
    tall, wide = SIZE[1] + 80, SIZE[0] + 80
    down, across = [(8, 8), (90, 12), (12, 120), (30, 30), (150, 150), (60, 20)][number % 6]
    small = rng.normal(size=(tall // down + 2, wide // across + 2))
    smooth = Image.fromarray(small.astype(np.float32)).resize((wide, tall), Image.Resampling.BICUBIC)
    order = np.asarray(smooth).ravel().argsort().argsort().reshape(tall, wide) / (
        tall * wide
    )  # the same histogram for all
    first, second = ((70, 60, 40), (200, 170, 120)) if same else tuple(rng.integers(0, 255, (2, 3)))
    return np.asarray(np.array(first) + (np.array(second) - np.array(first)) * order[..., None], dtype=np.uint8)


def _joined(scenes: Sequence[Callable[[float], Frame]], join: Join) -> Iterator[Frame]:
    """Show one scene after the other; a border takes its time around the moment at which the scene changes."""
    half = SLOW[join] / 2
    for tick in range(round(len(scenes) * SECONDS * FPS)):
        at = tick / FPS
        number = int(at / SECONDS)
        into = at - number * SECONDS
        here = scenes[number](at)
        to_next, last = SECONDS - into, number == len(scenes) - 1
        if join == "cut" or ((into >= half or not number) and (to_next > half or last)):
            yield here
        elif join == "fade":
            yield _mix(here, np.zeros_like(here), 1 - (into if into < half else to_next) / half)
        elif into < half:
            yield _mix(scenes[number - 1](at), here, 0.5 + into / half / 2)
        else:
            yield _mix(here, scenes[number + 1](at), 0.5 - to_next / half / 2)


def _mix(one: Frame, other: Frame, share: float) -> Frame:
    return np.asarray(one * (1 - share) + other * share, dtype=np.uint8)


def _write(path: Path, frames: Iterator[Frame], codec: str, options: dict[str, str]) -> None:
    with av.open(path, "w") as container:
        video: Any = container.add_stream(codec, rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(video.encode())


def _deck(style: str) -> list[Callable[[float], Frame]]:
    corner = _texture(3, same=True)

    def scene(number: int) -> Callable[[float], Frame]:
        begin, builds = number * SECONDS, style == "builds"
        pages = [_slide(number, lines, dark=style == "dark") for lines in range(4)]

        def show(at: float) -> Frame:
            page = pages[min(3, max(0, int((at - begin) / 1.8)))] if builds else pages[3]
            if style == "speaker":
                page = page.copy()
                left = int(20 + 18 * np.sin(at * 2.3))
                page[250:350, 480:630] = corner[left : left + 100, left : left + 150]
            return page

        return show

    return [scene(number) for number in range(6)]


def _film(seed: int, *, same: bool) -> list[Callable[[float], Frame]]:
    def scene(number: int) -> Callable[[float], Frame]:
        whole = _texture(seed * 6 + number, same=same)
        noise = np.random.default_rng(seed).integers(0, 6, (4, SIZE[1], SIZE[0], 1), dtype=np.uint8)

        def show(at: float) -> Frame:
            x, y = int(40 + 36 * np.sin(at * 0.7 + number)), int(40 + 30 * np.cos(at * 0.5 + number))
            frame = whole[y : y + SIZE[1], x : x + SIZE[0]].astype(np.int16) + noise[int(at * FPS) % 4]
            return np.asarray(np.clip(frame, 0, 255), dtype=np.uint8)

        return show

    return [scene(number) for number in range(6)]


CODECS: dict[str, tuple[str, str, dict[str, str]]] = {
    "h264": ("libx264", "mp4", {"preset": "veryfast"}),
    "h264, no B": ("libx264", "mp4", {"preset": "veryfast", "bf": "0"}),
    "h264, many B": ("libx264", "mp4", {"preset": "fast", "bf": "8", "b_strategy": "0"}),
    "vp8": ("libvpx", "webm", {"deadline": "realtime", "cpu-used": "8", "b": "1M"}),
}


def make(folder: Path, codec: str) -> Iterator[Made]:
    """Write the videos one by one."""
    encoder, form, options = CODECS[codec]
    decks: list[tuple[str, Sequence[Callable[[float], Frame]], Join, bool]]
    decks = [(f"deck, {style}", _deck(style), "cut", True) for style in ("light", "dark", "builds", "speaker")]
    decks.append(("deck, dissolves", _deck("light"), "dissolve", True))
    joins: Sequence[Join] = ("cut", "dissolve", "fade")
    films = [
        (f"film, {join}s, {'one palette' if same else 'many colours'}", _film(2 + same, same=same), join, False)
        for same in (False, True)
        for join in joins
    ]
    borders = [SECONDS * number for number in range(1, 6)]
    for number, (name, scenes, join, slides) in enumerate([*decks, *films]):
        path = folder / f"{number}.{form}"
        _write(path, _joined(scenes, join), encoder, options)
        yield Made(name, path, borders, slides)
        path.unlink()
