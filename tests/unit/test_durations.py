"""Spans of time as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.settings import load
from pipeline.core.clock import parse_duration, show_duration
from pipeline.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5h", 18_000), ("90m", 5_400), ("1h30m", 5_400), ("300s", 300), ("90d", 7_776_000), ("1.5h", 5_400),
        (" 2D ", 172_800), ("1d2h3m4s", 93_784), ("0s", 0),
    ],
)  # fmt: skip
def test_what_is_read(text: str, seconds: float) -> None:
    """Days, hours, minutes and seconds, largest first."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "5", "h", "5x", "30m1h", "1h 30m", "-5h", "1h1h", "5hours", "1e3s", "٣h", "9" * 20 + "h"]
)
def test_what_is_not(text: str) -> None:
    """Nothing is guessed."""
    assert parse_duration(text) is None


@given(st.integers(1, 10**9))
def test_what_is_shown_is_read_again(seconds: int) -> None:
    """A message can be copied into a command."""
    assert parse_duration(show_duration(seconds)) == seconds


@pytest.mark.parametrize(("given", "seconds"), [("5h", 18_000), ("90", 90), ("1.5", 1.5)])
def test_every_layer_takes_both_forms(tmp_path: Path, given: str, seconds: float) -> None:
    """Text or a number of seconds: in the file, in the environment, on the command line."""
    file = tmp_path / "r.toml"
    file.write_text(f'[run]\nmax_time = "{given}"\nstop_grace = "1m"\n[watch]\ntimeout = "9s"\n')
    settings = load(file, env={})
    assert (settings.run.max_time, settings.run.stop_grace, settings.watch.timeout) == (seconds, 60, 9)
    assert load(None, env={"REELMILL_RUN__MAX_TIME": given}).run.max_time == seconds
    assert load(None, env={}, flags={"run": {"max_time": given}}).run.max_time == seconds


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('"soon"', "should be a time like 5h, 90m, 1h30m or 300s, or a number of seconds"),
        ("0", "should be more than 0"),
        ('"-1h"', "should be a time like"),
        ("true", "should be a time like"),
        ("nan", "should be more than 0"),
    ],
)
def test_a_wrong_one_is_named(tmp_path: Path, value: str, words: str) -> None:
    """With file, line and key."""
    file = tmp_path / "r.toml"
    file.write_text(f"[run]\nmax_time = {value}\n")
    with pytest.raises(ConfigError, match=rf"r\.toml, line 2: \[run\] max_time: {words}"):
        load(file, env={})
