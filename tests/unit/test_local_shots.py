"""Shot borders: found where a person would put them, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.local.analysis.evidence import Shot
from pipeline.local.analysis.extract.media import Sample, stream_through
from pipeline.local.analysis.extract.shots import ShotFinder
from pipeline.local.demo.videos import make_slides
from tests.unit.local_video import Picture, film, mix, noise, plain

RED, GREEN, BLUE, BLACK = (plain(c, (160, 90)) for c in ((200, 40, 40), (40, 180, 60), (40, 60, 200), (0, 0, 0)))


def find_shots(samples: Iterable[Sample], end: float) -> tuple[Shot, ...]:
    """Return the shots of a stream of samples."""
    finder = ShotFinder()
    for sample in samples:
        finder.push(sample)
    return finder.finish(end)


def borders(pictures: Iterable[Picture]) -> list[float]:
    """Return the inner borders of small pictures at five a second."""
    samples = [Sample(number / 5, picture) for number, picture in enumerate(pictures)]
    return [shot.start for shot in find_shots(samples, len(samples) / 5)[1:]]


def test_hard_cuts_are_found_where_they_are() -> None:
    """Three colours of 4 s each have two borders, at the pictures that are new."""
    assert borders([RED] * 20 + [GREEN] * 20 + [BLUE] * 20) == [4.0, 8.0]


def test_cuts_between_moving_pictures_of_other_colours_are_found() -> None:
    """Motion before and after a cut does not hide it."""
    moving = [
        np.roll(mix(base, noise(7, (160, 100))[:90], 0.25), 3 * n, axis=1) for base in (RED, BLUE) for n in range(20)
    ]
    assert borders(moving) == [4.0]


def test_a_dissolve_has_one_border_near_its_middle() -> None:
    """One second of mixing two pictures is one border, not several and not none."""
    found = borders([RED] * 20 + [mix(RED, GREEN, (n + 1) / 6) for n in range(5)] + [GREEN] * 20)
    assert len(found) == 1
    assert found[0] == pytest.approx(4.5, abs=0.5)


def test_a_fade_through_black_is_one_border_and_fading_in_from_black_none() -> None:
    """Black at the beginning is no shot of its own; black between two scenes parts them once."""
    fade_in = [mix(BLACK, RED, n / 5) for n in range(6)]
    assert borders([BLACK] * 5 + fade_in + [RED] * 25) == []
    fade_out = [mix(RED, BLACK, n / 5) for n in range(6)]
    fade_on = [mix(BLACK, GREEN, n / 5) for n in range(6)]
    assert len(borders([RED] * 20 + fade_out + [BLACK] * 3 + fade_on + [GREEN] * 20)) == 1


def test_shots_of_one_palette_are_parted_by_their_pattern() -> None:
    """The same colours in broad stripes, in fine ones, and turned round: each is a shot."""
    dark, light = np.full((90, 160, 3), 80, np.uint8), np.full((90, 160, 3), 160, np.uint8)
    across, down = np.arange(160)[None, :, None], np.arange(90)[:, None, None]
    broad, fine, turned = (np.where(each, dark, light) for each in (across // 40 % 2, across // 4 % 2, down // 30 % 2))
    assert borders([broad] * 20 + [fine] * 20 + [turned] * 20) == [4.0, 8.0]


def test_a_quick_fade_through_black_is_one_border() -> None:
    """Nearly dark in one picture only, and dim beside it; a single black picture is a flash."""
    out = [mix(RED, BLACK, share) for share in (0.3, 0.6)]
    back = [mix(BLACK, BLUE, share) for share in (0.4, 0.7)]
    assert borders([RED] * 20 + [*out, BLACK, *back] + [BLUE] * 20) == [4.4]
    assert borders([RED] * 20 + [BLACK] + [RED] * 20) == []


def test_slow_motion_has_no_border() -> None:
    """A camera that pans without a cut gives one shot."""
    wide = noise(3, (800, 100))[:90]
    assert borders([wide[:, 4 * n : 4 * n + 160] for n in range(60)]) == []


def test_no_shot_is_shorter_than_a_blink_and_shots_leave_no_gap() -> None:
    """Flashing pictures do not become hundreds of shots; every moment belongs to exactly one."""
    pictures = [(RED, GREEN)[n % 2] for n in range(50)]
    shots = find_shots([Sample(n / 5, picture) for n, picture in enumerate(pictures)], 10.0)
    assert all(shot.end - shot.start >= 0.6 for shot in shots)
    assert shots[0].start == 0.0
    assert shots[-1].end == 10.0
    assert all(before.end == after.start for before, after in pairwise(shots))


def test_nothing_watched_gives_no_shot() -> None:
    """Without samples there is no shot to speak of."""
    assert find_shots([], 5.0) == ()


def test_slides_that_differ_only_in_letters_are_told_apart(tmp_path: Path) -> None:
    """Paper of one colour and a rule that stays: the change of letters is the border, within one sample."""
    slides = [
        ("Bees", ["One queen", "Many workers"]),
        ("Dance", ["Angle", "Length of the run"]),
        ("Honey", ["Water", "Wax"]),
    ]
    path = make_slides(tmp_path / "deck.mp4", slides, 4.0, fps=10)
    shots = find_shots((s for s in stream_through(path) if isinstance(s, Sample)), 12.0)
    assert [shot.start for shot in shots] == pytest.approx([0.0, 4.0, 8.0], abs=0.2)
    assert all(shot.still for shot in shots)


def test_a_slide_that_fills_up_is_one_shot(tmp_path: Path) -> None:
    """Bullets that are added leave the old letters standing, so they begin no new shot."""
    lines = ["The first point", "The second point", "The third point", "The fourth point"]
    builds = [("One heading", lines[:count]) for count in range(1, 5)]
    path = make_slides(tmp_path / "build.mp4", [*builds, ("Another heading", ["Something else"])], 2.0)
    shots = find_shots((s for s in stream_through(path) if isinstance(s, Sample)), 10.0)
    assert [shot.start for shot in shots] == pytest.approx([0.0, 8.0], abs=0.2)


def test_a_speaker_in_the_corner_does_not_hide_a_slide_change(tmp_path: Path) -> None:
    """Cells that move all the time take no part in the comparison of slides."""
    decks = [
        make_slides(tmp_path / f"{n}.mp4", [(heading, lines)], 1.0, size=(320, 180))
        for n, (heading, lines) in enumerate([("Bees", ["A queen", "Drones"]), ("Winter", ["A cluster", "Heat"])])
    ]
    pages = [next(s for s in stream_through(deck) if isinstance(s, Sample)).picture for deck in decks]

    def pictures() -> Iterable[Picture]:
        for number in range(100):
            page = pages[number // 50].copy()
            page[65:, 120:] = noise(number, (40, 40))[: page.shape[0] - 65]
            yield page.repeat(2, 0).repeat(2, 1)

    path = film(tmp_path / "speaker.mp4", pictures())
    shots = find_shots((s for s in stream_through(path) if isinstance(s, Sample)), 10.0)
    assert [shot.start for shot in shots] == pytest.approx([0.0, 5.0], abs=0.2)
    assert all(0.02 < shot.motion < 0.2 for shot in shots)


def test_colours_are_named_by_area() -> None:
    """A green picture is called green, a white one white."""
    shots = find_shots([Sample(n / 5, GREEN) for n in range(10)], 2.0)
    assert shots[0].colours[0] == "green"
    white = find_shots([Sample(n / 5, plain((250, 250, 250), (160, 90))) for n in range(10)], 2.0)
    assert white[0].colours[0] == "white"
