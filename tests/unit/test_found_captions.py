"""Caption files as people have them: every case here is a public report, made small."""

from __future__ import annotations

import codecs
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.model import fingerprint
from pipeline.media.caption_times import parse_span
from pipeline.media.captions import Cue, count_lost, parse, strip_ass, strip_markup
from pipeline.source.caption_files import CaptionFiles
from pipeline.source.captions import find_captions, read_captions
from pipeline.source.encodings import DecodedText, decode_text

FIRST, SECOND = "The queen lays eggs all summer.", "In winter the bees form a cluster."
PLAIN = f"1\n00:00:01,000 --> 00:00:03,000\n{FIRST}\n\n2\n00:00:07,000 --> 00:00:10,000\n{SECOND}\n\n"


@pytest.mark.parametrize(
    "line",
    [
        "00:00:01, 500 --> 00:00:03, 250", "00: 00: 01, 500 --> 00: 00: 03, 250", "00:00:01,500 -- > 00:00:03,250",
        "00:00:01:500 --> 00:00:03:250", "00:00:01.500000 --> 00:00:03.250000", "00:00:01,500 -> 00:00:03,250",
        "００：００：０１，５００ －－＞ ００：００：０３，２５０", "00.00.01,500 --> 00.00.03,250",
        "00:00:01 500 --> 00:00:03 250",
        "00:00:01,500 \u2013> 00:00:03,250", "00:00:01;500 --> 00:00:03;250", "\u200e00:00:01,500 --> 00:00:03,250 align:start",
        "> 00:01.500 --> 00:03.250", "0:00:01.50 --> 0:00:03.25", "00:00:01,5000 --> 00:00:03,2500",
        "00:01:500 --> 00:03:250",
        "00:00:01,500 --> 00:00:03,250,", "00:00:01,500-->00:00:03,250",
    ],
)  # fmt: skip
def test_a_time_line_in_any_form_that_players_take_is_a_cue(line: str) -> None:
    """Blanks, full-width signs, dots and colons in each other's place, an arrow with a dash too few."""
    text = f"1\n{line}\n{FIRST}\n\n2\n00:00:07,000 --> 00:00:10,000\n{SECOND}\n\n"
    assert parse(text) == [Cue(1.5, 3.25, FIRST), Cue(7.0, 10.0, SECOND)]
    assert count_lost(text) == 0


def test_a_thousand_milliseconds_are_a_second() -> None:
    """A program that rounds 999.6 up writes four digits."""
    assert parse("00:00:01,1000 --> 00:00:03,250\nA\n")[0].start == 2.0


@pytest.mark.parametrize(
    "line", ["so 3 -> 4 and on", "A -> B", "at 10:30 -> we leave", "5:10 > 5:09?!", "<b>10:20</b>"]
)
def test_words_with_an_arrow_are_words(line: str) -> None:
    """What is said about numbers is not taken for a time."""
    assert parse(f"00:00:01,000 --> 00:00:02,000\n{line}\n")[0].text == strip_markup(line)


def test_a_time_that_cannot_be_read_is_counted() -> None:
    """A cue that is lost is told, not dropped in silence, and is no part of the one above it."""
    text = PLAIN + "3\n00:00:xx,000 --> 00:00:12,000\nLost\n\n4\n00:00:14,000 --> 00:00:15,000\n3 --> 4\n"
    assert (count_lost(text), count_lost(PLAIN)) == (1, 0)
    assert [cue.text for cue in parse(text)] == [FIRST, SECOND, "3 --> 4"]


def test_headers_of_joined_segments_are_no_words() -> None:
    """A broadcast's captions come as many small files; joined, each brings its header along."""
    text = (
        f"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n00:01.000 --> 00:03.000\n{FIRST}\n\nWEBVTT\n"
        f"X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n00:07.000 --> 00:10.000\n{SECOND}\n"
    )
    assert [cue.text for cue in parse(text)] == [FIRST, SECOND]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (rb"0,0,Default,,0,0,0,,{\an8}" + FIRST.encode(), FIRST),
        (rb"1,1,Default,,0,0,0,,{\p1\pos(10,20)}m 0 0 l 100 0 100 100 0 100{\p0}", ""),
        (rb"1,1,Default,,0,0,0,,{\pos(1,2)\p2}m 0 0 b 1 2 3 4 5 6", ""),
        (rb"2,0,Default,,0,0,0,,{\k20}In {\k30}winter{\k20}, the bees", "In winter, the bees"),
        (rb"3,0,Default,,0,0,0,,{\clip(1,m " + b"10 20 l 30 40 " * 40 + rb")}Heat {a remark}stays", "Heat stays"),
        (rb"4,0,Default,,0,0,0,,{\p1}m 0 0 l 9 9{\p0}Exit", "Exit"),
        (rb"5,0,Default,,0,0,0,,Sets \{a, b\}", "Sets {a, b}"),
    ],
)  # fmt: skip
def test_drawings_and_karaoke_of_ass_leave_the_words(event: bytes, words: str) -> None:
    """The strokes of a picture, clips and syllable lengths are not speech."""
    assert strip_ass(event) == words


def test_a_file_of_ass_is_read_as_its_spoken_lines(tmp_path: Path) -> None:
    """In any order of fields and lines, in UTF-16; comments, drawings, syllables and frames of one sign are no speech."""
    path = tmp_path / "film.en.ass"
    sign = [f"Dialogue: 1,0:00:0{at}.00,0:00:0{at + 1}.00,Sign,{{\\pos({at},2)}}EXIT" for at in range(4, 7)]
    events = [
        f"Dialogue: 0,0:00:07.00,0:00:10.00,Default,{SECOND}",
        "Dialogue: 0,0:00:01.50,0:00:03.25,Default,{\\i1}The queen lays{\\i0}\\Neggs, all summer.",
        "Comment: 0,0:00:01.00,0:00:03.00,Default,a note of the translator",
        "Dialogue: 0,0:00:02.00,0:00:03.00,Shape,{\\p1}m 0 0 l 100 0{\\p0}",
        "Dialogue: 0,0:00:xx.00,0:00:03.00,Default,no time", *sign,
    ]  # fmt: skip
    head = "[Script Info]\n[V4+ Styles]\nFormat: Name, Fontname\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
    path.write_text(head + "\n".join(events), encoding="utf-16")
    cues = [Cue(1.5, 3.25, "The queen lays eggs, all summer."), Cue(4.0, 7.0, "EXIT"), Cue(7.0, 10.0, SECOND)]
    assert parse(read_captions([path])) == cues
    assert count_lost(read_captions([path])) == 1


def test_old_ssa_and_karaoke_are_read(tmp_path: Path) -> None:
    """Karaoke as it was made from, in a comment; not as it was made into, by the syllable. The ending does not decide."""
    path = tmp_path / "film.srt"
    path.write_text(
        "[Events]\n"
        f"Dialogue: Marked=0,0:00:01.00,0:00:03.00,*Default,Bee,0000,0000,0000,,{FIRST}\n"
        "Comment: 0,0:00:04.00,0:00:06.00,Song,,0,0,0,karaoke,{\\k20}In {\\k30}win{\\k20}ter\n"
        "Dialogue: 0,0:00:04.00,0:00:04.20,Song,,0,0,0,fx,win\n"
    )
    assert parse(read_captions([path])) == [Cue(1.0, 3.0, FIRST), Cue(4.0, 6.0, "In winter")]


def test_words_that_look_like_events_stay_subrip(tmp_path: Path) -> None:
    """A caption that begins with "Dialogue:" makes no ASS of a file."""
    path = tmp_path / "film.srt"
    path.write_text(PLAIN.replace(FIRST, "Dialogue: two bees"))
    assert parse(read_captions([path]))[0].text == "Dialogue: two bees"


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        lambda text: text.encode("utf-16-le"), lambda text: text.encode("utf-16-be"), lambda text: text.encode("utf-32"),
        lambda text: text.encode("utf-32-be"), lambda text: text.encode("utf-8-sig"),
    ],
)  # fmt: skip
def test_wide_encodings_are_read(tmp_path: Path, encode: Callable[[str], bytes]) -> None:
    """UTF-16 and UTF-32, in both byte orders, with and without a mark."""
    path = tmp_path / "film.srt"
    path.write_bytes(encode(PLAIN))
    assert parse(read_captions([path])) == [Cue(1.0, 3.0, FIRST), Cue(7.0, 10.0, SECOND)]


WORDS = {
    ("cp1251", "ru"): "Матка откладывает яйца всё лето. Зимой пчёлы собираются в клуб.",
    ("koi8-r", "ru"): "Матка откладывает яйца всё лето. Зимой пчёлы собираются в клуб.",
    ("cp1252", "fr"): "La reine pond des œufs tout l’été. « Où ça ? » Là-bas, près du hêtre.",
    ("cp1252", "de"): "Die Königin legt den ganzen Sommer Eier – über tausend täglich, heißt es.",
    ("cp1250", "pl"): "Królowa składa jaja przez całe lato. Zimą pszczoły tworzą kłąb, żeby się ogrzać.",
    ("cp1250", "cs"): "Královna klade vajíčka celé léto. Včely se v zimě tísní, aby přežily.",
    ("cp1253", "el"): "Η βασίλισσα γεννά αυγά όλο το καλοκαίρι. Τον χειμώνα οι μέλισσες μαζεύονται.",
    ("cp1250", "hu"): "A királynő egész nyáron petézik. Télen a méhek fürtbe tömörülnek.",
    ("cp1250", "hr"): "Matica polaže jaja cijelo ljeto. Zimi se pčele skupljaju u klupko. Žao mi je, doći će kiša.",
    ("cp1252", "is"): "Drottningin verpir eggjum allt sumarið. Hvað ertu að gera? Á veturna er kalt.",
    ("cp1254", "tr"): "Kraliçe bütün yaz yumurtlar. Kışın arılar ısınmak için bir araya gelir.",
    ("cp1257", "lt"): "Motina deda kiaušinius visą vasarą. Žiemą bitės susispiečia į kamuolį, kad sušiltų.",
    ("cp1257", "lv"): "Māte dēj olas visu vasaru. Ziemā bites sapulcējas kopā, lai sasildītos.",
    ("cp1257", "et"): "Mesilasema muneb kogu suve. Õhtul läheme koju, öösel sööme šokolaadi.",
    ("cp1255", "he"): "המלכה מטילה ביצים כל הקיץ. בחורף הדבורים מתקבצות יחד.",
    ("cp1256", "ar"): "تضع الملكة البيض طوال الصيف. وفي الشتاء يتجمع النحل معا.",
    ("cp874", "th"): "นางพญาวางไข่ตลอดฤดูร้อน ในฤดูหนาวผึ้งจะรวมตัวกัน",
    ("cp866", "ru"): "Матка откладывает яйца всё лето. Зимой пчёлы собираются в клуб.",
    ("iso8859-5", "ru"): "Матка откладывает яйца всё лето. Зимой пчёлы собираются в клуб.",
    ("iso8859-2", "pl"): "Królowa składa jaja przez całe lato. Zimą pszczoły tworzą kłąb, żeby się ogrzać.",
    ("cp932", "ja"): "女王蜂は夏じゅう卵を産みます。冬になるとミツバチは集まります。",
    ("euc-jp", "ja"): "女王蜂は夏じゅう卵を産みます。冬になるとミツバチは集まります。",
    ("gb18030", "zh"): "蜂王整个夏天都在产卵。到了冬天，蜜蜂聚成一团取暖。",
    ("big5", "zh"): "蜂王整個夏天都在產卵。到了冬天，蜜蜂聚成一團取暖。",
    ("cp949", "ko"): "여왕벌은 여름 내내 알을 낳습니다. 겨울에는 벌들이 모여 있습니다.",
}


@pytest.mark.parametrize(("encoding", "language"), WORDS)
def test_the_language_in_the_name_tells_the_encoding(encoding: str, language: str) -> None:
    """film.ru.srt that is no UTF-8 is in one of the encodings that Russian had."""
    text = PLAIN.replace(FIRST, WORDS[encoding, language])
    assert decode_text(text.encode(encoding), language).text == text


@pytest.mark.parametrize(("encoding", "language"), WORDS)
def test_without_a_language_the_words_tell_the_encoding_and_the_doubt_is_said(encoding: str, language: str) -> None:
    """What looks like words of one script is taken, and known to be a guess."""
    text = PLAIN.replace(FIRST, WORDS[encoding, language])
    found = decode_text(text.encode(encoding))
    assert (found.text, found.certain) == (text, False)


@pytest.mark.parametrize("language", ["ru", "he", "en", "xx"])
def test_a_name_that_tells_the_wrong_language_does_not_garble_the_words(language: str) -> None:
    """The words are believed where they speak clearly, and the doubt is said."""
    text = PLAIN.replace(FIRST, WORDS["cp1252", "de"])
    found = decode_text(text.encode("cp1252"), language)
    assert (found.text, found.certain) == (text, False)


def test_bytes_that_are_no_text_are_read_without_a_fault() -> None:
    """Bytes that no encoding defines are kept as they are."""
    assert decode_text(b"\x81\x8d\xff\xfe\x90 words \x9d" * 3).text.count("words") == 3


def test_japanese_of_seven_bits_is_read() -> None:
    """It looks like ASCII, and says by a sign of its own that it is not."""
    text = PLAIN.replace(FIRST, WORDS["euc-jp", "ja"])
    assert decode_text(text.encode("iso2022_jp")) == DecodedText(text, "iso2022_jp", True)
    assert decode_text(b"\x1b$B is no sign of it").encoding == "utf-8"


def test_one_bad_byte_does_not_garble_a_good_file() -> None:
    """A file that is UTF-8 but for one byte is read as UTF-8, and that byte is lost."""
    text = PLAIN.replace(FIRST, "Où est la reine ? Elle est là, près du hêtre, tout l’été.")
    raw = text.encode().replace(b"cluster", b"clus\xffter")
    assert decode_text(raw).text == text.replace("cluster", "clus\ufffdter")


def test_the_first_file_that_holds_a_cue_is_used(tmp_path: Path) -> None:
    """An empty file, a page of HTML and a header alone in front of the good one hide nothing."""
    for name, text in (("a.srt", ""), ("b.srt", "<html>404 --> gone</html>"), ("c.vtt", "WEBVTT\n"), ("d.srt", PLAIN)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_captions(sorted(tmp_path.iterdir())) == PLAIN


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["film.en.forced.srt", "film.en.srt"], ["film.en.srt", "film.en.forced.srt"]),
        (["film.forced.srt", "film.de.srt"], ["film.de.srt", "film.forced.srt"]),
        (["film.mp4.srt"], ["film.mp4.srt"]),
        (["film.mp4.en.vtt", "FILM.SRT"], ["FILM.SRT", "film.mp4.en.vtt"]),
        (["film.en.sdh.srt", "film.en.srt"], ["film.en.srt", "film.en.sdh.srt"]),
        (["film.en.auto.vtt", "film.fr.srt"], ["film.fr.srt", "film.en.auto.vtt"]),
        (["film.English.srt", "film_en.srt", "film-de.srt", "film (English).srt"], ["film (English).srt", "film.English.srt",
            "film_en.srt", "film-de.srt"]),
        (["film.en.default.srt", "film.de.srt"], ["film.en.default.srt", "film.de.srt"]),
        (["film.ass", "film.en.SSA", "film.forced.ass"], ["film.ass", "film.en.SSA", "film.forced.ass"]),
        (["Subs/film.en.srt", "film.en.srt", "Subs/film.srt"], ["Subs/film.srt", "film.en.srt", "Subs/film.en.srt"]),
        (["Subs/film/3_French.srt", "Subs/film/2_English.srt"], ["Subs/film/2_English.srt", "Subs/film/3_French.srt"]),
        (["Subs/English.srt", "Subs/en.srt", "Subs/film2.srt", "Subs/2_English.srt"], []),
        (["film.mkv.srt", "film2.srt", "film.part2.srt", "film-two.srt", "film.txt", "filmen.srt", "other.srt"], []),
    ],
)  # fmt: skip
def test_which_caption_file_belongs_to_a_video_and_which_comes_first(names: list[str], expected: list[str]) -> None:
    """Full before automatic before forced; all common forms of names; none of another video."""
    assert find_captions("film.mp4", names) == expected


def test_captions_in_the_spoken_language_come_before_english() -> None:
    """A German film is told by its German captions."""
    assert find_captions("f.mkv", ["f.en.srt", "f.de.srt"], spoken="deu")[0] == "f.de.srt"


def test_composed_and_decomposed_names_are_one_name() -> None:
    """A disk from another system spells é in two characters."""
    name = unicodedata.normalize("NFD", "Café.fr.srt")
    assert find_captions(unicodedata.normalize("NFC", "Café.mp4"), [name]) == [name]


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999), st.booleans(), st.booleans())
def test_a_usual_time_line_is_read_as_any_other(
    hours: int, minutes: int, seconds: int, part: int, long: bool, comma: bool
) -> None:
    """The short way that nearly every line takes gives what the long way gives."""
    mark = "," if comma else "."
    time = f"{minutes:02}:{seconds:02}{mark}{part:03}"
    time = f"{hours:02}:{time}" if long else time
    usual = parse_span(f"{time} --> {time} align:start")
    assert usual is not None
    assert usual == parse_span(f"{time}  -->  {time}  align:start") == parse_span(f" {time} -> {time}")


@given(st.text(st.sampled_from("ab \t<>&{}\\\n\r\u00a0é-"), max_size=30))
def test_plain_words_are_shown_as_any_other(text: str) -> None:
    """A text without marks is told in the short way as in the long one."""
    assert strip_markup(text) == strip_markup(f"{text}<i></i>")


def test_a_look_into_a_folder_finds_what_each_name_alone_would(tmp_path: Path) -> None:
    """Names are looked up by how they begin; nothing that belongs to a video is passed over for that."""
    names = [
        "film.srt", "film.en.vtt", "Film.DE.srt", "film (en).srt", "film_forced.srt", "film.mkv.srt", "film.mkv.en.srt",
        "film two.srt", "film-two.srt", "other.srt", "e\u0301te\u0301.fr.srt", "film.SRT",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    for video in ("film.mkv", "film two.mp4", "été.mp4", "film-two.mp4", "nothing.mp4"):
        found = [path.name for path in CaptionFiles().beside(tmp_path / video)]
        assert found == find_captions(video, sorted(names))


def test_a_folder_of_captions_beside_a_video_belongs_to_it(tmp_path: Path) -> None:
    """By the video's name, in a folder of that name, and by language alone where there is no other video."""
    for name in (
        "Subs/film.de.srt",
        "Subs/film/2_English.srt",
        "SUBTITLES/3_French.ass",
        "Subs/film2.srt",
        "Extras/a.srt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(PLAIN)
    (tmp_path / "film.mkv").touch()
    files = CaptionFiles()

    def found() -> list[str]:
        return [str(path.relative_to(tmp_path)) for path in files.beside(tmp_path / "film.mkv")]

    assert found() == ["Subs/film/2_English.srt", "SUBTITLES/3_French.ass", "Subs/film.de.srt"]
    before = files.look(tmp_path / "film.mkv")
    (tmp_path / "film2.mkv").touch()
    assert found() == ["Subs/film/2_English.srt", "Subs/film.de.srt"]
    assert [path.name for path in files.beside(tmp_path / "film2.mkv")] == ["film2.srt"]
    os.utime(tmp_path / "Subs/film.de.srt", (1, 1))
    assert files.look(tmp_path / "film.mkv").stamp != before.stamp
    (tmp_path / "Subs/film/2_English.srt").rename(tmp_path / "Subs/film.srt")
    assert found() == ["Subs/film.srt", "Subs/film.de.srt"]


def test_a_stamp_changes_with_each_file_and_with_nothing_else(tmp_path: Path) -> None:
    """Content, time, a further file, a lost one; the video's own file does not count."""
    video, first, second = (tmp_path / name for name in ("film.mp4", "film.srt", "film.de.srt"))
    files = CaptionFiles()

    def stamp() -> str:
        return files.look(video).stamp

    assert stamp() == ""
    first.write_text(PLAIN)
    seen = [stamp()]
    video.touch()
    assert stamp() == seen[0]
    second.write_text(PLAIN)
    seen.append(stamp())
    os.utime(first, (1, 1))
    seen.append(stamp())
    first.unlink()
    seen.append(stamp())
    assert len(set(seen)) == 4
    assert files.look(video).digest == fingerprint(PLAIN)
    second.write_text("no cue")
    assert files.look(video).digest == ""
