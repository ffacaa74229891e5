"""Captions as they are found in the wild."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.media.captions import MAX_CUES, Cue, parse, strip_markup


def test_reads_plain_subrip() -> None:
    """Numbers and blank lines of SubRip separate cues and are not part of them."""
    text = "1\n00:00:01,000 --> 00:00:02,500\nHello there.\n\n2\n00:00:03,000 --> 00:00:04,000\nTwo\nlines.\n"
    assert parse(text) == [Cue(1.0, 2.5, "Hello there."), Cue(3.0, 4.0, "Two lines.")]


def test_reads_web_captions_with_names_notes_and_settings() -> None:
    """A WebVTT header, notes, styles, cue names and settings are no words."""
    text = (
        "\ufeffWEBVTT - a title\n\nSTYLE\n::cue { color: red }\n\nNOTE a remark\nof two lines\n\nintro\n"
        "00:01.000 --> 00:02.000 align:start position:10%\n<v Ann>Hello <i>you</i> &amp; me</v>\n\nNOTE more\n\n"
        "outro\n00:03.000 --> 00:04.000\nBye\n\nNOTE the end\n"
    )
    assert parse(text) == [Cue(1.0, 2.0, "Hello you & me"), Cue(3.0, 4.0, "Bye")]


def test_windows_line_ends_missing_numbers_and_missing_blank_lines() -> None:
    """Cues are found by their arrows even where everything around them is missing."""
    text = "00:00:01,0 --> 00:00:02,0\r\nOne\r\n00:00:02,5 --> 00:00:03,0\r\nTwo\r\n3\r\n00:00:04,0 --> 00:00:05,0\r\nThree"
    assert [cue.text for cue in parse(text)] == ["One", "Two", "Three"]


def test_a_cue_that_ends_before_it_starts_is_given_an_end() -> None:
    """A broken end is replaced by the next start, but no cue stands longer than five seconds for it."""
    text = "00:00:10.000 --> 00:00:09.000\nA\n\n00:00:12.000 --> 00:00:12.000\nB\n\n00:01:00.000 --> 00:01:01.000\nC\n"
    assert parse(text) == [Cue(10.0, 12.0, "A"), Cue(12.0, 17.0, "B"), Cue(60.0, 61.0, "C")]


def test_rolling_captions_say_each_line_once() -> None:
    """Automatic captions repeat the line above and a short cue in between; every line comes out once."""
    text = (
        "WEBVTT\nKind: captions\nLanguage: en\n\n00:00:00.000 --> 00:00:02.000 align:start position:0%\n \n"
        "the<00:00:00.500><c> sea</c><00:00:01.000><c> rises</c>\n\n00:00:02.000 --> 00:00:02.010\nthe sea rises\n \n\n"
        "00:00:02.010 --> 00:00:04.000\nthe sea rises\nand<00:00:03.000><c> falls</c>\n\n00:00:04.000 --> 00:00:04.010\n"
        "and falls\n \n\n00:00:04.010 --> 00:00:06.000\nand falls\ntwice a day\n"
    )
    assert [cue.text for cue in parse(text)] == ["the sea rises", "and falls", "twice a day"]


def test_live_captions_that_grow_word_by_word_become_one_line() -> None:
    """A line that is shown again with more words replaces the shorter one."""
    text = (
        "00:01.000 --> 00:01.500\nthe\n\n00:01.500 --> 00:02.000\nthe sea\n\n00:02.000 --> 00:03.000\nthe sea rises\n"
    )
    assert parse(text) == [Cue(1.0, 3.0, "the sea rises")]


def test_the_same_words_said_again_later_stay() -> None:
    """Only what the cue just before has shown is a repetition."""
    text = "00:01.000 --> 00:02.000\nNo.\n\n00:05.000 --> 00:06.000\nNo.\n"
    assert [cue.start for cue in parse(text)] == [1.0, 5.0]


def test_no_more_cues_than_the_limit_are_read() -> None:
    """A caption file of any size costs bounded memory."""
    text = "".join(
        f"{i // 3600:02}:{i // 60 % 60:02}:{i % 60:02}.000 --> 99:00:00.000\nw{i}\n" for i in range(MAX_CUES + 50)
    )
    assert len(parse(text)) == MAX_CUES


def test_text_without_arrows_has_no_cues() -> None:
    """A page of HTML or an empty file is no caption file."""
    assert parse("") == []
    assert parse("<html><body>Not found</body></html>") == []


def test_styling_and_control_characters_are_removed() -> None:
    """Override codes, tags, entities and control characters are no words; a comparison sign is."""
    assert strip_markup("{\\an8}<font color='#fff'>Salt\x00 &amp; water</font>\\Ntwo") == "Salt & water\ntwo"
    assert strip_markup("1 < 2 and 3 > 2") == "1 < 2 and 3 > 2"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(["1", "", "words here", "00:00:01,000 --> 00:00:02,000", "NOTE x", "WEBVTT", "-->", "\x00"])
    )
)
def test_any_mixture_of_lines_gives_ordered_cues_with_length(lines: list[str]) -> None:
    """Whatever is read, cues come in order, have words and end after they start."""
    cues = parse("\n".join(lines))
    assert all(cue.text.strip() and cue.end > cue.start for cue in cues)
    assert [cue.start for cue in cues] == sorted(cue.start for cue in cues)
