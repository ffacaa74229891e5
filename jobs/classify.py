"""classify: the user's own classes. One instance per set of classes.

On v1.3 this is one more property of the fused request, with the classes as an ``enum``. API v1.2 could sort an index by
classes (``reelmill classify``), with scores of its own, but not one video as part of a run; so there the job asks
``/generate`` for JSON. Where prose comes back instead, the one class that it names is taken; prose that names none says
that none fits; prose that names several is refused, and asked again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from json import dumps, loads

from pipeline.kit import (
    AnswerReader,
    Ask,
    Json,
    Legacy,
    OutFile,
    PageBlock,
    Parameters,
    Part,
    Prose,
    Tags,
    Verdict,
    Video,
    json_text,
    plain,
)

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_TAKEN = ("chapters", "gist", "highlights", "index", "raw", "results", "summary", "video")
_MOST_CLASSES = 100
_OLD_PROMPT = 1500  #: characters that API v1.2 takes
_FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?```\s*$", re.DOTALL)


class Classify:
    """Parameters: ``classes`` (required: names, or a table name → description), ``multiple``, ``otherwise``, ``prompt``.

    ``name`` is the instance's and names the file. The confidence is the model's own statement, no calibrated score.
    """

    name = "classify"
    version = 1

    def params(self, given: Mapping[str, Json]) -> Mapping[str, Json]:
        take = Parameters(str(given.get("name", self.name)), given)
        name = take.take("name", self.name)
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
            raise take.wrong("name", "must be lower-case letters, digits, - and _, and not the name of another result")
        classes = _classes(take)
        multiple = take.take("multiple", False)
        if not isinstance(multiple, bool):
            raise take.wrong("multiple", "must be true or false")
        otherwise = plain(take.text("otherwise", limit=100)) if "otherwise" in given else "unclear"
        prompt = take.text("prompt", limit=1200)
        take.end()
        checked = {"name": name, "classes": classes, "multiple": multiple, "prompt": prompt}
        return checked if multiple else {**checked, "otherwise": otherwise}

    def ask(self, params: Mapping[str, Json]) -> Ask:
        field, schema = _field(params), _schema(params)
        told = _told(params)
        line = f"`{field}`: {told}; `confidence` from 0 to 1, how sure that is"
        wish = params["prompt"]
        old = f"{told[0].upper()}{told[1:]}. {wish}\nAnswer with JSON only, by this schema: {dumps(schema)}"
        return Ask(
            schema={field: schema},
            lines=(line, *([f"for `{field}`, also heed: {wish}"] if wish else [])),
            tokens=48 + 16 * (len(params["classes"]) if params["multiple"] else 1),
            # A prompt that v1.2 would refuse is not cut behind the user's back: there it simply cannot be asked.
            legacy=(Legacy("/generate", {"prompt": old}, lambda answer: {field: _read(answer, params)}),)
            if len(old) <= _OLD_PROMPT
            else (),
        )

    def check(self, answer: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Verdict:
        reading, field = AnswerReader(answer), _field(params)
        entry = reading.get(field)
        if not isinstance(entry, Mapping):
            reading.fault(f"`{field}` is not an object.")
            return reading.verdict({})
        confidence = _confidence(entry.get("confidence"), reading)
        if not params["multiple"]:
            return reading.verdict({"label": _label(entry.get("label"), params, reading), "confidence": confidence})
        labels = entry.get("labels")
        if not isinstance(labels, list | tuple) or len(labels) > 4 * _MOST_CLASSES:
            reading.fault("`labels` is not a list of classes.")
            labels = []
        found = dict.fromkeys(_label(label, params, reading) for label in labels)
        return reading.verdict({"labels": list(found), "confidence": confidence})

    def merge(self, parts: Sequence[Part], video: Video, params: Mapping[str, Json]) -> Mapping[str, Json]:
        told = [{"start_time": part.start, "end_time": part.end, **part.value} for part in parts]
        if params["multiple"]:
            found = {label for part in parts for label in part.value["labels"]}
            labels = [choice for choice in _choices(params) if choice in found]
            return {"labels": labels, "confidence": _mean(parts), "parts": told}
        # The class that most of the video has; that none fits counts only where none fits anywhere.
        named = [part for part in parts if part.value["label"] != params["otherwise"]] or list(parts)
        length: dict[str, float] = {}
        for part in named:
            length[part.value["label"]] = length.get(part.value["label"], 0.0) + part.end - part.start
        label = max(length, key=lambda each: length[each])
        return {"label": label, "confidence": _mean([p for p in named if p.value["label"] == label]), "parts": told}

    def render(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Iterable[OutFile]:
        yield OutFile(f"{params['name']}.json", json_text({**value, "classes": list(params["classes"])}))

    def files(self, params: Mapping[str, Json]) -> Sequence[str]:
        return [f"{params['name']}.json"]

    def page(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Sequence[PageBlock]:
        words = value["labels"] if params["multiple"] else [value["label"]]
        sure = value.get("confidence")
        return [Tags(words, facet=params["name"]), *([Prose(f"Confidence: {sure:.0%}")] if sure is not None else [])]


def _classes(take: Parameters) -> dict[str, str]:
    """Return name → description in the order given."""
    given = take.take("classes")
    pairs = given.items() if isinstance(given, Mapping) else ((name, "") for name in _listed(given))
    found: dict[str, str] = {}
    for name, words in pairs:
        if not isinstance(name, str) or not isinstance(words, str) or not plain(name):
            raise take.wrong("classes", "must be a list of names, or a table of names with descriptions")
        if len(name) > 100 or len(words) > 400:
            raise take.wrong("classes", "a name may have 100 characters and a description 400")
        found[plain(name)] = plain(words)
    if len({name.casefold() for name in found}) < max(1, len(given or ())) or len(found) > _MOST_CLASSES:
        raise take.wrong("classes", f"needs 1 to {_MOST_CLASSES} names that differ in more than their case")
    return found


def _listed(value: Json) -> Sequence[Json]:
    return value if isinstance(value, list | tuple) else ()


def _field(params: Mapping[str, Json]) -> str:
    """Return the property's name: one per instance, so that several share a request."""
    name = params["name"]
    return str(name) if name == Classify.name else f"class_{name}"


def _choices(params: Mapping[str, Json]) -> list[str]:
    names = list(params["classes"])
    otherwise = params.get("otherwise", "")
    return [*names, otherwise] if otherwise and otherwise not in names else names


def _schema(params: Mapping[str, Json]) -> dict[str, Json]:
    one = {"type": "string", "enum": _choices(params)}
    name, form = ("labels", {"type": "array", "items": one}) if params["multiple"] else ("label", one)
    return {"type": "object", "properties": {name: form, "confidence": {"type": "number"}}, "required": [name]}


def _told(params: Mapping[str, Json]) -> str:
    """Return the question in words, with the descriptions: the schema carries only names."""
    classes = "; ".join(f"{name} ({words})" if words else name for name, words in params["classes"].items())
    if params["multiple"]:
        return f"`labels`, all that fit the video of these classes, none if none fits: {classes}"
    last = f"; {params['otherwise']} (if none of them fits)" if params["otherwise"] else ""
    return f"`label`, the one of these classes that fits the video best: {classes}{last}"


def _label(value: Json, params: Mapping[str, Json], reading: AnswerReader) -> str:
    choices = _choices(params)
    if value in choices:
        return str(value)
    said = plain(value[:400]) if isinstance(value, str) else ""
    near = next((choice for choice in choices if choice.casefold() == said.casefold()), None)
    if near is None:
        reading.fault(f"`label` must be one of the classes; it was '{said[:100]}'.")
        return ""
    return near


def _mean(parts: Sequence[Part]) -> float | None:
    """Return the confidence of parts, each by its length; None where one has none."""
    if any(part.value["confidence"] is None for part in parts):
        return None
    length = sum(part.end - part.start for part in parts)
    weighed = sum(float(part.value["confidence"]) * (part.end - part.start) for part in parts)
    return round(weighed / length, 4)


def _confidence(value: Json, reading: AnswerReader) -> float | None:
    if value is None:
        reading.note("no confidence was given")
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        reading.fault("`confidence` is not a number from 0 to 1.")
        return None
    if value > 1:
        reading.note(f"a confidence of {value:g} was taken for a percentage")
    return round(value / 100 if value > 1 else float(value), 4)


def _read(answer: Mapping[str, Json], params: Mapping[str, Json]) -> Json:
    """Read a v1.2 answer: its JSON, else the classes that its prose names."""
    text = answer.get("data")
    if not isinstance(text, str):
        return None
    fenced = _FENCE.match(text)
    try:
        found = loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, Mapping):
        return found
    named = _named(text[:20_000], _choices(params))
    if params["multiple"]:
        return {"labels": named}
    none = [params["otherwise"]] if params["otherwise"] and text.strip() else []
    found = named or none
    return {"label": found[0]} if len(found) == 1 else None


def _named(text: str, choices: Sequence[str]) -> list[str]:
    """Return the choices that a text names as whole words, the longest name first."""
    there: list[str] = []
    for choice in sorted(choices, key=len, reverse=True):
        pattern = re.compile(rf"(?<!\w){re.escape(choice)}(?!\w)", re.IGNORECASE)
        if pattern.search(text):
            there.append(choice)
            text = pattern.sub(" ", text)
    return [choice for choice in choices if choice in there]
