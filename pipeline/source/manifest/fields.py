"""One row of a CSV or JSONL manifest, checked by a model. Pure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from pipeline.config.time_windows import parse_window
from pipeline.core.model import Json, Trouble
from pipeline.ports.source import ManifestLine
from pipeline.source.manifest.pasted import clean_source, strip_unseen

FIELDS = ("source", "id", "title", "tags", "jobs", "prompt", "window", "metadata")
ALIASES = {"url": "source", "path": "source"}
METADATA = "metadata."
#: What people call the column of the source. The first of these counts where there is none of the names above.
_SPOKEN = frozenset({
    "link", "video", "file", "filename", "file name", "filepath", "file path", "uri", "href", "address", "location", "media",
    "video url", "video link", "youtube", "youtube url", "youtube link", "source url", "datei", "adresse", "fichier", "lien",
})  # fmt: skip
_TYPO = 0.75  #: likeness from which on a column is a field that was written wrongly
_NO_NUL = r"^[^\x00]*$"


class RowError(Exception):
    """A row that cannot be used. Caught two calls up."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.trouble = Trouble(code, message, remedy)


def _strip(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _text(value: object) -> object:
    return "" if value is None else _strip(value)


def _splitter(separators: str) -> BeforeValidator:
    """Accept words as a list, or as text with separators."""

    def split(value: object) -> object:
        entries = re.split(separators, value) if isinstance(value, str) else [] if value is None else value
        return tuple(entries) if isinstance(entries, list) else entries

    return BeforeValidator(split)


def _unique(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, words)))


def _known(jobs: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    known_job: Callable[[str], bool] = info.context["known_job"] if info.context else bool
    for job in jobs:
        if not known_job(job):
            raise PydanticCustomError("unknown_job", "unknown", {"job": job[:60]})
    return jobs


def _window(text: str) -> str:
    try:
        return str(parse_window(text)) if text else ""
    except ValueError as error:
        raise PydanticCustomError("window", "wrong", {"why": str(error)}) from None


def _merged(value: object, info: ValidationInfo) -> object:
    """Merge the columns ``metadata.<name>`` over the object."""
    whole = _strip(value)
    if isinstance(whole, str) and whole:
        try:
            whole = json.loads(whole)
        except (ValueError, RecursionError):
            raise PydanticCustomError("not_json", "not JSON") from None
    if whole and not isinstance(whole, Mapping):
        return whole
    merged = {**(whole if isinstance(whole, Mapping) else {}), **(info.context["columns"] if info.context else {})}
    return {name: each for name, each in merged.items() if each is not None}


#: Text that can be stored: no NUL; pydantic itself refuses half a surrogate pair (an escaped character cut in two).
Storable = Annotated[str, StringConstraints(pattern=_NO_NUL)]
Word = Annotated[Storable, BeforeValidator(_strip)]
Text = Annotated[Storable, BeforeValidator(_text)]
Source = Annotated[str, StringConstraints(min_length=1, pattern=_NO_NUL), BeforeValidator(_text)]
Id = Annotated[Text, BeforeValidator(lambda value: str(value) if type(value) is int else value)]
Scalar = Annotated[
    Storable, BeforeValidator(lambda value: json.dumps(value) if isinstance(value, int | float) else value)
]


class ManifestRow(BaseModel):
    """The columns of a manifest, in the order in which mistakes are reported."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    source: Source
    jobs: Annotated[tuple[Word, ...], _splitter(r"[\s|;,]+"), AfterValidator(_unique), AfterValidator(_known)] = ()
    id: Id = ""
    title: Text = ""
    tags: Annotated[tuple[Word, ...], _splitter(r"[|;]"), AfterValidator(_unique)] = ()
    prompt: Text = ""
    window: Annotated[Text, AfterValidator(_window)] = ""
    metadata: Annotated[dict[Storable, Scalar], BeforeValidator(_merged)]


def columns(names: Sequence[str]) -> list[str]:
    """Return a header's or an object's fields; "" for a nameless column.

    A column of the user's own becomes ``metadata.<name>``.

    Raises:
        RowError: a field is written wrongly or there twice, or there is no source.
    """
    clean = [strip_unseen(name) for name in names]
    given = {ALIASES.get(name.lower(), name.lower()) for name in clean}
    if "source" not in given:
        spoken = next((at for at, name in enumerate(clean) if re.sub(r"[\s_-]+", " ", name.lower()) in _SPOKEN), None)
        clean = [name if at != spoken else "source" for at, name in enumerate(clean)]
    found: list[str] = []
    for name in clean:
        field = own = _field(name, given)
        number = 1
        while own.startswith(METADATA) and field in found:
            number += 1
            field = f"{own} {number}"
        found.append(field)
    twice = [name for name in found if name and found.count(name) > 1]
    if twice:
        raise RowError("manifest_key_twice", f"'{twice[0]}' is given twice.", "keep one of source, url and path")
    if "source" not in found:
        raise RowError("manifest_no_source", "There is no 'source' column.", "name it source, url or path")
    return found


def _field(clean: str, given: Container[str]) -> str:
    """Return the field that a column or key stands for.

    ``given``: those that are there under their own names.
    """
    lower = clean.lower()
    if not clean:
        return ""
    if lower.startswith(METADATA) and len(lower) > len(METADATA):
        return METADATA + clean[len(METADATA) :]
    known = [*FIELDS, *ALIASES]
    if lower in known:
        return ALIASES.get(lower, lower)
    near = difflib.get_close_matches(lower, [name for name in known if ALIASES.get(name, name) not in given], 1, _TYPO)
    if not near:
        return METADATA + clean
    remedy = f"did you mean '{near[0]}'? If not, call it {METADATA}{clean[:60]}"
    raise RowError("manifest_unknown_key", f"'{clean[:60]}' is not a known column.", remedy)


def parse_row(fields: Mapping[str, Json], place: str, known_job: Callable[[str], bool]) -> ManifestLine:
    """Return the line that these fields describe.

    Raises:
        RowError: a value has the wrong type, the source is empty, or a job is unknown.
    """
    plain: dict[str, Any] = {"metadata": None}
    columns: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "source" and isinstance(value, str):
            plain[name] = clean_source(value)
        elif not name.startswith(METADATA):
            plain[name] = value
        elif value not in (None, ""):
            columns[name.removeprefix(METADATA)] = value
    try:
        row = ManifestRow.model_validate(plain, context={"known_job": known_job, "columns": columns})
    except ValidationError as error:
        raise _explain(error) from None
    return ManifestLine(place=place, **row.model_dump())


def _explain(error: ValidationError) -> RowError:
    """Return the first mistake in our own words; pydantic's are never shown."""
    first = error.errors(include_url=False, include_input=False)[0]
    code = "manifest_type"
    match first["type"], *first["loc"]:
        case "string_too_short", *_:
            code, message, remedy = "source_empty", "The source is empty.", "give a path or an address"
        case "unknown_job", *_:
            message, remedy = f"No job is called '{first['ctx']['job']}'.", "`reelmill config check` lists the jobs"
            code = "unknown_job"
        case "window", *_:
            code, message = "manifest_window", f"'window' {first['ctx']['why']}."
            remedy = "correct it, or leave it out to ask about the whole video"
        case "string_unicode" | "string_pattern_mismatch", name, *_:
            message, remedy = f"'{name}' holds a character that does not exist.", "write it as UTF-8 text"
        case "not_json", *_:
            message, remedy = "'metadata' is not a JSON object.", "or use columns named metadata.<name>"
        case _, "metadata":
            message, remedy = "'metadata' must be an object.", "or use columns named metadata.<name>"
        case _, "metadata", key, *_:
            message, remedy = f"'metadata.{str(key)[:60]}' must be text, a number, true or false.", "flatten it"
        case _, "tags" | "jobs" as name, *_:
            message, remedy = f"'{name}' must be a list of words.", 'separate them by | or write ["a", "b"]'
        case _, name, *_:
            message, remedy = f"'{name}' must be text.", f'write it as "{name}": "…"'
    return RowError(code, message, remedy)
