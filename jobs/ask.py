"""ask: the user's own question. One instance per question."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from json import dumps, loads

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
    Value,
    Verdict,
    Video,
    disarmed,
    found_moments,
    json_text,
    labelled,
    markdown,
    mismatch,
    outside,
    part_name,
    plain,
    schema_problem,
    seconds,
    told_parts,
)

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_TAKEN = ("chapters", "gist", "highlights", "index", "raw", "results", "summary", "video")
_LONGEST, _LARGEST = 50_000, 200_000  #: characters of a text answer, of a data answer
_OLD_PROMPT = 1500  #: characters that API v1.2 takes
_TITLES = ("title", "name", "label", "what", "headline", "summary")  #: properties that name a moment, best first
_FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?```\s*$", re.DOTALL)


class AskFreely:
    """Parameters: ``prompt`` (required), ``schema`` (of the answer), ``name`` (of the file)."""

    name = "ask"
    version = 1

    def params(self, given: Mapping[str, Json]) -> Mapping[str, Json]:
        take = Parameters(str(given.get("name", self.name)), given)
        name = take.take("name", self.name)
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
            raise take.wrong("name", "must be lower-case letters, digits, - and _, and not the name of another result")
        prompt, schema = take.text("prompt", limit=6000, required=True), take.take("schema")
        take.end()
        if schema is not None and (problem := schema_problem(schema)):
            raise take.wrong("schema", problem, "the platform takes only a part of JSON schema: leave the keyword out")
        return {"name": name, "prompt": prompt, "schema": schema}

    def ask(self, params: Mapping[str, Json]) -> Ask:
        field, prompt, schema = f"answer_{params['name']}", params["prompt"], params["schema"]
        form = "in the form that the schema asks for" if schema else "as text"
        old = prompt if schema is None else f"{prompt}\nAnswer with JSON only, by this schema: {dumps(schema)}"
        return Ask(
            schema={field: schema or {"type": "string"}},
            lines=(f"`{field}`: the answer, {form}, to this request about the video: {prompt}",),
            tokens=1500,
            # A prompt that v1.2 would refuse is not cut behind the user's back: there it simply cannot be asked.
            legacy=(Legacy("/generate", {"prompt": old}, lambda answer: {field: _read(answer, schema)}),)
            if len(old) <= _OLD_PROMPT
            else (),
        )

    def check(self, answer: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Verdict:
        reading, field, schema = AnswerReader(answer), f"answer_{params['name']}", params["schema"]
        if schema is None:
            return reading.verdict({"answer": reading.text(field, _LONGEST, lines=True)})
        value = reading.get(field)
        if not reading.problem:
            reading.fault(_unfit(value, schema, field, video.seconds))
        return reading.verdict({"answer": value})

    def merge(self, parts: Sequence[Part], video: Video, params: Mapping[str, Json]) -> Mapping[str, Json]:
        schema, told = params["schema"], told_parts(parts, "answer")
        if schema is None:
            return {"answer": labelled(parts, "answer"), "parts": told}
        only = next(iter(schema.get("properties") or ("",))) if len(schema.get("properties") or ()) == 1 else ""
        if _has_times(schema):
            return {"answer": _in_order(part.value["answer"] for part in parts)}
        if only and _has_times(schema["properties"][only]) and all(only in part.value["answer"] for part in parts):
            return {"answer": {only: _in_order(part.value["answer"][only] for part in parts)}}
        return {"answer": told, "in_parts": True}

    def render(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Iterable[OutFile]:
        if params["schema"] is not None:
            yield OutFile(f"{params['name']}.json", json_text(value["answer"]))
            return
        head = f"# {markdown(plain(video.title, 200))}\n\n" if plain(video.title) else ""
        asked = "".join(f"> {line}\n".replace(">  ", "> ") for line in markdown(params["prompt"]).split("\n"))
        sections = [f"## {part_name(part)}\n\n{disarmed(part['answer'])}" for part in value.get("parts", ())]
        answer = "\n\n".join(sections) or disarmed(value["answer"])
        yield OutFile(f"{params['name']}.md", f"{head}{asked}\n{answer}\n")

    def files(self, params: Mapping[str, Json]) -> Sequence[str]:
        return [f"{params['name']}.{'json' if params['schema'] is not None else 'md'}"]

    def page(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Sequence[PageBlock]:
        answer = value["answer"]
        if parts := value.get("parts"):
            return [Moments([Moment(p["start_time"], p["end_time"], part_name(p), p["answer"]) for p in parts])]
        if isinstance(answer, str):
            return [Prose(answer)]
        only = next(iter(answer.values())) if isinstance(answer, Mapping) and len(answer) == 1 else answer
        moments = found_moments(only, _TITLES)
        return [Moments(moments)] if moments else [Value(answer)]


def _has_times(schema: Json) -> bool:
    """Return True for a list of moments: those of several parts make one list."""
    entry = schema.get("items") if isinstance(schema, Mapping) and schema.get("type") == "array" else None
    return isinstance(entry, Mapping) and "start_time" in (entry.get("properties") or ())


def _in_order(lists: Iterable[Sequence[Json]]) -> list[Json]:
    entries = [entry for each in lists for entry in each]
    return sorted(entries, key=lambda entry: seconds(entry.get("start_time")) or 0.0)


def _unfit(value: Json, schema: Mapping[str, Json], field: str, length: float) -> str:
    try:
        size = len(dumps(value, allow_nan=False))
        problem = mismatch(value, schema, f"`{field}`") or outside(value, length)
    except (ValueError, RecursionError):
        return f"`{field}` holds a number that is none, or is nested too deeply."
    return problem or (f"`{field}` is larger than {_LARGEST} characters." if size > _LARGEST else "")


def _read(answer: Mapping[str, Json], schema: Mapping[str, Json] | None) -> Json:
    text = answer.get("data")
    if schema is None or not isinstance(text, str):
        return text
    fenced = _FENCE.match(text)
    try:
        return loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return text
