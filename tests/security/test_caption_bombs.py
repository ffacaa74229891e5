"""Caption files as weapons: hundreds of thousands of cues, lines of megabytes, patterns that make regular expressions slow."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.captions import MAX_CHARACTERS, MAX_CUES, parse, strip_markup
from pipeline.source.captions import LARGEST, read_captions
from tests.security.measured import MEGABYTE, measured

ARROW = "00:00:01.000 --> 00:00:02.000\n"
EIGHTH = MAX_CHARACTERS // 8

BOMBS = {
    "cues without end": "".join(
        f"{n}\n00:00:{n % 60:02}.000 --> 00:00:{n % 60:02}.900\nword\n\n" for n in range(120_000)
    ),
    "all overlap": "".join(f"00:00:00.000 --> 99:00:00.000\nline {n}\n\n" for n in range(30_000)),
    "one line": ARROW + "x" * EIGHTH,
    "almost an arrow": ("." * 100_000 + "1:1:1\n") * 10,
    "blanks before an arrow": (" " * 100_000 + "-->\n") * 10,
    "blanks after a time": ("1:1:1" + " " * 50_000 + "\n") * 20,
    "open tags": ARROW + "<a" * EIGHTH,
    "open braces": ARROW + "{\\" * EIGHTH,
    "a number of a million digits": ARROW + "&#" + "9" * EIGHTH,
    "such numbers on every line": ARROW + ("&#x" + "f" * 5000 + ";\n") * 200,
    "line ends": ARROW + "\u2028" * EIGHTH,
    "cues of many lines": ("00:00:01.000 --> 00:00:09.000\n" + "a\n" * 400 + "b\n\n") * 1200,
    "comments": "NOTE x\n" * 150_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_a_moment_and_little_room(name: str) -> None:
    """A megabyte of each: read in a second or two of processor time, and what comes out is bounded."""
    began = time.process_time()
    cues = parse(BOMBS[name])
    assert time.process_time() - began < 5.0
    assert len(cues) <= MAX_CUES
    assert all(len(cue.text) <= 1000 for cue in cues)


def test_a_hundred_megabytes_cost_what_eight_do(tmp_path: Path) -> None:
    """Beyond the limit nothing is looked at: not by the platform, and the run does not even open the file."""
    path = tmp_path / "film.srt"
    path.write_text((ARROW + "word\n\n") * 2_800_000, encoding="utf-8")
    assert path.stat().st_size > 100_000_000
    assert read_captions([path]) == ""
    before = "from pathlib import Path\nfrom pipeline.media.captions import parse\n"
    before += "text = Path(sys.argv[1]).read_text()"
    cost = measured(before, "found = len(parse(text))", path)
    assert (cost.found, cost.cpu < 10, cost.grown < 100 * MEGABYTE) == ("1", True, True), cost


def test_the_first_usable_file_counts(tmp_path: Path) -> None:
    """One that is too large, or a folder, or gone: the next one is taken, in whatever encoding it is."""
    (tmp_path / "large.srt").write_bytes(b"a" * (LARGEST + 1))
    (tmp_path / "folder.srt").mkdir()
    (tmp_path / "good.srt").write_bytes("1\n00:00:01,000 --> 00:00:02,000\nIl était\n".encode("latin-1"))
    names = ("large.srt", "folder.srt", "gone.srt", "good.srt")
    assert read_captions([tmp_path / name for name in names]).endswith("Il était\n")


@given(
    st.text(
        alphabet=st.sampled_from(list("<>&#;x\\{}[]()-:.,0123456789 \n\rabN\x1b\x9b\u2028\u202e\ud7ff\0")), max_size=400
    )
)
def test_words_never_hold_markup_for_terminals(text: str) -> None:
    """Whatever a cue holds, its words have no control characters and no line is blank."""
    words = strip_markup(text)
    assert all(char == "\n" or char.isprintable() or char == " " for char in words)
    assert all(line.strip() for line in words.split("\n")) or not words
