"""The two dialects' words for an index's models and options."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pipeline.core.model import Json
from pipeline.local.api.http.responses import OLD, is_under
from pipeline.local.errors import ApiError, invalid
from pipeline.local.state import fulltext
from pipeline.local.state.tables import IndexRow, VideoRow

_NOT_SUPPORTED = "search_option_not_supported"
_HELP = "The Twelve Labs API can; set TWELVELABS_API_KEY."
_SEES = "; the local platform only reads captions and on-screen text, unless [platform.model] names a model of your own"
_WHY = {
    "visual": f"visual needs a model that sees{_SEES}",
    "logo": f"logo needs a model that knows brands{_SEES}",
    "audio": "audio means sounds beside speech, and the local platform does not hear; ask for transcription",
}

_UNREAD = {
    "conversation": "what is said (none of them has captions, and the local platform does not hear speech)",
    "text_in_video": "what is written in the pictures (the program tesseract was not there to read it)",
    "visual": "what the pictures show (no model has looked at them: they were indexed without one, or it failed)",
    "logo": "logos (no model has looked at the pictures: they were indexed without one, or it failed)",
}
#: What only a model tells that sees. A video has been looked at if it has words of the first kind.
SIGHT = ("visual", "logo")
#: What v1.3's options stand for in the finer words of v1.2.
_FINER = {"visual": ("visual", "text_in_video", "logo"), "audio": ("conversation", "audio")}


@dataclass(frozen=True, slots=True)
class ModelNaming:
    """How a dialect names an index's models, and which options they take."""

    models: str
    name: str
    options: str
    takes: Mapping[str, tuple[str, ...]]

    def parse(self, given: Json) -> list[Json]:
        """Return the models of a new index in v1.3's field names; raises ApiError (400)."""
        if not isinstance(given, list) or not given or not all(self._known(entry) for entry in given):
            choices = "; ".join(f"{name} ({', '.join(options)})" for name, options in self.takes.items())
            raise invalid(
                f"The {self.models} parameter must list entries of {self.name} and {self.options}: {choices}."
            )
        return [{"model_name": entry[self.name], "model_options": entry[self.options]} for entry in given]

    def _known(self, entry: Json) -> bool:
        if not isinstance(entry, dict) or not isinstance(entry.get(self.name), str):
            return False
        options, possible = entry.get(self.options), self.takes.get(entry[self.name], ())
        return isinstance(options, list) and bool(options) and all(option in possible for option in options)

    def show(self, index: IndexRow) -> dict[str, Json]:
        """Return the field that lists an index's models."""
        entries: list[Json] = [
            {self.name: model["model_name"], self.options: model["model_options"]} for model in index.models
        ]
        return {self.models: entries}


_MARENGO, _PEGASUS = ("visual", "conversation", "text_in_video", "logo"), ("visual", "conversation")
V1_3 = ModelNaming("models", "model_name", "model_options", {"marengo3.0": ("visual", "audio")})
V1_2 = ModelNaming(
    "engines",
    "engine_name",
    "engine_options",
    {
        "marengo2.5": _MARENGO, "marengo2.6": _MARENGO, "marengo2.7": _MARENGO,
        "pegasus1": _PEGASUS, "pegasus1.1": _PEGASUS, "pegasus1.2": _PEGASUS,
    },
)  # fmt: skip
#: The options of each dialect and the kinds of words that each stands for; none where nothing here can answer. v1.3 has no
#: option for words in the picture alone: a search for what is said finds what is shown, too.
OPTIONS_V1_3: Mapping[str, tuple[str, ...]] = {
    "visual": SIGHT, "audio": (), "transcription": ("conversation", "text_in_video"),
}  # fmt: skip
CLASSIFY_V1_2: Mapping[str, tuple[str, ...]] = {
    "visual": ("visual",), "conversation": ("conversation",), "text_in_video": ("text_in_video",),
}  # fmt: skip
OPTIONS_V1_2: Mapping[str, tuple[str, ...]] = {**CLASSIFY_V1_2, "logo": ("logo",)}


def naming_at(path: str) -> ModelNaming:
    """Return how the dialect of a path names models."""
    return V1_2 if is_under(path, OLD) else V1_3


def in_family(model: Json, family: str) -> bool:
    """True if a model of an index belongs to a family, ``marengo`` or ``pegasus``."""
    return str(model["model_name"]).startswith(family)


def can_write(index: IndexRow) -> bool:
    """True if texts can be generated about the videos of an index."""
    return any(in_family(model, "pegasus") for model in index.models)


def searchable_by(index: IndexRow) -> frozenset[str]:
    """Return what an index can be searched by, in v1.2's words."""
    found: set[str] = set()
    for model in index.models:
        if in_family(model, "marengo"):
            fine = model["model_name"] in V1_2.takes
            found.update(part for option in model["model_options"] for part in ((option,) if fine else _FINER[option]))
    return frozenset(found)


def resolve_options(
    options: list[str], index: IndexRow, names: Mapping[str, tuple[str, ...]], *, sees: bool = False
) -> list[str]:
    """Return the kinds of words that options stand for, each once.

    Args:
        options: as asked for.
        index: must have been made for all of them.
        names: the dialect's options.
        sees: there is a model that looks at pictures.

    Raises:
        ApiError: 400 for an option that is unknown, that the index lacks, or that only a model can answer.
    """
    unknown = next((option for option in options if option not in names), None)
    if not options or unknown is not None:
        raise invalid(f"The options must be one or more of {', '.join(names)}.")
    possible = searchable_by(index)
    if not possible:
        raise ApiError(400, "index_not_supported_for_search", f"The index {index.name[:64]!r} has no embedding model.")
    lacking = [option for option in options if (*names[option], option)[0] not in possible]
    if lacking:
        raise ApiError(400, _NOT_SUPPORTED, f"The index {index.name[:64]!r} was made without {', '.join(lacking)}.")
    if blind := [each for each in options if not names[each] or (not sees and set(names[each]) <= set(SIGHT))]:
        why = "; ".join(_WHY[option] for option in dict.fromkeys(blind))
        raise ApiError(400, _NOT_SUPPORTED, f"Not answered here: {why}. {_HELP}")
    return list(dict.fromkeys(kind for option in options for kind in names[option] if kind in possible))


def find_unread(
    db: sqlite3.Connection, index_id: str, kinds: Collection[str], videos: Collection[VideoRow]
) -> dict[str, set[str]]:
    """Return which of these kinds of words nobody has looked for, by video."""
    sight = set(SIGHT) & set(kinds)
    seen = fulltext.videos_with(db, index_id, SIGHT[0]) if sight else frozenset()
    return {video.id: (set(video.unread) & set(kinds)) | (sight if video.id not in seen else set()) for video in videos}


def refuse_unread(kinds: Collection[str], videos: Collection[Collection[str]]) -> None:
    """Raise ApiError (400) where nobody looked for any of these words in any video.

    ``videos`` are what was not looked for in each. What only sight tells is refused beside other kinds, too.
    """
    unread = [kind for kind in sorted(kinds) if videos and all(kind in video for video in videos)]
    if len(unread) == len(kinds) > 0 or set(SIGHT) & set(unread):
        why = " or ".join(_UNREAD[kind] for kind in unread)
        raise ApiError(400, _NOT_SUPPORTED, f"The {len(videos)} videos of the index cannot be asked for {why}.")
