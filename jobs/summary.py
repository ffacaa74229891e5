"""summary: a few sentences of plain fact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.kit import (
    AnswerReader,
    Ask,
    Json,
    Legacy,
    OutFile,
    PageBlock,
    Parameters,
    Prose,
    Verdict,
    Video,
    markdown,
    plain,
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

    def render(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Iterable[OutFile]:
        head = f"# {markdown(plain(video.title, 200))}\n\n" if plain(video.title) else ""
        yield OutFile("summary.md", f"{head}{markdown(value['summary'])}\n")

    def files(self, params: Mapping[str, Json]) -> Sequence[str]:
        return ["summary.md"]

    def page(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Sequence[PageBlock]:
        return [Prose(value["summary"])]
