"""chapters: the video's parts in order, from its first second to its last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.kit import (
    AnswerReader,
    Ask,
    Json,
    Legacy,
    Moment,
    Moments,
    OutFile,
    PageBlock,
    Parameters,
    Part,
    Verdict,
    Video,
    cue,
    ffmeta,
    joined_spans,
    json_text,
    old_spans,
    plain,
    span_schema,
    stamp,
)

_YOUTUBE_LEAST = 3  # chapters; a list of fewer is passed over whole
_YOUTUBE_SHORTEST = 10  # seconds
_TEXTS = {"chapter_title": 200, "chapter_summary": 1000}


class Chapters:
    """Parameters: ``max`` (at most so many chapters), ``prompt`` (how to divide)."""

    name = "chapters"
    version = 1

    def params(self, given: Mapping[str, Json]) -> Mapping[str, Json]:
        take = Parameters(self.name, given)
        checked = {"max": take.whole("max", 20, 1, 200), "prompt": take.text("prompt", limit=1200)}
        take.end()
        return checked

    def ask(self, params: Mapping[str, Json]) -> Ask:
        most, wish = params["max"], params["prompt"]
        lines = (
            f"`chapters`: at most {most}, in time order, from the first second to the last with no gap and no overlap",
            "each chapter: `start_time` and `end_time` in seconds from the beginning, `chapter_title` of at most 10 words, "
            "`chapter_summary` of one or two sentences",
            *([f"for `chapters`, also heed: {wish}"] if wish else []),
        )
        old = {"type": "chapter", "prompt": f"At most {most} chapters. {wish}".strip()}
        return Ask(
            schema={"chapters": {"type": "array", "minItems": 1, "items": span_schema(list(_TEXTS))}},
            lines=lines,
            tokens=64 + 110 * most,
            legacy=(Legacy("/summarize", old, lambda answer: old_spans(answer, "chapters")),),
        )

    def check(self, answer: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Verdict:
        reading = AnswerReader(answer)
        spans = reading.spans("chapters", _TEXTS, most=params["max"], length=video.until)
        if not spans:
            reading.fault("`chapters` is empty.")
        ends = [video.start, *(span["end_time"] for span in spans)]
        starts = [*(span["start_time"] for span in spans), video.until or ends[-1]]
        for end, start in zip(ends, starts, strict=True):
            if start - end > 1:
                reading.note(f"no chapter covers {stamp(end, form='clock')} to {stamp(start, form='clock')}")
        lines = _youtube(spans, video)
        if video.end:
            pass  # a part: what YouTube shows depends on the others, too
        elif len(lines) < _YOUTUBE_LEAST:
            reading.note("no chapters.txt: YouTube shows chapters only if there are three or more of at least 10 s")
        elif len(lines) < len(spans):
            joined = len(spans) - len(lines)
            short = "1 chapter" if joined == 1 else f"{joined} chapters"
            reading.note(f"chapters.txt joins {short} to the one before: YouTube takes none under 10 s")
        return reading.verdict({"chapters": spans})

    def merge(self, parts: Sequence[Part], video: Video, params: Mapping[str, Json]) -> Mapping[str, Json]:
        return {"chapters": joined_spans(parts, "chapters")}

    def render(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Iterable[OutFile]:
        spans = value["chapters"]
        yield OutFile("chapters.json", json_text(value))
        yield OutFile("chapters.vtt", _vtt(spans))
        if len(lines := _youtube(spans, video)) >= _YOUTUBE_LEAST:
            yield OutFile("chapters.txt", "".join(lines))
        yield OutFile("chapters.ffmeta", _ffmeta(spans, video.title))

    def files(self, params: Mapping[str, Json]) -> Sequence[str]:
        return ["chapters.json", "chapters.vtt", "chapters.txt", "chapters.ffmeta"]

    def page(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Sequence[PageBlock]:
        parts = (Moment(s["start_time"], s["end_time"], *(s[name] for name in _TEXTS)) for s in value["chapters"])
        return [Moments(list(parts), chapters=True)]


def _vtt(spans: Sequence[Mapping[str, Json]]) -> str:
    cues = (f"{stamp(s['start_time'])} --> {stamp(s['end_time'])}\n{cue(s['chapter_title'])}\n" for s in spans)
    return "WEBVTT\n\n" + "\n".join(cues)


def _youtube(spans: Sequence[Mapping[str, Json]], video: Video) -> list[str]:
    """Return the lines of a list that YouTube accepts.

    The first is at 0:00, each ten whole seconds or more after the last. There is none of a part that begins later.
    What begins sooner belongs to the chapter before; so does what begins in the video's last ten seconds.
    """
    if not spans or video.start:
        return []
    end = video.seconds or spans[-1]["end_time"]
    lines: list[str] = []
    last = 0
    for span in spans:
        at = int(span["start_time"]) if lines else 0
        if not lines or (at - last >= _YOUTUBE_SHORTEST and end - at >= _YOUTUBE_SHORTEST):
            lines.append(f"{stamp(at, form='clock')} {plain(span['chapter_title'])}\n")
            last = at
    return lines


def _ffmeta(spans: Sequence[Mapping[str, Json]], title: str) -> str:
    """Return a metadata file for ``ffmpeg -i film.mp4 -i chapters.ffmeta -map_metadata 1 -codec copy out.mp4``."""
    lines = [";FFMETADATA1", *([f"title={ffmeta(plain(title, 200))}"] if plain(title) else [])]
    for span in spans:
        start, end = round(span["start_time"] * 1000), round(span["end_time"] * 1000)
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", f"START={start}", f"END={end}"]
        lines.append(f"title={ffmeta(plain(span['chapter_title']))}")
    return "\n".join(lines) + "\n"
