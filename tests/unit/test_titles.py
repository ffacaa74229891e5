"""What may be called a title: words, and neither clocks nor counters nor what is read out of leaves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.titles import is_title

TITLES = (
    "Honey Bees: A Short Introduction", "The Krebs cycle", "DNA", "FAQ", "HTTP basics", "AI and you", "YouTube", "Café",
    "iPhone repair", "2001: A Space Odyssey", "Apollo 11", "Windows 95", "Lesson 3: Tides", "1. Bees", "Part 2", "X-ray",
    "McDonald's", "Q&A session", "C++ templates", "Über uns", "Łódź", "Kraków 2024", "Brno", "Smør", "Фильм", "蜜蜂",
    "ミツバチ", "꿀벌", "नमस्ते", "מסע", "สวัสดี", "Tiếng Việt", "Time",
    "Q&A", "AI", "R&D", "3D",
)  # fmt: skip
NO_TITLES = (
    "00-00-05", "00:00:05", "0:05", "00:00:05:12", "144", "#144", "Frame 144", "frame: 00144", "12/25/2024", "REC 00:05",
    "CAM 1", "2024-01-01 12:00:00", "Camera 01 2024-01-01", "25fps", "FPS 25.0", "TC 01:00:00:05", "1080p", "3 of 10",
    "Page 3 of 10", "10:05 AM", "Mon 5 May 2024", "5 sec", "Take 3", "Track 01", "１２：３４", "Bild 12", "Kamera 2 10:05 Uhr",
    "untitled", "Untitled 2", "Video 1", "VideoHandler", "", "   ", ".", "~~~~", "€ 5",
    "Ko) |e—", "Trl eee", "aS ie ae", "¢ ¢ ¢", "l1lI", "iii ill", "II I l",
)  # fmt: skip


@pytest.mark.parametrize("text", TITLES)
def test_words_are_a_title(text: str) -> None:
    """In any script, with numbers or without."""
    assert is_title(text)


@pytest.mark.parametrize("text", NO_TITLES)
def test_clocks_counters_placeholders_and_noise_are_none(text: str) -> None:
    """Three films alike named 00-00-05 cannot be told apart by a person."""
    assert not is_title(text)


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    """Property: whatever a file or a picture holds, the answer is yes or no."""
    assert isinstance(is_title(text), bool)


@given(st.lists(st.integers(0, 9999), min_size=1), st.sampled_from(":-./ ,"))
def test_numbers_alone_are_never_a_title(numbers: list[int], mark: str) -> None:
    """Property: of any length, with any marks between them."""
    assert not is_title(mark.join(map(str, numbers)))
