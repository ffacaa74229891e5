"""Caption files of a video: which, in which order, and their text. Blocks.

They lie beside it, or in a folder of their own there: ``Subs/film.en.srt``, ``Subs/film/2_English.srt``, and, where the
video is alone, ``Subs/English.srt``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.core import log
from pipeline.core.model import Json
from pipeline.media.ass import is_ass, to_subrip
from pipeline.media.caption_times import parse_span
from pipeline.source.encodings import DecodedText, decode_text

#: A caption file of a day-long video stays far below; anything larger is not captions. Bytes.
LARGEST = 2_000_000
_LARGEST_ASS = 8_000_000  # what is drawn takes most of it

ENDINGS = (".srt", ".vtt", ".ass", ".ssa")
#: What people and programs call a folder of captions beside the video; lower case.
FOLDERS = frozenset({"subs", "sub", "subtitles", "subtitle", "captions"})

_log = log.get("source")
_LANGUAGES = {
    "english": "en", "german": "de", "deutsch": "de", "french": "fr", "francais": "fr", "français": "fr", "spanish": "es",
    "espanol": "es", "español": "es", "latino": "es", "italian": "it", "italiano": "it", "portuguese": "pt",
    "portugues": "pt", "português": "pt", "brazilian": "pt", "dutch": "nl", "nederlands": "nl", "russian": "ru",
    "русский": "ru", "ukrainian": "uk", "polish": "pl", "polski": "pl", "czech": "cs", "slovak": "sk", "hungarian": "hu",
    "romanian": "ro", "bulgarian": "bg", "serbian": "sr", "croatian": "hr", "slovenian": "sl", "greek": "el",
    "turkish": "tr", "arabic": "ar", "hebrew": "he", "persian": "fa", "farsi": "fa", "hindi": "hi", "chinese": "zh",
    "mandarin": "zh", "simplified": "zh", "traditional": "zh", "japanese": "ja", "korean": "ko", "thai": "th",
    "vietnamese": "vi", "indonesian": "id", "swedish": "sv", "svenska": "sv", "norwegian": "no", "danish": "da",
    "finnish": "fi", "suomi": "fi", "estonian": "et", "latvian": "lv", "lithuanian": "lt",
}  # fmt: skip
_FLAGS = frozenset({
    "sdh", "cc", "hi", "forced", "foreign", "signs", "default", "orig", "original", "auto", "full", "sub", "subs",
    "subtitle", "subtitles", "caption", "captions", "transcript",
})  # fmt: skip
_BREAK = re.compile(r"[.\s_()\[\]-]+")
_CODE = re.compile(r"[a-z]{2,3}(?:[-_](?:[a-z]{2,4}|[0-9]{3}))*")
_VIDEOS = frozenset(
    {"mkv", "mov", "avi", "flv", "wmv", "mpg", "mpeg", "ogv", "mxf", "vob", "webm"}
)  # film.mkv.srt is that film's
#: What people put between a film's name and a language, besides a dot: then only words that are certain count.
_CERTAIN = frozenset({"en", "eng", "de", "deu", "ger", "fr", "fra", "fre", "es", "spa", "it", "ita", "pt", "por", "ru", "rus",
    "nl", "pl", "ja", "jpn", "ko", "kor", "zh", "chi", "zho"}) | _FLAGS | _LANGUAGES.keys()  # fmt: skip


def find_captions(video: str, names: Iterable[str], spoken: str = "", *, alone: bool = False) -> list[str]:
    """Return which names are captions of a video, the most useful first.

    Full ones come before automatic ones, and forced ones, which hold signs only, last; then those that name no language,
    the ``spoken`` language, English, the rest.

    ``names``: as seen from the video's folder, with ``/``. ``alone``: no other video is there.
    """
    stem = Path(video).stem
    found = [(rank, name) for name in names if (rank := _rank(stem, video, name, spoken, alone)) is not None]
    return [name for _, name in sorted(found)]


def _rank(stem: str, video: str, name: str, spoken: str, alone: bool) -> tuple[int, ...] | None:
    words = _words(stem, video, name, alone)
    if words is None:
        return None
    flags = _FLAGS.intersection(words[1:] if words[:1] == ["hi"] and len(words) > 1 else words)
    language = _language(words)
    wanted = ("", spoken[:2].lower(), "en")
    return (
        bool(flags & {"forced", "foreign", "signs"}),
        "auto" in flags,
        wanted.index(language[:2]) if language[:2] in wanted else len(wanted),
        "default" not in flags,
        bool(flags & {"sdh", "cc", "hi"}),
        name.count("/"),
    )


def _words(stem: str, video: str, name: str, alone: bool) -> list[str] | None:
    """Return the words that say what captions a file holds, None if another video's."""
    folders, _, file = unicodedata.normalize("NFC", name).rpartition("/")
    if not file.lower().endswith(ENDINGS):
        return None
    body = file[: -len(".srt")]
    words = _tail_words(stem, video, body)
    if words is not None or not folders:
        return words
    own = [word for word in _BREAK.split(body.casefold()) if word and not word.isdigit()]
    if "/" in folders:  # the inner folder has the video's name
        return own
    dotted = [word for word in body.casefold().split(".") if word]
    if alone and all(word in _CERTAIN for word in own):
        return own
    return dotted if alone and all(_CODE.fullmatch(word) or word in _CERTAIN for word in dotted) else None


def _tail_words(stem: str, video: str, body: str) -> list[str] | None:
    """Return the words behind a video's name, None where another begins it."""
    for begin in map(str.casefold, (unicodedata.normalize("NFC", video), unicodedata.normalize("NFC", stem))):
        if body.casefold().startswith(begin):
            tail = body.casefold()[len(begin) :]
            words = [word for word in _BREAK.split(tail) if word]
            dotted = [word for word in tail.split(".") if word]
            if (
                tail.startswith(".")
                and not _VIDEOS.intersection(dotted)
                and all(_CODE.fullmatch(word) or word in _CERTAIN for word in dotted)
            ):
                return dotted
            if not tail or (tail[0] in ". _-([" and all(word in _CERTAIN for word in words)):
                return words
    return None


def _language(words: Sequence[str]) -> str:
    for word in words:
        if word in _LANGUAGES:
            return _LANGUAGES[word]
        if _CODE.fullmatch(word) and (word not in _FLAGS or (word == "hi" and word == words[0] and len(words) > 1)):
            return {"eng": "en", "ger": "de", "deu": "de", "jpn": "ja", "spa": "es", "chi": "zh", "zho": "zh"}.get(
                word, word
            )
    return ""


def choose_captions(paths: Sequence[Path]) -> tuple[Path, DecodedText] | None:
    """Return the first file that holds a cue, read, or None; ASS as SubRip.

    None is never a reason to fail.
    """
    for path in paths:
        try:
            size = path.stat().st_size
            if size > (_LARGEST_ASS if path.suffix.lower() in (".ass", ".ssa") else LARGEST):
                continue
            raw = path.read_bytes()
        except OSError:
            continue
        found = decode_text(raw, _language_of(path))
        if is_ass(found.text):
            found = replace(found, text=to_subrip(found.text))
        if len(found.text) <= LARGEST and any(map(parse_span, found.text.splitlines())):
            return path, found
    return None


def _language_of(path: Path) -> str:
    """Return the language that a file's name ends with, behind the film's own words."""
    words = [word for word in _BREAK.split(path.stem.lower()) if word]
    return _language((words[1:] or words)[::-1])


def read_captions(paths: Sequence[Path]) -> str:
    """Return the text of the first file that holds a cue, or ""."""
    chosen = choose_captions(paths)
    if chosen is None:
        return ""
    path, found = chosen
    if not found.certain:
        _log.warning("captions.encoding_guessed", file=path.name, encoding=found.encoding)
    return found.text


def describe_captions(paths: Sequence[Path]) -> dict[str, Json]:
    """Return which file is used and how it was read, or empty."""
    chosen = choose_captions(paths)
    if chosen is None:
        return {}
    path, found = chosen
    return {"captions": {"file": path.name, "encoding": found.encoding, "guessed": not found.certain}}
