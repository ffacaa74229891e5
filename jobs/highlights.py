"""highlights: the moments worth seeing."""

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
    csv_text,
    joined_spans,
    json_text,
    old_spans,
    span_schema,
    stamp,
)

_TEXTS = {"highlight": 200, "highlight_summary": 1000}


class Highlights:
    """Parameters: ``max`` (at most so many), ``prompt``; no highlight is an answer too."""

    name = "highlights"
    version = 1

    def params(self, given: Mapping[str, Json]) -> Mapping[str, Json]:
        take = Parameters(self.name, given)
        checked = {"max": take.whole("max", 8, 1, 100), "prompt": take.text("prompt", limit=1200)}
        take.end()
        return checked

    def ask(self, params: Mapping[str, Json]) -> Ask:
        most, wish = params["max"], params["prompt"]
        lines = (
            f"`highlights`: the key moments, at most {most}, in time order, none overlapping another",
            "each highlight: `start_time` and `end_time` in seconds from the beginning, `highlight` as a headline of at most "
            "10 words, `highlight_summary` of one sentence",
            *([f"for `highlights`, also heed: {wish}"] if wish else []),
        )
        old = {"type": "highlight", "prompt": f"At most {most} highlights. {wish}".strip()}
        return Ask(
            schema={"highlights": {"type": "array", "items": span_schema(list(_TEXTS))}},
            lines=lines,
            tokens=64 + 90 * most,
            legacy=(Legacy("/summarize", old, lambda answer: old_spans(answer, "highlights")),),
        )

    def check(self, answer: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Verdict:
        reading = AnswerReader(answer)
        spans = reading.spans("highlights", _TEXTS, most=params["max"], length=video.until)
        return reading.verdict({"highlights": spans})

    def merge(self, parts: Sequence[Part], video: Video, params: Mapping[str, Json]) -> Mapping[str, Json]:
        return {"highlights": joined_spans(parts, "highlights")}

    def render(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Iterable[OutFile]:
        spans = value["highlights"]
        rows = [[s["start_time"], s["end_time"], stamp(s["start_time"]), *(s[name] for name in _TEXTS)] for s in spans]
        yield OutFile("highlights.json", json_text(value))
        yield OutFile("highlights.csv", csv_text(["start_time", "end_time", "start", *_TEXTS], rows))

    def files(self, params: Mapping[str, Json]) -> Sequence[str]:
        return ["highlights.json", "highlights.csv"]

    def page(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Sequence[PageBlock]:
        parts = (Moment(s["start_time"], s["end_time"], *(s[name] for name in _TEXTS)) for s in value["highlights"])
        return [Moments(list(parts))]
