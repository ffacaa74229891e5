"""summary: a few sentences of plain fact."""

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
    Prose,
    Verdict,
    Video,
    labelled,
    markdown,
    part_name,
    plain,
    told_parts,
)

_LONGEST = 20_000  #: characters


class Summary:
    """Parameters: ``sentences`` (at most so many), ``prompt`` (what to pay attention to)."""

    name = "summary"
    version = 1

    def params(self, given: Mapping[str, Json]) -> Mapping[str, Json]:
        take = Parameters(self.name, given)
        checked = {"sentences": take.whole("sentences", 6, 1, 60), "prompt": take.text("prompt", limit=1200)}
        take.end()
        return checked

    def ask(self, params: Mapping[str, Json]) -> Ask:
        most, wish = params["sentences"], params["prompt"]
        line = f"`summary`: plain text without headings or lists, at most {most} sentences; say so if nobody speaks"
        old = {"type": "summary", "prompt": f"At most {most} sentences. {wish}".strip()}
        return Ask(
            schema={"summary": {"type": "string"}},
            lines=(line, *([f"for `summary`, also heed: {wish}"] if wish else [])),
            tokens=64 + 48 * most,
            legacy=(Legacy("/summarize", old, lambda answer: {"summary": answer.get("summary")}),),
        )

    def check(self, answer: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Verdict:
        reading = AnswerReader(answer)
        return reading.verdict({"summary": reading.text("summary", _LONGEST, lines=True)})

    def merge(self, parts: Sequence[Part], video: Video, params: Mapping[str, Json]) -> Mapping[str, Json]:
        return {"summary": labelled(parts, "summary"), "parts": told_parts(parts, "summary")}

    def render(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Iterable[OutFile]:
        head = f"# {markdown(plain(video.title, 200))}\n\n" if plain(video.title) else ""
        sections = [f"## {part_name(part)}\n\n{markdown(part['summary'])}\n" for part in value.get("parts", ())]
        yield OutFile("summary.md", head + ("\n".join(sections) or f"{markdown(value['summary'])}\n"))

    def files(self, params: Mapping[str, Json]) -> Sequence[str]:
        return ["summary.md"]

    def page(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Sequence[PageBlock]:
        parts = [Moment(p["start_time"], p["end_time"], part_name(p), p["summary"]) for p in value.get("parts", ())]
        return [Moments(parts) if parts else Prose(value["summary"])]
