"""Posters: which frame of a film is chosen, and what is made of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.media import poster
from pipeline.media.container import UnreadableMedia
from pipeline.media.poster import LARGEST, film_poster, picture_poster, score
from tests.security.bombs import png_film, png_picture
from tests.support.media import film_bytes, picture_bytes, scenes_bytes, sound_bytes, turned

SIZE = (180, 320)


def flat(color: tuple[int, int, int] = (0, 0, 0), size: tuple[int, int] = SIZE) -> Any:
    """Return a picture of one colour."""
    return np.full((*size, 3), color, np.uint8)


def busy(color: tuple[int, int, int], size: tuple[int, int] = SIZE, dim: float = 1.0) -> Any:
    """Return a picture full of squares of one hue, between black and bright."""
    rows, columns = np.indices(size) // 20
    shade = ((rows * 7 + columns * 3) % 5 + 1) / 5 * dim
    return (shade[..., None] * np.array(color)).astype(np.uint8)


RED, GREEN, BLUE = (255, 60, 40), (70, 240, 60), (80, 90, 255)


def made(tmp_path: Path, data: bytes, name: str = "film.mp4", **wanted: Any) -> Any:
    """Return the poster of a film as an RGB array, after checking what all posters promise."""
    path = tmp_path / name
    path.write_bytes(data)
    return read(film_poster(path, **wanted))


def read(data: bytes) -> Any:
    """Return a poster as an RGB array."""
    assert len(data) <= LARGEST
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "WEBP"
        return np.asarray(image.convert("RGB")).astype(int)


def hue(picture: Any) -> str:
    """Return which of the three colours a poster has, or that it is dark."""
    means = picture.reshape(-1, 3).mean(axis=0)
    return "dark" if max(means) < 30 else ("red", "green", "blue")[int(np.argmax(means))]


@pytest.mark.parametrize("form", ["mp4", "mkv", "ts", "avi"])
def test_the_wanted_second_is_shown(tmp_path: Path, form: str) -> None:
    """Of three scenes that are equally good, the one at the given second is taken; by default that at a third."""
    data = scenes_bytes([(20, busy(RED)), (20, busy(GREEN)), (20, busy(BLUE))], form=form)
    for at, color in ((4.0, "red"), (30.0, "green"), (52.0, "blue"), (None, "green")):
        assert hue(made(tmp_path, data, f"film.{form}", at=at)) == color, at


def test_what_is_black_or_empty_is_left_for_something_better(tmp_path: Path) -> None:
    """A black, a white, a one-coloured and a faded third do not become the poster where the film has a picture."""
    for poor in (flat(), flat((255, 255, 255)), flat(BLUE), busy(BLUE, dim=0.08)):
        data = scenes_bytes([(6, busy(RED)), (48, poor), (6, busy(RED))])
        assert hue(made(tmp_path, data)) == "red"


@pytest.mark.parametrize("gop", [4, 1000])
def test_a_film_that_begins_in_the_dark(tmp_path: Path, gop: int) -> None:
    """Nor where all but one of the looked-at frames are black, or the only key frame is."""
    assert hue(made(tmp_path, scenes_bytes([(8, flat()), (4, busy(GREEN))], gop=gop))) == "green"


def test_a_film_of_one_key_frame_shows_the_wanted_second(tmp_path: Path) -> None:
    """A short clip whose only key frame is the first is read on to its moment."""
    data = scenes_bytes([(4, busy(RED)), (4, busy(GREEN)), (4, busy(BLUE))], gop=1000)
    assert hue(made(tmp_path, data)) == "green"


def test_a_film_that_is_wholly_dark_gives_the_best_it_has(tmp_path: Path) -> None:
    """There is a poster all the same."""
    picture = made(tmp_path, scenes_bytes([(20, flat()), (10, busy(RED, dim=0.1)), (10, flat())]))
    assert picture.max() > 15
    assert made(tmp_path, scenes_bytes([(6, flat())])).max() < 10


def test_few_frames_are_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight at most, whatever the film: four for one that is good at once."""
    seen: list[int] = []
    monkeypatch.setattr(poster, "score", lambda picture: seen.append(1) or score(picture))
    for scenes, most in (([(60, busy(RED))], 3), ([(300, flat())], 8), ([(5, flat()), (300, busy(RED, dim=0.1))], 8)):
        seen.clear()
        made(tmp_path, scenes_bytes(scenes))
        assert 1 <= len(seen) <= most


@pytest.mark.parametrize(
    ("size", "shown"),
    [((720, 1280), (180, 320)), ((1080, 608), (568, 320)), ((48, 64), (48, 64)), ((64, 1600), (13, 320)),
     ((1600, 64), (640, 26))],
)  # fmt: skip
def test_the_shape_is_kept(tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]) -> None:
    """320 pixels wide; small films are not blown up, towers fit into 640 pixels."""
    assert made(tmp_path, scenes_bytes([(2, busy(RED, size))])).shape[:2] == shown


def test_a_phone_held_upright_gives_an_upright_poster(tmp_path: Path) -> None:
    """The turn that players make is made: the marked corner is where they show it."""
    picture = busy(GREEN)
    picture[:90, :160] = 255  # top left, as stored
    data = scenes_bytes([(2, picture)])
    corners = {}
    turns = {"plain": (1, 0, 0, 1), "clockwise": (0, 1, -1, 0), "half": (-1, 0, 0, -1), "mirror": (-1, 0, 0, 1)}
    for name, matrix in turns.items():
        shown = made(tmp_path, turned(data, matrix))
        height, width = shown.shape[:2]
        assert (height > width) == (name == "clockwise")
        parts = {(y, x): shown[y::2, x::2] for y in (0, 1) for x in (0, 1)}
        parts = {
            (y, x): shown[y * height // 2 : (y + 1) * height // 2, x * width // 2 : (x + 1) * width // 2]
            for y, x in parts
        }
        corners[name] = max(parts, key=lambda at: parts[at][..., 0].mean())
    assert corners == {"plain": (0, 0), "clockwise": (0, 1), "half": (1, 1), "mirror": (0, 1)}


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "form"),
    [
        ("libx264", "yuv444p", "mp4"), ("libx264", "yuv420p10le", "mp4"), ("libx264", "gray", "mp4"),
        ("ffv1", "gbrp12le", "mkv"),
        ("ffv1", "yuva444p", "mkv"), ("rawvideo", "rgb565le", "avi"), ("mjpeg", "yuvj422p", "mkv"), ("ffv1", "gray16le", "mkv"),
        ("png", "rgba", "avi"), ("mpeg2video", "yuv422p", "ts"),
    ],
)  # fmt: skip
def test_odd_pixel_formats(tmp_path: Path, codec: str, pix_fmt: str, form: str) -> None:
    """Whatever FFmpeg decodes becomes a poster."""
    shown = made(tmp_path, scenes_bytes([(2, busy(GREEN))], codec=codec, pix_fmt=pix_fmt, form=form, fps=25))
    assert shown.shape == (180, 320, 3)
    assert shown.max() - shown.min() > 100


@pytest.mark.parametrize(("transfer", "paper", "dark"), [(16, 0.58, 0.30), (18, 0.75, 0.2)])
def test_high_dynamic_range_looks_as_it_was_meant(tmp_path: Path, transfer: int, paper: float, dark: float) -> None:
    """PQ and HLG: what is white as paper is bright, shadows are dark, where reading the numbers as they are gives mud."""
    picture = np.full((*SIZE, 3), round(paper * 65535), np.uint16)
    picture[::20] = picture[:, ::20] = round(dark * 65535)
    picture[:, 160:] = round(dark * 65535)
    tags = {"color_trc": transfer, "color_primaries": 9, "colorspace": 9}
    shown = made(tmp_path, scenes_bytes([(2, picture)], pix_fmt="yuv420p10le", tags=tags))
    assert np.percentile(shown[:, :150], 70) > 215
    assert np.median(shown[:, 170:]) < 80


def test_noise_fits_into_twenty_kilobytes(tmp_path: Path) -> None:
    """What compresses badly gets a lower quality, and in the end fewer pixels."""
    noise = np.random.default_rng(1).integers(0, 255, (640, 320, 3), dtype=np.uint8)
    assert made(tmp_path, scenes_bytes([(1, noise)], codec="ffv1", pix_fmt="bgr0", form="mkv")).size


def test_no_film_gives_none(tmp_path: Path) -> None:
    """Sound, a text, a bomb, an empty and a cut file are refused in words without the path."""
    whole = scenes_bytes([(4, busy(RED))])
    broken = {
        "sound.m4a": sound_bytes(2.0), "text.mp4": b"no film at all", "empty.mp4": b"", "bomb.avi": png_film(12_000, 12_000),
        "cut.mp4": whole[: len(whole) // 3], "noise.ts": bytes(range(256)) * 400,
    }  # fmt: skip
    for name, data in broken.items():
        with pytest.raises(UnreadableMedia) as caught:
            made(tmp_path, data, name)
        assert str(tmp_path) not in caught.value.message
    with pytest.raises(UnreadableMedia):
        film_poster(tmp_path / "absent.mp4")


def test_a_damaged_film_gives_what_can_be_read(tmp_path: Path) -> None:
    """Zeros in the middle of a recording, or its end cut off, cost the frames there."""
    data = bytearray(scenes_bytes([(10, busy(RED)), (20, busy(GREEN)), (10, busy(RED))], form="ts"))
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    assert hue(made(tmp_path, bytes(data), "film.ts")) in ("red", "green")
    data = bytearray(film_bytes(20.0, form="avi"))
    assert made(tmp_path, bytes(data[: len(data) // 2]), "film.avi").size


def test_a_thumbnail_becomes_a_poster() -> None:
    """Of the three formats, in its shape; what is no picture, or a giant, is refused."""
    for form in ("JPEG", "PNG", "WEBP"):
        assert read(picture_poster(picture_bytes(form, (1280, 720)))).shape == (180, 320, 3)
    for data in (b"", b"<svg/>", picture_bytes("GIF"), picture_bytes()[:200], png_picture(6000, 6000)):
        with pytest.raises(UnreadableMedia):
            picture_poster(data)
