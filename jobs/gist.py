"""gist: a title, the topics and some hashtags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

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
    joined_words,
    json_text,
    told_parts,
)

_KINDS = ("title", "topic", "hashtag")
_FIELD = {"title": "title", "topic": "topics", "hashtag": "hashtags"}
#: Everything that cannot stand in a hashtag; combining marks stay, or whole scripts would lose their vowels.
_JUNK = re.compile(r"[^\w\u0300-\u036f\u0900-\u0dff\u0e00-\u0fff]+")


class Gist:
    """Parameters: ``types`` (of title, topic, hashtag), ``topics`` and ``hashtags`` (at most so many)."""

    name = "gist"
    version = 1

    def params(self, given: Mapping[str, Json]) -> Mapping[str, Json]:
        take = Parameters(self.name, given)
        checked = {
            "types": take.subset("types", _KINDS),
            "topics": take.whole("topics", 5, 1, 20),
            "hashtags": take.whole("hashtags", 15, 1, 50),
        }
        take.end()
        return checked

    def ask(self, params: Mapping[str, Json]) -> Ask:
        topics, hashtags = params["topics"], params["hashtags"]
        words = {"type": "array", "minItems": 1, "items": {"type": "string"}}
        parts = {
            "title": ({"type": "string"}, "`title`: what the video is, in at most 12 words"),
            "topic": (words, f"`topics`: 1 to {topics} short noun phrases, the most important first"),
            "hashtag": (words, f"`hashtags`: {min(5, hashtags)} to {hashtags} single or joined words, none twice"),
        }
        return Ask(
            schema={_FIELD[kind]: parts[kind][0] for kind in params["types"]},
            lines=tuple(parts[kind][1] for kind in params["types"]),
            tokens=64 + 24 * topics + 12 * hashtags,
            legacy=(Legacy("/gist", {"types": params["types"]}, lambda answer: answer),),
        )

    def check(self, answer: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Verdict:
        reading, value = AnswerReader(answer), dict[str, Json]()
        if "title" in params["types"]:
            value["title"] = reading.text("title", 200)
        if "topic" in params["types"]:
            value["topics"] = reading.strings("topics", params["topics"], 100)
        if "hashtag" in params["types"]:
            found = _hashtags(reading.strings("hashtags", 4 * params["hashtags"], 100))
            if not found:
                reading.fault("`hashtags` has no usable word.")
            if len(found) > params["hashtags"]:
                reading.note(f"`hashtags` had {len(found)} entries; the first {params['hashtags']} were kept")
            value["hashtags"] = found[: params["hashtags"]]
        return reading.verdict(value)

    def merge(self, parts: Sequence[Part], video: Video, params: Mapping[str, Json]) -> Mapping[str, Json]:
        value = dict[str, Json]()
        if "title" in params["types"]:  # a film tells at its beginning what it is
            value["title"] = parts[0].value["title"]
        for kind, most in (("topics", params["topics"]), ("hashtags", params["hashtags"])):
            if all(kind in part.value for part in parts):
                value[kind] = joined_words((part.value[kind] for part in parts), most)
        if len({part.value.get("title") for part in parts}) > 1:
            value["titles"] = told_parts(parts, "title")
        return value

    def render(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Iterable[OutFile]:
        yield OutFile("gist.json", json_text(value))

    def files(self, params: Mapping[str, Json]) -> Sequence[str]:
        return ["gist.json"]

    def page(self, value: Mapping[str, Json], video: Video, params: Mapping[str, Json]) -> Sequence[PageBlock]:
        title = value.get("title", "")
        named = [Prose(title)] if title and title != video.title else []
        return [*named, *(Tags(value[kind]) for kind in ("topics", "hashtags") if value.get(kind))]


def _hashtags(words: list[str]) -> list[str]:
    """Return each word once as ``#word``; ``"#a #b"`` counts as two."""
    found: dict[str, str] = {}
    for part in (part for word in words for part in re.split("[#\uff03]", word)):
        tag = _JUNK.sub("", part)[:60]
        if tag.strip("_"):
            found.setdefault(tag.casefold(), f"#{tag}")
    return list(found.values())
